//! Hash chains through the slots of the table: finds connections by what they are called.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use roce_wire::cm::CommId;
use roce_wire::gid::Gid;
use roce_wire::num::Qpn;
use siphasher::sip::SipHasher13;

/// What a connection can be found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// What the peer calls it.
    Peer(Gid, CommId),
    /// The peer's queue pair.
    PeerQp(Gid, Qpn),
    /// Our address and port, and the peer's.
    Addresses((IpAddr, u16), (IpAddr, u16)),
}

/// The kinds of [`Key`]; each has chains of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Key::Peer`].
    Peer,
    /// [`Key::PeerQp`].
    PeerQp,
    /// [`Key::Addresses`].
    Addresses,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Peer, Self::PeerQp, Self::Addresses];
}

impl Key {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Peer(..) => Kind::Peer,
            Self::PeerQp(..) => Kind::PeerQp,
            Self::Addresses(..) => Kind::Addresses,
        }
    }

    /// The chain that it is in, of `chains`; peers cannot tell which.
    pub fn chain(&self, secret: [u64; 2], chains: usize) -> u16 {
        let [first, second] = secret;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        self.hash(&mut hasher);
        let chain = hasher.finish() % (chains.max(1) as u64);
        u16::try_from(chain).unwrap_or_default()
    }
}

/// A slot's part of the chains of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links {
    /// First slot of the chain that has this slot's index as its number.
    first: Option<u16>,
    /// Next slot in the chain that this slot is in.
    next: Option<u16>,
    /// The chain that this slot is in.
    member: Option<u16>,
}

/// Something that has links, of each kind.
pub trait Linked {
    /// Those of `kind`.
    fn links(&mut self, kind: Kind) -> &mut Links;
    /// The same, to look at.
    fn peek(&self, kind: Kind) -> &Links;
}

/// Puts slot `index`, which is in no chain of the kind, at the beginning of `chain`.
pub fn link(slots: &mut [impl Linked], kind: Kind, chain: u16, index: u16) {
    let next = slots[usize::from(chain)].links(kind).first.replace(index);
    let links = slots[usize::from(index)].links(kind);
    links.next = next;
    links.member = Some(chain);
}

/// Takes slot `index` out of its chain, if it is in one.
pub fn unlink(slots: &mut [impl Linked], kind: Kind, index: u16) {
    let links = slots[usize::from(index)].links(kind);
    let Some(chain) = links.member.take() else { return };
    let after = links.next.take();
    let first = &mut slots[usize::from(chain)].links(kind).first;
    if *first == Some(index) {
        *first = after;
        return;
    }
    let mut next = *first;
    while let Some(other) = next {
        let links = slots[usize::from(other)].links(kind);
        if links.next == Some(index) {
            links.next = after;
            return;
        }
        next = links.next;
    }
}

/// Whether slot `index` is in a chain.
pub fn is_linked(slots: &[impl Linked], kind: Kind, index: u16) -> bool {
    slots
        .get(usize::from(index))
        .is_some_and(|slot| slot.peek(kind).member.is_some())
}

/// The slots of a chain, the newest first.
pub fn members<L: Linked>(slots: &[L], kind: Kind, chain: u16) -> impl Iterator<Item = u16> {
    let first = slots
        .get(usize::from(chain))
        .and_then(|slot| slot.peek(kind).first);
    core::iter::successors(first, move |index| {
        slots
            .get(usize::from(*index))
            .and_then(|slot| slot.peek(kind).next)
    })
}
