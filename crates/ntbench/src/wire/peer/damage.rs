//! Ways in which a request can be wrong.

use roce_wire::frame::Frame;
use roce_wire::mad::{MAD_LEN, MadHeader};
use roce_wire::num::Qpn;

/// One way in which a frame with a management datagram is wrong. All but the first two are in frames that are whole otherwise, ICRC included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The invariant CRC.
    Icrc,
    /// The frame ends after so many bytes.
    Cut(usize),
    /// The datagram is shorter than 256 bytes: so many.
    ShortDatagram(usize),
    /// For another queue pair than the general service interface's.
    DestQp(Qpn),
    /// Another queue key than the general service interface's.
    QKey(u32),
    /// The base version of the datagram.
    BaseVersion(u8),
    /// The management class.
    MgmtClass(u8),
    /// The version of the class.
    ClassVersion(u8),
    /// The method.
    Method(u8),
    /// The attribute ID: which message it is.
    Attribute(u16),
}

impl Damage {
    /// Does the damage to a good frame.
    pub(super) fn to(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Cut(length) => bytes[..length.min(bytes.len())].to_vec(),
            Self::Icrc => {
                let mut changed = bytes.to_vec();
                if let Some(last) = changed.last_mut() {
                    *last ^= 0xff;
                }
                changed
            }
            other => other.inside(bytes),
        }
    }

    /// Builds the frame anew, with another content.
    fn inside(self, bytes: &[u8]) -> Vec<u8> {
        let mut frame = Frame::parse(bytes).expect("the peer built it");
        let mut mad = *frame.gsi_mad().expect("the peer built it");
        let mut length = MAD_LEN;
        match self {
            Self::ShortDatagram(shorter) => length = shorter.min(MAD_LEN),
            Self::DestQp(qp) => frame.bth.dest_qp = qp,
            Self::QKey(q_key) => {
                if let Some(deth) = &mut frame.extended.deth {
                    deth.q_key = q_key;
                }
            }
            _ => self.change_header(&mut mad),
        }
        frame.payload = &mad[..length];
        let mut buffer = vec![0; bytes.len()];
        let written = frame.write(&mut buffer).expect("not longer than it was");
        buffer.truncate(written);
        buffer
    }

    fn change_header(self, mad: &mut [u8; MAD_LEN]) {
        let header = mad
            .first_chunk_mut()
            .expect("a datagram is longer than its header");
        let mut changed = MadHeader::from_bytes(header);
        match self {
            Self::BaseVersion(version) => changed.base_version = version,
            Self::MgmtClass(class) => changed.mgmt_class.0 = class,
            Self::ClassVersion(version) => changed.class_version = version,
            Self::Method(method) => changed.method.0 = method,
            Self::Attribute(attribute) => changed.attribute_id = attribute,
            Self::Icrc | Self::Cut(_) | Self::ShortDatagram(_) | Self::DestQp(_) | Self::QKey(_) => {}
        }
        *header = changed.to_bytes();
    }
}
