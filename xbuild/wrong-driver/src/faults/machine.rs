//! What the processor objects to.
#![expect(unsafe_code, reason = "executes what must not be executed")]

use core::arch::asm;
use core::hint::black_box;

use super::faults;
use crate::kernel::{KeBugCheckEx, number, peek, poke, pool};

faults! {
    "InvalidAccess" => |_| poke(0x10, 1_u32),
    "InvalidAccess-wild" => |_| {
        black_box(peek::<u8>(0x0000_1234_5678_9000));
    },
    "ExecuteData" => |_| jump(pool(16)),
    "WriteReadOnly" => |_| poke(number(jump as *const u8), 0xCC_u8),
    "IllegalInstruction" => |_| {
        // SAFETY: stops here.
        unsafe { asm!("ud2") }
    },
    "PrivilegedInstruction" => |_| {
        // SAFETY: stops here.
        unsafe { asm!("hlt") }
    },
    "ArithmeticFault" => |_| {
        // SAFETY: stops here.
        unsafe { asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _) }
    },
    "Breakpoint" => |_| {
        // SAFETY: stops here.
        unsafe { asm!("int3") }
    },
    "KernelStackOverflow" => |_| {
        black_box(deep(64));
    },
    "GuardIcallCheck" => |_| guarded_call(number(jump as *const u8) + 1),
    "KeBugCheckEx" => |_| KeBugCheckEx(0x1234_5678, 1, 2, 3, 4),
}

/// Calls an address as no compiler would: without asking whether it is a function.
fn jump(address: usize) {
    // SAFETY: not safe at all, which is the point.
    unsafe { asm!("call {}", in(reg) address, clobber_abi("system")) }
}

/// Calls an address as the compiler does it, with a check in front.
fn guarded_call(address: usize) {
    // SAFETY: the check does not let it be called.
    let function = unsafe { core::mem::transmute::<usize, extern "system" fn()>(black_box(address)) };
    function();
}

/// Uses a little less than a KiB of stack for each level.
fn deep(levels: usize) -> usize {
    let mut local = black_box([levels; 100]);
    if black_box(levels) > 0 {
        local[1] = deep(levels - 1);
    }
    black_box(&mut local)[1]
}
