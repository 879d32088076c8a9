//! Which connection attempts of peers are half open, and which of those the peer has abandoned.
//!
//! A REQ or REP from a peer opens an attempt, named by the peer's address and its communication id. A REJ or DREQ from that
//! peer for that attempt abandons it. It is forgotten when it ends (RTU either way, our REJ or DREQ), when nothing has been
//! heard of it for a long time, or when the table is full and it is the one that has been quiet for longest. What is
//! forgotten counts as not abandoned: the table can only be wrong in the direction of sending a datagram too many.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use roce_wire::cm::{CmMessage, CommId};

/// How long an attempt is followed after the last message about it.
const LIFETIME: Duration = Duration::from_mins(10);

/// An attempt's name: the peer's address (as a GID) and the peer's communication id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    peer: [u8; 16],
    id: CommId,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    abandoned: bool,
    /// Our communication id, once a message has named both: some peers name only this one when they reject.
    our_id: Option<CommId>,
    expires: Instant,
    /// Place in the order of last messages.
    order: u64,
}

/// The table.
pub(crate) struct HalfOpen {
    capacity: usize,
    attempts: HashMap<Name, Attempt>,
    /// Names in the order of their last message.
    order: BTreeMap<u64, Name>,
    next_order: u64,
}

impl HalfOpen {
    /// A table of at most `capacity` attempts.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            attempts: HashMap::new(),
            order: BTreeMap::new(),
            next_order: 0,
        }
    }

    /// A message has come from `peer`. `delivered`: the driver will see it. True if it abandons an attempt.
    pub fn received(&mut self, peer: [u8; 16], message: &CmMessage, delivered: bool, now: Instant) -> bool {
        self.forget_expired(now);
        let name = Name {
            peer,
            id: message.local_comm_id(),
        };
        match message {
            CmMessage::Req(_) | CmMessage::Rep(_) if delivered => {
                self.open(name, message.remote_comm_id(), now);
            }
            CmMessage::Rtu(_) | CmMessage::Drep(_) => self.forget(name),
            CmMessage::Rej(_) | CmMessage::Dreq(_) => {
                return self.abandon(name, message.remote_comm_id(), now);
            }
            CmMessage::Req(_)
            | CmMessage::Rep(_)
            | CmMessage::Mra(_)
            | CmMessage::Lap(_)
            | CmMessage::Apr(_) => {}
        }
        false
    }

    /// We have sent a message to `peer`.
    pub fn sent(&mut self, peer: [u8; 16], message: &CmMessage, now: Instant) {
        let Some(id) = message.remote_comm_id() else {
            return;
        };
        let name = Name { peer, id };
        match message {
            CmMessage::Rep(_) | CmMessage::Mra(_) => {
                if let Some(attempt) = self.attempts.get(&name).copied() {
                    let our_id = Some(message.local_comm_id());
                    self.put(name, Attempt { our_id, ..attempt }, now);
                }
            }
            CmMessage::Rej(_) | CmMessage::Rtu(_) | CmMessage::Dreq(_) => self.forget(name),
            CmMessage::Req(_) | CmMessage::Drep(_) | CmMessage::Lap(_) | CmMessage::Apr(_) => {}
        }
    }

    /// Whether `peer` has abandoned the attempt that it calls `id`.
    pub fn is_abandoned(&mut self, peer: [u8; 16], id: CommId, now: Instant) -> bool {
        self.forget_expired(now);
        self.attempts
            .get(&Name { peer, id })
            .is_some_and(|attempt| attempt.abandoned)
    }

    /// A repeated REQ or REP keeps what is known; one that comes after the end begins anew.
    fn open(&mut self, name: Name, our_id: Option<CommId>, now: Instant) {
        let known = self.attempts.get(&name).filter(|attempt| !attempt.abandoned);
        let our_id = our_id.or(known.and_then(|attempt| attempt.our_id));
        self.put(
            name,
            Attempt {
                abandoned: false,
                our_id,
                expires: now,
                order: 0,
            },
            now,
        );
    }

    fn abandon(&mut self, name: Name, our_id: Option<CommId>, now: Instant) -> bool {
        let name = if self.attempts.contains_key(&name) {
            Some(name)
        } else {
            self.find_by_our_id(name.peer, our_id)
        };
        let Some((name, attempt)) = name.and_then(|name| Some((name, *self.attempts.get(&name)?))) else {
            return false;
        };
        self.put(
            name,
            Attempt {
                abandoned: true,
                ..attempt
            },
            now,
        );
        !attempt.abandoned
    }

    fn find_by_our_id(&self, peer: [u8; 16], our_id: Option<CommId>) -> Option<Name> {
        let is_it = |(name, attempt): &(&Name, &Attempt)| name.peer == peer && attempt.our_id == our_id;
        our_id
            .and_then(|_| self.attempts.iter().find(is_it))
            .map(|(name, _)| *name)
    }

    /// Enters an attempt as the one that was heard of last.
    fn put(&mut self, name: Name, attempt: Attempt, now: Instant) {
        self.forget(name);
        if self.attempts.len() >= self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.attempts.remove(&oldest);
        }
        let order = self.next_order;
        self.next_order += 1;
        self.order.insert(order, name);
        self.attempts.insert(
            name,
            Attempt {
                expires: now + LIFETIME,
                order,
                ..attempt
            },
        );
    }

    fn forget(&mut self, name: Name) {
        if let Some(attempt) = self.attempts.remove(&name) {
            self.order.remove(&attempt.order);
        }
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some((_, name)) = self.order.first_key_value() {
            let name = *name;
            if self
                .attempts
                .get(&name)
                .is_some_and(|attempt| attempt.expires > now)
            {
                return;
            }
            self.forget(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use roce_wire::cm::{Rej, Req};

    use super::*;

    const PEER: [u8; 16] = [7; 16];

    fn req(id: u32) -> CmMessage {
        Req {
            local_comm_id: CommId(id),
            ..Req::default()
        }
        .into()
    }

    fn rej(id: u32) -> CmMessage {
        Rej {
            local_comm_id: CommId(id),
            ..Rej::default()
        }
        .into()
    }

    #[test]
    fn attempts_are_forgotten_after_their_lifetime() {
        let start = Instant::now();
        for (wait, follows) in [(LIFETIME.mul_f32(0.9), true), (LIFETIME.mul_f32(1.1), false)] {
            let mut table = HalfOpen::new(8);
            table.received(PEER, &req(1), true, start);
            assert_eq!(table.received(PEER, &rej(1), true, start + wait), follows);
        }
    }

    #[test]
    fn an_abandoned_attempt_is_remembered_for_its_lifetime() {
        let start = Instant::now();
        let mut table = HalfOpen::new(8);
        table.received(PEER, &req(1), true, start);
        assert!(table.received(PEER, &rej(1), true, start));
        assert!(table.is_abandoned(PEER, CommId(1), start + LIFETIME.mul_f32(0.9)));
        assert!(!table.is_abandoned(PEER, CommId(1), start + LIFETIME.mul_f32(1.1)));
        assert!(table.attempts.is_empty() && table.order.is_empty());
    }

    #[test]
    fn a_repeated_message_makes_an_attempt_young_again() {
        let start = Instant::now();
        let mut table = HalfOpen::new(2);
        for id in [1, 2, 1, 3] {
            table.received(PEER, &req(id), true, start);
        }
        assert!(table.received(PEER, &rej(1), true, start));
        assert!(
            !table.received(PEER, &rej(2), true, start),
            "2 had to make room for 3"
        );
    }

    #[test]
    fn the_table_never_outgrows_its_capacity() {
        let start = Instant::now();
        let mut table = HalfOpen::new(5);
        for id in 0..1000 {
            table.received(PEER, &req(id % 37), true, start);
            table.received(PEER, &rej(id % 11), true, start);
            assert!(table.attempts.len() <= 5);
            assert_eq!(table.attempts.len(), table.order.len());
        }
    }
}
