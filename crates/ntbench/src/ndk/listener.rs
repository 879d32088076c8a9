//! `NDK_LISTENER` as a consumer has it.

use super::callbacks::CONNECT_EVENT;
use super::guarded::Guarded;
use super::kind::Kind;
use super::objects::{self, Fixed, Id};
use super::requests::{self, Closing};
use super::{Connector, rules, sockaddr, trace};
use crate::cpu::irql;
use ndk_sys::{NDK_VERSION, NTSTATUS};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs for each connection request.
type Handler = Arc<dyn Fn(Connector) + Send + Sync>;

/// A connect event callback that the provider has.
struct Event {
    adapter: Id,
    version: NDK_VERSION,
    /// The listener, from when its creation has completed.
    listener: Option<Id>,
    /// Dropped when the listener is closed.
    handler: Option<Handler>,
}

/// By context. They stay here when the listener is closed, so that a late event is recognised.
static EVENTS: Mutex<BTreeMap<u64, Event>> = Mutex::new(BTreeMap::new());

/// Makes the context of a listener that is about to be created.
pub(super) fn register(adapter: &Fixed, handler: Handler) -> u64 {
    let context = requests::new_context();
    let event = Event {
        adapter: adapter.id,
        version: adapter.version,
        listener: None,
        handler: Some(handler),
    };
    EVENTS.lock().insert(context, event);
    context
}

/// The provider delivers a request.
pub(super) fn connect_event(context: u64, address: usize) {
    objects::check_callback(CONNECT_EVENT);
    let found = EVENTS.lock().get(&context).and_then(|event| {
        Some((
            event.adapter,
            event.version,
            event.listener?,
            event.handler.clone(),
        ))
    });
    let Some((adapter, version, listener, handler)) = found else {
        rules::context(CONNECT_EVENT, context)
    };
    let fixed = objects::begin_event(listener, CONNECT_EVENT, true);
    let connector = objects::adopt(Kind::Connector, address, version, &[adapter, listener]);
    trace::add(trace::What::Callback, CONNECT_EVENT, || {
        (fixed.label(), connector.label())
    });
    let connector = Connector::new(connector);
    match handler {
        Some(handler) => handler(connector),
        // The listener is being closed: a request that was on its way.
        None => drop(connector),
    }
    trace::add(trace::What::CallbackReturn, CONNECT_EVENT, || {
        (fixed.label(), String::new())
    });
    objects::end_event(listener);
}

/// A listener. Dropping it closes it, and waits for that at PASSIVE.
pub struct Listener {
    fixed: Arc<Fixed>,
    event: u64,
    open: AtomicBool,
}

impl Listener {
    pub(super) fn new(fixed: Arc<Fixed>, event: u64) -> Self {
        if let Some(event) = EVENTS.lock().get_mut(&event) {
            event.listener = Some(fixed.id);
        }
        Self {
            fixed,
            event,
            open: AtomicBool::new(true),
        }
    }

    /// `NdkListen`: waits for its completion if it pends (at PASSIVE).
    ///
    /// # Errors
    /// The status.
    pub fn listen(&self, address: SocketAddr) -> Result<(), NTSTATUS> {
        super::ok(self.listen_raw(&sockaddr::encode(address)))
    }

    /// `NdkListen` with any bytes as the address.
    #[must_use]
    pub fn listen_raw(&self, address: &[u8]) -> NTSTATUS {
        let argument = Guarded::of(address);
        let arguments = [argument.address() as u64, address.len() as u64];
        let detail = || {
            sockaddr::decode(address).map_or_else(|| format!("{address:?}"), |address| address.to_string())
        };
        requests::request(&self.fixed, "NdkListen", &arguments, detail)
    }

    /// `NdkGetLocalAddress`.
    ///
    /// # Errors
    /// The status.
    pub fn local_address(&self) -> Result<SocketAddr, NTSTATUS> {
        get_address(&self.fixed, "NdkGetLocalAddress")
    }

    /// `NdkGetLocalAddress` with room for so many bytes, or without a buffer: status, the buffer, and the size that the
    /// provider stored.
    #[must_use]
    pub fn get_local_address(&self, room: Option<usize>) -> (NTSTATUS, Vec<u8>, u32) {
        get_address_raw(&self.fixed, "NdkGetLocalAddress", room)
    }

    /// `NdkControlConnectEvents`: while paused, requests are refused as if nobody listened.
    pub fn control_connect_events(&self, pause: bool) {
        const NAME: &str = "NdkControlConnectEvents";
        let _ = objects::invoke(&self.fixed, NAME, &[pause.into()], || format!("pause {pause}"));
        trace::add(trace::What::Return(None), NAME, || {
            (self.fixed.label(), String::new())
        });
    }

    /// `NdkQueryExtension`, with an interface that does not exist.
    #[must_use]
    pub fn query_extension(&self) -> NTSTATUS {
        super::adapter::query_extension(&self.fixed)
    }

    /// Connectors that it has delivered and that are not closed.
    #[must_use]
    pub fn connectors(&self) -> usize {
        objects::successors(self.fixed.id)
    }

    /// Closes it, and waits for that at PASSIVE; its connectors must be closed before, or on another thread meanwhile.
    pub fn close(self) {
        drop(self);
    }

    /// Closes it without waiting; nothing else may be called afterwards. The close pends as long as one of its connectors is
    /// open, or a connect event is running, from which it may be called, too.
    ///
    /// # Panics
    /// When it was closed before.
    pub fn start_close(&self) -> Closing {
        assert!(
            self.open.swap(false, Ordering::AcqRel),
            "a listener is closed once"
        );
        let closing = requests::close(&self.fixed, "NdkCloseListener");
        if let Some(event) = EVENTS.lock().get_mut(&self.event) {
            event.handler = None;
        }
        closing
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        let closing = self.start_close();
        // While connectors of it are open the close pends.
        if objects::successors(self.fixed.id) == 0 {
            finish(closing);
        }
    }
}

/// Waits for a close where that is possible.
pub(super) fn finish(closing: Closing) {
    if irql::current() == irql::PASSIVE_LEVEL {
        closing.wait();
    }
}

/// One of the `NdkGet…Address` functions, with enough room.
pub(super) fn get_address(fixed: &Fixed, name: &'static str) -> Result<SocketAddr, NTSTATUS> {
    let (status, bytes, length) = get_address_raw(fixed, name, Some(28));
    super::ok(status)?;
    let bytes = &bytes[..bytes.len().min(length as usize)];
    Ok(sockaddr::decode(bytes).unwrap_or_else(|| {
        rules::broken(
            crate::verifier::Rule::NdkAddress,
            format!("{name} stored {bytes:?}"),
            "Store a SOCKADDR_IN or SOCKADDR_IN6, and its length.",
        )
    }))
}

/// One of the `NdkGet…Address` functions: status, the buffer, and the size that the provider stored.
pub(super) fn get_address_raw(
    fixed: &Fixed,
    name: &'static str,
    room: Option<usize>,
) -> (NTSTATUS, Vec<u8>, u32) {
    let buffer = room.map(|room| Guarded::filled(room, 0));
    let length = Guarded::of(&u32::try_from(room.unwrap_or(0)).unwrap_or(u32::MAX).to_ne_bytes());
    let address = buffer.as_ref().map_or(0, Guarded::address);
    let arguments = [address as u64, length.address() as u64];
    let status = objects::invoke_now(fixed, name, &arguments, String::new);
    (
        status,
        buffer.map(|buffer| buffer.bytes()).unwrap_or_default(),
        length.read(),
    )
}
