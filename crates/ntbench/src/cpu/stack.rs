//! Kernel stacks: 24 KiB with a guard, one per thread, and the switch from the host's stack to it.
//!
//! A stack lies in a region of 64 KiB that starts at a multiple of 64 KiB: header page, guard pages, stack. So the header
//! is found by masking the stack pointer, which the import thunk does without touching thread-local storage.
//! Nested calls (driver → export → callback into a driver) go on where the driver left off, so their depth adds up as on Windows.
#![expect(unsafe_code, reason = "switches stacks")]

use crate::exports::MAX_ARGUMENTS;
use crate::memory::{self, PAGE_SIZE, Protection};
use parking_lot::Mutex;
use std::arch::naked_asm;
use std::mem::offset_of;

/// Size of a kernel stack on x64 (`KERNEL_STACK_SIZE`).
pub const KERNEL_STACK_SIZE: usize = 24 * 1024;
/// Size and alignment of a stack's region.
pub const REGION_SIZE: usize = 64 * 1024;
/// Leads from an address in a region to its start.
pub const REGION_MASK: i32 = -0x1_0000;
const _: () = assert!(REGION_MASK.unsigned_abs() as usize == REGION_SIZE);
/// Arguments that do not fit the four registers.
const STACK_ARGUMENTS: usize = MAX_ARGUMENTS - 4;
/// Kept free above the first frame, because import thunks read as many stack arguments as there may be.
const HEADROOM: usize = 512;

/// First words of a stack's region; the switch routines know the offsets.
#[repr(C)]
pub struct StackHeader {
    /// Where the next call into a driver starts on the kernel stack.
    pub kernel_rsp: u64,
    /// Where exports run on the host's stack.
    pub host_rsp: u64,
}

/// A kernel stack; goes back to a pool when dropped.
pub struct KernelStack {
    region: usize,
}

static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

impl KernelStack {
    /// Takes a stack from the pool or makes one.
    #[must_use]
    pub fn allocate() -> Self {
        let region = FREE.lock().pop().unwrap_or_else(|| {
            let region = memory::reserve_aligned(REGION_SIZE, REGION_SIZE);
            memory::protect(region, PAGE_SIZE, Protection::ReadWrite);
            memory::protect(
                region + REGION_SIZE - KERNEL_STACK_SIZE,
                KERNEL_STACK_SIZE,
                Protection::ReadWrite,
            );
            region
        });
        let top = (region + REGION_SIZE - HEADROOM) as u64;
        memory::write(
            region,
            StackHeaderWords {
                kernel_rsp: top,
                host_rsp: 0,
            },
        );
        Self { region }
    }

    /// Address of the header.
    #[must_use]
    pub fn header(&self) -> usize {
        self.region
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        FREE.lock().push(self.region);
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct StackHeaderWords {
    kernel_rsp: u64,
    host_rsp: u64,
}

/// Whether an address is in the guard of the stack with this header.
#[must_use]
pub fn is_guard(header: usize, address: usize) -> bool {
    header != 0 && (header + PAGE_SIZE..header + REGION_SIZE - KERNEL_STACK_SIZE).contains(&address)
}

/// Whether an address is in the usable part of the stack with this header.
#[must_use]
pub fn is_stack(header: usize, address: usize) -> bool {
    header != 0 && (header + REGION_SIZE - KERNEL_STACK_SIZE..header + REGION_SIZE).contains(&address)
}

/// Sets where the next nested call starts; returns the previous place.
#[expect(
    clippy::must_use_candidate,
    reason = "who restores it does not need the old value"
)]
pub fn set_kernel_rsp(header: usize, rsp: u64) -> u64 {
    let field = header + offset_of!(StackHeader, kernel_rsp);
    let previous = memory::read(field);
    memory::write(field, rsp);
    previous
}

/// Calls `target` with the Win64 convention on the kernel stack whose header is `header`.
///
/// Returns what the function leaves in rax.
///
/// # Safety
/// `header` must be the current thread's stack; `target` must be a Win64 function that takes at most the given arguments.
#[must_use]
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(
    header: usize,
    target: usize,
    arguments: *const [u64; MAX_ARGUMENTS],
) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push qword ptr [rdi + {host_rsp}]",
        "push qword ptr [rdi + {kernel_rsp}]",
        "push rdi",
        "mov rax, [rdi + {kernel_rsp}]",
        "mov [rdi + {host_rsp}], rsp",
        "mov r11, rsi",
        "mov r10, rdx",
        "and rax, -16",
        "lea rsp, [rax - {frame}]",
        "lea rsi, [r10 + 32]",
        "lea rdi, [rsp + 32]",
        "mov ecx, {stack_arguments}",
        "rep movsq",
        "mov rcx, [r10]",
        "mov rdx, [r10 + 8]",
        "mov r8, [r10 + 16]",
        "mov r9, [r10 + 24]",
        "call r11",
        // The driver's rsp still finds the header, whatever it did to other registers.
        "mov rdi, rsp",
        "and rdi, {region_mask}",
        "jmp {leave}",
        host_rsp = const offset_of!(StackHeader, host_rsp),
        kernel_rsp = const offset_of!(StackHeader, kernel_rsp),
        frame = const 32 + STACK_ARGUMENTS * 8,
        stack_arguments = const STACK_ARGUMENTS,
        region_mask = const REGION_MASK,
        leave = sym leave,
    )
}

/// The second half of [`enter`]: goes back to the host frame that is on top of the stack with this header.
///
/// # Safety
/// A call of [`enter`] must be active for this header on this thread.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn leave(header: usize) -> ! {
    naked_asm!(
        "mov rsp, [rdi + {host_rsp}]",
        "pop rdi",
        "pop qword ptr [rdi + {kernel_rsp}]",
        "pop qword ptr [rdi + {host_rsp}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host_rsp = const offset_of!(StackHeader, host_rsp),
        kernel_rsp = const offset_of!(StackHeader, kernel_rsp),
    )
}

const _: () = assert!(
    (32 + STACK_ARGUMENTS * 8).is_multiple_of(16),
    "the frame keeps rsp aligned for the call"
);
