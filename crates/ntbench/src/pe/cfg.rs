//! Control Flow Guard: which addresses may be the target of an indirect call.
//!
//! As Windows does, one bitmap with a bit for each 16 bytes answers the usual case in a few instructions; targets that are
//! not at a multiple of 16 are kept exactly, in a set. Everything else is a violation (bug check 0x139, code 0xA).
#![expect(
    unsafe_code,
    reason = "naked functions that the driver calls, and a raw bitmap that they read"
)]

use super::arena::{self, ARENA_SIZE};
use crate::cpu::stack::{REGION_MASK, StackHeader};
use crate::cpu::thread;
use crate::memory::{self, Protection};
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::RwLock;
use std::arch::naked_asm;
use std::collections::HashSet;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `KERNEL_SECURITY_CHECK_FAILURE` parameter 1: an indirect call guard check failed.
const FAST_FAIL_GUARD_ICALL_CHECK_FAILURE: u64 = 0xA;

static BASE: AtomicUsize = AtomicUsize::new(0);
static BITMAP: AtomicUsize = AtomicUsize::new(0);
static UNALIGNED: RwLock<Option<HashSet<usize>>> = RwLock::new(None);
/// The code of images that were built without Control Flow Guard.
static UNGUARDED: RwLock<Vec<Range<usize>>> = RwLock::new(Vec::new());
static INIT: Once = Once::new();

fn bitmap() -> usize {
    INIT.call_once(|| {
        let size = ARENA_SIZE / 16 / 8;
        let address = memory::reserve(size);
        memory::protect(address, size, Protection::ReadWrite);
        BASE.store(arena::base(), Ordering::Relaxed);
        BITMAP.store(address, Ordering::Release);
    });
    BITMAP.load(Ordering::Acquire)
}

fn set(address: usize, valid: bool) {
    let offset = address - arena::base();
    assert!(offset < ARENA_SIZE, "{address:#x} is outside the image arena");
    if !address.is_multiple_of(16) {
        let mut unaligned = UNALIGNED.write();
        let set = unaligned.get_or_insert_default();
        if valid {
            set.insert(address)
        } else {
            set.remove(&address)
        };
        return;
    }
    let byte = bitmap() + offset / 128;
    let mask = 1_u8 << (offset / 16 % 8);
    // SAFETY: the bitmap has a byte for each 128 bytes of the arena and lives as long as the process.
    let cell = unsafe { std::sync::atomic::AtomicU8::from_ptr(byte as *mut u8) };
    if valid {
        cell.fetch_or(mask, Ordering::Relaxed);
    } else {
        cell.fetch_and(!mask, Ordering::Relaxed);
    }
}

/// Makes an address of the arena a valid target.
pub fn allow(address: usize) {
    set(address, true);
}

/// Takes a target back, when its image is unloaded.
pub fn forbid(address: usize) {
    set(address, false);
}

/// Makes every address of some code a valid target, as Windows does for images without tables.
pub fn allow_all(code: Range<usize>) {
    UNGUARDED.write().push(code);
}

/// Takes that back.
pub fn forbid_all(code: &Range<usize>) {
    UNGUARDED.write().retain(|other| other != code);
}

/// Whether an indirect call may go to `address`.
#[must_use]
pub fn is_valid(address: usize) -> bool {
    if !arena::range().contains(&address) {
        return false;
    }
    is_listed(address) || UNGUARDED.read().iter().any(|code| code.contains(&address))
}

fn is_listed(address: usize) -> bool {
    if !address.is_multiple_of(16) {
        return UNALIGNED
            .read()
            .as_ref()
            .is_some_and(|set| set.contains(&address));
    }
    let offset = address - arena::base();
    memory::read::<u8>(bitmap() + offset / 128) & (1 << (offset / 16 % 8)) != 0
}

/// Checks a function pointer before the bench calls it.
pub fn check(address: usize) {
    if !is_valid(address) {
        violation(address);
    }
}

fn violation(address: usize) -> ! {
    Violation::new(
        Rule::GuardIcallCheck,
        BugCheck::new(0x139, [FAST_FAIL_GUARD_ICALL_CHECK_FAILURE, address as u64, 0, 0]),
        format!("indirect call to {}, which is no valid target", crate::symbols::describe(address)),
    )
    .advice("the target must be a function of a loaded image whose address the compiler saw being taken; build with control flow guard and do not call through a stale or overwritten pointer")
    .stop()
}

/// Runs on the host's stack when the fast path has not found the target; returns if it is valid all the same.
extern "sysv64" fn slow_check(address: usize, driver_stack: usize) {
    if !is_valid(address) {
        let caller = thread::Registers {
            ip: memory::read(driver_stack),
            sp: driver_stack as u64 + 8,
            bp: memory::read(driver_stack - 24),
            exact: false,
        };
        thread::set_top(Some(caller));
        violation(address);
    }
}

/// What `__guard_dispatch_icall_fptr` points to: target in rax, all argument registers live.
///
/// # Safety
/// Only compiled driver code may call it, on a kernel stack.
#[unsafe(naked)]
pub unsafe extern "win64" fn dispatch_icall() {
    naked_asm!(
        "mov r11, rax",
        "sub r11, qword ptr [rip + {base}]",
        "cmp r11, {size}",
        "jae 2f",
        "test al, 15",
        "jne 2f",
        "shr r11, 4",
        "mov r10, qword ptr [rip + {bitmap}]",
        "bt qword ptr [r10], r11",
        "jnc 2f",
        "jmp rax",
        "2:",
        "push rax",
        "call {slow}",
        "pop rax",
        "jmp rax",
        base = sym BASE,
        bitmap = sym BITMAP,
        size = const ARENA_SIZE,
        slow = sym slow_path,
    )
}

/// What `__guard_check_icall_fptr` points to: target in rcx, returns if it is valid, keeps all argument registers.
///
/// # Safety
/// Only compiled driver code may call it, on a kernel stack.
#[unsafe(naked)]
pub unsafe extern "win64" fn check_icall() {
    naked_asm!(
        "push rax",
        "mov rax, rcx",
        "call {slow}",
        "pop rax",
        "ret",
        slow = sym slow_path,
    )
}

/// Saves what a Win64 caller expects to survive, and checks rax on the host's stack, because a violation needs more than
/// the kernel stack has. Entered with one value pushed above the return address of the driver's call.
#[unsafe(naked)]
unsafe extern "win64" fn slow_path() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rcx",
        "push rdx",
        "push r8",
        "push r9",
        "push rsi",
        "push rdi",
        "sub rsp, 96",
        "movups [rbp - 144], xmm0",
        "movups [rbp - 128], xmm1",
        "movups [rbp - 112], xmm2",
        "movups [rbp - 96], xmm3",
        "movups [rbp - 80], xmm4",
        "movups [rbp - 64], xmm5",
        "mov rdi, rax",
        // rbp: saved rbp, return to the stub, pushed rax, return to the driver.
        "lea rsi, [rbp + 24]",
        "mov rax, rsp",
        "and rax, {region_mask}",
        "mov rsp, [rax + {host_rsp}]",
        "and rsp, -16",
        "call {check}",
        "movups xmm0, [rbp - 144]",
        "movups xmm1, [rbp - 128]",
        "movups xmm2, [rbp - 112]",
        "movups xmm3, [rbp - 96]",
        "movups xmm4, [rbp - 80]",
        "movups xmm5, [rbp - 64]",
        "lea rsp, [rbp - 48]",
        "pop rdi",
        "pop rsi",
        "pop r9",
        "pop r8",
        "pop rdx",
        "pop rcx",
        "pop rbp",
        "ret",
        region_mask = const REGION_MASK,
        host_rsp = const offset_of!(StackHeader, host_rsp),
        check = sym slow_check,
    )
}
