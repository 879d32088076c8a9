//! The end of an established connection: DREQ and DREP, in both directions, or the loss of it.

use roce_wire::cm::{CmMad, Drep, Dreq, MessageRejected, PrivateData, RejectReason};

use super::connection::{Circumstances, Connection, Disconnecting};
use super::event::{DisconnectTimeout, Notice, Outgoing, Step};
use super::state::CmState;

/// Why there is nothing to disconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectError {
    /// The connection was never established, or the consumer has asked before.
    InvalidState,
}

impl Connection {
    /// The consumer disconnects. The DREQ to send, or `None` if the connection is over already.
    ///
    /// # Errors
    /// See [`DisconnectError`]; nothing has changed then.
    pub fn disconnect(&mut self, at: &Circumstances) -> Result<Option<Outgoing>, DisconnectError> {
        if !self.was_established || self.disconnecting != Disconnecting::No {
            return Err(DisconnectError::InvalidState);
        }
        if self.state == CmState::Established {
            self.disconnecting = Disconnecting::Waiting;
            return Ok(Some(self.send_dreq(at)));
        }
        self.disconnecting = Disconnecting::Done;
        Ok(None)
    }

    /// The peer's DREQ has arrived. It is answered in any case.
    pub fn on_dreq(&mut self, at: &Circumstances, transaction_id: u64, dreq: &Dreq) -> Step {
        if self.knows_local_qp() && dreq.remote_qpn != self.qp.local_qpn {
            return Step::UNEXPECTED; // About an earlier connection: a DREP would be about the wrong one.
        }
        let step = match self.state {
            CmState::RepSent | CmState::MraRepRcvd => {
                self.time_wait(at);
                Step::tell(&Notice::Aborted)
            }
            CmState::Established => {
                self.time_wait(at);
                Step::tell(&Notice::Disconnected)
            }
            CmState::DreqSent => self.on_disconnected(at, Ok(())),
            CmState::TimeWait => {
                self.time_wait(at);
                Step::NONE
            }
            _ => self.on_abandoned(),
        };
        Step {
            send: Some(Outgoing::new(&self.qp.to, &drep(transaction_id, dreq))),
            ..step
        }
    }

    /// The peer's DREP has arrived.
    pub fn on_drep(&mut self, at: &Circumstances) -> Step {
        match self.state {
            CmState::DreqSent => self.on_disconnected(at, Ok(())),
            _ => Step::UNEXPECTED,
        }
    }

    /// None of our DREQs has been answered.
    pub(super) fn on_no_drep(&mut self, at: &Circumstances) -> Step {
        self.on_disconnected(at, Err(DisconnectTimeout))
    }

    /// The peer uses its queue pair or its id for another attempt: it knows nothing of this connection any more.
    pub(super) fn on_stale(&mut self, at: &Circumstances) -> Step {
        if matches!(self.state, CmState::RepSent | CmState::MraRepRcvd) {
            // A REJ might be taken for the answer to the other attempt.
            self.time_wait(at);
            return Step::tell(&Notice::Aborted);
        }
        self.on_lost(at)
    }

    /// Our queue pair has failed. The peer hears it, in case it is still there.
    pub fn on_lost(&mut self, at: &Circumstances) -> Step {
        match self.state {
            CmState::Established => Step::send(&self.send_dreq(at)).and_broken(),
            CmState::RepSent | CmState::MraRepRcvd => {
                let rej = self.withdraw(at);
                Step::send(&rej).and_tell(&Notice::Aborted)
            }
            _ => Step::NONE,
        }
    }

    /// The consumer closes the connector.
    pub fn close(&mut self, at: &Circumstances) -> Option<Outgoing> {
        self.disconnecting = Disconnecting::Done;
        match self.state {
            CmState::ReqSent | CmState::MraReqRcvd => Some(self.give_up(at)),
            CmState::RepSent | CmState::MraRepRcvd => Some(self.withdraw(at)),
            CmState::Established => Some(self.send_dreq(at)),
            _ => self.reject_unanswered(at, RejectReason::CONSUMER_REJECT),
        }
    }

    /// Takes our REP back.
    fn withdraw(&mut self, at: &Circumstances) -> Outgoing {
        let (message, reason) = (MessageRejected::NO_MESSAGE, RejectReason::CONSUMER_REJECT);
        self.reject_with(at, message, reason, PrivateData::EMPTY);
        self.repeat()
    }

    fn send_dreq(&mut self, at: &Circumstances) -> Outgoing {
        let dreq = Dreq {
            local_comm_id: self.local_comm_id,
            remote_comm_id: self.remote_comm_id(),
            remote_qpn: self.qp.remote.qpn,
            private_data: PrivateData::EMPTY,
        };
        let transaction_id = u64::from(self.local_comm_id.0) << 32 | 2;
        self.send_until_answered(at, CmState::DreqSent, CmMad::new(transaction_id, dreq))
    }

    /// Both sides know that the connection is over, or as much as can be done for that has been done.
    pub(super) fn on_disconnected(
        &mut self,
        at: &Circumstances,
        result: Result<(), DisconnectTimeout>,
    ) -> Step {
        self.time_wait(at);
        if self.disconnecting != Disconnecting::Waiting {
            return Step::NONE;
        }
        self.disconnecting = Disconnecting::Done;
        Step::tell(&Notice::DisconnectDone(result))
    }
}

/// The reply to a DREQ, whatever it is about.
pub fn drep(transaction_id: u64, dreq: &Dreq) -> CmMad {
    CmMad::new(
        transaction_id,
        Drep {
            local_comm_id: dreq.remote_comm_id,
            remote_comm_id: dreq.local_comm_id,
            private_data: PrivateData::EMPTY,
        },
    )
}
