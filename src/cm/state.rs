//! The states of a connection (IBTA 12.9.7), and which of them a consumer can reject from.

use roce_wire::cm::MessageRejected;

/// Where a connection stands. Names are IBTA's (12.9.7.1 active side, 12.9.7.2 passive side); [`CmState::Rejected`] and
/// [`CmState::Aborted`] tell apart what IBTA sees as one time wait. A DREQ is answered at once, so its "DREQ received" is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmState {
    /// Nothing has been sent or received, or everything is over.
    Idle,
    /// Active: our REQ is out.
    ReqSent,
    /// Active: the peer has our REQ and asks for patience.
    MraReqRcvd,
    /// Passive: the peer's REQ waits for the consumer.
    ReqRcvd,
    /// Passive: it still waits, and the peer has been told to.
    MraReqSent,
    /// Passive: accepted, our REP is out.
    RepSent,
    /// Passive: the peer has our REP and asks for patience.
    MraRepRcvd,
    /// Active: the peer has accepted, its REP waits for the consumer.
    RepRcvd,
    /// Active: it still waits, and the peer has been told to.
    MraRepSent,
    /// Both sides are connected.
    Established,
    /// Our DREQ is out.
    DreqSent,
    /// Disconnected; the ids are kept back until nothing of the connection can be under way any more.
    TimeWait,
    /// Rejected by us; the ids are kept back to answer a repeated message with the same REJ.
    Rejected,
    /// The peer has given up before the consumer answered; kept until the consumer takes notice.
    Aborted,
}

/// Why a connection cannot be rejected. The connection stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectError {
    /// More private data than a REJ can carry: [`roce_wire::cm::REJ_PRIVATE_DATA_LEN`] bytes.
    TooLong,
    /// There is nothing to reject in this state.
    InvalidState,
    /// The peer has abandoned the attempt.
    Aborted,
}

impl CmState {
    /// Which message a reject by the consumer answers.
    ///
    /// # Errors
    /// [`RejectError::Aborted`] and [`RejectError::InvalidState`].
    pub const fn rejects(self) -> Result<MessageRejected, RejectError> {
        match self {
            Self::ReqRcvd | Self::MraReqSent => Ok(MessageRejected::REQ),
            Self::RepRcvd | Self::MraRepSent => Ok(MessageRejected::REP),
            Self::Aborted => Err(RejectError::Aborted),
            Self::Idle
            | Self::ReqSent
            | Self::MraReqRcvd
            | Self::RepSent
            | Self::MraRepRcvd
            | Self::Established
            | Self::DreqSent
            | Self::TimeWait
            | Self::Rejected => Err(RejectError::InvalidState),
        }
    }

    /// Whether the consumer still has to answer or to take notice.
    #[must_use]
    pub const fn is_unanswered(self) -> bool {
        !matches!(self.rejects(), Err(RejectError::InvalidState))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_that_waits_for_the_consumer_can_be_rejected() {
        use CmState as S;
        for (state, expected) in [
            (S::ReqRcvd, Ok(MessageRejected::REQ)),
            (S::MraReqSent, Ok(MessageRejected::REQ)),
            (S::RepRcvd, Ok(MessageRejected::REP)),
            (S::MraRepSent, Ok(MessageRejected::REP)),
            (S::Aborted, Err(RejectError::Aborted)),
            (S::Idle, Err(RejectError::InvalidState)),
            (S::ReqSent, Err(RejectError::InvalidState)),
            (S::MraReqRcvd, Err(RejectError::InvalidState)),
            (S::RepSent, Err(RejectError::InvalidState)),
            (S::MraRepRcvd, Err(RejectError::InvalidState)),
            (S::Established, Err(RejectError::InvalidState)),
            (S::DreqSent, Err(RejectError::InvalidState)),
            (S::TimeWait, Err(RejectError::InvalidState)),
            (S::Rejected, Err(RejectError::InvalidState)),
        ] {
            assert_eq!(state.rejects(), expected, "{state:?}");
        }
    }
}
