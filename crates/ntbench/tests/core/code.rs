//! The test driver's machine code, assembled along with the tests and copied into images.
//!
//! Every function starts with `sub rsp, 0x48`, which is what the image's unwind data says. Imports are called through the slots
//! at `start + 0x2000`, indirect calls through the guard's dispatch pointer at `start + 0x2A08`, data is at `start + 0x3000`.
#![expect(unsafe_code, reason = "machine code")]

use crate::image::TestImage;

core::arch::global_asm!(
    ".balign 16",
    "bt_start:",
    // DriverEntry(driver, registry): sets the unload routine, prints eight arguments, returns 0.
    "bt_entry:",
    "sub rsp, 0x48",
    "lea rax, [rip + bt_unload]",
    "mov [rcx + 104], rax",
    "lea rcx, [rip + 3f]",
    "mov r8d, 2",
    "mov r9d, 3",
    "mov qword ptr [rsp + 0x20], 4",
    "mov qword ptr [rsp + 0x28], 5",
    "mov qword ptr [rsp + 0x30], 6",
    "mov qword ptr [rsp + 0x38], 7",
    "call qword ptr [rip + bt_start + 0x2000]",
    "xor eax, eax",
    "add rsp, 0x48",
    "ret",
    "3: .asciz \"entry %wZ %d %d %d %d %d %d\"",
    ".balign 16",
    "bt_unload:",
    "sub rsp, 0x48",
    "lea rcx, [rip + 3f]",
    "call qword ptr [rip + bt_start + 0x2000]",
    "add rsp, 0x48",
    "ret",
    "3: .asciz \"unload\"",
    ".balign 16",
    // Adds its eighteen arguments, each times its number.
    "bt_sum:",
    "sub rsp, 0x48",
    "lea rax, [rcx + rdx * 2]",
    "lea r8, [r8 + r8 * 2]",
    "add rax, r8",
    "lea rax, [rax + r9 * 4]",
    "xor ecx, ecx",
    "2: mov rdx, [rsp + 0x70 + rcx * 8]",
    "lea r8, [rcx + 5]",
    "imul rdx, r8",
    "add rax, rdx",
    "inc ecx",
    "cmp ecx, 14",
    "jne 2b",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // 1 if an import keeps rbx, rsi, rdi, xmm6 and xmm15.
    "bt_preserved:",
    "sub rsp, 0x48",
    "mov [rsp + 0x20], rbx",
    "mov [rsp + 0x28], rsi",
    "mov [rsp + 0x30], rdi",
    "movq [rsp + 0x38], xmm6",
    "movq [rsp + 0x40], xmm15",
    "mov ebx, 0x11",
    "mov esi, 0x22",
    "mov edi, 0x33",
    "movd xmm6, ebx",
    "movd xmm15, esi",
    "lea rcx, [rip + 3f]",
    "mov edx, 0x44",
    "call qword ptr [rip + bt_start + 0x2000]",
    "xor eax, eax",
    "cmp ebx, 0x11",
    "jne 2f",
    "cmp esi, 0x22",
    "jne 2f",
    "cmp edi, 0x33",
    "jne 2f",
    "movd ecx, xmm6",
    "cmp ecx, 0x11",
    "jne 2f",
    "movd ecx, xmm15",
    "cmp ecx, 0x22",
    "jne 2f",
    "mov eax, 1",
    "2: mov rbx, [rsp + 0x20]",
    "mov rsi, [rsp + 0x28]",
    "mov rdi, [rsp + 0x30]",
    "movq xmm6, [rsp + 0x38]",
    "movq xmm15, [rsp + 0x40]",
    "add rsp, 0x48",
    "ret",
    "3: .asciz \"preserved %x\"",
    ".balign 16",
    // Calls rcx with rdx and r8 as arguments, through the guard.
    "bt_indirect:",
    "sub rsp, 0x48",
    "mov rax, rcx",
    "mov rcx, rdx",
    "mov rdx, r8",
    "call qword ptr [rip + bt_start + 0x2A08]",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // Loads and stores a register: returns [rcx], then stores edx there.
    "bt_register:",
    "sub rsp, 0x48",
    "mov eax, [rcx]",
    "mov [rcx], edx",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // A read-modify-write of a register.
    "bt_register_or:",
    "sub rsp, 0x48",
    "or dword ptr [rcx], 1",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // Exactly seven instructions, then `rep stosb` once (rcx = count, rdi kept in r8).
    "bt_counted:",
    "sub rsp, 0x48",
    "mov r8, rdi",
    "lea rdi, [rip + bt_start + 0x3000]",
    "xor eax, eax",
    "rep stosb",
    "mov rdi, r8",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // Allocates rcx bytes with tag Test and writes a byte at offset rdx; frees if r8 is not 0.
    "bt_pool:",
    "sub rsp, 0x48",
    "mov [rsp + 0x30], rdx",
    "mov [rsp + 0x38], r8",
    "mov rdx, rcx",
    "mov ecx, 0x40",
    "mov r8d, 0x74736554",
    "call qword ptr [rip + bt_start + 0x2008]",
    "test rax, rax",
    "je 2f",
    "mov rdx, [rsp + 0x30]",
    "mov byte ptr [rax + rdx], 1",
    "cmp qword ptr [rsp + 0x38], 0",
    "je 2f",
    "mov [rsp + 0x30], rax",
    "mov rcx, rax",
    "mov edx, 0x74736554",
    "call qword ptr [rip + bt_start + 0x2010]",
    "mov rax, [rsp + 0x30]",
    "2: add rsp, 0x48",
    "ret",
    ".balign 16",
    // Waits for the event in rcx for ever.
    "bt_wait:",
    "sub rsp, 0x48",
    "xor edx, edx",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "mov qword ptr [rsp + 0x20], 0",
    "call qword ptr [rip + bt_start + 0x2018]",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // DPC routine: sets the event in its context.
    "bt_dpc:",
    "sub rsp, 0x48",
    "mov rcx, rdx",
    "xor edx, edx",
    "xor r8d, r8d",
    "call qword ptr [rip + bt_start + 0x2020]",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // Recursion without end.
    "bt_recurse:",
    "sub rsp, 0x48",
    "call bt_recurse",
    "add rsp, 0x48",
    "ret",
    ".balign 16",
    // Spins without end.
    "bt_spin:",
    "sub rsp, 0x48",
    "2: pause",
    "jmp 2b",
    ".balign 16",
    "bt_end:",
);

unsafe extern "C" {
    safe static bt_start: u8;
    safe static bt_end: u8;
    safe static bt_entry: u8;
    safe static bt_unload: u8;
    safe static bt_sum: u8;
    safe static bt_preserved: u8;
    safe static bt_indirect: u8;
    safe static bt_register: u8;
    safe static bt_register_or: u8;
    safe static bt_counted: u8;
    safe static bt_pool: u8;
    safe static bt_wait: u8;
    safe static bt_dpc: u8;
    safe static bt_recurse: u8;
    safe static bt_spin: u8;
}

/// The functions of the test driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Entry,
    Unload,
    Sum,
    Preserved,
    Indirect,
    Register,
    RegisterOr,
    Counted,
    Pool,
    Wait,
    Dpc,
    Recurse,
    Spin,
}

const FUNCTIONS: [Function; 13] = [
    Function::Entry,
    Function::Unload,
    Function::Sum,
    Function::Preserved,
    Function::Indirect,
    Function::Register,
    Function::RegisterOr,
    Function::Counted,
    Function::Pool,
    Function::Wait,
    Function::Dpc,
    Function::Recurse,
    Function::Spin,
];

impl Function {
    /// Offset in the code.
    pub fn offset(self) -> usize {
        let place = match self {
            Self::Entry => &raw const bt_entry,
            Self::Unload => &raw const bt_unload,
            Self::Sum => &raw const bt_sum,
            Self::Preserved => &raw const bt_preserved,
            Self::Indirect => &raw const bt_indirect,
            Self::Register => &raw const bt_register,
            Self::RegisterOr => &raw const bt_register_or,
            Self::Counted => &raw const bt_counted,
            Self::Pool => &raw const bt_pool,
            Self::Wait => &raw const bt_wait,
            Self::Dpc => &raw const bt_dpc,
            Self::Recurse => &raw const bt_recurse,
            Self::Spin => &raw const bt_spin,
        };
        place as usize - (&raw const bt_start) as usize
    }
}

/// The imports in the order of the slots.
pub const IMPORTS: [&str; 5] = [
    "DbgPrint",
    "ExAllocatePool2",
    "ExFreePoolWithTag",
    "KeWaitForSingleObject",
    "KeSetEvent",
];

/// An image with all functions.
pub fn image() -> TestImage {
    let (start, end) = ((&raw const bt_start) as usize, (&raw const bt_end) as usize);
    let code = ntbench::memory::read_bytes(start, end - start);
    TestImage::new(
        code,
        FUNCTIONS.iter().map(|function| function.offset()).collect(),
        &IMPORTS,
    )
}
