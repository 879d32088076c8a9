//! The wire.

use core::time::Duration;
use std::collections::BTreeMap;

use roce_wire::mad::Mad;

use super::super::cm::AddressHandle;
use super::Entropy;

/// Longest delay: shorter than the packet life time that the managers are told.
const SLOWEST: u64 = 15;

/// A datagram on its way.
#[derive(Clone, Copy)]
pub struct Packet {
    /// To which node; `None` if to the third party.
    pub to: Option<usize>,
    /// As its receiver will see it.
    pub from: AddressHandle,
    pub mad: Mad,
}

/// Packets under way, and what the wire does to them.
#[derive(Default)]
pub struct Wire {
    under_way: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
    /// In 256ths.
    loss: u8,
    doubles: u8,
    delays: bool,
    /// What was sent last, for whoever listens in.
    pub seen: Vec<Packet>,
}

impl Wire {
    /// From perfect to terrible.
    pub fn set_quality(&mut self, byte: u8) {
        self.loss = [0, 0, 20, 100][usize::from(byte & 3)];
        self.doubles = [0, 60][usize::from(byte >> 2 & 1)];
        self.delays = byte & 8 != 0;
    }

    /// Nothing arrives any more.
    pub fn kill(&mut self) {
        self.loss = u8::MAX;
        self.under_way.clear();
    }

    /// Everything arrives.
    pub fn heal(&mut self) {
        self.set_quality(0);
    }

    pub fn send(&mut self, now: Duration, entropy: &mut Entropy<'_>, packet: Packet) {
        if self.seen.len() == 64 {
            self.seen.remove(0);
        }
        self.seen.push(packet);
        let copies = if self.doubles > 0 && entropy.byte() < self.doubles {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let is_lost = self.loss == u8::MAX || self.loss > 0 && entropy.byte() < self.loss;
            if !is_lost {
                let delay = if self.delays {
                    u64::from(entropy.byte()) % SLOWEST
                } else {
                    0
                };
                self.sent += 1;
                let at = now + Duration::from_millis(1 + delay);
                self.under_way.insert((at, self.sent), packet);
            }
        }
    }

    pub fn next_arrival(&self) -> Option<Duration> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    pub fn take(&mut self, now: Duration) -> Option<Packet> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
