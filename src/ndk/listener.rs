//! `NDK_LISTENER`: receives connection requests on one local address and port.
#![expect(
    unsafe_code,
    reason = "entries that consumers call by pointer, and their callback"
)]

use super::adapter::Adapter;
use super::connector;
use super::connector::Connector;
use super::object::{self, Common, Object, ObjectRef};
use crate::cm::{ConnectRequest, ListenerId};
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, Pooled, Tag};
use core::ffi::c_void;
use core::net::SocketAddr;
use ndk_sys::{
    BOOLEAN, FALSE, NDK_FN_CONNECT_EVENT_CALLBACK, NDK_FN_REQUEST_COMPLETION, NDK_LISTENER,
    NDK_LISTENER_DISPATCH, NTSTATUS, NdkObjectTypeListener, SOCKADDR, STATUS_CONNECTION_INVALID,
    STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS,
};

/// A listener. Its endpoint stays busy until it and every connector that it delivered are closed.
#[repr(C)]
pub struct Listener {
    public: NDK_LISTENER,
    common: Common,
    adapter: ObjectRef<Adapter>,
    connect_event: NDK_FN_CONNECT_EVENT_CALLBACK,
    connect_event_context: *mut c_void,
    state: SpinLock<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// `NdkListen` has not succeeded yet.
    Idle,
    /// `NdkListen` is running.
    Starting,
    Listening {
        id: ListenerId,
        local: SocketAddr,
    },
}

impl Pooled for Listener {
    const TAG: Tag = Tag::new(*b"VrLi");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Listener {
    fn common(&self) -> &Common {
        &self.common
    }

    /// New requests are refused from here on; this is what a listener's close does before its connectors are closed.
    fn closing(&self) {
        if let Some((id, _)) = self.listening() {
            self.adapter.provider().stop_listening(id);
        }
    }

    /// The last connector is closed: the address and port are free again.
    fn retire(&self) {
        if let Some((id, local)) = self.listening() {
            self.adapter.provider().release_listener(id, local);
        }
    }
}

// SAFETY: the public part is only read after creation, the context pointer is only handed back to the consumer.
unsafe impl Sync for Listener {}
// SAFETY: as above.
unsafe impl Send for Listener {}

impl Listener {
    /// `NdkCreateListener`.
    pub fn new(
        adapter: ObjectRef<Adapter>,
        connect_event: NDK_FN_CONNECT_EVENT_CALLBACK,
        connect_event_context: *mut c_void,
    ) -> Result<ObjectRef<Self>, OutOfMemory> {
        ObjectRef::new(Self {
            public: NDK_LISTENER {
                Header: object::header(adapter.version(), NdkObjectTypeListener),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            adapter,
            connect_event,
            connect_event_context,
            state: SpinLock::new(State::Idle),
        })
    }

    /// The adapter that it belongs to.
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        &self.adapter
    }

    /// The interface, as scope ids of addresses name it.
    fn interface_index(&self) -> u32 {
        self.adapter.provider().interface_index()
    }

    fn listening(&self) -> Option<(ListenerId, SocketAddr)> {
        match *self.state.lock() {
            State::Listening { id, local } => Some((id, local)),
            State::Idle | State::Starting => None,
        }
    }

    /// `NdkListen`. A failure leaves the listener as it was, so it may be tried again.
    ///
    /// `listener` is a reference of the caller's own: a connect event may come, and the consumer close the listener in it,
    /// before this returns.
    fn listen(listener: &ObjectRef<Self>, local: SocketAddr) -> Result<(), NTSTATUS> {
        {
            let mut state = listener.state.lock();
            match *state {
                State::Idle => *state = State::Starting,
                State::Starting | State::Listening { .. } => return Err(STATUS_INVALID_DEVICE_STATE),
            }
        }
        let result = listener.adapter.provider().listen(local, listener.clone());
        *listener.state.lock() = match result {
            Ok((id, local)) => State::Listening { id, local },
            Err(_) => State::Idle,
        };
        if listener.common.is_closing() {
            // A close that came meanwhile has not found anything to stop.
            listener.closing();
        }
        result.map(|_| ())
    }

    /// Hands a request to the consumer: its connect event callback runs before this returns. IRQL <= DISPATCH, no lock
    /// held. Requests come one after another, so callbacks of one listener never overlap.
    ///
    /// # Errors
    /// Out of memory: the caller refuses the request.
    pub fn deliver(request: ConnectRequest<ObjectRef<Self>>) -> Result<(), OutOfMemory> {
        let listener = request.listener.clone();
        let connector: *mut ndk_sys::NDK_CONNECTOR = Connector::incoming(request)?.into_consumer();
        // SAFETY: the consumer's callback and its context; the connector is the consumer's from here on.
        unsafe { (listener.connect_event)(listener.connect_event_context, connector) };
        Ok(())
    }
}

static DISPATCH: NDK_LISTENER_DISPATCH = NDK_LISTENER_DISPATCH {
    NdkCloseListener: Some(object::close::<Listener>),
    NdkQueryExtension: Some(object::query_extension),
    NdkListen: Some(listen),
    NdkGetLocalAddress: Some(get_local_address),
    NdkControlConnectEvents: Some(control_connect_events),
};

unsafe extern "system" fn listen(
    listener: *mut NDK_LISTENER,
    local: *const SOCKADDR,
    length: u32,
    _completion: Option<NDK_FN_REQUEST_COMPLETION>,
    _context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open listener.
    let listener = ObjectRef::clone(&*unsafe { object::reference::<Listener, _>(listener) });
    // SAFETY: the consumer's `SOCKADDR` of `length` bytes, readable during the call.
    let local = unsafe { connector::read_address(local, length, listener.interface_index()) };
    match local.and_then(|local| Listener::listen(&listener, local)) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

unsafe extern "system" fn get_local_address(
    listener: *mut NDK_LISTENER,
    address: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open listener.
    let listener: &Listener = unsafe { object::borrow(listener) };
    match listener.listening() {
        // SAFETY: the consumer's buffer and its length.
        Some((_, local)) => unsafe {
            connector::store_address(local, listener.interface_index(), address, length)
        },
        None => STATUS_CONNECTION_INVALID,
    }
}

unsafe extern "system" fn control_connect_events(listener: *mut NDK_LISTENER, pause: BOOLEAN) {
    // SAFETY: the consumer passes an open listener.
    let listener: &Listener = unsafe { object::borrow(listener) };
    if let Some((id, _)) = listener.listening() {
        listener.adapter.provider().set_paused(id, pause != FALSE);
    }
}
