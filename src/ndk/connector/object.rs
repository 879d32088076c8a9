//! The object and its life.
#![expect(unsafe_code, reason = "an object that consumers point to")]

use super::data::ConnectionData;
use super::entries::DISPATCH;
use super::event::DisconnectEvent;
use super::machine::Machine;
use super::queue_pair::Change;
use crate::cm::{
    AcceptToken, AddressHandle, CompleteToken, ConnectRequest, ConnectionId, QpParameters, ReadLimits,
};
use crate::ndk::adapter::Adapter;
use crate::ndk::listener::Listener;
use crate::ndk::object::{self, Common, Object, ObjectRef};
use crate::ndk::private_data::MAX_CALLER_DATA;
use crate::ndk::provider::Provider;
use crate::ndk::qp::Qp;
use crate::ndk::request::Completion;
use crate::ndk::shared_endpoint::SharedEndpoint;
use crate::nic::Request;
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::net::SocketAddr;
use ndk_sys::{
    NDK_CONNECTOR, NDK_FN_REQUEST_COMPLETION, NTSTATUS, NdkObjectTypeConnector, STATUS_CONNECTION_INVALID,
    STATUS_INVALID_PARAMETER,
};

/// A connector, made by `NdkCreateConnector`, or by the provider for an incoming connection request.
#[repr(C)]
pub struct Connector {
    public: NDK_CONNECTOR,
    common: Common,
    adapter: ObjectRef<Adapter>,
    /// Taken before the connection manager's lock, and never while somebody is called.
    pub(super) core: SpinLock<Core>,
}

/// What changes.
pub(super) struct Core {
    pub(super) machine: Machine<Pending>,
    /// Somebody carries out what the machine says.
    pub(super) running: bool,
    /// What the connection manager calls it.
    pub(super) connection: Option<ConnectionId>,
    /// The connection manager waits for the queue pair.
    pub(super) claim: Option<Claim>,
    /// The antecedent that it is to connect or connects.
    pub(super) qp: Option<ObjectRef<Qp>>,
    /// The queue pair belongs to this connector and to no other, and holds a reference to it.
    pub(super) has_claimed: bool,
    /// How; known once the peer is.
    pub(super) qp_parameters: Option<QpParameters>,
    /// For commands about the queue pair; away while one is under way.
    pub(super) change: Option<PoolBox<Request<Change>>>,
    pub(super) endpoint: Endpoint,
    /// Ours and the peer's.
    pub(super) addresses: Option<(SocketAddr, SocketAddr)>,
    pub(super) attempt: Attempt,
    pub(super) data: Option<ConnectionData>,
    pub(super) disconnect_event: Option<DisconnectEvent>,
}

/// The second half of a call of the connection manager.
pub(super) enum Claim {
    Complete(CompleteToken),
    Accept(AcceptToken),
}

/// Who has the local address and port.
pub(super) enum Endpoint {
    None,
    /// This connector.
    Own(SocketAddr),
    /// An antecedent, which is kept.
    Shared(#[expect(dead_code, reason = "kept, not looked at")] ObjectRef<SharedEndpoint>),
    /// The same.
    Accepted(#[expect(dead_code, reason = "kept, not looked at")] ObjectRef<Listener>),
}

/// A request that the consumer waits for.
pub(super) type Pending = Completion<Connector>;

/// Who is to be told of the end of a request.
#[derive(Clone, Copy)]
pub(super) struct Requester {
    pub(super) callback: Option<NDK_FN_REQUEST_COMPLETION>,
    pub(super) context: *mut c_void,
}

impl Requester {
    /// The request, which has to be completed.
    pub(super) fn request(self, connector: &ObjectRef<Connector>) -> Pending {
        Completion::new(connector, self.callback, self.context)
    }
}

/// What `NdkConnect` asks for.
pub(super) struct Attempt {
    /// Counts, so that an answer that comes late is not taken for that of the next attempt.
    pub(super) number: u64,
    pub(super) limits: ReadLimits,
    pub(super) private_data: [u8; MAX_CALLER_DATA as usize],
    pub(super) length: usize,
    /// The way to the peer, once it is known.
    pub(super) to: Option<AddressHandle>,
}

impl Pooled for Connector {
    const TAG: Tag = Tag::new(*b"VrCn");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Connector {
    fn common(&self) -> &Common {
        &self.common
    }

    /// The local address and port are free again. An antecedent that has them is kept until the close callback has returned.
    fn retire(&self) {
        let own = {
            let mut core = self.core.lock();
            match core.endpoint {
                Endpoint::Own(_) => core::mem::replace(&mut core.endpoint, Endpoint::None),
                _ => return,
            }
        };
        self.release_endpoint(own);
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Connector {}
// SAFETY: as above.
unsafe impl Send for Connector {}

impl Connector {
    /// `NdkCreateConnector`: a connector that may connect later.
    ///
    /// # Errors
    /// No memory.
    pub fn new(adapter: ObjectRef<Adapter>) -> Result<ObjectRef<Self>, OutOfMemory> {
        Self::with(adapter, Core::new(Machine::idle()))
    }

    /// The connector of an incoming request.
    ///
    /// # Errors
    /// No memory.
    pub fn incoming(request: ConnectRequest<ObjectRef<Listener>>) -> Result<ObjectRef<Self>, OutOfMemory> {
        let adapter = request.listener.adapter().clone();
        let most = adapter.provider().read_limits();
        let limits = most.min(ReadLimits {
            // The peer's reads are inbound here, and the reads that it can serve bound the outbound ones.
            inbound: request.offer.initiator_depth.into(),
            outbound: request.offer.responder_resources.into(),
        });
        let mut core = Core::new(Machine::requested());
        core.connection = Some(request.connection);
        core.addresses = Some((request.local, request.peer));
        core.data = Some(ConnectionData::of_request(limits, &request.offer.private_data));
        core.endpoint = Endpoint::Accepted(request.listener);
        Self::with(adapter, core)
    }

    fn with(adapter: ObjectRef<Adapter>, core: Core) -> Result<ObjectRef<Self>, OutOfMemory> {
        ObjectRef::new(Self {
            public: NDK_CONNECTOR {
                Header: object::header(adapter.version(), NdkObjectTypeConnector),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            adapter,
            core: SpinLock::new(core),
        })
    }

    /// `NdkCloseConnector`, first half: cancels what is pending and ends what is there. What is under way keeps references
    /// until it is over, and the close waits for them.
    pub(super) fn shut_down(connector: &ObjectRef<Self>) {
        connector.core.lock().machine.close();
        Self::run(connector);
        // The queue pair is flushed, or being flushed, if it has been used.
        connector.give_claim_back();
    }

    /// The queue pair lets go of the connector. Without a lock.
    pub(super) fn give_claim_back(&self) {
        let qp = {
            let mut core = self.core.lock();
            if !core::mem::take(&mut core.has_claimed) {
                return;
            }
            core.qp.clone()
        };
        if let Some(qp) = qp {
            qp.end_connect();
        }
    }

    /// Whether another object belongs to the same adapter, as it must; it may be another opening of it, as when each accepted
    /// connection has one of its own.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER`.
    pub(super) fn check_adapter(&self, other: &ObjectRef<Adapter>) -> Result<(), NTSTATUS> {
        if core::ptr::eq(self.provider(), other.provider()) {
            Ok(())
        } else {
            Err(STATUS_INVALID_PARAMETER)
        }
    }

    pub(super) fn provider(&self) -> &Provider {
        self.adapter.provider()
    }

    /// Ours and the peer's address.
    ///
    /// # Errors
    /// `STATUS_CONNECTION_INVALID` if it has neither.
    pub(super) fn addresses(&self) -> Result<(SocketAddr, SocketAddr), NTSTATUS> {
        self.core.lock().addresses.ok_or(STATUS_CONNECTION_INVALID)
    }

    /// `NdkGetConnectionData`.
    ///
    /// # Errors
    /// `STATUS_CONNECTION_INVALID` if the peer has not said anything yet.
    pub(super) fn data(&self) -> Result<ConnectionData, NTSTATUS> {
        self.core.lock().data.ok_or(STATUS_CONNECTION_INVALID)
    }

    /// Gives an endpoint back that has been taken out. Without a lock: an antecedent may end with it.
    #[expect(clippy::needless_pass_by_value, reason = "what has been taken out is used up")]
    pub(super) fn release_endpoint(&self, endpoint: Endpoint) {
        if let Endpoint::Own(local) = endpoint {
            self.provider().unbind(local);
        }
    }
}

impl Attempt {
    /// `private_data` is at most [`MAX_CALLER_DATA`] bytes long.
    pub(super) fn new(
        number: u64,
        limits: ReadLimits,
        private_data: &[u8],
        to: Option<AddressHandle>,
    ) -> Self {
        let mut attempt = Self {
            number,
            limits,
            private_data: [0; MAX_CALLER_DATA as usize],
            length: private_data.len(),
            to,
        };
        attempt.private_data[..private_data.len()].copy_from_slice(private_data);
        attempt
    }
}

impl Core {
    fn new(machine: Machine<Pending>) -> Self {
        Self {
            machine,
            running: false,
            connection: None,
            claim: None,
            qp: None,
            has_claimed: false,
            qp_parameters: None,
            change: None,
            endpoint: Endpoint::None,
            addresses: None,
            attempt: Attempt::new(0, ReadLimits::default(), &[], None),
            data: None,
            disconnect_event: None,
        }
    }
}
