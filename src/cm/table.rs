//! The table of connections: a fixed number of slots, found by name or by what the peer calls them.

use core::hash::Hasher;
use core::ops::DerefMut;

use roce_wire::cm::CommId;
use roce_wire::gid::Gid;
use siphasher::sip::SipHasher13;

use super::comm_id::CommIds;
use super::connection::Connection;

/// Names a connection to the rest of the driver. Once the connection is over the name stays invalid: calls with it have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    index: u16,
    generation: u64,
}

impl ConnectionId {
    /// The connection's slot: no other connection has the same at the same time.
    pub(super) const fn index(self) -> u16 {
        self.index
    }
}

/// What the peer calls a connection: unique among all peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerKey {
    /// The peer's port.
    pub gid: Gid,
    /// Its communication id.
    pub comm_id: CommId,
}

/// One element of the memory of the manager's connections. Only the manager looks into it.
#[derive(Debug, Default)]
pub struct Slot {
    connection: Option<Connection>,
    /// How often this slot has been used.
    generation: u64,
    /// First slot of the hash chain that has this slot's index as its number.
    chain: Option<u16>,
    /// Next slot in the same chain.
    chained: Option<u16>,
    /// Whether the connection is in a chain.
    findable: bool,
    /// Neighbours in the free list or in the list of those that may be evicted.
    previous: Option<u16>,
    next: Option<u16>,
    evictable: bool,
}

/// A list of slots, oldest first, linked through them.
#[derive(Debug, Default)]
struct SlotList {
    oldest: Option<u16>,
    newest: Option<u16>,
}

impl SlotList {
    fn push(&mut self, slots: &mut [Slot], index: u16) {
        let newest = self.newest.replace(index);
        match newest {
            Some(newest) => slots[usize::from(newest)].next = Some(index),
            None => self.oldest = Some(index),
        }
        let slot = &mut slots[usize::from(index)];
        slot.previous = newest;
        slot.next = None;
    }

    /// Takes out a slot that is in this list.
    fn remove(&mut self, slots: &mut [Slot], index: u16) {
        let slot = &mut slots[usize::from(index)];
        let (previous, next) = (slot.previous.take(), slot.next.take());
        match previous {
            Some(previous) => slots[usize::from(previous)].next = next,
            None => self.oldest = next,
        }
        match next {
            Some(next) => slots[usize::from(next)].previous = previous,
            None => self.newest = previous,
        }
    }

    fn pop(&mut self, slots: &mut [Slot]) -> Option<u16> {
        let oldest = self.oldest?;
        self.remove(slots, oldest);
        Some(oldest)
    }
}

/// A connection that [`Table::insert`] has added.
#[derive(Clone, Copy, Debug)]
pub struct Inserted {
    /// Its name.
    pub id: ConnectionId,
    /// Whether another one was removed to make room.
    pub evicted: bool,
}

fn low_bits(generation: u64) -> u16 {
    let [low, high, ..] = generation.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Connections in the slots that the caller provides. All operations take constant time, apart from hash chains.
#[derive(Debug)]
pub struct Table<S> {
    slots: S,
    capacity: usize,
    secret: [u64; 2],
    free: SlotList,
    evictable: SlotList,
    len: usize,
}

impl<S: DerefMut<Target = [Slot]>> Table<S> {
    /// Most slots that a table uses.
    pub const MAX: usize = 1 << 16;

    /// An empty table in the first `capacity` of `slots`. `secret` makes chains and ids unpredictable for peers.
    pub fn new(slots: S, capacity: usize, secret: [u64; 2]) -> Self {
        let capacity = capacity.min(slots.len()).min(Self::MAX);
        let (free, evictable) = (SlotList::default(), SlotList::default());
        let mut table = Self {
            slots,
            capacity,
            secret,
            free,
            evictable,
            len: 0,
        };
        for index in (0..=u16::MAX).take(capacity) {
            table.slots[usize::from(index)] = Slot::default();
            table.free.push(&mut table.slots, index);
        }
        table
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection; `None` if every slot is in use by one that may not be evicted. The one that has been evictable
    /// longest makes room.
    pub fn insert(&mut self, connection: Connection) -> Option<Inserted> {
        let evicted = match self.free.oldest {
            Some(_) => None,
            None => Some(self.evictable.oldest?),
        };
        if let Some(index) = evicted {
            self.remove(self.id(index));
        }
        let index = self.free.pop(&mut self.slots)?;
        let comm_ids = self.comm_ids();
        let slot = &mut self.slots[usize::from(index)];
        slot.generation += 1;
        if comm_ids.encode(index, low_bits(slot.generation)) == CommId(0) {
            slot.generation += 1;
        }
        slot.connection = Some(connection);
        self.len += 1;
        self.link(index);
        Some(Inserted {
            id: self.id(index),
            evicted: evicted.is_some(),
        })
    }

    /// Ends the use of the connection's slot.
    pub fn remove(&mut self, id: ConnectionId) {
        self.hide(id);
        self.set_evictable(id, false);
        if let Some(slot) = self.slot_mut(id) {
            slot.connection = None;
            self.len -= 1;
            self.free.push(&mut self.slots, id.index);
        }
    }

    /// The connection, unless it is over.
    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots
            .get(usize::from(id.index))
            .filter(|slot| slot.generation == id.generation)?
            .connection
            .as_ref()
    }

    /// The connection, unless it is over.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slot_mut(id)?.connection.as_mut()
    }

    /// The connection that a timer key (its slot's number) belongs to.
    pub fn at(&self, index: u16) -> Option<ConnectionId> {
        self.slots
            .get(usize::from(index))?
            .connection
            .as_ref()
            .map(|_| self.id(index))
    }

    /// The newest connection that the peer calls so.
    pub fn find(&self, peer: PeerKey) -> Option<ConnectionId> {
        let mut next = self.slots.get(self.chain_of(peer))?.chain;
        while let Some(index) = next {
            let slot = self.slots.get(usize::from(index))?;
            if slot
                .connection
                .as_ref()
                .is_some_and(|connection| connection.peer() == peer)
            {
                return Some(self.id(index));
            }
            next = slot.chained;
        }
        None
    }

    /// What we call the connection towards the peer.
    pub fn local_comm_id(&self, id: ConnectionId) -> CommId {
        self.comm_ids().encode(id.index, low_bits(id.generation))
    }

    /// Makes [`Table::find`] pass over the connection: its peer uses the id for something else now.
    pub fn hide(&mut self, id: ConnectionId) {
        let Some(peer) = self.get(id).map(Connection::peer) else {
            return;
        };
        let chain = self.chain_of(peer);
        let slots = &mut *self.slots;
        let slot = &mut slots[usize::from(id.index)];
        if !core::mem::take(&mut slot.findable) {
            return;
        }
        let after = slot.chained.take();
        if slots[chain].chain == Some(id.index) {
            slots[chain].chain = after;
            return;
        }
        let mut next = slots[chain].chain;
        while let Some(index) = next {
            next = slots[usize::from(index)].chained;
            if next == Some(id.index) {
                slots[usize::from(index)].chained = after;
            }
        }
    }

    /// Whether [`Table::find`] can find the connection.
    pub fn is_findable(&self, id: ConnectionId) -> bool {
        self.get(id).is_some() && self.slots[usize::from(id.index)].findable
    }

    /// Says whether the connection may be removed to make room for another one.
    pub fn set_evictable(&mut self, id: ConnectionId, evictable: bool) {
        let Some(slot) = self.slot_mut(id) else { return };
        if core::mem::replace(&mut slot.evictable, evictable) {
            self.evictable.remove(&mut self.slots, id.index);
        }
        if evictable {
            self.evictable.push(&mut self.slots, id.index);
        }
    }

    fn link(&mut self, index: u16) {
        let Some(peer) = self.slots[usize::from(index)]
            .connection
            .as_ref()
            .map(Connection::peer)
        else {
            return;
        };
        let chain = self.chain_of(peer);
        let after = self.slots[chain].chain.replace(index);
        let slot = &mut self.slots[usize::from(index)];
        slot.chained = after;
        slot.findable = true;
    }

    fn chain_of(&self, peer: PeerKey) -> usize {
        let [first, second] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        hasher.write(&peer.gid.0);
        hasher.write_u32(peer.comm_id.0);
        let chains = self.capacity.max(1) as u64;
        usize::try_from(hasher.finish() % chains).unwrap_or_default()
    }

    fn comm_ids(&self) -> CommIds {
        CommIds::new(self.secret)
    }

    fn id(&self, index: u16) -> ConnectionId {
        ConnectionId {
            index,
            generation: self.slots[usize::from(index)].generation,
        }
    }

    fn slot_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots
            .get_mut(usize::from(id.index))
            .filter(|slot| slot.generation == id.generation && slot.connection.is_some())
    }
}
