//! Thunks: what drivers call when they call an export.
//!
//! Each is a few instructions in the image arena that load the export's descriptor and jump to `enter_bench`, which leaves the
//! kernel stack for the host's stack, checks the call's rules, runs the export, and goes back.
#![expect(unsafe_code, reason = "writes and enters machine code")]

use super::irql;
use super::stack::{REGION_MASK, StackHeader};
use super::step;
use super::thread::{self, ImportCall, Registers};
use crate::exports::{Binding, Export, MAX_ARGUMENTS};
use crate::memory;
use crate::pe::{arena, cfg};
use crate::verifier::{self, limits};
use parking_lot::Mutex;
use std::arch::naked_asm;
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::LazyLock;

/// Bytes of one thunk: two 64-bit loads and a jump, padded so that each is a valid call target.
const THUNK_SIZE: usize = 32;

/// Thunks that fit the one area that is set aside for them.
const THUNK_LIMIT: usize = 16384;

/// The same memory twice: executable in the image arena, writable elsewhere, so that thunks can be added while others run.
struct Thunks {
    executable: usize,
    writable: usize,
    by_export: HashMap<usize, usize>,
}

static THUNKS: LazyLock<Mutex<Thunks>> = LazyLock::new(|| {
    let executable = arena::allocate(THUNK_LIMIT * THUNK_SIZE);
    let writable = memory::map_twice(executable, THUNK_LIMIT * THUNK_SIZE);
    Mutex::new(Thunks {
        executable,
        writable,
        by_export: HashMap::new(),
    })
});

/// Address that drivers may call (directly or through a pointer) to get to this export.
///
/// Use it for imports, and for function pointers that the bench puts into structures for drivers.
///
/// # Panics
/// After some thousand different exports.
#[must_use]
pub fn address_of(export: &'static Export) -> usize {
    match export.binding {
        Binding::Function(_) => {}
        Binding::Direct(address) | Binding::Data(address) => return address as usize,
    }
    let mut thunks = THUNKS.lock();
    let descriptor = std::ptr::from_ref(export) as usize;
    if let Some(&address) = thunks.by_export.get(&descriptor) {
        return address;
    }
    let offset = thunks.by_export.len() * THUNK_SIZE;
    assert!(offset < THUNK_LIMIT * THUNK_SIZE, "too many different exports");
    memory::write_bytes(
        thunks.writable + offset,
        &encode(descriptor, enter_bench as *const () as usize),
    );
    let address = thunks.executable + offset;
    thunks.by_export.insert(descriptor, address);
    cfg::allow(address);
    address
}

/// `mov r10, descriptor; mov r11, target; jmp r11`, then `int3`.
fn encode(descriptor: usize, target: usize) -> [u8; THUNK_SIZE] {
    let mut code = [0xCC; THUNK_SIZE];
    code[..2].copy_from_slice(&[0x49, 0xBA]);
    code[2..10].copy_from_slice(&descriptor.to_le_bytes());
    code[10..12].copy_from_slice(&[0x49, 0xBB]);
    code[12..20].copy_from_slice(&target.to_le_bytes());
    code[20..23].copy_from_slice(&[0x41, 0xFF, 0xE3]);
    code
}

/// Entered by a jump from a thunk, on the kernel stack, with the Win64 argument registers live and the descriptor in r10.
#[unsafe(naked)]
unsafe extern "win64" fn enter_bench() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        // The home area of the four register arguments lies right below the stack arguments: together one array.
        "mov [rbp + 16], rcx",
        "mov [rbp + 24], rdx",
        "mov [rbp + 32], r8",
        "mov [rbp + 40], r9",
        "mov r11, rsp",
        "and r11, {region_mask}",
        "mov rax, [r11 + {kernel_rsp}]",
        "mov rsp, [r11 + {host_rsp}]",
        "and rsp, -16",
        "sub rsp, 192",
        "mov [rsp], rax",
        "mov [rsp + 8], r11",
        "mov [rsp + 16], rsi",
        "mov [rsp + 24], rdi",
        "movaps [rsp + 32], xmm6",
        "movaps [rsp + 48], xmm7",
        "movaps [rsp + 64], xmm8",
        "movaps [rsp + 80], xmm9",
        "movaps [rsp + 96], xmm10",
        "movaps [rsp + 112], xmm11",
        "movaps [rsp + 128], xmm12",
        "movaps [rsp + 144], xmm13",
        "movaps [rsp + 160], xmm14",
        "movaps [rsp + 176], xmm15",
        // Callbacks of this export go on below the caller's frame.
        "mov [r11 + {kernel_rsp}], rbp",
        "mov rdi, r10",
        "mov rsi, rbp",
        "cld",
        "call {dispatch}",
        "movaps xmm6, [rsp + 32]",
        "movaps xmm7, [rsp + 48]",
        "movaps xmm8, [rsp + 64]",
        "movaps xmm9, [rsp + 80]",
        "movaps xmm10, [rsp + 96]",
        "movaps xmm11, [rsp + 112]",
        "movaps xmm12, [rsp + 128]",
        "movaps xmm13, [rsp + 144]",
        "movaps xmm14, [rsp + 160]",
        "movaps xmm15, [rsp + 176]",
        "mov rsi, [rsp + 16]",
        "mov rdi, [rsp + 24]",
        "mov r11, [rsp + 8]",
        "mov rcx, [rsp]",
        "mov [r11 + {kernel_rsp}], rcx",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        region_mask = const REGION_MASK,
        kernel_rsp = const offset_of!(StackHeader, kernel_rsp),
        host_rsp = const offset_of!(StackHeader, host_rsp),
        dispatch = sym dispatch,
    )
}

/// Runs an export on the host's stack. `frame` is the driver's rbp, return address and arguments, in this order.
extern "sysv64" fn dispatch(export: &'static Export, frame: usize) -> u64 {
    step::pause();
    let call = ImportCall {
        outer: thread::with(|thread| thread.import.get()),
        export,
        caller: Registers {
            ip: memory::read(frame + 8),
            sp: frame as u64 + 16,
            bp: memory::read(frame),
            exact: false,
        },
        arguments: frame + 16,
    };
    thread::with(|thread| thread.import.set(&raw const call));
    step::note_call(export);
    let before = irql::current();
    if before < export.irql.min || before > export.irql.max {
        verifier::irql::wrong_irql_for_call(export, before);
    }
    let arguments: [u64; MAX_ARGUMENTS] = memory::read(frame + 16);
    let result = limits::export(|| call_export(export, &arguments));
    if !export.irql.changes && irql::current() != before {
        verifier::irql::changed_by_export(export, before, irql::current());
    }
    thread::with(|thread| thread.import.set(call.outer));
    step::resume();
    result
}

type W = u64;
type ExportFunction = unsafe extern "win64" fn(W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W) -> u64;

fn call_export(export: &Export, a: &[u64; MAX_ARGUMENTS]) -> u64 {
    let Binding::Function(address) = export.binding else {
        unreachable!("only functions have thunks")
    };
    // SAFETY: the table's functions are `extern "win64"`; with this convention a callee may take fewer arguments than
    // it is given, and all of them are integers or pointers.
    let function = unsafe { std::mem::transmute::<*const (), ExportFunction>(address) };
    // SAFETY: the arguments are the driver's; exports treat them as untrusted.
    unsafe {
        function(
            a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14],
            a[15], a[16], a[17],
        )
    }
}

/// Ends the outermost call into the driver on this thread from within an export, as if the driver function had returned:
/// for `PsTerminateSystemThread`. The frames in between, driver's and bench's, are dropped without running anything.
///
/// # Panics
/// When driver calls are nested.
pub fn leave_driver() -> ! {
    thread::with(|thread| {
        assert!(thread.depth.get() == 1, "only the outermost call can be left");
        thread.import.set(std::ptr::null());
    });
    let header = thread::kernel_stack();
    // SAFETY: the header is this thread's, and a call is active, so `host_rsp` is the frame of `stack::enter`.
    unsafe { super::stack::leave(header) }
}
