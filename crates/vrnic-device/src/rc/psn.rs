//! Packet sequence numbers without their wrap.

use roce_wire::num::Psn;

/// The modulus of packet sequence numbers.
const MODULUS: u64 = 1 << 24;

/// A packet's place in one direction of a connection: counts on where the packet sequence number wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seq(u64);

impl Seq {
    /// The first packet. (It is in the second turn, so that places before it exist too.)
    pub fn first(psn: Psn) -> Self {
        Self(MODULUS + u64::from(psn.get()))
    }

    /// The number in the packet.
    pub fn psn(self) -> Psn {
        // The remainder fits, and truncation would do the same.
        Psn::truncated(u32::try_from(self.0 % MODULUS).unwrap_or_default())
    }

    /// The place with that number next to `self`: less than half a turn ahead, at most half a turn behind (IBTA 9.7.2).
    pub fn near(self, psn: Psn) -> Self {
        let ahead = (u64::from(psn.get()) + MODULUS - self.0 % MODULUS) % MODULUS;
        if ahead < MODULUS / 2 {
            Self(self.0 + ahead)
        } else {
            Self((self.0 + ahead).saturating_sub(MODULUS))
        }
    }

    /// The place so many packets later.
    pub const fn after(self, packets: u32) -> Self {
        Self(self.0 + packets as u64)
    }

    /// The place before. There is one for each packet that can come: see [`Self::first`].
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Packets from `earlier` to `self`; 0 if it is not earlier. Never half a turn or more between places of one window.
    pub fn since(self, earlier: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX)
    }
}

/// Packets of a message of `length` bytes: at least one.
pub(super) const fn packets(length: u32, mtu: u32) -> u32 {
    if length == 0 { 1 } else { length.div_ceil(mtu) }
}

#[cfg(test)]
mod tests {
    use super::{Psn, Seq, packets};

    #[test]
    fn numbers_wrap_and_places_do_not() {
        let last = Seq::first(Psn::MAX);
        assert_eq!(last.after(1).psn(), Psn::truncated(0));
        assert!(last.after(1) > last);
        assert_eq!(last.near(Psn::truncated(0)), last.after(1));
        assert_eq!(last.after(1).near(Psn::MAX), last);
        assert_eq!(Seq::first(Psn::truncated(0)).before().psn(), Psn::MAX);
    }

    #[test]
    fn half_a_turn_behind_is_behind() {
        let here = Seq::first(Psn::truncated(0x80_0000));
        assert!(here.near(Psn::truncated(0)) < here);
        assert!(here.near(Psn::truncated(0xff_ffff)) > here);
        let here = here.after(1);
        assert_eq!(here.near(Psn::truncated(0)).since(here), (1 << 23) - 1);
        assert!(here.near(Psn::truncated(1)) < here);
    }

    #[test]
    fn a_message_has_a_packet() {
        assert_eq!([0, 1, 256, 257].map(|length| packets(length, 256)), [1, 1, 1, 2]);
    }
}
