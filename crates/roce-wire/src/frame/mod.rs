//! A complete `RoCEv2` frame: Ethernet, IPv4 or IPv6, UDP, base transport header, extended headers, payload, pad, ICRC (annex A17.3).
//!
//! [`Frame::parse`] reads one and [`Frame::write`] builds one; [`write_gsi`] and [`Frame::gsi_mad`] are for management datagrams.

mod address;
mod extended;
mod parse;
mod write;

pub use address::{FrameAddress, IpPair};
pub use extended::ExtendedHeaders;
pub use parse::{FrameError, Layer, NotRoce};
pub use write::BuildError;

use crate::bth::{Bth, DEFAULT_P_KEY, Opcode};
use crate::deth::Deth;
use crate::eth::EthernetHeader;
use crate::icrc;
use crate::ipv4::Ipv4Header;
use crate::ipv6::Ipv6Header;
use crate::mad::{GSI_Q_KEY, MAD_LEN, Mad};
use crate::num::{Psn, Qpn};
use crate::udp::UdpHeader;

/// Bytes of a frame that carries a management datagram over IPv4.
pub const GSI_IPV4_LEN: usize = EthernetHeader::LEN + Ipv4Header::LEN + GSI_UDP_LEN;

/// Bytes of a frame that carries a management datagram over IPv6.
pub const GSI_IPV6_LEN: usize = EthernetHeader::LEN + Ipv6Header::LEN + GSI_UDP_LEN;

const GSI_UDP_LEN: usize = UdpHeader::LEN + Bth::LEN + Deth::LEN + MAD_LEN + icrc::LEN;

/// A frame that has passed every check; the payload is borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Everything below the transport.
    pub address: FrameAddress,
    /// Base transport header.
    pub bth: Bth,
    /// The headers that the opcode asks for.
    pub extended: ExtendedHeaders,
    /// The payload without its pad.
    pub payload: &'a [u8],
}

/// Why a frame is no management datagram for the general service interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsiError {
    /// Not a UD SEND Only.
    Opcode(Opcode),
    /// Not for queue pair 1.
    DestQp(Qpn),
    /// The wrong queue key.
    QKey(u32),
    /// Not 256 bytes.
    Length(usize),
}

impl<'a> Frame<'a> {
    /// The management datagram that the frame carries to the general service interface, with the sender's queue pair in
    /// [`ExtendedHeaders::deth`].
    ///
    /// # Errors
    /// See [`GsiError`].
    pub fn gsi_mad(&self) -> Result<&'a Mad, GsiError> {
        let (Opcode::UD_SEND_ONLY, Some(deth)) = (self.bth.opcode, self.extended.deth) else {
            return Err(GsiError::Opcode(self.bth.opcode));
        };
        if self.bth.dest_qp != Qpn::GSI {
            return Err(GsiError::DestQp(self.bth.dest_qp));
        }
        if deth.q_key != GSI_Q_KEY {
            return Err(GsiError::QKey(deth.q_key));
        }
        self.payload
            .try_into()
            .map_err(|_| GsiError::Length(self.payload.len()))
    }
}

/// Builds the frame that carries a management datagram to the general service interface, and returns its length:
/// [`GSI_IPV4_LEN`] or [`GSI_IPV6_LEN`].
///
/// # Errors
/// The buffer is too small.
pub fn write_gsi(
    buffer: &mut [u8],
    address: &FrameAddress,
    psn: Psn,
    mad: &Mad,
) -> Result<usize, BuildError> {
    Frame {
        address: *address,
        bth: Bth {
            opcode: Opcode::UD_SEND_ONLY,
            mig_req: true,
            p_key: DEFAULT_P_KEY,
            dest_qp: Qpn::GSI,
            psn,
            ..Bth::default()
        },
        extended: ExtendedHeaders {
            deth: Some(Deth {
                q_key: GSI_Q_KEY,
                source_qp: Qpn::GSI,
            }),
            ..ExtendedHeaders::default()
        },
        payload: mad,
    }
    .write(buffer)
}
