//! `NdkReject`, of a REQ and of a REP, and `NdkDisconnect`.

use super::object::{Connector, Requester};
use crate::cm::SendOutcome;
use crate::ndk::object::ObjectRef;
use crate::nic::Wait;
use crate::os::irql::Passive;
use ndk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_STATE};

impl Connector {
    /// `NdkReject`. At PASSIVE it waits for the firmware up to the command timeout, at DISPATCH for at most 50 us.
    pub(super) fn reject(connector: &ObjectRef<Self>, data: &[u8]) -> NTSTATUS {
        let connection = {
            let core = connector.core.lock();
            if let Err(status) = core.machine.check_reject() {
                return status;
            }
            core.connection
        };
        let Some(connection) = connection else {
            return STATUS_INVALID_DEVICE_STATE;
        };
        let passive = Passive::current();
        let wait = passive.as_ref().map_or(Wait::Spin, Wait::Passive);
        let row = match connector.provider().reject(connection, data, wait) {
            Ok(row) => row,
            Err(status) => return status,
        };
        match row.outcome {
            SendOutcome::Sent | SendOutcome::Failed => {
                connector.core.lock().machine.on_rejected();
                Self::run(connector);
            }
            // The consumer may try again, or find out once more that nobody is there.
            SendOutcome::NotSent | SendOutcome::PeerAbandoned => {}
        }
        row.status
    }

    /// `NdkDisconnect`. The request completes when the peer has answered and all DMA of the queue pair is over.
    ///
    /// # Errors
    /// `STATUS_CONNECTION_INVALID` if there is no connection.
    pub(super) fn disconnect(connector: &ObjectRef<Self>, requester: Requester) -> Result<(), NTSTATUS> {
        connector
            .core
            .lock()
            .machine
            .disconnect(|| requester.request(connector))?;
        Self::run(connector);
        Ok(())
    }
}
