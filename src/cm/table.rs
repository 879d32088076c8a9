//! The table of connections: a fixed number of slots, found by name or by what the peer calls them.

use core::ops::DerefMut;

use roce_wire::cm::CommId;
use roce_wire::num::Psn;

use super::comm_id::CommIds;
use super::connection::Connection;
use super::index::{self, Key, Kind, Linked, Links};

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

/// One element of the memory of the manager's connections. Only the manager looks into it. `O` is what a connection belongs to.
#[derive(Debug)]
pub struct Slot<O> {
    connection: Option<Connection>,
    owner: Option<O>,
    /// How often this slot has been used.
    generation: u64,
    links: [Links; Kind::ALL.len()],
    /// Neighbours in the free list or in the list of those that may be evicted.
    previous: Option<u16>,
    next: Option<u16>,
    evictable: bool,
}

impl<O> Default for Slot<O> {
    fn default() -> Self {
        Self {
            connection: None,
            owner: None,
            generation: 0,
            links: [Links::default(); Kind::ALL.len()],
            previous: None,
            next: None,
            evictable: false,
        }
    }
}

impl<O> Linked for Slot<O> {
    fn links(&mut self, kind: Kind) -> &mut Links {
        &mut self.links[kind as usize]
    }

    fn peek(&self, kind: Kind) -> &Links {
        &self.links[kind as usize]
    }
}

/// A list of slots, oldest first, linked through them.
#[derive(Debug, Default)]
struct SlotList {
    oldest: Option<u16>,
    newest: Option<u16>,
}

impl SlotList {
    fn push<O>(&mut self, slots: &mut [Slot<O>], index: u16) {
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
    fn remove<O>(&mut self, slots: &mut [Slot<O>], index: u16) {
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

    fn pop<O>(&mut self, slots: &mut [Slot<O>]) -> Option<u16> {
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

impl<O: 'static, S: DerefMut<Target = [Slot<O>]>> Table<S> {
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

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().filter_map(|slot| slot.connection.as_ref())
    }

    /// Adds the connection that `make` makes from our communication id and first packet
    /// sequence number for it; `None` if every slot is in use by one
    /// that may not be evicted. The one that has been evictable longest makes room.
    pub fn insert(&mut self, make: impl FnOnce(CommId, Psn) -> Connection) -> Option<Inserted> {
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
        let comm_id = comm_ids.encode(index, low_bits(slot.generation));
        slot.connection = Some(make(comm_id, comm_ids.starting_psn(comm_id)));
        self.len += 1;
        Some(Inserted {
            id: self.id(index),
            evicted: evicted.is_some(),
        })
    }

    /// Ends the use of the connection's slot. It has no owner.
    pub fn remove(&mut self, id: ConnectionId) {
        for kind in Kind::ALL {
            self.hide(id, kind);
        }
        self.set_evictable(id, false);
        if let Some(slot) = self.slot_mut(id) {
            slot.connection = None;
            self.len -= 1;
            self.free.push(&mut self.slots, id.index);
        }
    }

    /// The connection, unless it is over.
    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slot(id)?.connection.as_ref()
    }

    /// The connection, unless it is over.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slot_mut(id)?.connection.as_mut()
    }

    /// How many slots there are.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the connection belongs to.
    pub fn owner(&self, id: ConnectionId) -> Option<&O> {
        self.slot(id)?.owner.as_ref()
    }

    /// Changes what the connection belongs to, and returns what it was.
    pub fn set_owner(&mut self, id: ConnectionId, owner: Option<O>) -> Option<O> {
        core::mem::replace(&mut self.slot_mut(id)?.owner, owner)
    }

    /// The connection that a timer key (its slot's number) belongs to.
    pub fn at(&self, index: u16) -> Option<ConnectionId> {
        let slot = self.slots.get(usize::from(index))?;
        slot.connection.as_ref().map(|_| self.id(index))
    }

    /// The connection that we call so.
    pub fn find_ours(&self, comm_id: CommId) -> Option<ConnectionId> {
        let (index, generation) = self.comm_ids().decode(comm_id);
        self.at(index).filter(|id| low_bits(id.generation) == generation)
    }

    /// The newest connection with that key that `is_wanted`.
    pub fn find(&self, key: Key, is_wanted: impl Fn(&Connection) -> bool) -> Option<ConnectionId> {
        let chain = key.chain(self.secret, self.capacity);
        let mut members = index::members(&self.slots, key.kind(), chain);
        let index = members.find(|index| {
            let connection = self.slots[usize::from(*index)].connection.as_ref();
            connection
                .is_some_and(|connection| connection.key(key.kind()) == Some(key) && is_wanted(connection))
        })?;
        Some(self.id(index))
    }

    /// Lets [`Table::find`] find the connection by its key of that kind as it now is.
    pub fn show(&mut self, id: ConnectionId, kind: Kind) {
        self.hide(id, kind);
        let Some(key) = self.get(id).and_then(|connection| connection.key(kind)) else {
            return;
        };
        let chain = key.chain(self.secret, self.capacity);
        index::link(&mut self.slots, kind, chain, id.index);
    }

    /// Makes [`Table::find`] pass over the connection, as far as keys of that kind are concerned.
    pub fn hide(&mut self, id: ConnectionId, kind: Kind) {
        if self.get(id).is_some() {
            index::unlink(&mut self.slots, kind, id.index);
        }
    }

    /// Whether [`Table::find`] can find the connection by a key of that kind.
    pub fn is_findable(&self, id: ConnectionId, kind: Kind) -> bool {
        self.get(id).is_some() && index::is_linked(&self.slots, kind, id.index)
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

    fn comm_ids(&self) -> CommIds {
        CommIds::new(self.secret)
    }

    fn id(&self, index: u16) -> ConnectionId {
        ConnectionId {
            index,
            generation: self.slots[usize::from(index)].generation,
        }
    }

    fn slot(&self, id: ConnectionId) -> Option<&Slot<O>> {
        let slot = self.slots.get(usize::from(id.index))?;
        (slot.generation == id.generation && slot.connection.is_some()).then_some(slot)
    }

    fn slot_mut(&mut self, id: ConnectionId) -> Option<&mut Slot<O>> {
        let slot = self.slots.get_mut(usize::from(id.index))?;
        (slot.generation == id.generation && slot.connection.is_some()).then_some(slot)
    }
}
