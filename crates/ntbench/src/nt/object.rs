//! Handles and the objects behind them.

use super::status::{self, NtStatus};
use super::work::SystemThread;
use crate::cpu::thread;
use crate::exports;
use crate::memory;
use crate::symbols::{self, StackTrace};
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

exports! {
    /// Handles and references.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ZwClose = function(zw_close, exactly(PASSIVE_LEVEL));
        ObReferenceObjectByHandle = function(ob_reference_object_by_handle, exactly(PASSIVE_LEVEL));
        ObfReferenceObject = function(obf_reference_object, at_most(DISPATCH_LEVEL));
        ObfDereferenceObject = function(obf_dereference_object, at_most(DISPATCH_LEVEL));
        ObDereferenceObjectDeferDelete = function(obf_dereference_object, at_most(DISPATCH_LEVEL));
        PsThreadType = data(THREAD_TYPE);
    }
}

/// What drivers pass to `ObReferenceObjectByHandle`: a pointer to the type object, of which nothing is looked at.
static THREAD_TYPE: u64 = 0;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub enum Object {
    /// A registry key, by its path.
    Key(String),
    /// A system thread.
    Thread(Arc<SystemThread>),
}

struct Handle {
    object: Object,
    owner: usize,
    stack: StackTrace,
}

#[derive(Default)]
struct Table {
    next: u64,
    handles: BTreeMap<u64, Handle>,
}

/// Kernel handles have the upper half set.
const KERNEL_HANDLE: u64 = 0xFFFF_FFFF_8000_0000;

static TABLE: Mutex<Table> = Mutex::new(Table {
    next: KERNEL_HANDLE,
    handles: BTreeMap::new(),
});

/// Makes a handle; it belongs to the image that calls the current export.
#[must_use]
pub fn open(object: Object) -> u64 {
    let owner = thread::caller_address()
        .and_then(symbols::find)
        .map_or(0, |module| module.base);
    let mut table = TABLE.lock();
    table.next += 4;
    let handle = table.next;
    table.handles.insert(
        handle,
        Handle {
            object,
            owner,
            stack: StackTrace::track(),
        },
    );
    handle
}

/// The object behind a handle.
#[must_use]
pub fn get(handle: u64) -> Option<Object> {
    TABLE
        .lock()
        .handles
        .get(&handle)
        .map(|handle| handle.object.clone())
}

extern "win64" fn zw_close(handle: u64) -> NtStatus {
    if TABLE.lock().handles.remove(&handle).is_some() {
        return status::SUCCESS;
    }
    bad_handle("ZwClose", handle)
}

fn bad_handle(routine: &str, handle: u64) -> ! {
    Violation::new(
        Rule::InvalidHandle,
        BugCheck::verifier(0x3C, [handle, 0, 0]),
        format!("{routine} with {handle:#x}, which is no open handle"),
    )
    .advice("close each handle once, and do not use it afterwards")
    .stop()
}

extern "win64" fn ob_reference_object_by_handle(
    handle: u64,
    _access: u32,
    _type: usize,
    _mode: u8,
    object: usize,
    _information: usize,
) -> NtStatus {
    match get(handle) {
        Some(Object::Thread(system_thread)) => {
            memory::write(object, system_thread.address());
            status::SUCCESS
        }
        Some(Object::Key(_)) => status::OBJECT_TYPE_MISMATCH,
        None => bad_handle("ObReferenceObjectByHandle", handle),
    }
}

/// Thread objects stay for the rest of the process, so their references need no count.
extern "win64" fn obf_reference_object(_object: usize) -> i64 {
    1
}

extern "win64" fn obf_dereference_object(_object: usize) -> i64 {
    0
}

/// Stops if an image that is being unloaded has not closed its handles.
pub fn check_leaks(owner: usize, driver: &str) {
    let leaked = TABLE
        .lock()
        .handles
        .iter()
        .find(|(_, handle)| handle.owner == owner)
        .map(|(&value, handle)| (value, handle.object.clone(), handle.stack.clone()));
    if let Some((value, object, stack)) = leaked {
        let name = match object {
            Object::Key(path) => format!("the registry key {path}"),
            Object::Thread(_) => "a system thread".to_owned(),
        };
        Violation::new(
            Rule::HandleLeak,
            BugCheck::new(0xCE, [owner as u64, value, 0, 0]),
            format!("{driver} is unloaded with an open handle for {name}"),
        )
        .advice("close every handle with ZwClose")
        .stack("opened at", stack)
        .stop();
    }
}
