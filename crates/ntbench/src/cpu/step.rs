//! Counting the instructions that a driver executes, by single-stepping it.
#![expect(unsafe_code, reason = "sets the trap flag")]

use super::fault::{self, FaultContext};
use crate::memory;
use std::arch::asm;
use std::cell::Cell;

/// The trap flag in RFLAGS: a SIGTRAP after each instruction.
const TRAP_FLAG: u64 = 0x100;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// Runs `body` and counts the instructions that loaded images execute on this thread meanwhile. A repeated string instruction
/// counts once. Routines that drivers import do not count.
///
/// About a thousand times slower than running it, for the bench's own code, too.
pub fn count_instructions<R>(body: impl FnOnce() -> R) -> (R, u64) {
    fault::prepare_thread();
    COUNT.set(0);
    LAST.set(0);
    COUNTING.set(true);
    // SAFETY: the handler for SIGTRAP is installed; it goes on while COUNTING is set.
    unsafe { asm!("pushfq", "or qword ptr [rsp], {flag}", "popfq", flag = const TRAP_FLAG) };
    let result = body();
    // SAFETY: clears what was set above.
    unsafe { asm!("pushfq", "and qword ptr [rsp], {flag}", "popfq", flag = const !TRAP_FLAG.cast_signed()) };
    COUNTING.set(false);
    (result, COUNT.get())
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
