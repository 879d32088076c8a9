//! Faults: SIGSEGV and its kin on a separate signal stack, turned into trapped accesses or into bug checks.
#![expect(unsafe_code, reason = "installs signal handlers and reads machine contexts")]

use super::stack::{self, is_guard};
use super::thread::{self, Registers};
use crate::memory::{self, Protection};
use crate::pe::arena;
use crate::symbols;
use crate::verifier::{BugCheck, Violation};
use std::io;
use std::ptr;
use std::sync::Once;

/// Signal stacks are large, because trapped register accesses run the device model on them.
const SIGNAL_STACK_SIZE: usize = 256 * 1024;

static INSTALL: Once = Once::new();

/// Installs the handlers (once) and gives the current thread a signal stack.
pub fn prepare_thread() {
    INSTALL.call_once(|| {
        for signal in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
        ] {
            install(signal);
        }
    });
    let base = memory::reserve(SIGNAL_STACK_SIZE);
    memory::protect(base, SIGNAL_STACK_SIZE, Protection::ReadWrite);
    let stack = libc::stack_t {
        ss_sp: base as *mut libc::c_void,
        ss_flags: 0,
        ss_size: SIGNAL_STACK_SIZE,
    };
    // SAFETY: the stack is new memory that stays mapped for the rest of the process.
    let result = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    assert!(result == 0, "sigaltstack: {}", io::Error::last_os_error());
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
    /// The address that could not be accessed, for memory faults.
    pub address: usize,
}

impl FaultContext<'_> {
    /// A register by its index in the machine context (`libc::REG_RAX` …).
    #[must_use]
    pub fn register(&self, index: i32) -> u64 {
        self.machine.gregs[usize::try_from(index).expect("register indexes are small")].cast_unsigned()
    }

    /// Instruction, stack and frame pointer.
    #[must_use]
    pub fn registers(&self) -> Registers {
        Registers {
            ip: self.register(libc::REG_RIP),
            sp: self.register(libc::REG_RSP),
            bp: self.register(libc::REG_RBP),
        }
    }
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system passes a valid context to an SA_SIGINFO handler.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    // SAFETY: the system passes a valid siginfo; for other signals than memory faults the value is not used.
    let address = unsafe { (*info).si_addr() } as usize;
    let mut fault = FaultContext {
        machine: &mut context.uc_mcontext,
        signal,
        address,
    };
    handle(&mut fault);
}

fn handle(fault: &mut FaultContext<'_>) {
    let registers = fault.registers();
    let in_driver = usize::try_from(registers.ip).is_ok_and(|ip| arena::range().contains(&ip));
    let called_by_driver = thread::current_import().is_some();
    if in_driver || called_by_driver {
        if in_driver {
            thread::set_top(Some(registers));
        }
        report(fault, in_driver);
    }
    // Not the driver's: let the default action happen when the instruction is repeated.
    // SAFETY: restores the default action.
    unsafe { libc::signal(fault.signal, libc::SIG_DFL) };
}

fn report(fault: &FaultContext<'_>, in_driver: bool) -> ! {
    let header = thread::with(|thread| thread.stack.get());
    let ip = fault.register(libc::REG_RIP);
    let error = fault.register(libc::REG_ERR);
    let address = fault.address as u64;
    let access = if error & 0x10 != 0 {
        "execute"
    } else if error & 2 != 0 {
        "write"
    } else {
        "read"
    };
    let violation = if is_guard(header, fault.address) || stack_pointer_in_guard(fault, header) {
        Violation::new(
            "KernelStackOverflow",
            BugCheck::new(0x7F, [8, address, ip, 0]),
            format!(
                "the kernel stack of {} KiB is used up",
                stack::KERNEL_STACK_SIZE / 1024
            ),
        )
        .advice(
            "move large locals to pool memory, bound recursion, and do not call deep paths from callbacks",
        )
    } else {
        crate::verifier::pool::explain_fault(fault.address, access, ip)
            .filter(|_| matches!(fault.signal, libc::SIGSEGV | libc::SIGBUS))
            .unwrap_or_else(|| memory_fault(fault.signal, address, access, ip))
    };
    let violation = if in_driver {
        violation
    } else {
        violation.detail(format!("in the bench at {ip:#x}, on behalf of the driver"))
    };
    violation.detail(register_text(fault)).stop()
}

fn stack_pointer_in_guard(fault: &FaultContext<'_>, header: usize) -> bool {
    usize::try_from(fault.register(libc::REG_RSP)).is_ok_and(|sp| is_guard(header, sp.wrapping_sub(8)))
}

fn memory_fault(signal: i32, address: u64, access: &str, ip: u64) -> Violation {
    let place = usize::try_from(ip).map_or_else(|_| format!("{ip:#x}"), symbols::describe);
    match signal {
        libc::SIGILL => Violation::new(
            "IllegalInstruction",
            BugCheck::new(0x1E, [0xC000_001D, ip, 0, 0]),
            format!("illegal instruction at {place}"),
        )
        .advice("the compiler emits ud2 where code must not be reached, for instance after a panic: look at the stack"),
        libc::SIGFPE => Violation::new(
            "ArithmeticFault",
            BugCheck::new(0x1E, [0xC000_0094, ip, 0, 0]),
            format!("division by zero or overflow at {place}"),
        )
        .advice("check the divisor"),
        libc::SIGTRAP => Violation::new(
            "Breakpoint",
            BugCheck::new(0x1E, [0x8000_0003, ip, 0, 0]),
            format!("breakpoint at {place}"),
        )
        .advice("no debugger is attached: remove the breakpoint or find the assertion that failed"),
        _ => Violation::new(
            "InvalidAccess",
            BugCheck::new(0x50, [address, u64::from(access == "write"), ip, 0]),
            format!("{access} of {address:#x} at {place}"),
        )
        .advice("the address is not mapped with that protection: look for a NULL, stale or wrong pointer"),
    }
}

fn register_text(fault: &FaultContext<'_>) -> String {
    let names = [
        ("rax", libc::REG_RAX),
        ("rbx", libc::REG_RBX),
        ("rcx", libc::REG_RCX),
        ("rdx", libc::REG_RDX),
        ("rsi", libc::REG_RSI),
        ("rdi", libc::REG_RDI),
        ("rbp", libc::REG_RBP),
        ("rsp", libc::REG_RSP),
        ("r8", libc::REG_R8),
        ("r9", libc::REG_R9),
        ("r10", libc::REG_R10),
        ("r11", libc::REG_R11),
        ("r12", libc::REG_R12),
        ("r13", libc::REG_R13),
        ("r14", libc::REG_R14),
        ("r15", libc::REG_R15),
        ("rip", libc::REG_RIP),
        ("efl", libc::REG_EFL),
    ];
    names
        .iter()
        .map(|&(name, index)| format!("{name}={:x}", fault.register(index)))
        .collect::<Vec<_>>()
        .join(" ")
}
