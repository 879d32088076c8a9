//! LAP: a peer offers another path for a connection. There is one port and one path here, and the REP says so (`Failover::NOT_SUPPORTED`);
//! a peer that asks all the same gets an APR, so that it does not wait for one (IBTA 12.8).

use roce_wire::cm::{ApStatus, Apr, CmMad, Lap};

use super::connection::Connection;
use super::event::{Outgoing, Step};

impl Connection {
    /// The peer's LAP has arrived.
    pub fn on_lap(&self, transaction_id: u64, lap: &Lap) -> Step {
        let status = if !self.knows_local_qp() {
            ApStatus::INVALID_COMMUNICATION_ID
        } else if lap.remote_qpn != self.qp.local_qpn {
            ApStatus::INVALID_QPN
        } else {
            ApStatus::NOT_SUPPORTED
        };
        Step {
            unexpected: status != ApStatus::NOT_SUPPORTED,
            ..Step::send(&Outgoing::new(&self.qp.to, &apr(transaction_id, lap, status)))
        }
    }
}

/// The answer to a LAP, whatever it is about.
pub fn apr(transaction_id: u64, lap: &Lap, status: ApStatus) -> CmMad {
    CmMad::new(
        transaction_id,
        Apr {
            local_comm_id: lap.remote_comm_id,
            remote_comm_id: lap.local_comm_id,
            status,
            ..Apr::default()
        },
    )
}
