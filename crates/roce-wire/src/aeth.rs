//! The ACK extended transport header (IBTA 9.3.5).

use crate::num::Msn;

/// The ACK extended transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aeth {
    /// Acknowledgement, RNR NAK or NAK, with credits, timer or code: see [`Aeth::kind`].
    pub syndrome: u8,
    /// How many messages the responder has completed.
    pub msn: Msn,
}

/// What an [`Aeth::syndrome`] says (IBTA table 45).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Acknowledged; the credit count in its encoding, 31 meaning that credits are not used.
    Ack {
        /// Five bits.
        credits: u8,
    },
    /// Receiver not ready; the delay in its encoding (IBTA table 46).
    RnrNak {
        /// Five bits.
        timer: u8,
    },
    /// Not acknowledged.
    Nak(NakCode),
    /// A reserved value.
    Reserved,
}

/// Why a request was not acknowledged (IBTA table 47).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NakCode(pub u8);

impl NakCode {
    /// PSN sequence error.
    pub const PSN_SEQUENCE_ERROR: Self = Self(0);
    /// Invalid request.
    pub const INVALID_REQUEST: Self = Self(1);
    /// Remote access error.
    pub const REMOTE_ACCESS_ERROR: Self = Self(2);
    /// Remote operational error.
    pub const REMOTE_OPERATIONAL_ERROR: Self = Self(3);
    /// Invalid RD request.
    pub const INVALID_RD_REQUEST: Self = Self(4);
}

impl Aeth {
    /// Bytes on the wire.
    pub const LEN: usize = 4;

    /// Reads the header.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [syndrome, msn @ ..] = *bytes;
        Self {
            syndrome,
            msn: Msn::from_be_bytes(msn),
        }
    }

    /// Writes the header.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; Self::LEN] {
        let [a, b, c] = self.msn.to_be_bytes();
        [self.syndrome, a, b, c]
    }

    /// What the syndrome says.
    #[must_use]
    pub const fn kind(&self) -> AckKind {
        let value = self.syndrome & 0x1f;
        match self.syndrome >> 5 {
            0 => AckKind::Ack { credits: value },
            1 => AckKind::RnrNak { timer: value },
            3 => AckKind::Nak(NakCode(value)),
            _ => AckKind::Reserved,
        }
    }
}
