//! A request packet as the responder sees it, and what its opcode says.

use roce_wire::bth::Opcode;
use roce_wire::frame::Frame;
use roce_wire::num::Psn;
use roce_wire::reth::Reth;

/// A request packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub kind: Kind,
    pub psn: Psn,
    pub wants_ack: bool,
    pub solicited: bool,
    pub payload: &'a [u8],
}

/// What a request packet asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Send(Place, Trailer),
    /// The header is there in a first packet.
    Write(Place, Option<Reth>, Trailer),
    Read(Reth),
    Atomic,
}

/// Where in its message a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub is_first: bool,
    pub is_last: bool,
}

/// What a last packet carries beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trailer {
    None,
    Immediate(u32),
    Invalidate(u32),
}

const FIRST: Place = Place {
    is_first: true,
    is_last: false,
};
const MIDDLE: Place = Place {
    is_first: false,
    is_last: false,
};
const LAST: Place = Place {
    is_first: false,
    is_last: true,
};
const ONLY: Place = Place {
    is_first: true,
    is_last: true,
};

impl<'a> Request<'a> {
    /// The request in a frame; none if it is no request of a reliable connection.
    pub fn of(frame: &Frame<'a>) -> Option<Self> {
        let extended = &frame.extended;
        let trailer = match (extended.imm_dt, extended.ieth) {
            (Some(immediate), _) => Trailer::Immediate(immediate.0),
            (_, Some(key)) => Trailer::Invalidate(key.0),
            _ => Trailer::None,
        };
        let kind = match frame.bth.opcode {
            Opcode::RC_SEND_FIRST => Kind::Send(FIRST, trailer),
            Opcode::RC_SEND_MIDDLE => Kind::Send(MIDDLE, trailer),
            Opcode::RC_SEND_LAST
            | Opcode::RC_SEND_LAST_WITH_IMMEDIATE
            | Opcode::RC_SEND_LAST_WITH_INVALIDATE => Kind::Send(LAST, trailer),
            Opcode::RC_SEND_ONLY
            | Opcode::RC_SEND_ONLY_WITH_IMMEDIATE
            | Opcode::RC_SEND_ONLY_WITH_INVALIDATE => Kind::Send(ONLY, trailer),
            Opcode::RC_RDMA_WRITE_FIRST => Kind::Write(FIRST, extended.reth, trailer),
            Opcode::RC_RDMA_WRITE_MIDDLE => Kind::Write(MIDDLE, None, trailer),
            Opcode::RC_RDMA_WRITE_LAST | Opcode::RC_RDMA_WRITE_LAST_WITH_IMMEDIATE => {
                Kind::Write(LAST, None, trailer)
            }
            Opcode::RC_RDMA_WRITE_ONLY | Opcode::RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE => {
                Kind::Write(ONLY, extended.reth, trailer)
            }
            Opcode::RC_RDMA_READ_REQUEST => Kind::Read(extended.reth?),
            Opcode::RC_COMPARE_SWAP | Opcode::RC_FETCH_ADD => Kind::Atomic,
            _ => return None,
        };
        Some(Self {
            kind,
            psn: frame.bth.psn,
            wants_ack: frame.bth.ack_request,
            solicited: frame.bth.solicited_event,
            payload: frame.payload,
        })
    }

    /// Where in its message the packet is, if it belongs to a SEND or WRITE.
    pub const fn place(&self) -> Option<Place> {
        match self.kind {
            Kind::Send(place, _) | Kind::Write(place, ..) => Some(place),
            Kind::Read(_) | Kind::Atomic => None,
        }
    }

    /// Whether its length is what its place in the message asks for (IBTA 9.7.4.1.6).
    pub fn has_right_length(&self, mtu: u32) -> bool {
        let length = self.payload.len();
        let mtu = mtu as usize;
        match self.place() {
            Some(Place { is_last: false, .. }) => length == mtu,
            Some(LAST) => (1..=mtu).contains(&length),
            _ => length <= mtu,
        }
    }
}
