//! Trapped registers: an access to an inaccessible page faults, is decoded, forwarded to the device, and skipped.

use super::fault::FaultContext;
use crate::memory::{self, PAGE_SIZE};
use crate::verifier::{BugCheck, Rule, Violation};
use iced_x86::{
    Code, Decoder, DecoderOptions, Formatter, Instruction, InstructionInfoFactory, IntelFormatter,
    MemorySize, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};
use parking_lot::RwLock;
use std::ops::Range;
use std::sync::Arc;

/// Registers of a device, behind trapped pages.
pub trait Registers: Send + Sync {
    /// Reads 1, 2, 4 or 8 bytes at an offset.
    fn read(&self, offset: u64, data: &mut [u8]);
    /// Writes 1, 2, 4 or 8 bytes at an offset.
    fn write(&self, offset: u64, data: &[u8]);
}

struct Region {
    range: Range<usize>,
    registers: Arc<dyn Registers>,
}

static REGIONS: RwLock<Vec<Region>> = RwLock::new(Vec::new());

/// A trapped range of addresses; no longer trapped when dropped.
#[derive(Debug)]
pub struct Trap {
    range: Range<usize>,
}

impl Trap {
    /// Where drivers find the registers.
    #[must_use]
    pub fn address(&self) -> usize {
        self.range.start
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        REGIONS.write().retain(|region| region.range != self.range);
    }
}

/// Traps accesses to `size` bytes at `address`, which the caller has reserved without access, and forwards them.
#[must_use]
pub fn trap(address: usize, size: usize, registers: Arc<dyn Registers>) -> Trap {
    let range = address..address + size;
    REGIONS.write().push(Region {
        range: range.clone(),
        registers,
    });
    Trap { range }
}

fn find(address: usize) -> Option<(usize, Arc<dyn Registers>)> {
    let regions = REGIONS.read();
    let region = regions.iter().find(|region| region.range.contains(&address))?;
    Some((region.range.start, Arc::clone(&region.registers)))
}

/// Whether an address is trapped.
#[must_use]
pub fn is_trapped(address: usize) -> bool {
    find(address).is_some()
}

/// Longest instruction in bytes.
const LONGEST: usize = 15;

/// Decodes the instruction at an address, which has been executed or tried to.
#[must_use]
pub fn decode(ip: u64) -> Instruction {
    let start = usize::try_from(ip).unwrap_or(0);
    let left_in_page = PAGE_SIZE - start % PAGE_SIZE;
    // The page behind the instruction may be inaccessible.
    let whole = left_in_page >= LONGEST || memory::is_mapped(start + left_in_page);
    let bytes = memory::read_bytes(start, if whole { LONGEST } else { left_in_page });
    Decoder::with_ip(64, &bytes, ip, DecoderOptions::NONE).decode()
}

/// An instruction as text.
#[must_use]
pub fn text(instruction: &Instruction) -> String {
    let mut text = String::new();
    IntelFormatter::new().format(instruction, &mut text);
    text
}

/// Forwards the access that faulted; false if its address is not trapped.
pub(super) fn handle(fault: &mut FaultContext<'_>) -> bool {
    let Some((start, registers)) = find(fault.address) else {
        return false;
    };
    super::step::note_register();
    let ip = fault.register(libc::REG_RIP);
    let instruction = decode(ip);
    let offset = (fault.address - start) as u64;
    if !forward(fault, &instruction, offset, &*registers) {
        unsupported(&instruction, offset);
    }
    fault.set_register(libc::REG_RIP, instruction.next_ip());
    true
}

fn unsupported(instruction: &Instruction, offset: u64) -> ! {
    Violation::new(
        Rule::RegisterAccess,
        BugCheck::new(0x50, [offset, 0, instruction.ip(), 0]),
        format!("`{}` on the device register at {offset:#x}", text(instruction)),
    )
    .advice("access registers with READ_REGISTER_… and WRITE_REGISTER_… or volatile reads and writes of 1, 2, 4 or 8 bytes: one plain load or store each, no read-modify-write, no string or vector instruction")
    .stop()
}

/// Size in bytes of the memory operand, if it is one that registers have.
fn operand_size(instruction: &Instruction) -> Option<usize> {
    match instruction.memory_size() {
        MemorySize::UInt8 | MemorySize::Int8 => Some(1),
        MemorySize::UInt16 | MemorySize::Int16 => Some(2),
        MemorySize::UInt32 | MemorySize::Int32 => Some(4),
        MemorySize::UInt64 | MemorySize::Int64 => Some(8),
        _ => None,
    }
}

fn forward(
    fault: &mut FaultContext<'_>,
    instruction: &Instruction,
    offset: u64,
    registers: &dyn Registers,
) -> bool {
    let Some(size) = operand_size(instruction) else {
        return false;
    };
    if instruction.has_lock_prefix() || !offset.is_multiple_of(size as u64) {
        return false;
    }
    let accesses: Vec<OpAccess> = InstructionInfoFactory::new()
        .info(instruction)
        .used_memory()
        .iter()
        .map(UsedMemory::access)
        .collect();
    match (instruction.mnemonic(), accesses.as_slice()) {
        (Mnemonic::Mov, [OpAccess::Write]) => store(fault, instruction, offset, size, registers),
        (_, [OpAccess::Read]) => load(fault, instruction, offset, size, registers),
        _ => false,
    }
}

fn store(
    fault: &FaultContext<'_>,
    instruction: &Instruction,
    offset: u64,
    size: usize,
    registers: &dyn Registers,
) -> bool {
    let Some(value) = source(fault, instruction) else {
        return false;
    };
    registers.write(offset, &value.to_le_bytes()[..size]);
    true
}

/// The operand that is not memory.
fn source(fault: &FaultContext<'_>, instruction: &Instruction) -> Option<u64> {
    let operand =
        (0..instruction.op_count()).find(|&operand| instruction.op_kind(operand) != OpKind::Memory)?;
    match instruction.op_kind(operand) {
        OpKind::Register => fault.general_register(instruction.op_register(operand)),
        _ => instruction.try_immediate(operand).ok(),
    }
}

fn load(
    fault: &mut FaultContext<'_>,
    instruction: &Instruction,
    offset: u64,
    size: usize,
    registers: &dyn Registers,
) -> bool {
    let target = instruction.op0_register();
    let other = match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd => Some(0),
        Mnemonic::Cmp
        | Mnemonic::Test
        | Mnemonic::And
        | Mnemonic::Or
        | Mnemonic::Xor
        | Mnemonic::Add
        | Mnemonic::Sub => source(fault, instruction),
        _ => None,
    };
    let Some(other) = other else { return false };
    if target != Register::None && super::fault::index_of(target).is_none() {
        return false;
    }
    let mut bytes = [0; 8];
    registers.read(offset, &mut bytes[..size]);
    let value = u64::from_le_bytes(bytes);
    let bits = size * 8;
    match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx => fault.set_general_register(target, value),
        Mnemonic::Movsx | Mnemonic::Movsxd => {
            let extended = (value.cast_signed() << (64 - bits)) >> (64 - bits);
            fault.set_general_register(target, extended.cast_unsigned());
        }
        mnemonic => {
            let memory_first = instruction.op0_kind() == OpKind::Memory;
            let (a, b) = if memory_first {
                (value, other)
            } else {
                (other, value)
            };
            let outcome = arithmetic(mnemonic, a, b, bits);
            fault.set_arithmetic_flags(outcome.flags);
            if !matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test) {
                fault.set_general_register(target, outcome.value);
            }
        }
    }
    true
}

/// Bits of RFLAGS that arithmetic changes.
pub(super) mod flag {
    pub const CARRY: u64 = 1;
    pub const PARITY: u64 = 1 << 2;
    pub const ZERO: u64 = 1 << 6;
    pub const SIGN: u64 = 1 << 7;
    pub const OVERFLOW: u64 = 1 << 11;
    pub const ALL: u64 = CARRY | PARITY | ZERO | SIGN | OVERFLOW;
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    value: u64,
    flags: u64,
}

/// What an arithmetic instruction computes, with its flags (without the auxiliary carry, which only BCD code looks at).
fn arithmetic(mnemonic: Mnemonic, a: u64, b: u64, bits: usize) -> Outcome {
    let mask = u64::MAX >> (64 - bits);
    let (a, b) = (a & mask, b & mask);
    let sign = |value: u64| value >> (bits - 1) & 1 != 0;
    let (value, carry, overflow) = match mnemonic {
        Mnemonic::Cmp | Mnemonic::Sub => {
            let value = a.wrapping_sub(b) & mask;
            (value, a < b, sign((a ^ b) & (a ^ value)))
        }
        Mnemonic::Add => {
            let value = a.wrapping_add(b) & mask;
            (value, value < a, sign(!(a ^ b) & (a ^ value)))
        }
        Mnemonic::Or => (a | b, false, false),
        Mnemonic::Xor => (a ^ b, false, false),
        _ => (a & b, false, false),
    };
    let parity = (value & 0xFF).count_ones().is_multiple_of(2);
    let flags = [
        (carry, flag::CARRY),
        (parity, flag::PARITY),
        (value == 0, flag::ZERO),
        (sign(value), flag::SIGN),
        (overflow, flag::OVERFLOW),
    ];
    Outcome {
        value,
        flags: flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, bit)| bit)
            .sum(),
    }
}

/// Whether the instruction is one that only the kernel itself may execute.
#[must_use]
pub fn is_privileged(instruction: &Instruction) -> bool {
    instruction.is_privileged()
        || matches!(
            instruction.code(),
            Code::In_AL_DX | Code::In_EAX_DX | Code::Out_DX_AL | Code::Out_DX_EAX
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_matches_the_processor() {
        let flags = |mnemonic, a, b, bits| arithmetic(mnemonic, a, b, bits).flags;
        assert_eq!(flags(Mnemonic::Cmp, 5, 5, 32), flag::ZERO | flag::PARITY);
        assert_eq!(
            flags(Mnemonic::Cmp, 1, 2, 8),
            flag::CARRY | flag::SIGN | flag::PARITY
        );
        assert_eq!(flags(Mnemonic::Cmp, 0x80, 1, 8), flag::OVERFLOW);
        assert_eq!(flags(Mnemonic::Test, 0xF0, 0x0F, 64), flag::ZERO | flag::PARITY);
        assert_eq!(
            arithmetic(Mnemonic::Add, 0xFFFF_FFFF, 1, 32),
            Outcome {
                value: 0,
                flags: flag::CARRY | flag::ZERO | flag::PARITY
            }
        );
        assert_eq!(
            arithmetic(Mnemonic::Add, 0x7FFF, 1, 16).flags,
            flag::OVERFLOW | flag::SIGN | flag::PARITY
        );
        assert_eq!(
            arithmetic(Mnemonic::Xor, 6, 3, 32),
            Outcome {
                value: 5,
                flags: flag::PARITY
            }
        );
        assert_eq!(
            arithmetic(Mnemonic::Sub, 7, 4, 64),
            Outcome {
                value: 3,
                flags: flag::PARITY
            }
        );
    }
    /// Remembers writes; reads give the offset in every byte, with the top bit set.
    #[derive(Default)]
    struct Log(parking_lot::Mutex<Vec<(u64, Vec<u8>)>>);

    impl Registers for Log {
        fn read(&self, offset: u64, data: &mut [u8]) {
            data.fill(0x80 | u8::try_from(offset).expect("small"));
        }

        fn write(&self, offset: u64, data: &[u8]) {
            self.0.lock().push((offset, data.to_vec()));
        }
    }

    fn trapped() -> (Trap, Arc<Log>) {
        super::super::fault::prepare_thread();
        let log = Arc::new(Log::default());
        let registers: Arc<dyn Registers> = Arc::<Log>::clone(&log);
        (
            trap(memory::reserve(memory::PAGE_SIZE), memory::PAGE_SIZE, registers),
            log,
        )
    }

    /// Runs one instruction with the register page in rsi and a value in rcx; returns rax (first all ones) and whether ZF is set.
    macro_rules! run {
        ($trap:expr, $value:expr, $instruction:literal) => {{
            let mut result = u64::MAX;
            let zero: u8;
            // SAFETY: the instruction accesses the trapped page only.
            unsafe {
                std::arch::asm!(
                    $instruction, "setz {zero}",
                    zero = out(reg_byte) zero, inout("rax") result, in("rsi") $trap.address(), in("rcx") $value,
                );
            }
            (result, zero != 0)
        }};
    }

    #[test]
    #[expect(unsafe_code, reason = "runs single instructions")]
    fn loads_are_forwarded_in_every_form() {
        let (trap, _) = trapped();
        assert_eq!(run!(trap, 0_u64, "mov rax, [rsi + 8]").0, 0x8888_8888_8888_8888);
        assert_eq!(
            run!(trap, 0_u64, "mov eax, [rsi + 4]").0,
            0x8484_8484,
            "a 32-bit load clears the upper half"
        );
        assert_eq!(run!(trap, 0_u64, "mov ax, [rsi + 2]").0, 0xFFFF_FFFF_FFFF_8282);
        assert_eq!(run!(trap, 0_u64, "mov al, [rsi + 1]").0, 0xFFFF_FFFF_FFFF_FF81);
        assert_eq!(run!(trap, 0_u64, "movzx eax, byte ptr [rsi + 1]").0, 0x81);
        assert_eq!(
            run!(trap, 0_u64, "movsx rax, word ptr [rsi + 2]").0,
            0xFFFF_FFFF_FFFF_8282
        );
        assert_eq!(
            run!(trap, 0_u64, "movsxd rax, dword ptr [rsi + 4]").0,
            0xFFFF_FFFF_8484_8484
        );
        assert_eq!(
            run!(trap, 0x10_u64, "mov eax, [rsi + rcx]").0,
            0x9090_9090,
            "indexed addressing"
        );
        assert_eq!(run!(trap, 0_u64, "and eax, [rsi + 4]"), (0x8484_8484, false));
    }

    #[test]
    #[expect(unsafe_code, reason = "runs single instructions")]
    fn comparisons_set_flags() {
        let (trap, _) = trapped();
        assert!(run!(trap, 0_u64, "cmp byte ptr [rsi + 1], 0x81").1);
        assert!(!run!(trap, 0_u64, "cmp byte ptr [rsi + 1], 0x80").1);
        assert!(run!(trap, 0x8484_8484_u64, "cmp [rsi + 4], ecx").1);
        assert!(run!(trap, 0_u64, "test dword ptr [rsi + 4], 0x01010101").1);
        assert!(!run!(trap, 0_u64, "test dword ptr [rsi + 4], 0x04000000").1);
    }

    #[test]
    #[expect(unsafe_code, reason = "runs single instructions")]
    fn stores_are_forwarded_in_every_form() {
        let (trap, log) = trapped();
        let value = 0x1122_3344_5566_7788_u64;
        run!(trap, value, "mov [rsi], rcx");
        run!(trap, value, "mov [rsi + 4], ecx");
        run!(trap, value, "mov [rsi + 2], cx");
        run!(trap, value, "mov [rsi + 1], cl");
        run!(trap, value, "mov dword ptr [rsi + 12], 7");
        run!(trap, value, "mov qword ptr [rsi + 16], -1");
        let expected: Vec<(u64, Vec<u8>)> = vec![
            (0, value.to_le_bytes().to_vec()),
            (4, vec![0x88, 0x77, 0x66, 0x55]),
            (2, vec![0x88, 0x77]),
            (1, vec![0x88]),
            (12, vec![7, 0, 0, 0]),
            (16, vec![0xFF; 8]),
        ];
        assert_eq!(*log.0.lock(), expected);
    }
}
