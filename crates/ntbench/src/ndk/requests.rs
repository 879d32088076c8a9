//! Calls that may pend: each has a context of its own, and is completed exactly as its return value says.

use super::guarded::Guarded;
use super::kind::Kind;
use super::objects::{self, Fixed, Id};
use super::rules::{self, broken};
use super::started::Started;
use super::{callbacks, completion_limit, trace, work};
use crate::cpu::irql;
use crate::memory;
use crate::verifier::Rule;
use ndk_sys::{NDK_VERSION, NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Contexts are numbers that no mapping can have as an address: a provider that dereferences one faults.
const FIRST_CONTEXT: u64 = 0xDEAD_4E44_0000_0000;
const CONTEXT_STRIDE: u64 = 0x10;

/// What the new object of a creation will be.
#[derive(Clone)]
pub(super) struct Creation {
    pub kind: Kind,
    pub version: NDK_VERSION,
    pub antecedents: Vec<Id>,
    /// What the consumer knows a QP by.
    pub context: u64,
}

impl Creation {
    pub(super) fn adopt(&self, address: usize) -> Arc<Fixed> {
        let fixed = objects::adopt(self.kind, address, self.version, &self.antecedents);
        work::adopted(&fixed, &self.antecedents, self.context);
        fixed
    }
}

/// What kind of callback a request has.
#[derive(Clone)]
pub(super) enum Purpose {
    Close,
    Request,
    Create(Creation),
}

/// How a request ended.
#[derive(Clone)]
pub(super) struct Completion {
    pub status: NTSTATUS,
    pub created: Option<Arc<Fixed>>,
}

/// Called with the completion, in the place of somebody who waits for it: passes it on to a consumer driver.
pub(super) type Deliver = Box<dyn FnOnce(&Completion) + Send>;

struct Request {
    call: &'static str,
    object: Id,
    label: String,
    purpose: Purpose,
    /// Set when the callback begins.
    completed: bool,
    /// Set when it has returned.
    completion: Option<Completion>,
    /// Whether it counts as a pending request of the object.
    counted: bool,
    /// `None` if somebody waits, and when it has been called.
    deliver: Option<Deliver>,
}

#[derive(Default)]
struct Requests {
    active: HashMap<u64, Request>,
    /// Those that did not pend, so that a late completion gets the right name.
    inline: HashSet<u64>,
    last: u64,
}

static REQUESTS: Mutex<Option<Requests>> = Mutex::new(None);
static COMPLETED: Condvar = Condvar::new();

fn with<R>(access: impl FnOnce(&mut Requests) -> R) -> R {
    access(REQUESTS.lock().get_or_insert_default())
}

/// A context that no other request or event has.
pub(super) fn new_context() -> u64 {
    with(|requests| {
        requests.last += 1;
        FIRST_CONTEXT + requests.last * CONTEXT_STRIDE
    })
}

fn was_given(context: u64, last: u64) -> bool {
    (FIRST_CONTEXT + CONTEXT_STRIDE..=FIRST_CONTEXT + last * CONTEXT_STRIDE).contains(&context)
        && context.is_multiple_of(CONTEXT_STRIDE)
}

/// Makes a request known before the call that starts it; returns its context.
pub(super) fn begin(call: &'static str, object: &Fixed, purpose: Purpose, deliver: Option<Deliver>) -> u64 {
    let context = new_context();
    let request = Request {
        call,
        object: object.id,
        label: object.label(),
        purpose,
        completed: false,
        completion: None,
        counted: false,
        deliver,
    };
    with(|requests| requests.active.insert(context, request));
    context
}

/// The function has returned. Removes the request unless it pends.
pub(super) fn end_call(context: u64, status: NTSTATUS) {
    if status == STATUS_PENDING {
        return with(|requests| {
            let request = requests.active.get_mut(&context);
            let pends = |request: &&mut Request| {
                request.completion.is_none() && !matches!(request.purpose, Purpose::Close)
            };
            if let Some(request) = request.filter(pends) {
                request.counted = true;
                objects::count_request(request.object, 1);
            }
        });
    }
    let request = with(|requests| {
        requests.inline.insert(context);
        requests.active.remove(&context)
    });
    if status < 0
        && let Some(request) = &request
    {
        objects::failed(request.object, request.call);
    }
    // A close that was completed is not there any more.
    if request.is_none_or(|request| request.completed) {
        rules::not_pending("The request", false)
    }
}

/// The provider completes a request.
pub(super) fn complete(callback: &'static str, context: u64, status: NTSTATUS, object: usize) {
    objects::check_callback(callback);
    let found = with(|requests| match requests.active.get_mut(&context) {
        Some(request) if !request.completed => {
            request.completed = true;
            Ok((
                request.call,
                request.object,
                request.label.clone(),
                request.purpose.clone(),
                request.deliver.take(),
            ))
        }
        Some(request) => Err(Some((request.call, true))),
        None if requests.inline.contains(&context) => Err(Some(("The request", false))),
        None if was_given(context, requests.last) => Err(Some(("The request", true))),
        None => Err(None),
    });
    let (call, id, label, purpose, deliver) = match found {
        Ok(request) => request,
        Err(Some((call, completed))) => rules::not_pending(call, completed),
        Err(None) => rules::context(callback, context),
    };
    trace::add(trace::What::Callback, callback, || {
        (label.clone(), format!("{call}: {}", trace::status_name(status)))
    });
    rules::check_completion_status(call, status);
    if status < 0 {
        objects::failed(id, call);
    }
    if callback != callbacks::CLOSE {
        objects::count_callback(id, 1);
    }
    let created = match purpose {
        Purpose::Close if callback == callbacks::CLOSE => {
            objects::check_close(id, call);
            None
        }
        Purpose::Request if callback == callbacks::REQUEST => None,
        Purpose::Create(creation) if callback == callbacks::CREATE => {
            (status == STATUS_SUCCESS).then(|| creation.adopt(object))
        }
        _ => rules::context(callback, context),
    };
    let completion = Completion { status, created };
    let delivered = deliver.is_some();
    if let Some(deliver) = deliver {
        deliver(&completion);
    }
    trace::add(trace::What::CallbackReturn, callback, || (label, String::new()));
    finish(context, id, callback, completion, delivered);
}

/// The callback is about to return. What was delivered is forgotten: nobody waits for it.
fn finish(context: u64, object: Id, callback: &str, completion: Completion, delivered: bool) {
    if callback == callbacks::CLOSE {
        objects::end_close(object);
        with(|requests| requests.active.remove(&context));
    } else {
        objects::count_callback(object, -1);
        let counted = with(|requests| {
            let request = requests.active.get_mut(&context)?;
            request.completion = Some(completion);
            let counted = request.counted;
            if delivered {
                requests.active.remove(&context);
            }
            Some(counted)
        });
        if counted == Some(true) {
            objects::count_request(object, -1);
        }
    }
    COMPLETED.notify_all();
}

/// Waits for the completion of a request that has pended, at PASSIVE; the deadline is a violation. `None` for a close,
/// which is forgotten when it completes.
pub(super) fn wait(context: u64) -> Option<Completion> {
    assert!(
        irql::current() == irql::PASSIVE_LEVEL,
        "completions are waited for at PASSIVE_LEVEL"
    );
    let deadline = Instant::now() + completion_limit();
    let mut requests = REQUESTS.lock();
    loop {
        let active = &mut requests.get_or_insert_default().active;
        let request = active.get(&context)?;
        if request.completion.is_some() {
            return active.remove(&context)?.completion;
        }
        let (call, label) = (request.call, request.label.clone());
        if COMPLETED.wait_until(&mut requests, deadline).timed_out() {
            drop(requests);
            rules::never_completed(call, &label)
        }
    }
}

/// Calls a function whose last two parameters are the request completion and its context, and waits for its end.
pub(super) fn request(
    object: &Fixed,
    call: &'static str,
    arguments: &[u64],
    detail: impl FnOnce() -> String,
) -> NTSTATUS {
    start_request(object, call, arguments, detail).wait_status()
}

/// As [`request`], without the wait.
pub(super) fn start_request(
    object: &Fixed,
    call: &'static str,
    arguments: &[u64],
    detail: impl FnOnce() -> String,
) -> Started<()> {
    let context = begin(call, object, Purpose::Request, None);
    let mut all = arguments.to_vec();
    all.extend([callbacks::address_of(callbacks::REQUEST), context]);
    let result = objects::invoke(object, call, &all, detail);
    let status = objects::returned(object, call, result);
    rules::check_status(call, status, true);
    end_call(context, status);
    match status {
        STATUS_PENDING => Started::later(context, |_| ()),
        status => Started::now(status, super::ok(status)),
    }
}

/// What an out parameter holds before the call.
pub(super) const UNTOUCHED: u8 = 0xEE;

/// Calls a creation, whose last three parameters are the completion, its context and the out parameter. `wrap` makes what
/// the caller gets.
pub(super) fn start_create<T>(
    parent: &Fixed,
    call: &'static str,
    arguments: &[u64],
    creation: &Creation,
    wrap: impl FnOnce(Arc<Fixed>) -> T + Send + 'static,
) -> Started<T> {
    let context = begin(call, parent, Purpose::Create(creation.clone()), None);
    let out = Guarded::filled(8, UNTOUCHED);
    let mut all = arguments.to_vec();
    all.extend([
        callbacks::address_of(callbacks::CREATE),
        context,
        out.address() as u64,
    ]);
    let result = objects::invoke(parent, call, &all, String::new);
    let status = objects::returned(parent, call, result);
    rules::check_status(call, status, true);
    end_call(context, status);
    let object = created(call, status, &out);
    match status {
        STATUS_SUCCESS => Started::now(status, Ok(wrap(creation.adopt(object)))),
        STATUS_PENDING => Started::later(context, |created| {
            wrap(created.expect("a creation that succeeds brings an object"))
        }),
        failure => Started::now(failure, Err(failure)),
    }
}

/// What a creation that returned `status` has stored through its out parameter, which held [`UNTOUCHED`]; 0 for nothing.
pub(super) fn created(call: &str, status: NTSTATUS, out: &Guarded) -> usize {
    let touched = out.bytes().iter().any(|&byte| byte != UNTOUCHED);
    if status == STATUS_PENDING && touched {
        broken(
            Rule::NdkOutParamOnPending,
            format!("{call} returned STATUS_PENDING and wrote the out parameter"),
            "A creation that pends hands its object over through the completion callback only.",
        )
    }
    if touched { memory::read(out.address()) } else { 0 }
}

/// Whether a request that has pended is completed, and its callback has returned.
pub(super) fn is_complete(context: u64) -> bool {
    with(|requests| {
        let request = requests.active.get(&context);
        request.is_none_or(|request| request.completion.is_some())
    })
}

/// A close that has been called.
#[derive(Debug)]
#[must_use = "a close that is not waited for may still be pending"]
pub struct Closing {
    /// `None` if it has completed inline.
    context: Option<u64>,
}

impl Closing {
    /// Whether it has completed, and its callback has returned.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.context
            .is_none_or(|context| with(|requests| !requests.active.contains_key(&context)))
    }

    /// Waits for the completion at PASSIVE; it is a violation if it does not come within the limit for it (`Limits::ndk_completion`).
    pub fn wait(self) {
        if let Some(context) = self.context {
            let _ = wait(context);
        }
    }
}

/// Closes an object.
pub(super) fn close(object: &Fixed, call: &'static str) -> Closing {
    objects::begin_close(object);
    let context = begin(call, object, Purpose::Close, None);
    let arguments = [callbacks::address_of(callbacks::CLOSE), context];
    let result = objects::invoke(object, call, &arguments, String::new);
    let status = objects::returned(object, call, result);
    rules::check_close_status(call, status);
    end_call(context, status);
    if status == STATUS_PENDING {
        return Closing {
            context: Some(context),
        };
    }
    objects::check_close(object.id, call);
    objects::end_close(object.id);
    Closing { context: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_contexts_that_were_given_are_known() {
        let (first, second) = (new_context(), new_context());
        assert_ne!(first, second);
        let last = with(|requests| requests.last);
        assert!(was_given(first, last) && was_given(second, last));
        assert!(!was_given(second + 1, last), "not a context");
        assert!(
            !was_given(FIRST_CONTEXT + (last + 1) * CONTEXT_STRIDE, last),
            "not yet"
        );
        assert!(!was_given(FIRST_CONTEXT, last) && !was_given(0, last));
    }
}
