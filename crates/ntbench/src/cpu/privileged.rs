//! Privileged instructions: the two that Microsoft's headers inline are emulated, the others are violations.

use super::fault::{self, FaultContext};
use super::mmio;
use super::{irql, thread};
use crate::symbols;
use crate::verifier::{BugCheck, Rule, Violation};
use iced_x86::{Code, Instruction, Register};

/// Emulates or reports a privileged instruction of a driver; false if the fault is another one.
pub(super) fn handle(fault: &mut FaultContext<'_>) -> bool {
    let ip = fault.register(libc::REG_RIP);
    // A memory fault has an address; a general protection fault has none.
    if fault.address != 0 || !fault::is_image(ip) {
        return false;
    }
    let instruction = mmio::decode(ip);
    if !mmio::is_privileged(&instruction) {
        return false;
    }
    if !emulate(fault, &instruction) {
        thread::set_top(Some(fault.registers()));
        report(&instruction);
    }
    fault.set_register(libc::REG_RIP, instruction.next_ip());
    true
}

/// `KeGetCurrentIrql` and `KeRaiseIrql`/`KeLowerIrql` are moves from and to CR8 in the x64 headers.
fn emulate(fault: &mut FaultContext<'_>, instruction: &Instruction) -> bool {
    match instruction.code() {
        Code::Mov_r64_cr if instruction.op1_register() == Register::CR8 => {
            fault.set_general_register(instruction.op0_register(), u64::from(irql::current()));
            true
        }
        Code::Mov_cr_r64 if instruction.op0_register() == Register::CR8 => {
            let Some(Ok(new)) = fault
                .general_register(instruction.op1_register())
                .map(u8::try_from)
            else {
                return false;
            };
            if new > irql::current() {
                irql::raise(new);
            } else {
                irql::lower(new);
            }
            true
        }
        _ => false,
    }
}

fn report(instruction: &Instruction) -> ! {
    let ip = instruction.ip();
    let place = usize::try_from(ip).map_or_else(|_| format!("{ip:#x}"), symbols::describe);
    Violation::new(
        Rule::PrivilegedInstruction,
        BugCheck::new(0x1E, [0xC000_0096, ip, 0, 0]),
        format!("privileged instruction `{}` at {place}", mmio::text(instruction)),
    )
    .advice("use the kernel's routine for it")
    .stop()
}
