//! Counting the instructions that a driver executes, by single-stepping it.
#![expect(unsafe_code, reason = "sets the trap flag")]

use super::fault::{self, FaultContext};
use crate::exports::Export;
use crate::memory;
use std::arch::asm;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The trap flag in RFLAGS: a SIGTRAP after each instruction.
const TRAP_FLAG: u64 = 0x100;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LAST: Cell<u64> = const { Cell::new(0) };
    static REGISTERS: Cell<u64> = const { Cell::new(0) };
    static CALLS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// What a driver has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Instructions that it has executed.
    pub instructions: u64,
    /// Imports that it has called, and how often.
    pub calls: BTreeMap<&'static str, u64>,
    /// Accesses to registers of a device, each of which leaves a virtual machine.
    pub registers: u64,
}

impl Work {
    /// Adds what has been done besides.
    pub fn add(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.registers += other.registers;
        for (name, count) in other.calls {
            *self.calls.entry(name).or_default() += count;
        }
    }

    /// Calls of the imports whose names contain one of those words.
    #[must_use]
    pub fn calls_of(&self, words: &[&str]) -> u64 {
        let named = |name: &str| words.iter().any(|word| name.contains(word));
        let counts = self.calls.iter().filter(|call| named(call.0));
        counts.map(|call| call.1).sum()
    }
}

/// Runs `body` and counts the instructions that loaded images execute on this thread meanwhile. A repeated string instruction
/// counts once. Routines that drivers import do not count.
///
/// About a thousand times slower than running it.
pub fn count_instructions<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let (result, work) = count_work(body);
    (result, work.instructions)
}

/// As [`count_instructions`], with what else images do.
pub fn count_work<R>(body: impl FnOnce() -> R) -> (R, Work) {
    fault::prepare_thread();
    COUNT.set(0);
    LAST.set(0);
    REGISTERS.set(0);
    COUNTING.set(true);
    let result = body();
    COUNTING.set(false);
    let work = Work {
        instructions: COUNT.get(),
        calls: CALLS.take(),
        registers: REGISTERS.get(),
    };
    (result, work)
}

/// The current thread is about to enter an image, or to go back to it: if it counts, by single steps.
pub(super) fn resume() {
    if COUNTING.get() {
        // SAFETY: the handler for SIGTRAP is installed; it goes on while COUNTING is set.
        unsafe { asm!("pushfq", "or qword ptr [rsp], {flag}", "popfq", flag = const TRAP_FLAG) };
    }
}

/// The current thread has left an image, for a while or for good.
pub(super) fn pause() {
    if COUNTING.get() {
        // SAFETY: clears what `resume` has set.
        unsafe {
            asm!("pushfq", "and qword ptr [rsp], {flag}", "popfq", flag = const !TRAP_FLAG.cast_signed());
        };
    }
}

/// Whether the current thread's instructions are being counted.
#[must_use]
pub fn is_counting() -> bool {
    COUNTING.get()
}

/// An image calls an import.
pub(super) fn note_call(export: &'static Export) {
    if COUNTING.get() {
        CALLS.with_borrow_mut(|calls| *calls.entry(export.name).or_default() += 1);
    }
}

/// An image accesses a register.
pub(super) fn note_register() {
    REGISTERS.set(REGISTERS.get() + 1);
}

/// One step; false if nobody counts, so that it is a breakpoint.
pub(super) fn handle(fault: &mut FaultContext<'_>) -> bool {
    const TRAP_OF_FLAG: i32 = 2;
    if !COUNTING.get() {
        return false;
    }
    if fault.code != TRAP_OF_FLAG && fault.register(libc::REG_EFL) & TRAP_FLAG == 0 {
        return false;
    }
    let ip = fault.register(libc::REG_RIP);
    if fault::is_image(ip) && !(LAST.get() == ip && is_repeated(ip)) {
        COUNT.set(COUNT.get() + 1);
    }
    LAST.set(ip);
    true
}

/// Whether the instruction has a repeat prefix: it traps after every iteration.
fn is_repeated(ip: u64) -> bool {
    usize::try_from(ip).is_ok_and(|ip| matches!(memory::read::<u8>(ip), 0xF2 | 0xF3))
}
