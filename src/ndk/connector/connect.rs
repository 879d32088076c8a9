//! The active side: `NdkConnect`, `NdkConnectWithSharedEndpoint`, `NdkCompleteConnect`.

use super::event::DisconnectEvent;
use super::object::{Attempt, Claim, Connector, Endpoint, Requester};
use super::queue_pair::Change;
use crate::cm::{AddressHandle, ReadLimits};
use crate::ndk::endpoints::Owner;
use crate::ndk::object::ObjectRef;
use crate::ndk::qp::Qp;
use crate::ndk::shared_endpoint::SharedEndpoint;
use crate::nic::Request;
use crate::os::irql::Passive;
use crate::os::pool::{OutOfMemory, PoolBox, Pooled, Tag};
use crate::os::work_item::{Task, WorkItem};
use crate::status;
use core::net::{IpAddr, SocketAddr};
use ndk_sys::{NTSTATUS, STATUS_CONNECTION_INVALID, STATUS_INVALID_ADDRESS};

/// Whence to connect.
pub(super) enum Source {
    /// An address of the adapter's; port 0 chooses one.
    Address(SocketAddr),
    /// A shared endpoint.
    Shared(ObjectRef<SharedEndpoint>),
}

impl Source {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Address(address) => *address,
            Self::Shared(endpoint) => endpoint.local(),
        }
    }
}

/// The arguments of `NdkConnect`, each checked by itself.
pub(super) struct Target<'a> {
    pub(super) qp: ObjectRef<Qp>,
    pub(super) source: Source,
    pub(super) peer: SocketAddr,
    pub(super) limits: ReadLimits,
    /// At most `MaxCallerData` bytes.
    pub(super) private_data: &'a [u8],
}

/// What can be missing.
struct Needs {
    change: PoolBox<Request<Change>>,
    /// `None` if the way is known.
    resolve: Option<(WorkItem, PoolBox<Resolve>)>,
    to: Option<AddressHandle>,
}

impl Connector {
    /// `NdkConnect` and `NdkConnectWithSharedEndpoint`. The request completes later.
    ///
    /// # Errors
    /// What the function returns inline; nothing has changed then.
    pub(super) fn connect(
        connector: &ObjectRef<Self>,
        target: Target<'_>,
        requester: Requester,
    ) -> Result<(), NTSTATUS> {
        connector.core.lock().machine.check_connect()?;
        connector.check_adapter(target.qp.adapter())?;
        if let Source::Shared(endpoint) = &target.source {
            connector.check_adapter(endpoint.adapter())?;
        }
        let local = target.source.address();
        check_addresses(local.ip(), target.peer)?;
        let needs = Needs::new(connector, local.ip(), target.peer.ip())?;
        let qp = target.qp.clone();
        qp.begin_connect(connector)?;
        match Self::begin(connector, target, requester, needs) {
            Ok(Some((item, task))) => item.queue(task),
            Ok(None) => Self::run(connector),
            Err(status) => {
                qp.end_connect();
                return Err(status);
            }
        }
        Ok(())
    }

    /// Everything is there but the endpoint: what is to be done to find the way.
    fn begin(
        connector: &ObjectRef<Self>,
        target: Target<'_>,
        requester: Requester,
        needs: Needs,
    ) -> Result<Option<(WorkItem, PoolBox<Resolve>)>, NTSTATUS> {
        let (local, endpoint) = match target.source {
            Source::Address(address) => {
                let local = connector.provider().bind(address, Owner::Connector)?;
                (local, Endpoint::Own(local))
            }
            Source::Shared(shared) => (shared.local(), Endpoint::Shared(shared)),
        };
        let mut core = connector.core.lock();
        if let Err(status) = core.machine.connect(|| requester.request(connector)) {
            drop(core);
            connector.release_endpoint(endpoint);
            return Err(status);
        }
        let number = core.attempt.number + 1;
        core.attempt = Attempt::new(number, target.limits, target.private_data, needs.to);
        core.addresses = Some((local, target.peer));
        core.endpoint = endpoint;
        core.qp = Some(target.qp);
        core.has_claimed = true;
        core.change = Some(needs.change);
        core.data = None;
        if needs.to.is_some() {
            core.machine.on_resolved(Ok(()));
        }
        Ok(needs.resolve.map(|(item, mut task)| {
            task.attempt = number;
            (item, task)
        }))
    }

    /// The way to the peer is known, or there is none.
    fn resolved(connector: &ObjectRef<Self>, attempt: u64, result: Result<AddressHandle, NTSTATUS>) {
        {
            let mut core = connector.core.lock();
            if core.attempt.number != attempt {
                return; // This one was cancelled, and the consumer is trying again.
            }
            core.attempt.to = result.ok();
            core.machine.on_resolved(result.map(|_| ()));
        }
        Self::run(connector);
    }

    /// `NdkCompleteConnect` and its Ex form. The request completes later.
    ///
    /// # Errors
    /// What the function returns inline: `STATUS_CONNECTION_INVALID` unless `NdkConnect` has succeeded,
    /// `STATUS_CONNECTION_ABORTED` if the peer has given up.
    pub(super) fn complete_connect(
        connector: &ObjectRef<Self>,
        event: Option<DisconnectEvent>,
        requester: Requester,
    ) -> Result<(), NTSTATUS> {
        {
            let mut core = connector.core.lock();
            core.machine.check_complete()?;
            let connection = core.connection.ok_or(STATUS_CONNECTION_INVALID)?;
            let plan = connector
                .provider()
                .cm()
                .prepare_complete(connection)
                .map_err(status::of_complete_error)?;
            core.claim = Some(Claim::Complete(plan.token));
            core.qp_parameters = Some(plan.qp);
            core.disconnect_event = event;
            core.machine.complete_connect(|| requester.request(connector))?;
        }
        Self::run(connector);
        Ok(())
    }
}

impl Needs {
    fn new(connector: &ObjectRef<Connector>, local: IpAddr, peer: IpAddr) -> Result<Self, NTSTATUS> {
        let provider = connector.provider();
        provider.gid_index(local)?;
        provider.check_link()?;
        let to = provider.loopback(local, peer)?;
        let resolve = match to {
            Some(_) => None,
            None => Some((WorkItem::new(provider.handle())?, Resolve::new(connector)?)),
        };
        let change = Change::new()?;
        Ok(Self { change, resolve, to })
    }
}

/// Both ends have to be single addresses of one family, and the peer has to have a port.
fn check_addresses(local: IpAddr, peer: SocketAddr) -> Result<(), NTSTATUS> {
    let is_broadcast = peer.ip() == IpAddr::V4(core::net::Ipv4Addr::BROADCAST);
    let is_single = !peer.ip().is_unspecified() && !peer.ip().is_multicast() && !is_broadcast;
    if local.is_ipv4() == peer.is_ipv4() && is_single && peer.port() != 0 {
        Ok(())
    } else {
        Err(STATUS_INVALID_ADDRESS)
    }
}

/// Finds the way to a peer. It keeps the connector, and that the adapter.
struct Resolve {
    connector: ObjectRef<Connector>,
    attempt: u64,
}

impl Pooled for Resolve {
    const TAG: Tag = Tag::new(*b"VrRe");
}

impl Resolve {
    fn new(connector: &ObjectRef<Connector>) -> Result<PoolBox<Self>, OutOfMemory> {
        PoolBox::new(Self {
            connector: connector.clone(),
            attempt: 0,
        })
    }
}

impl Task for Resolve {
    fn run(self, passive: &Passive) {
        if let Ok((local, peer)) = self.connector.addresses() {
            let result = self.connector.provider().resolve(passive, local, peer);
            Connector::resolved(&self.connector, self.attempt, result);
        }
    }
}
