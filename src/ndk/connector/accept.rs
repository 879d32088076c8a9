//! The passive side: `NdkAccept`.

use super::event::DisconnectEvent;
use super::object::{Claim, Connector, Requester};
use super::queue_pair::Change;
use super::run::local_qp;
use crate::cm::{Accept, ReadLimits};
use crate::ndk::object::ObjectRef;
use crate::ndk::qp::Qp;
use crate::nic::Request;
use crate::os::pool::PoolBox;
use crate::status;
use ndk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_STATE};

/// The arguments of `NdkAccept`, each checked by itself.
pub(super) struct Answer<'a> {
    pub(super) qp: ObjectRef<Qp>,
    pub(super) limits: ReadLimits,
    /// At most `MaxCalleeData` bytes.
    pub(super) private_data: &'a [u8],
    pub(super) event: Option<DisconnectEvent>,
}

impl Connector {
    /// `NdkAccept` and its Ex form. The request completes when the peer has completed the connection.
    ///
    /// # Errors
    /// What the function returns inline; nothing has changed then.
    pub(super) fn accept(
        connector: &ObjectRef<Self>,
        answer: Answer<'_>,
        requester: Requester,
    ) -> Result<(), NTSTATUS> {
        connector.core.lock().machine.check_accept()?;
        connector.check_adapter(answer.qp.adapter())?;
        let change = Change::new()?;
        let qp = answer.qp.clone();
        qp.begin_connect(connector)?;
        let begun = Self::begin_accept(connector, answer, change, requester);
        match begun {
            Ok(()) => Self::run(connector),
            Err(_) => qp.end_connect(),
        }
        begun
    }

    fn begin_accept(
        connector: &ObjectRef<Self>,
        answer: Answer<'_>,
        change: PoolBox<Request<Change>>,
        requester: Requester,
    ) -> Result<(), NTSTATUS> {
        let mut core = connector.core.lock();
        core.machine.check_accept()?;
        let connection = core.connection.ok_or(STATUS_INVALID_DEVICE_STATE)?;
        let accept = Accept {
            qp: local_qp(&answer.qp),
            limits: answer.limits,
            private_data: answer.private_data,
        };
        let plan = connector
            .provider()
            .cm()
            .prepare_accept(connection, &accept, connector.clone())
            .map_err(status::of_accept_error)?;
        core.claim = Some(Claim::Accept(plan.token));
        core.qp_parameters = Some(plan.qp);
        if let Some(data) = &mut core.data {
            data.limits = plan.qp.limits;
        }
        core.qp = Some(answer.qp);
        core.has_claimed = true;
        core.change = Some(change);
        core.disconnect_event = answer.event;
        core.machine.accept(|| requester.request(connector))
    }
}
