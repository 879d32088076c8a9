//! Faults: SIGSEGV and its kin on a separate signal stack, turned into trapped accesses or into bug checks.
#![expect(unsafe_code, reason = "installs signal handlers and reads machine contexts")]

use super::stack;
use super::thread::{self, ImportCall, Registers};
use super::{mmio, privileged, step, violation};
use crate::exports::{self, Export};
use crate::memory::{self, Protection};
use crate::pe::arena;
use crate::verifier::watchdog;
use iced_x86::Register;
use std::cell::OnceCell;
use std::io;
use std::ptr;
use std::sync::Once;

/// Signal stacks are large, because trapped register accesses run the device model on them.
const SIGNAL_STACK_SIZE: usize = 1024 * 1024;

static INSTALL: Once = Once::new();

const SIGNALS: [i32; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    watchdog::REPORT_SIGNAL,
];

thread_local! {
    static SIGNAL_STACK: OnceCell<SignalStack> = const { OnceCell::new() };
}

/// The signal stack of a thread; given back when the thread ends.
struct SignalStack {
    base: usize,
}

impl SignalStack {
    fn install() -> Self {
        let base = memory::reserve(SIGNAL_STACK_SIZE);
        memory::protect(base, SIGNAL_STACK_SIZE, Protection::ReadWrite);
        set_signal_stack(base, 0);
        Self { base }
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        set_signal_stack(self.base, libc::SS_DISABLE);
        memory::release(self.base, SIGNAL_STACK_SIZE);
    }
}

fn set_signal_stack(base: usize, flags: i32) {
    let stack = libc::stack_t {
        ss_sp: base as *mut libc::c_void,
        ss_flags: flags,
        ss_size: SIGNAL_STACK_SIZE,
    };
    // SAFETY: the memory is mapped while it is the signal stack.
    let result = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    assert!(result == 0, "sigaltstack: {}", io::Error::last_os_error());
}

/// Installs the handlers (once) and gives the current thread a signal stack (once).
pub fn prepare_thread() {
    INSTALL.call_once(|| SIGNALS.into_iter().for_each(install));
    SIGNAL_STACK.with(|stack| {
        stack.get_or_init(SignalStack::install);
    });
}

fn install(signal: i32) {
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    // NODEFER: a trapped access may run code that faults again, on the same stack.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for.
    let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    assert!(result == 0, "sigaction: {}", io::Error::last_os_error());
}

/// The machine state at a fault; changes are in force when the handler returns.
pub struct FaultContext<'a> {
    machine: &'a mut libc::mcontext_t,
    /// The signal.
    pub signal: i32,
    /// The signal's code.
    pub code: i32,
    /// The address that could not be accessed, for memory faults.
    pub address: usize,
}

impl FaultContext<'_> {
    /// A register by its index in the machine context (`libc::REG_RAX` …).
    #[must_use]
    pub fn register(&self, index: i32) -> u64 {
        self.machine.gregs[slot(index)].cast_unsigned()
    }

    /// Sets a register.
    pub fn set_register(&mut self, index: i32, value: u64) {
        self.machine.gregs[slot(index)] = value.cast_signed();
    }

    /// The value of a general-purpose register of any size; `None` for others.
    #[must_use]
    pub fn general_register(&self, register: Register) -> Option<u64> {
        let value = self.register(index_of(register)?);
        Some(value & (u64::MAX >> (64 - register.size() * 8)))
    }

    /// Sets a general-purpose register as instructions do: 32-bit values clear the upper half, smaller ones keep the rest.
    pub fn set_general_register(&mut self, register: Register, value: u64) {
        let Some(index) = index_of(register) else { return };
        let value = match register.size() {
            8 => value,
            4 => value & 0xFFFF_FFFF,
            size => {
                let mask = u64::MAX >> (64 - size * 8);
                self.register(index) & !mask | value & mask
            }
        };
        self.set_register(index, value);
    }

    /// Sets the flags that arithmetic changes.
    pub fn set_arithmetic_flags(&mut self, flags: u64) {
        let others = self.register(libc::REG_EFL) & !mmio::flag::ALL;
        self.set_register(libc::REG_EFL, others | flags);
    }

    /// Instruction, stack and frame pointer.
    #[must_use]
    pub fn registers(&self) -> Registers {
        Registers {
            ip: self.register(libc::REG_RIP),
            sp: self.register(libc::REG_RSP),
            bp: self.register(libc::REG_RBP),
            exact: true,
        }
    }
}

fn slot(index: i32) -> usize {
    usize::try_from(index).expect("register indexes are not negative")
}

/// Index in the machine context of a general-purpose register; `None` for others, and for `ah` and its like.
pub(super) fn index_of(register: Register) -> Option<i32> {
    if matches!(
        register,
        Register::AH | Register::BH | Register::CH | Register::DH
    ) {
        return None;
    }
    Some(match register.full_register() {
        Register::RAX => libc::REG_RAX,
        Register::RBX => libc::REG_RBX,
        Register::RCX => libc::REG_RCX,
        Register::RDX => libc::REG_RDX,
        Register::RSI => libc::REG_RSI,
        Register::RDI => libc::REG_RDI,
        Register::RBP => libc::REG_RBP,
        Register::RSP => libc::REG_RSP,
        Register::R8 => libc::REG_R8,
        Register::R9 => libc::REG_R9,
        Register::R10 => libc::REG_R10,
        Register::R11 => libc::REG_R11,
        Register::R12 => libc::REG_R12,
        Register::R13 => libc::REG_R13,
        Register::R14 => libc::REG_R14,
        Register::R15 => libc::REG_R15,
        _ => return None,
    })
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system passes a valid context to an SA_SIGINFO handler.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    // SAFETY: the system passes a valid siginfo.
    let info = unsafe { &*info };
    // SAFETY: for other signals than memory faults the value is not used.
    let address = unsafe { info.si_addr() } as usize;
    let code = info.si_code;
    let mut fault = FaultContext {
        machine: &mut context.uc_mcontext,
        signal,
        code,
        address,
    };
    handle(&mut fault);
}

fn handle(fault: &mut FaultContext<'_>) {
    let handled = match fault.signal {
        watchdog::REPORT_SIGNAL => {
            report_hang(fault);
            true
        }
        libc::SIGTRAP => step::handle(fault),
        libc::SIGSEGV => within_driver(fault, mmio::handle) || privileged::handle(fault),
        _ => false,
    };
    if handled {
        return;
    }
    let on_kernel_stack = is_on_kernel_stack(fault);
    if on_kernel_stack || thread::current_import().is_some() {
        if on_kernel_stack {
            thread::set_top(Some(driver_position(fault)));
        }
        violation::report(fault, on_kernel_stack);
    }
    // Not the driver's: let the default action happen when the instruction is repeated.
    // SAFETY: restores the default action.
    unsafe { libc::signal(fault.signal, libc::SIG_DFL) };
}

/// Asked by the watchdog: returns if the hang is over.
fn report_hang(fault: &FaultContext<'_>) {
    if is_on_kernel_stack(fault) {
        thread::set_top(Some(driver_position(fault)));
    }
    watchdog::report_current();
    thread::set_top(None);
}

/// Whether an address is in the arena of driver images.
pub(super) fn is_image(address: u64) -> bool {
    usize::try_from(address).is_ok_and(|address| arena::range().contains(&address))
}

/// Whether the thread was on its kernel stack, in other words in driver code or what that calls without a thunk.
fn is_on_kernel_stack(fault: &FaultContext<'_>) -> bool {
    let header = thread::with(|thread| thread.stack.get());
    let sp = usize::try_from(fault.register(libc::REG_RSP)).unwrap_or(0);
    stack::is_stack(header, sp) || stack::is_guard(header, sp)
}

/// Where the driver was. Outside of images (a routine that is called without a thunk, or data that was executed) the
/// return address on top of the stack leads to it.
fn driver_position(fault: &FaultContext<'_>) -> Registers {
    let registers = fault.registers();
    let header = thread::with(|thread| thread.stack.get());
    match usize::try_from(registers.sp) {
        Ok(sp) if !is_image(registers.ip) && stack::is_stack(header, sp) => Registers {
            ip: memory::read(sp),
            sp: registers.sp + 8,
            bp: registers.bp,
            exact: false,
        },
        _ => registers,
    }
}

static REGISTER_ACCESS: Export = Export {
    module: "bench",
    name: "register access",
    irql: exports::any(),
    binding: exports::Binding::Data(std::ptr::null()),
};

/// Runs `body` so that stacks captured in it, and calls into drivers from it, continue from where the driver was interrupted.
fn within_driver(fault: &mut FaultContext<'_>, body: fn(&mut FaultContext<'_>) -> bool) -> bool {
    if !is_on_kernel_stack(fault) {
        return body(fault);
    }
    let header = thread::with(|thread| thread.stack.get());
    let call = ImportCall {
        outer: thread::with(|thread| thread.import.get()),
        export: &REGISTER_ACCESS,
        caller: driver_position(fault),
        arguments: 0,
    };
    thread::with(|thread| thread.import.set(&raw const call));
    let outer_rsp = stack::set_kernel_rsp(header, fault.register(libc::REG_RSP));
    let handled = body(fault);
    stack::set_kernel_rsp(header, outer_rsp);
    thread::with(|thread| thread.import.set(call.outer));
    handled
}
