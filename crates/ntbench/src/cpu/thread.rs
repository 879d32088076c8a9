//! What the bench keeps for each host thread that runs driver code.

use super::irql::{Irql, PASSIVE_LEVEL};
use super::stack::KernelStack;
use crate::exports::{Export, MAX_ARGUMENTS};
use std::cell::{Cell, RefCell};
use std::ptr;

/// The registers that unwinding needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
    /// Whether `ip` is an interrupted instruction, and not a return address.
    pub exact: bool,
}

/// A driver's call of an export that has not returned yet. Lives on the host stack of the call.
#[derive(Clone, Copy, Debug)]
pub struct ImportCall {
    /// The call that was active before, further out.
    pub outer: *const ImportCall,
    /// What was called.
    pub export: &'static Export,
    /// The driver's registers after the call will have returned.
    pub caller: Registers,
    /// Address of the arguments, [`MAX_ARGUMENTS`] words; 0 where there are none.
    pub arguments: usize,
}

impl ImportCall {
    /// An argument of the call by its number: for variable arguments.
    ///
    /// # Panics
    /// When the thunk carries no argument with this number.
    #[must_use]
    pub fn argument(&self, index: usize) -> u64 {
        assert!(
            self.arguments != 0 && index < MAX_ARGUMENTS,
            "argument {index} is not there"
        );
        crate::memory::read(self.arguments + index * 8)
    }
}

/// State of a thread. All cells, so that a signal handler on the same thread can read it at any time.
pub struct Thread {
    /// Current IRQL.
    pub irql: Cell<Irql>,
    /// The virtual processor that the thread runs on.
    pub vp: Cell<usize>,
    /// Innermost active call of an export.
    pub import: Cell<*const ImportCall>,
    /// Where the driver is when it is not in an export: set by the fault handler and the guard stubs.
    top: Cell<Option<Registers>>,
    /// Calls into driver code that have not returned.
    pub depth: Cell<usize>,
    /// The thread's kernel stack header, 0 while it has none.
    pub stack: Cell<usize>,
    /// IRQL at which the innermost call into a driver was made: the driver may not go below.
    pub floor: Cell<Irql>,
    /// Spin locks held.
    pub locks_held: Cell<usize>,
    /// Microseconds stalled since the outermost call into the driver.
    pub stalled: Cell<u64>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            irql: Cell::new(PASSIVE_LEVEL),
            vp: Cell::new(0),
            import: Cell::new(ptr::null()),
            top: Cell::new(None),
            depth: Cell::new(0),
            stack: Cell::new(0),
            floor: Cell::new(PASSIVE_LEVEL),
            locks_held: Cell::new(0),
            stalled: Cell::new(0),
        }
    };
    static STACK: RefCell<Option<KernelStack>> = const { RefCell::new(None) };
}

/// Gives access to the current thread's state.
pub fn with<R>(f: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(f)
}

/// Address of the current thread's kernel stack header; makes a stack on the first call of a thread.
#[must_use]
pub fn kernel_stack() -> usize {
    let header = with(|thread| thread.stack.get());
    if header != 0 {
        return header;
    }
    super::fault::prepare_thread();
    let stack = KernelStack::allocate();
    let header = stack.header();
    STACK.with(|slot| *slot.borrow_mut() = Some(stack));
    with(|thread| thread.stack.set(header));
    header
}

/// Sets where the driver is while it is not in an export.
pub fn set_top(registers: Option<Registers>) {
    with(|thread| thread.top.set(registers));
}

/// The driver's position further in than any export call, if known.
#[must_use]
pub fn top() -> Option<Registers> {
    with(|thread| thread.top.get())
}

/// The innermost active export call.
#[must_use]
pub fn current_import() -> Option<ImportCall> {
    let call = with(|thread| thread.import.get());
    (!call.is_null()).then(|| crate::memory::read(call as usize))
}

/// All active export calls of this thread, innermost first.
#[must_use]
pub fn imports() -> Vec<ImportCall> {
    std::iter::successors(current_import(), |call| {
        (!call.outer.is_null()).then(|| crate::memory::read(call.outer as usize))
    })
    .collect()
}

/// Address in driver code to which the innermost export call returns: who is the caller.
#[must_use]
pub fn caller_address() -> Option<usize> {
    current_import().and_then(|call| usize::try_from(call.caller.ip).ok())
}
