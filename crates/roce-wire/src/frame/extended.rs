//! The headers between the base transport header and the payload.

use crate::aeth::Aeth;
use crate::atomic::{AtomicAckEth, AtomicEth};
use crate::bth::Follows;
use crate::deth::Deth;
use crate::immdt::{Ieth, ImmDt};
use crate::reth::Reth;

/// The extended headers of a packet. Its opcode tells which of them are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedHeaders {
    /// Datagram header.
    pub deth: Option<Deth>,
    /// RDMA header.
    pub reth: Option<Reth>,
    /// Atomic header.
    pub atomic_eth: Option<AtomicEth>,
    /// ACK header.
    pub aeth: Option<Aeth>,
    /// Atomic ACK header.
    pub atomic_ack_eth: Option<AtomicAckEth>,
    /// Immediate data.
    pub imm_dt: Option<ImmDt>,
    /// Invalidate header.
    pub ieth: Option<Ieth>,
}

impl ExtendedHeaders {
    /// Which of them are there.
    #[must_use]
    pub fn present(&self) -> Follows {
        let mut present = Follows::empty();
        present.set(Follows::DETH, self.deth.is_some());
        present.set(Follows::RETH, self.reth.is_some());
        present.set(Follows::ATOMIC_ETH, self.atomic_eth.is_some());
        present.set(Follows::AETH, self.aeth.is_some());
        present.set(Follows::ATOMIC_ACK_ETH, self.atomic_ack_eth.is_some());
        present.set(Follows::IMM_DT, self.imm_dt.is_some());
        present.set(Follows::IETH, self.ieth.is_some());
        present
    }

    /// Bytes of all of them on the wire.
    pub(super) fn len(&self) -> usize {
        let mut length = 0;
        length += self.deth.map_or(0, |_| Deth::LEN);
        length += self.reth.map_or(0, |_| Reth::LEN);
        length += self.atomic_eth.map_or(0, |_| AtomicEth::LEN);
        length += self.aeth.map_or(0, |_| Aeth::LEN);
        length += self.atomic_ack_eth.map_or(0, |_| AtomicAckEth::LEN);
        length += self.imm_dt.map_or(0, |_| ImmDt::LEN);
        length + self.ieth.map_or(0, |_| Ieth::LEN)
    }
}
