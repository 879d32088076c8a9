//! The live NDK objects: what the shim knows of each, and what must hold when one is closed.

use super::kind::Kind;
use super::rules::{self, broken};
use super::{callbacks, consumer, trace, work};
use crate::cpu::call::call;
use crate::cpu::irql;
use crate::cpu::thread;
use crate::memory;
use crate::pe::cfg;
use crate::verifier::Rule;
use ndk_sys::{NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_VERSION, NTSTATUS};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::Arc;
use std::time::Instant;

/// Names an object for as long as the bench runs; addresses are used again.
pub(super) type Id = u64;

/// Who holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// The bench: it calls the provider's functions by name.
    Bench,
    /// A consumer driver: it calls through `Dispatch`, which leads to `consumer`.
    Driver,
}

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Its close has been called and has not completed.
    Closing,
}

/// The part of an object that does not change.
pub(super) struct Fixed {
    pub kind: Kind,
    pub id: Id,
    pub address: usize,
    pub version: NDK_VERSION,
    pub client: Client,
    /// The provider's functions.
    slots: Vec<usize>,
    /// What the header must hold until close.
    header: [u64; HEADER_WORDS],
    /// The table that `Dispatch` points to now.
    _replacement: Box<[u64]>,
}

struct Object {
    fixed: Arc<Fixed>,
    state: State,
    antecedents: Vec<Id>,
    /// Objects that have this one as an antecedent and are not closed.
    successors: usize,
    /// Event callbacks that are running.
    events: usize,
    /// Requests that are pending; closes not included.
    requests: usize,
    /// Completion callbacks that are running; those of closes not included.
    callbacks: usize,
    /// Its disconnect event has come.
    disconnected: bool,
}

#[derive(Default)]
struct Objects {
    live: BTreeMap<Id, Object>,
    last: Id,
}

impl Objects {
    /// Whether `object` cannot outlive the one of that number.
    fn depends(&self, object: &Object, id: Id) -> bool {
        let on = |antecedent: &Id| {
            let further = self.live.get(antecedent);
            *antecedent == id || further.is_some_and(|antecedent| self.depends(antecedent, id))
        };
        object.antecedents.iter().any(on)
    }
}

static OBJECTS: Mutex<Objects> = Mutex::new(Objects {
    live: BTreeMap::new(),
    last: 0,
});
static CLOSED: Condvar = Condvar::new();

/// Where `Dispatch` is in every object.
const DISPATCH: usize = size_of::<NDK_OBJECT_HEADER>();
const HEADER_WORDS: usize = DISPATCH / 8;
const RESERVED: usize = offset_of!(NDK_OBJECT_HEADER, NdkReserved);

thread_local! {
    /// Spin locks that this thread held when it called the provider: those of a consumer.
    static LOCKS_AT_CALL: Cell<usize> = const { Cell::new(0) };
}

impl Fixed {
    /// As it is called in reports and traces.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind.name(), self.id)
    }

    /// The provider's function of that name.
    pub(super) fn function(&self, name: &str) -> usize {
        let at = self
            .kind
            .slots(self.version)
            .iter()
            .position(|slot| *slot == name);
        at.map_or_else(
            || panic!("a {} of this version has no {name}", self.kind.name()),
            |at| self.slots[at],
        )
    }

    /// One of the provider's functions: leads to its image.
    pub(super) fn any_function(&self) -> usize {
        self.slots[0]
    }

    /// Checks that the provider has left the consumer's part of the object alone. Not to be called when it may be closed.
    fn check_untouched(&self) {
        let header: [u64; HEADER_WORDS] = memory::read(self.address);
        if header != self.header {
            broken(
                Rule::NdkReservedTouched,
                format!("the header of {} has changed since it was created", self.label()),
                "Set NdkReserved to zero when you create the object, and do not write to the header again.",
            )
        }
    }
}

/// Takes an object over from the provider: checks it, uses `NdkReserved`, and replaces `Dispatch`. It belongs to whom its
/// first antecedent belongs to.
pub(super) fn adopt(kind: Kind, address: usize, version: NDK_VERSION, antecedents: &[Id]) -> Arc<Fixed> {
    let parent = antecedents.first().copied().and_then(get);
    let client = parent.map_or(Client::Bench, |parent| parent.client);
    adopt_for(client, kind, address, version, antecedents)
}

/// As [`adopt`], for that client.
pub(super) fn adopt_for(
    client: Client,
    kind: Kind,
    address: usize,
    version: NDK_VERSION,
    antecedents: &[Id],
) -> Arc<Fixed> {
    if address == 0 {
        wrong(kind, "NULL was handed out")
    }
    let header: NDK_OBJECT_HEADER = memory::read(address);
    check_header(kind, &header, version);
    let table: usize = memory::read(address + DISPATCH);
    let slots = read_table(kind, table, version);
    let mut objects = OBJECTS.lock();
    // The memory of an object that is being closed may be used again before its close completion has returned.
    let exists = |other: &Object| other.fixed.address == address && other.state == State::Open;
    if objects.live.values().any(exists) {
        drop(objects);
        wrong(kind, "an object was handed out that exists already")
    }
    objects.last += 1;
    let id = objects.last;
    let fixed = take_over(client, kind, id, address, version, slots);
    for antecedent in antecedents {
        if let Some(antecedent) = objects.live.get_mut(antecedent) {
            antecedent.successors += 1;
        }
    }
    let antecedents = antecedents.to_vec();
    let object = Object {
        fixed: Arc::clone(&fixed),
        state: State::Open,
        antecedents,
        successors: 0,
        events: 0,
        requests: 0,
        callbacks: 0,
        disconnected: false,
    };
    objects.live.insert(id, object);
    drop(objects);
    if client == Client::Driver {
        consumer::add(&fixed);
    }
    fixed
}

/// The object of that number, if it is not closed.
pub(super) fn get(id: Id) -> Option<Arc<Fixed>> {
    let objects = OBJECTS.lock();
    objects.live.get(&id).map(|object| Arc::clone(&object.fixed))
}

fn wrong(kind: Kind, what: &str) -> ! {
    broken(
        Rule::NdkObjectHeader,
        format!("new {}: {what}", kind.name()),
        "Fill in version, type and dispatch table before the object is handed out, and set NdkReserved to zero.",
    )
}

fn check_header(kind: Kind, header: &NDK_OBJECT_HEADER, version: NDK_VERSION) {
    let NDK_VERSION {
        Major: major,
        Minor: minor,
    } = header.Version;
    if (major, minor) != (version.Major, version.Minor) {
        wrong(
            kind,
            &format!(
                "its version is {major}.{minor}, and its adapter's is {}.{}",
                version.Major, version.Minor
            ),
        )
    }
    if header.ObjectType != kind.object_type() {
        wrong(
            kind,
            &format!(
                "its type is {}, it should be {}",
                header.ObjectType,
                kind.object_type()
            ),
        )
    }
    let NDK_OBJECT_HEADER_RESERVED_BLOCK { rf } = header.NdkReserved;
    if rf.iter().any(|word| !word.is_null()) {
        wrong(kind, "NdkReserved is not zero")
    }
}

fn read_table(kind: Kind, table: usize, version: NDK_VERSION) -> Vec<usize> {
    if table == 0 {
        wrong(kind, "Dispatch is NULL")
    }
    let slots = kind.slots(version).iter().enumerate().map(|(index, name)| {
        let function: usize = memory::read(table + 8 * index);
        if !cfg::is_valid(function) {
            wrong(
                kind,
                &format!(
                    "{name} in its dispatch table is {function:#x}, which is no function that may be called"
                ),
            )
        }
        function
    });
    slots.collect()
}

/// Writes the consumer's part of the object.
fn take_over(
    client: Client,
    kind: Kind,
    id: Id,
    address: usize,
    version: NDK_VERSION,
    slots: Vec<usize>,
) -> Arc<Fixed> {
    let trap = callbacks::dispatch_trap() as u64;
    let replacement: Box<[u64]> = match client {
        Client::Bench => slots.iter().map(|_| trap).collect(),
        Client::Driver => consumer::table(kind, version),
    };
    for word in 0..size_of::<NDK_OBJECT_HEADER_RESERVED_BLOCK>() / 8 {
        memory::write(
            address + RESERVED + 8 * word,
            0xC0C0_0000_0000_0000 | id << 8 | word as u64,
        );
    }
    memory::write(address + DISPATCH, replacement.as_ptr().addr());
    let header = memory::read(address);
    Arc::new(Fixed {
        kind,
        id,
        address,
        version,
        client,
        slots,
        header,
        _replacement: replacement,
    })
}

/// The functions by which a connector comes to depend on further objects, which are their first arguments.
const CONNECTING: [(&str, usize); 4] = [
    ("NdkConnect", 1),
    ("NdkConnectWithSharedEndpoint", 2),
    ("NdkAccept", 1),
    ("NdkAcceptEx", 1),
];

fn depend_by_call(fixed: &Fixed, name: &str, arguments: &[u64]) {
    let Some(&(_, count)) = CONNECTING.iter().find(|(function, _)| *function == name) else {
        return;
    };
    let mut objects = OBJECTS.lock();
    for &address in &arguments[..count] {
        let at = |other: &&mut Object| other.fixed.address as u64 == address && other.state == State::Open;
        let Some(antecedent) = objects.live.values_mut().find(at) else {
            continue;
        };
        antecedent.successors += 1;
        let id = antecedent.fixed.id;
        if let Some(connector) = objects.live.get_mut(&fixed.id) {
            connector.antecedents.push(id);
        }
    }
}

/// A call has failed: a connector that was to be connected by it depends on its QP and shared endpoint no more.
pub(super) fn failed(id: Id, call: &str) {
    if !CONNECTING.iter().any(|(function, _)| *function == call) {
        return;
    }
    let mut objects = OBJECTS.lock();
    let Some(mut antecedents) = objects
        .live
        .get_mut(&id)
        .map(|connector| std::mem::take(&mut connector.antecedents))
    else {
        return;
    };
    antecedents.retain(|antecedent| {
        let Some(antecedent) = objects.live.get_mut(antecedent) else {
            return true;
        };
        let ends = matches!(antecedent.fixed.kind, Kind::Qp | Kind::SharedEndpoint);
        if ends {
            antecedent.successors -= 1;
        }
        !ends
    });
    if let Some(connector) = objects.live.get_mut(&id) {
        connector.antecedents = antecedents;
    }
}

/// How many objects have this one as an antecedent and are not closed.
pub(super) fn successors(id: Id) -> usize {
    OBJECTS.lock().live.get(&id).map_or(0, |object| object.successors)
}

/// Waits until nothing depends on the object any more, at PASSIVE; false at the deadline.
pub(super) fn wait_for_successors(id: Id, deadline: Instant) -> bool {
    let mut objects = OBJECTS.lock();
    while objects.live.get(&id).is_some_and(|object| object.successors != 0) {
        if CLOSED.wait_until(&mut objects, deadline).timed_out() {
            return false;
        }
    }
    true
}

/// Whether the object is there, and its close has not been called.
pub(super) fn is_open(id: Id) -> bool {
    let objects = OBJECTS.lock();
    objects
        .live
        .get(&id)
        .is_some_and(|object| object.state == State::Open)
}

/// Waits until the closes of everything that depends on the object have been called, at PASSIVE. At the deadline it says
/// what is left.
pub(super) fn wait_for_closes(id: Id, deadline: Instant) -> Option<String> {
    let mut objects = OBJECTS.lock();
    loop {
        let left = |other: &&Object| other.state == State::Open && objects.depends(other, id);
        let left = objects.live.values().find(left)?.fixed.label();
        if CLOSED.wait_until(&mut objects, deadline).timed_out() {
            return Some(left);
        }
    }
}

/// Calls one of the provider's functions; the object is the first argument. Returns rax.
pub(super) fn invoke(
    fixed: &Fixed,
    name: &'static str,
    arguments: &[u64],
    detail: impl FnOnce() -> String,
) -> u64 {
    assert!(
        irql::current() <= irql::DISPATCH_LEVEL,
        "NDK functions are called at DISPATCH_LEVEL or below"
    );
    fixed.check_untouched();
    depend_by_call(fixed, name, arguments);
    trace::add(trace::What::Call, name, || (fixed.label(), detail()));
    let mut all = vec![fixed.address as u64];
    all.extend_from_slice(arguments);
    let outer = LOCKS_AT_CALL.replace(thread::with(|thread| thread.locks_held.get()));
    let result = call(fixed.function(name), &all);
    LOCKS_AT_CALL.set(outer);
    result
}

/// The lower half of `rax`: what a function with a status has returned. Recorded.
pub(super) fn returned(fixed: &Fixed, name: &'static str, result: u64) -> NTSTATUS {
    let status = crate::ndis::status_of(result);
    trace::add(trace::What::Return(Some(status)), name, || {
        (fixed.label(), String::new())
    });
    status
}

/// Calls a synchronous function with a status.
pub(super) fn invoke_now(
    fixed: &Fixed,
    name: &'static str,
    arguments: &[u64],
    detail: impl FnOnce() -> String,
) -> NTSTATUS {
    let status = returned(fixed, name, invoke(fixed, name, arguments, detail));
    rules::check_status(name, status, false);
    status
}

/// Checks how the provider calls the consumer.
pub(super) fn check_callback(name: &str) {
    rules::check_callback(name, LOCKS_AT_CALL.get());
}

/// An event callback of the object begins. `alone`: events of this kind must not overlap.
pub(super) fn begin_event(id: Id, name: &'static str, alone: bool) -> Arc<Fixed> {
    let mut objects = OBJECTS.lock();
    let Some(object) = objects.live.get_mut(&id) else {
        drop(objects);
        broken(
            Rule::NdkCallbackAfterClose,
            format!("{name} was called for an object whose close has completed"),
            "Complete a close only when no callback of the object can come any more.",
        )
    };
    let overlaps = alone && object.events != 0;
    object.events += 1;
    let again = name.starts_with(callbacks::DISCONNECT) && std::mem::replace(&mut object.disconnected, true);
    let fixed = Arc::clone(&object.fixed);
    drop(objects);
    if again {
        broken(
            Rule::NdkDisconnectEventTwice,
            format!("{name} of {} was called a second time", fixed.label()),
            "Tell the consumer once that the connection has ended.",
        )
    }
    if overlaps {
        broken(
            Rule::NdkConnectEventOverlap,
            format!("{name} of {} was called while it was running", fixed.label()),
            "Queue connection requests, and call the consumer for one after the other.",
        )
    }
    fixed.check_untouched();
    fixed
}

/// An event callback has returned.
pub(super) fn end_event(id: Id) {
    if let Some(object) = OBJECTS.lock().live.get_mut(&id) {
        object.events -= 1;
    }
}

/// A completion callback begins (1) or has returned (-1).
pub(super) fn count_callback(id: Id, change: isize) {
    if let Some(object) = OBJECTS.lock().live.get_mut(&id) {
        object.callbacks = object.callbacks.saturating_add_signed(change);
    }
}

/// A request begins to pend (1), or has ended (-1).
pub(super) fn count_request(id: Id, change: isize) {
    if let Some(object) = OBJECTS.lock().live.get_mut(&id) {
        object.requests = object.requests.saturating_add_signed(change);
    }
}

/// The consumer closes the object.
pub(super) fn begin_close(fixed: &Fixed) {
    if let Some(object) = OBJECTS.lock().live.get_mut(&fixed.id) {
        assert!(object.state == State::Open, "{} is closed once", fixed.label());
        object.state = State::Closing;
    }
    CLOSED.notify_all();
}

/// The close completes: inline, or through the callback that is about to run.
pub(super) fn check_close(id: Id, call: &str) {
    let objects = OBJECTS.lock();
    let Some(object) = objects.live.get(&id) else {
        return;
    };
    let (kind, label) = (object.fixed.kind, object.fixed.label());
    let (callbacks, requests) = (object.events + object.callbacks, object.requests);
    let mut dependents = objects
        .live
        .values()
        .filter(|other| other.antecedents.contains(&id));
    let dependent = if object.successors == 0 {
        None
    } else {
        dependents.next()
    };
    let dependent = dependent.map(|other| (other.fixed.label(), other.state));
    drop(objects);
    if callbacks != 0 || requests != 0 {
        let what = if callbacks != 0 {
            "a callback of it is running"
        } else {
            "a request is not completed"
        };
        broken(
            Rule::NdkCloseDuringCallback,
            format!("{call} of {label} completed, and {what}"),
            "Complete a close when all requests are completed and all their callbacks and event callbacks have returned.",
        )
    }
    if let Some((dependent, state)) = dependent {
        let state = if state == State::Open {
            "is open"
        } else {
            "has not completed its close"
        };
        let rule = if kind == Kind::Adapter {
            Rule::NdkAdapterClosedWithObjects
        } else {
            Rule::NdkCloseOrder
        };
        broken(
            rule,
            format!("{call} of {label} completed, and {dependent}, which depends on it, {state}"),
            "Complete the close of an object when the close completions of everything that depends on it have returned.",
        )
    }
}

/// The close has completed, and its callback has returned.
pub(super) fn end_close(id: Id) {
    let mut objects = OBJECTS.lock();
    let Some(object) = objects.live.remove(&id) else {
        return;
    };
    for antecedent in object.antecedents {
        if let Some(antecedent) = objects.live.get_mut(&antecedent) {
            antecedent.successors -= 1;
        }
    }
    drop(objects);
    work::closed(&object.fixed);
    if object.fixed.client == Client::Driver {
        consumer::remove(&object.fixed);
    }
    CLOSED.notify_all();
}
