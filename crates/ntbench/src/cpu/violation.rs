//! Faults of drivers as violations.

use super::fault::FaultContext;
use super::mmio;
use super::{stack, thread};
use crate::pe::arena;
use crate::symbols;
use crate::verifier::{BugCheck, Rule, Violation, pool};

/// Reports a fault and ends the process. `direct` is false when the bench faulted on behalf of the driver.
pub(super) fn report(fault: &FaultContext<'_>, direct: bool) -> ! {
    let violation = match fault.signal {
        libc::SIGSEGV | libc::SIGBUS => memory_fault(fault),
        libc::SIGFPE => arithmetic(fault),
        libc::SIGTRAP => breakpoint(fault),
        _ => illegal_instruction(fault),
    };
    let ip = fault.register(libc::REG_RIP);
    let violation = if direct {
        violation
    } else {
        violation.detail(format!("in the bench at {ip:#x}, on behalf of the driver"))
    };
    violation.detail(register_text(fault)).stop()
}

fn place(address: u64) -> String {
    usize::try_from(address).map_or_else(|_| format!("{address:#x}"), symbols::describe)
}

/// How memory was accessed, from the page fault's error code.
fn access(fault: &FaultContext<'_>) -> &'static str {
    const WRITE: u64 = 2;
    const FETCH: u64 = 16;
    let error = fault.register(libc::REG_ERR);
    if error & FETCH != 0 {
        "execute"
    } else if error & WRITE != 0 {
        "write"
    } else {
        "read"
    }
}

fn memory_fault(fault: &FaultContext<'_>) -> Violation {
    let ip = fault.register(libc::REG_RIP);
    let header = thread::with(|thread| thread.stack.get());
    let sp = usize::try_from(fault.register(libc::REG_RSP)).unwrap_or(0);
    if stack::is_guard(header, fault.address) || stack::is_guard(header, sp.wrapping_sub(8)) {
        return stack_overflow(fault);
    }
    let access = access(fault);
    if access == "execute" {
        return execute(fault.address);
    }
    if let Some(violation) = pool::explain_fault(fault.address, access, ip) {
        return violation;
    }
    let write = u64::from(access == "write");
    if access == "write" && arena::range().contains(&fault.address) && symbols::find(fault.address).is_some()
    {
        return Violation::new(
            Rule::WriteReadOnly,
            BugCheck::new(0xBE, [fault.address as u64, 0, ip, 0]),
            format!("write to {} at {}", symbols::describe(fault.address), place(ip)),
        )
        .advice("code and constants cannot be changed: use a static with interior mutability, or pool");
    }
    let what = if fault.address == 0 {
        // Also what the processor reports for addresses that are not canonical.
        format!(
            "{access} through a NULL or non-canonical pointer at {}",
            place(ip)
        )
    } else {
        format!("{access} of {:#x} at {}", fault.address, place(ip))
    };
    Violation::new(
        Rule::InvalidAccess,
        BugCheck::new(0x50, [fault.address as u64, write, ip, 0]),
        what,
    )
    .advice("the address is not mapped with that protection: look for a NULL, stale or wrong pointer")
}

fn stack_overflow(fault: &FaultContext<'_>) -> Violation {
    Violation::new(
        Rule::KernelStackOverflow,
        BugCheck::new(0x7F, [8, fault.address as u64, fault.register(libc::REG_RIP), 0]),
        format!(
            "the kernel stack of {} KiB is used up",
            stack::KERNEL_STACK_SIZE / 1024
        ),
    )
    .advice("move large locals to pool memory, bound recursion, and do not call deep paths from callbacks")
}

fn execute(address: usize) -> Violation {
    if let Some(module) = symbols::find(address) {
        if module.unloaded {
            return Violation::new(
                Rule::CallAfterUnload,
                BugCheck::new(0xCE, [address as u64, 8, address as u64, 0]),
                format!(
                    "{} is called after its image was unloaded",
                    symbols::describe(address)
                ),
            )
            .advice("deregister and drain every callback before the unload routine returns");
        }
        return Violation::new(
            Rule::ExecuteData,
            BugCheck::new(0xFC, [address as u64, 0, 0, 0]),
            format!(
                "{} is called; it is data, or INIT code that was discarded after DriverEntry",
                symbols::describe(address)
            ),
        )
        .advice("put only DriverEntry and what it alone calls into INIT");
    }
    Violation::new(
        Rule::ExecuteData,
        BugCheck::new(0xFC, [address as u64, 0, 0, 0]),
        format!("memory at {address:#x}, which is not code, is executed"),
    )
    .advice("a function pointer or return address was overwritten, or is stale")
}

fn illegal_instruction(fault: &FaultContext<'_>) -> Violation {
    let ip = fault.register(libc::REG_RIP);
    Violation::new(
        Rule::IllegalInstruction,
        BugCheck::new(0x1E, [0xC000_001D, ip, 0, 0]),
        format!("illegal instruction `{}` at {}", mmio::text(&mmio::decode(ip)), place(ip)),
    )
    .advice("the compiler emits ud2 where code must not be reached, for instance behind a panic: look at the stack")
}

fn arithmetic(fault: &FaultContext<'_>) -> Violation {
    let ip = fault.register(libc::REG_RIP);
    Violation::new(
        Rule::ArithmeticFault,
        BugCheck::new(0x1E, [0xC000_0094, ip, 0, 0]),
        format!("division by zero or overflow at {}", place(ip)),
    )
    .advice("check the divisor")
}

fn breakpoint(fault: &FaultContext<'_>) -> Violation {
    let ip = fault.register(libc::REG_RIP);
    Violation::new(
        Rule::Breakpoint,
        BugCheck::new(0x1E, [0x8000_0003, ip, 0, 0]),
        format!("breakpoint at {}", place(ip)),
    )
    .advice("no debugger is attached: remove the breakpoint, or find the assertion that failed")
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
