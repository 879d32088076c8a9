//! What `NdkGetConnectionData` gives: effective read limits, and the peer's private data.

use roce_wire::cm::{REJ_PRIVATE_DATA_LEN, REP_PRIVATE_DATA_LEN};
use roce_wire::ip_cm::CONSUMER_PRIVATE_DATA_LEN;

use crate::cm::ReadLimits;
use crate::ndk::private_data::MAX_CALLEE_DATA;

/// The peer's data and the limits that come of what it asks for.
///
/// The size that is told (the *required data size*) is that of the message's field and not that of what the peer sent,
/// which no message says; what the peer left free is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionData {
    /// Effective limits; 0 without a connection.
    pub limits: ReadLimits,
    bytes: [u8; REP_PRIVATE_DATA_LEN],
    length: usize,
}

impl ConnectionData {
    /// Of the peer's REQ.
    #[must_use]
    pub fn of_request(limits: ReadLimits, data: &[u8; CONSUMER_PRIVATE_DATA_LEN]) -> Self {
        Self::new(limits, data)
    }

    /// Of the peer's REP. NDK's accepting side has `MaxCalleeData` bytes; another system may fill the whole field, and then the
    /// consumer gets all of it.
    #[must_use]
    pub fn of_reply(limits: ReadLimits, data: &[u8; REP_PRIVATE_DATA_LEN]) -> Self {
        let (callee, rest) = data.split_at(MAX_CALLEE_DATA as usize);
        let is_short = rest.iter().all(|byte| *byte == 0);
        Self::new(limits, if is_short { callee } else { data })
    }

    /// Of the peer's REJ.
    #[must_use]
    pub fn of_refusal(data: &[u8; REJ_PRIVATE_DATA_LEN]) -> Self {
        Self::new(ReadLimits::default(), data)
    }

    fn new(limits: ReadLimits, data: &[u8]) -> Self {
        let mut bytes = [0; REP_PRIVATE_DATA_LEN];
        bytes[..data.len()].copy_from_slice(data);
        Self {
            limits,
            bytes,
            length: data.len(),
        }
    }

    /// The data; its length is the required data size.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReadLimits = ReadLimits {
        inbound: 3,
        outbound: 4,
    };

    #[test]
    fn the_size_is_the_fields() {
        assert_eq!(ConnectionData::of_request(LIMITS, &[1; 56]).bytes(), [1; 56]);
        let refusal = ConnectionData::of_refusal(&[2; 148]);
        assert_eq!(refusal.bytes(), [2; 148]);
        assert_eq!(refusal.limits, ReadLimits::default());
    }

    #[test]
    fn a_long_reply_is_not_cut_off() {
        let mut data = [0; 196];
        data[147] = 7;
        assert_eq!(ConnectionData::of_reply(LIMITS, &data).bytes(), &data[..148]);
        data[148] = 7;
        let long = ConnectionData::of_reply(LIMITS, &data);
        assert_eq!(long.bytes(), data);
        assert_eq!(long.limits, LIMITS);
    }
}
