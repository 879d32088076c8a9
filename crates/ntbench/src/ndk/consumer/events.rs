//! Event callbacks of consumer drivers: the provider has one of the bench's, with a context that leads to the consumer's.

use super::super::kind::Kind;
use super::super::objects::{self, Fixed, Id};
use super::super::{events as shared, requests, rules, trace};
pub(super) use super::signature::Event;
use crate::cpu::call::call;
use crate::cpu::thunk;
use crate::exports;
use ndk_sys::{NDK_VERSION, NTSTATUS};
use parking_lot::Mutex;
use std::collections::BTreeMap;

// Not an export that can be imported: the addresses go into arguments. The IRQL is checked by the rules of NDK.
exports! {
    /// What providers call in the place of a consumer driver's event callbacks.
    static CALLBACKS: "ndk consumer driver" = {
        NdkConnectEventCallback = function(connect_event);
        NdkCqNotificationCallback = function(cq_notification);
        NdkSrqNotificationCallback = function(srq_notification);
        NdkDisconnectEventCallback = function(disconnect_event);
        NdkDisconnectEventCallbackEx = function(disconnect_event_ex);
    }
}

const CONNECT: &str = "NdkConnectEventCallback";
const CQ: &str = "NdkCqNotificationCallback";
const SRQ: &str = "NdkSrqNotificationCallback";
const DISCONNECT: &str = "NdkDisconnectEventCallback";
const DISCONNECT_EX: &str = "NdkDisconnectEventCallbackEx";

impl Event {
    /// The number of the callback's argument.
    pub(super) const fn at(self) -> usize {
        match self {
            Self::Connect(at)
            | Self::CqNotification(at)
            | Self::SrqNotification(at)
            | Self::Disconnect(at) => at,
        }
    }

    /// As NDKPI calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect(_) => CONNECT,
            Self::CqNotification(_) => CQ,
            Self::SrqNotification(_) => SRQ,
            Self::Disconnect(_) => DISCONNECT,
        }
    }

    /// Whether a consumer must have one.
    pub(super) const fn is_required(self) -> bool {
        matches!(self, Self::Connect(_) | Self::CqNotification(_))
    }
}

/// A callback that the provider has.
#[derive(Clone, Copy)]
struct Registered {
    name: &'static str,
    callback: usize,
    context: u64,
    parent: Id,
    version: NDK_VERSION,
    /// The object whose event it is, from when it is there.
    object: Option<Id>,
}

/// By context. They stay here when the object is closed, so that a late event is recognised.
static EVENTS: Mutex<BTreeMap<u64, Registered>> = Mutex::new(BTreeMap::new());

/// Registers a consumer's callback; returns the function and the context that the provider gets.
pub(super) fn register(
    event: Event,
    extended: bool,
    parent: &Fixed,
    callback: usize,
    context: u64,
) -> (u64, u64) {
    let name = match event {
        Event::Disconnect(_) if extended => DISCONNECT_EX,
        other => other.name(),
    };
    let registered = Registered {
        name,
        callback,
        context,
        parent: parent.id,
        version: parent.version,
        object: None,
    };
    let number = requests::new_context();
    EVENTS.lock().insert(number, registered);
    let export = CALLBACKS.iter().find(|export| export.name == name);
    let function = export.map_or(0, thunk::address_of);
    (function as u64, number)
}

/// The object whose event it is.
pub(super) fn attach(context: u64, object: Id) {
    if let Some(registered) = EVENTS.lock().get_mut(&context) {
        registered.object = Some(object);
    }
}

/// The provider calls: passes the event on. `arguments` makes those after the context.
fn deliver(
    name: &'static str,
    context: u64,
    alone: bool,
    status: Option<NTSTATUS>,
    arguments: impl FnOnce(&Registered, Id) -> (u64, String),
) {
    objects::check_callback(name);
    let found = EVENTS.lock().get(&context).copied();
    let Some(registered) = found.filter(|registered| registered.name == name) else {
        rules::context(name, context)
    };
    let Some(id) = registered.object else {
        rules::context(name, context)
    };
    let object = objects::begin_event(id, name, alone);
    shared::begin(name, id, status);
    let (argument, detail) = arguments(&registered, id);
    trace::add(trace::What::Callback, name, || (object.label(), detail));
    let _ = call(registered.callback, &[registered.context, argument]);
    trace::add(trace::What::CallbackReturn, name, || {
        (object.label(), String::new())
    });
    shared::end(name, id);
    objects::end_event(id);
}

fn with_status(name: &'static str, context: u64, status: NTSTATUS) {
    deliver(name, context, false, Some(status), |_, _| {
        (u64::from(status.cast_unsigned()), trace::status_name(status))
    });
}

extern "win64" fn connect_event(context: u64, connector: usize) {
    deliver(CONNECT, context, true, None, |registered, listener| {
        let antecedents = [registered.parent, listener];
        let connector = objects::adopt(Kind::Connector, connector, registered.version, &antecedents);
        (connector.address as u64, connector.label())
    });
}

extern "win64" fn cq_notification(context: u64, status: NTSTATUS) {
    with_status(CQ, context, status);
}

extern "win64" fn srq_notification(context: u64, status: NTSTATUS) {
    with_status(SRQ, context, status);
}

extern "win64" fn disconnect_event(context: u64) {
    deliver(DISCONNECT, context, false, None, |_, _| (0, String::new()));
}

extern "win64" fn disconnect_event_ex(context: u64, reason: u32) {
    deliver(DISCONNECT_EX, context, false, None, |_, _| {
        (reason.into(), format!("reason {reason}"))
    });
}
