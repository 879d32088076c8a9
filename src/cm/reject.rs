//! REJ, in both directions.

use roce_wire::cm::{CmMad, MessageRejected, PrivateData, REJ_PRIVATE_DATA_LEN, Rej, RejectReason};

use super::connection::{Circumstances, Claim, Connection, Purpose};
use super::event::{Notice, Outgoing, Refusal, Step};
use super::state::{CmState, RejectError};

/// What became of a REJ that was given to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is sent, or the device has it and will send it.
    Sent,
    /// The device did not get it. The connection is as before: the consumer may try again.
    NotSent,
    /// The device knows that the peer has abandoned the attempt.
    PeerAbandoned,
    /// It cannot be sent. The attempt is over.
    Failed,
}

impl Connection {
    /// Whether a reject is under way: nothing else may answer the peer meanwhile.
    pub(super) const fn is_rejecting(&self) -> bool {
        matches!(
            self.claim,
            Some(Claim {
                purpose: Purpose::Reject,
                ..
            })
        )
    }

    /// The consumer rejects: claims the connection and fixes what the REJ says. [`Connection::finish_reject`] must follow.
    ///
    /// # Errors
    /// See [`RejectError`]; nothing has changed then.
    pub fn claim_reject(&mut self, ca_guid: u64, data: &[u8]) -> Result<Outgoing, RejectError> {
        let private_data = PrivateData::new(data).ok_or(RejectError::TooLong)?;
        let message = self.state.rejects()?;
        if self.claim.is_some() {
            return Err(RejectError::InvalidState);
        }
        self.repeated = self.rej(ca_guid, message, RejectReason::CONSUMER_REJECT, private_data);
        self.claim = Some(Claim::new(Purpose::Reject));
        Ok(self.repeat())
    }

    /// The device has the REJ, or refuses it.
    pub fn finish_reject(&mut self, at: &Circumstances, outcome: SendOutcome) {
        let Some(claim) = self.claim.take() else { return };
        match outcome {
            SendOutcome::Sent | SendOutcome::Failed => self.quarantine(at),
            // Nobody is left to try again or to take notice.
            SendOutcome::NotSent | SendOutcome::PeerAbandoned if claim.closed => self.quarantine(at),
            SendOutcome::NotSent if !claim.abandoned => {}
            SendOutcome::NotSent | SendOutcome::PeerAbandoned => self.abort(),
        }
    }

    /// There is no consumer any more, or never was one: rejects for it, if anything is left to reject.
    pub fn reject_unanswered(&mut self, at: &Circumstances, reason: RejectReason) -> Option<Outgoing> {
        if let Some(claim) = &mut self.claim {
            claim.closed = true;
            return None;
        }
        let (message, was_aborted) = match self.state.rejects() {
            Ok(message) => (message, false),
            Err(RejectError::Aborted) if self.request.is_some() => (MessageRejected::REQ, true),
            Err(RejectError::Aborted) => (MessageRejected::REP, true),
            Err(_) => return None,
        };
        self.reject_with(at, message, reason, PrivateData::EMPTY);
        (!was_aborted).then(|| self.repeat())
    }

    /// Rejects, from now on: the REJ is [`Connection::repeat`]'s.
    pub(super) fn reject_with(
        &mut self,
        at: &Circumstances,
        message: MessageRejected,
        reason: RejectReason,
        private_data: PrivateData<REJ_PRIVATE_DATA_LEN>,
    ) {
        self.repeated = self.rej(at.config.ca_guid, message, reason, private_data);
        self.quarantine(at);
    }

    /// The peer's REJ has arrived.
    pub fn on_rej(&mut self, at: &Circumstances, rej: &Rej) -> Step {
        let refusal = Notice::Refused(Refusal {
            reason: rej.reason,
            private_data: *rej.private_data.as_array(),
        });
        match self.state {
            CmState::ReqSent | CmState::MraReqRcvd => {
                self.end();
                Step::tell(&refusal)
            }
            CmState::RepSent | CmState::MraRepRcvd => {
                self.time_wait(at);
                Step::tell(&refusal)
            }
            CmState::Established => {
                self.time_wait(at);
                Step::NONE.and_broken()
            }
            CmState::DreqSent => self.on_disconnected(at, Ok(())),
            _ => self.on_abandoned(),
        }
    }

    /// The peer has given up what waits for the consumer: by a REJ or DREQ, by using its id for another attempt, or by
    /// silence.
    pub fn on_abandoned(&mut self) -> Step {
        if self.state.rejects().is_err() {
            return Step::UNEXPECTED;
        }
        if let Some(claim) = &mut self.claim {
            if core::mem::replace(&mut claim.abandoned, true) {
                return Step::UNEXPECTED;
            }
            return Step::NONE;
        }
        self.abort();
        Step::NONE
    }

    fn rej(
        &self,
        ca_guid: u64,
        message_rejected: MessageRejected,
        reason: RejectReason,
        private_data: PrivateData<REJ_PRIVATE_DATA_LEN>,
    ) -> CmMad {
        let mut rej = Rej {
            local_comm_id: self.local_comm_id,
            remote_comm_id: self.remote_comm_id(),
            message_rejected,
            reason,
            private_data,
            ..Rej::default()
        };
        if reason == RejectReason::TIMEOUT {
            // The peer may not know our id, and finds the connection by this (IBTA table 109).
            let guid = ca_guid.to_be_bytes();
            rej.reject_info_length = 8;
            rej.ari[..guid.len()].copy_from_slice(&guid);
        }
        CmMad::new(self.transaction_id, rej)
    }
}
