//! Event callbacks of the bench's own consumer, but for connect events, which belong to `listener`.

use super::callbacks::{CQ_NOTIFICATION, SRQ_NOTIFICATION};
use super::objects::{self, Fixed, Id};
use super::{requests, rules, trace, work};
use ndk_sys::NTSTATUS;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gets the object, and the status of a notification; a disconnect event has none.
pub(super) type Handler = Arc<dyn Fn(&Arc<Fixed>, NTSTATUS) + Send + Sync>;

struct Event {
    name: &'static str,
    /// The object whose event it is, from when it is there.
    object: Option<Id>,
    handler: Handler,
}

/// By context. They stay here when the object is closed, so that a late event is recognised.
static EVENTS: Mutex<BTreeMap<u64, Event>> = Mutex::new(BTreeMap::new());

/// Makes the context of a callback.
pub(super) fn register(name: &'static str, handler: Handler) -> u64 {
    let context = requests::new_context();
    let event = Event {
        name,
        object: None,
        handler,
    };
    EVENTS.lock().insert(context, event);
    context
}

/// The object whose event it is.
pub(super) fn attach(context: u64, object: Id) {
    if let Some(event) = EVENTS.lock().get_mut(&context) {
        event.object = Some(object);
    }
}

/// The provider calls.
pub(super) fn deliver(name: &'static str, context: u64, status: Option<NTSTATUS>) {
    objects::check_callback(name);
    let found = EVENTS.lock().get(&context).and_then(|event| {
        let object = event.object.filter(|_| event.name == name)?;
        Some((object, Arc::clone(&event.handler)))
    });
    let Some((object, handler)) = found else {
        rules::context(name, context)
    };
    let fixed = objects::begin_event(object, name, false);
    begin(name, object, status);
    let detail = status.map(trace::status_name).unwrap_or_default();
    trace::add(trace::What::Callback, name, || (fixed.label(), detail));
    handler(&fixed, status.unwrap_or(0));
    trace::add(trace::What::CallbackReturn, name, || {
        (fixed.label(), String::new())
    });
    end(name, object);
    objects::end_event(object);
}

/// What the rules say of an event that begins, whoever the consumer is.
pub(super) fn begin(name: &'static str, object: Id, status: Option<NTSTATUS>) {
    let Some(status) = status else { return };
    rules::check_event_status(name, status);
    match name {
        CQ_NOTIFICATION => work::begin_notification(object, status),
        SRQ_NOTIFICATION => work::srq_notified(object, status),
        _ => {}
    }
}

/// The consumer's callback has returned.
pub(super) fn end(name: &'static str, object: Id) {
    if name == CQ_NOTIFICATION {
        work::end_notification(object);
    }
}
