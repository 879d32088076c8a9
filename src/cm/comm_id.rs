//! Our own communication ids: each names a slot of the table and one use of it.

use core::hash::Hasher;

use roce_wire::cm::CommId;
use roce_wire::num::Psn;
use siphasher::sip::SipHasher13;

/// Turns a slot of the table and the number of its use into a communication id.
///
/// A keyed permutation of 32 bits (a balanced Feistel network): two uses never share an id, an id comes back only after
/// its slot has been used 65,536 times, and whoever does not have the key cannot tell the next one from the last.
#[derive(Clone, Copy)]
pub struct CommIds {
    secret: [u64; 2],
}

const ROUNDS: u8 = 4;

impl CommIds {
    /// Ids under the key `secret`, which should be random.
    pub const fn new(secret: [u64; 2]) -> Self {
        Self { secret }
    }

    /// The id of the `generation`th use of slot `index`. One combination gives 0, which in a REJ means "none".
    pub fn encode(self, index: u16, generation: u16) -> CommId {
        let (left, right) = (0..ROUNDS).fold((index, generation), |(left, right), round| {
            (right, left ^ self.mix(round, right))
        });
        CommId(u32::from(left) << 16 | u32::from(right))
    }

    /// The slot and the use of it that have the id.
    pub fn decode(self, id: CommId) -> (u16, u16) {
        let [a, b, c, d] = id.0.to_be_bytes();
        let halves = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        (0..ROUNDS).rev().fold(halves, |(left, right), round| {
            (right ^ self.mix(round, left), left)
        })
    }

    /// The first packet sequence number of the connection that has the id: as hard to guess.
    pub fn starting_psn(self, id: CommId) -> Psn {
        let [first, second] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(second, first);
        hasher.write_u32(id.0);
        let [a, b, c, ..] = hasher.finish().to_be_bytes();
        Psn::from_be_bytes([a, b, c])
    }

    fn mix(self, round: u8, half: u16) -> u16 {
        let [first, second] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        hasher.write_u8(round);
        hasher.write_u16(half);
        let [low, high, ..] = hasher.finish().to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_uses_share_an_id(secret: [u64; 2], one: (u16, u16), other: (u16, u16)) {
            prop_assume!(one != other);
            let ids = CommIds::new(secret);
            prop_assert_ne!(ids.encode(one.0, one.1), ids.encode(other.0, other.1));
        }

        #[test]
        fn an_id_says_which_use_of_which_slot(secret: [u64; 2], index: u16, generation: u16) {
            let ids = CommIds::new(secret);
            prop_assert_eq!(ids.decode(ids.encode(index, generation)), (index, generation));
        }

        #[test]
        fn ids_depend_on_the_secret(first: [u64; 2], second: [u64; 2]) {
            prop_assume!(first != second);
            let run = |secret| (0..8).map(|n| CommIds::new(secret).encode(0, n)).collect::<Vec<_>>();
            prop_assert_ne!(run(first), run(second));
        }
    }
}
