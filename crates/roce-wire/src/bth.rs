//! The base transport header, its opcodes, and which headers follow each of them (IBTA 9.2, table 38).

use core::fmt;

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

use crate::num::{Psn, Qpn};

/// The partition key that every `RoCEv2` port has, as a full member (annex A17.4.5.1).
pub const DEFAULT_P_KEY: u16 = 0xffff;

/// An operation of a transport service. Values without a name are possible: they come from the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

/// One table for names, numbers and headers.
macro_rules! opcodes {
    ($($name:ident = $value:literal, $headers:expr, $doc:literal;)*) => {
        impl Opcode {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// IBTA's name, if the opcode is known here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The headers and payload that follow the BTH, if the opcode is known here.
            #[must_use]
            pub const fn follows(self) -> Option<Follows> {
                match self {
                    $(Self::$name => Some($headers),)*
                    _ => None,
                }
            }
        }
    };
}

bitflags! {
    /// What may follow a base transport header, in this order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Follows: u8 {
        /// Datagram extended transport header.
        const DETH = 1 << 0;
        /// RDMA extended transport header.
        const RETH = 1 << 1;
        /// Atomic extended transport header.
        const ATOMIC_ETH = 1 << 2;
        /// ACK extended transport header.
        const AETH = 1 << 3;
        /// Atomic ACK extended transport header.
        const ATOMIC_ACK_ETH = 1 << 4;
        /// Immediate data.
        const IMM_DT = 1 << 5;
        /// Invalidate extended transport header.
        const IETH = 1 << 6;
        /// Payload. Without it a packet carries none.
        const PAYLOAD = 1 << 7;
    }
}

const PAYLOAD: Follows = Follows::PAYLOAD;
const IMM: Follows = PAYLOAD.union(Follows::IMM_DT);
const INV: Follows = PAYLOAD.union(Follows::IETH);
const RDMA: Follows = PAYLOAD.union(Follows::RETH);
const RDMA_IMM: Follows = RDMA.union(Follows::IMM_DT);
const ACK_DATA: Follows = PAYLOAD.union(Follows::AETH);
const UD: Follows = PAYLOAD.union(Follows::DETH);
const UD_IMM: Follows = UD.union(Follows::IMM_DT);

opcodes! {
    RC_SEND_FIRST = 0x00, PAYLOAD, "RC SEND First.";
    RC_SEND_MIDDLE = 0x01, PAYLOAD, "RC SEND Middle.";
    RC_SEND_LAST = 0x02, PAYLOAD, "RC SEND Last.";
    RC_SEND_LAST_WITH_IMMEDIATE = 0x03, IMM, "RC SEND Last with Immediate.";
    RC_SEND_ONLY = 0x04, PAYLOAD, "RC SEND Only.";
    RC_SEND_ONLY_WITH_IMMEDIATE = 0x05, IMM, "RC SEND Only with Immediate.";
    RC_RDMA_WRITE_FIRST = 0x06, RDMA, "RC RDMA WRITE First.";
    RC_RDMA_WRITE_MIDDLE = 0x07, PAYLOAD, "RC RDMA WRITE Middle.";
    RC_RDMA_WRITE_LAST = 0x08, PAYLOAD, "RC RDMA WRITE Last.";
    RC_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0x09, IMM, "RC RDMA WRITE Last with Immediate.";
    RC_RDMA_WRITE_ONLY = 0x0a, RDMA, "RC RDMA WRITE Only.";
    RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0x0b, RDMA_IMM, "RC RDMA WRITE Only with Immediate.";
    RC_RDMA_READ_REQUEST = 0x0c, Follows::RETH, "RC RDMA READ Request.";
    RC_RDMA_READ_RESPONSE_FIRST = 0x0d, ACK_DATA, "RC RDMA READ response First.";
    RC_RDMA_READ_RESPONSE_MIDDLE = 0x0e, PAYLOAD, "RC RDMA READ response Middle.";
    RC_RDMA_READ_RESPONSE_LAST = 0x0f, ACK_DATA, "RC RDMA READ response Last.";
    RC_RDMA_READ_RESPONSE_ONLY = 0x10, ACK_DATA, "RC RDMA READ response Only.";
    RC_ACKNOWLEDGE = 0x11, Follows::AETH, "RC Acknowledge.";
    RC_ATOMIC_ACKNOWLEDGE = 0x12, Follows::AETH.union(Follows::ATOMIC_ACK_ETH), "RC ATOMIC Acknowledge.";
    RC_COMPARE_SWAP = 0x13, Follows::ATOMIC_ETH, "RC `CmpSwap`.";
    RC_FETCH_ADD = 0x14, Follows::ATOMIC_ETH, "RC `FetchAdd`.";
    RC_SEND_LAST_WITH_INVALIDATE = 0x16, INV, "RC SEND Last with Invalidate.";
    RC_SEND_ONLY_WITH_INVALIDATE = 0x17, INV, "RC SEND Only with Invalidate.";
    UC_SEND_FIRST = 0x20, PAYLOAD, "UC SEND First.";
    UC_SEND_MIDDLE = 0x21, PAYLOAD, "UC SEND Middle.";
    UC_SEND_LAST = 0x22, PAYLOAD, "UC SEND Last.";
    UC_SEND_LAST_WITH_IMMEDIATE = 0x23, IMM, "UC SEND Last with Immediate.";
    UC_SEND_ONLY = 0x24, PAYLOAD, "UC SEND Only.";
    UC_SEND_ONLY_WITH_IMMEDIATE = 0x25, IMM, "UC SEND Only with Immediate.";
    UC_RDMA_WRITE_FIRST = 0x26, RDMA, "UC RDMA WRITE First.";
    UC_RDMA_WRITE_MIDDLE = 0x27, PAYLOAD, "UC RDMA WRITE Middle.";
    UC_RDMA_WRITE_LAST = 0x28, PAYLOAD, "UC RDMA WRITE Last.";
    UC_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0x29, IMM, "UC RDMA WRITE Last with Immediate.";
    UC_RDMA_WRITE_ONLY = 0x2a, RDMA, "UC RDMA WRITE Only.";
    UC_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0x2b, RDMA_IMM, "UC RDMA WRITE Only with Immediate.";
    UD_SEND_ONLY = 0x64, UD, "UD SEND Only.";
    UD_SEND_ONLY_WITH_IMMEDIATE = 0x65, UD_IMM, "UD SEND Only with Immediate.";
    // A CNP's 16 reserved bytes are its payload here (annex A17.9.3).
    CNP = 0x81, PAYLOAD, "`RoCEv2` congestion notification packet.";
}

impl Default for Opcode {
    fn default() -> Self {
        Self::RC_SEND_FIRST
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Opcode({:#04x})", self.0),
        }
    }
}

/// The base transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the header's single-bit fields"
)]
pub struct Bth {
    /// Which operation, and so which headers follow.
    pub opcode: Opcode,
    /// The responder should raise a solicited event.
    pub solicited_event: bool,
    /// Migration state: set when migrated (or not migrating at all).
    pub mig_req: bool,
    /// Bytes, 0 to 3, that pad the payload to a multiple of 4; only the low two bits are written.
    pub pad_count: u8,
    /// Transport header version; only 0 exists. Only the low four bits are written.
    pub transport_version: u8,
    /// Partition key.
    pub p_key: u16,
    /// Forward explicit congestion notification.
    pub fecn: bool,
    /// Backward explicit congestion notification.
    pub becn: bool,
    /// Destination queue pair.
    pub dest_qp: Qpn,
    /// The responder should acknowledge.
    pub ack_request: bool,
    /// Packet sequence number.
    pub psn: Psn,
}

impl Bth {
    /// Bytes on the wire.
    pub const LEN: usize = 12;

    /// Reads the header; nothing is checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            opcode: Opcode(layout.opcode),
            solicited_event: layout.flags & 0x80 != 0,
            mig_req: layout.flags & 0x40 != 0,
            pad_count: layout.flags >> 4 & 3,
            transport_version: layout.flags & 0xf,
            p_key: layout.p_key.get(),
            fecn: layout.congestion & 0x80 != 0,
            becn: layout.congestion & 0x40 != 0,
            dest_qp: Qpn::from_be_bytes(layout.dest_qp),
            ack_request: layout.ack_request & 0x80 != 0,
            psn: Psn::from_be_bytes(layout.psn),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            opcode: self.opcode.0,
            flags: u8::from(self.solicited_event) << 7
                | u8::from(self.mig_req) << 6
                | (self.pad_count & 3) << 4
                | self.transport_version & 0xf,
            p_key: U16::new(self.p_key),
            congestion: u8::from(self.fecn) << 7 | u8::from(self.becn) << 6,
            dest_qp: self.dest_qp.to_be_bytes(),
            ack_request: u8::from(self.ack_request) << 7,
            psn: self.psn.to_be_bytes(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    opcode: u8,
    flags: u8,
    p_key: U16,
    congestion: u8,
    dest_qp: [u8; 3],
    ack_request: u8,
    psn: [u8; 3],
}
