//! All connections and listeners of an adapter: what the driver, its clock and the consumers call.

use core::net::{IpAddr, SocketAddr};
use core::ops::DerefMut;
use core::time::Duration;

use roce_wire::cm::Mtu;

use super::config::Config;
use super::connection::{Circumstances, Connection};
use super::counters::Counters;
use super::event::{Event, Reaction, Step};
use super::index::Kind;
use super::listener::{ListenError, ListenerId, ListenerSlot, Listeners};
use super::state::CmState;
use super::table::{ConnectionId, Slot, Table};
use super::timer::{DeadlineQueue, TimerCell};

/// How many unanswered requests a listener holds unless the caller wants something else.
pub const DEFAULT_BACKLOG: u32 = 1024;

/// Where a manager's memory comes from: fixed arrays that it never grows.
pub trait Tables {
    /// What a listener is to the rest of the driver. Cloned while the manager is locked.
    type Context: Clone + 'static;
    /// What a connection belongs to: who is told about it. Cloned while the manager is locked.
    type Owner: Clone + 'static;
    /// Connections.
    type Slots: DerefMut<Target = [Slot<Self::Owner>]>;
    /// Deadlines, as many as connections.
    type Timers: DerefMut<Target = [TimerCell]>;
    /// Listeners.
    type Listeners: DerefMut<Target = [ListenerSlot<Self::Context>]>;
}

/// What a manager wants done.
pub type Reacts<T> = Reaction<<T as Tables>::Context, <T as Tables>::Owner>;

/// An established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveConnection {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// We have asked for it.
    pub is_active: bool,
}

/// The connection manager of an adapter.
///
/// To be kept in a spin lock: every method is short, allocates nothing, calls nobody. What has to be done is a return value.
/// `now` is the time since any fixed moment; it must not go backwards.
pub struct Manager<T: Tables> {
    pub(super) connections: Table<T::Slots>,
    pub(super) deadlines: DeadlineQueue<T::Timers>,
    pub(super) listeners: Listeners<T::Listeners>,
    pub(super) config: Config,
    pub(super) counters: Counters,
    established: usize,
}

impl<T: Tables> Manager<T> {
    /// A manager in the caller's memory. It holds as many connections as there are both slots and timers, at most
    /// 65,536.
    pub fn new(config: Config, slots: T::Slots, timers: T::Timers, listeners: T::Listeners) -> Self {
        let [seed, _] = config.secret;
        let deadlines = DeadlineQueue::new(timers);
        Self {
            connections: Table::new(slots, deadlines.capacity(), config.secret),
            deadlines,
            listeners: Listeners::new(listeners, seed),
            config,
            counters: Counters::default(),
            established: 0,
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections in the table, those that are over but not yet forgotten included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Takes an address (all of its family, if unspecified) and a port (any ephemeral one, if 0), and has at most
    /// `backlog` unanswered requests to it held at a time. Returns the port too.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(
        &mut self,
        address: IpAddr,
        port: u16,
        backlog: u32,
        context: T::Context,
    ) -> Result<(ListenerId, u16), ListenError> {
        self.listeners.listen(address, port, backlog, context)
    }

    /// Behaves as if nobody listened there, or no longer does so.
    pub fn set_paused(&mut self, listener: ListenerId, paused: bool) {
        self.listeners.set_paused(listener, paused);
    }

    /// Refuses new requests from now on. The address and port stay taken. The context is for dropping after unlocking.
    pub fn stop_listening(&mut self, listener: ListenerId) -> Option<T::Context> {
        self.listeners.stop(listener)
    }

    /// Gives the address and port back; stops listening if that has not been done.
    pub fn release(&mut self, listener: ListenerId) -> Option<T::Context> {
        self.listeners.release(listener)
    }

    /// Addresses and ports that are taken, those of stopped listeners too.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.endpoints()
    }

    /// When [`Manager::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// Does what is due, one thing for each call; `None` if nothing is.
    pub fn expire(&mut self, now: Duration) -> Option<Reacts<T>> {
        let (_, index) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        let Some(id) = self.connections.at(index) else {
            self.deadlines.set(index, None);
            return Some(Reaction::NONE);
        };
        Some(self.step(now, id, Connection::on_deadline))
    }

    /// Connections that are established, for whoever wants a list.
    pub fn established_connections(&self) -> impl Iterator<Item = LiveConnection> {
        let established = |connection: &&Connection| connection.state() == CmState::Established;
        self.connections.iter().filter(established).map(|connection| {
            let (local, peer) = connection.addresses();
            LiveConnection {
                local,
                peer,
                is_active: connection.request().is_none(),
            }
        })
    }

    /// How many connections are established.
    pub fn active_connections(&self) -> usize {
        self.established
    }

    /// The next connection that has an owner, for whoever has to tell something to all of them: `cursor` begins at 0.
    pub fn next_owner(&self, cursor: &mut usize) -> Option<(ConnectionId, T::Owner)> {
        while *cursor < self.connections.capacity() {
            let index = u16::try_from(*cursor).ok()?;
            *cursor += 1;
            if let Some(id) = self.connections.at(index)
                && let Some(owner) = self.connections.owner(id)
            {
                return Some((id, owner.clone()));
            }
        }
        None
    }

    /// Where a connection stands; `None` if it is over and forgotten.
    pub fn state(&self, id: ConnectionId) -> Option<CmState> {
        self.connections.get(id).map(Connection::state)
    }

    /// What is set from now on: how large payloads our port can do. Connections that there are stay as they are.
    pub fn set_path_mtu(&mut self, path_mtu: Mtu) {
        self.config.path_mtu = path_mtu;
    }

    pub(super) const fn at(&self, now: Duration) -> Circumstances {
        Circumstances {
            now,
            config: self.config,
        }
    }

    /// Lets something happen to a connection.
    pub(super) fn step(
        &mut self,
        now: Duration,
        id: ConnectionId,
        happen: impl FnOnce(&mut Connection, &Circumstances) -> Step,
    ) -> Reacts<T> {
        let at = self.at(now);
        let Some((step, is_active)) = self.update(id, |connection| {
            (happen(connection, &at), connection.request().is_none())
        }) else {
            return Reaction::NONE;
        };
        self.counters.unexpected += u64::from(step.unexpected);
        self.counters.connection_errors += u64::from(step.broken);
        let event = step.notice.and_then(|notice| {
            self.counters.count(&notice, is_active);
            Some(Event::Connection {
                connection: id,
                owner: self.connections.owner(id)?.clone(),
                notice,
            })
        });
        Reaction {
            send: step.send,
            event,
        }
    }

    /// Changes a connection, and then whatever depends on its state: deadline, backlog, its place in the table.
    pub(super) fn update<R>(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.state();
        let result = change(connection);
        let (after, deadline) = (connection.state(), connection.deadline());
        let request = connection.request();
        if let Some((listener, _)) = request
            && before.is_unanswered()
            && !after.is_unanswered()
        {
            self.listeners.answered(listener);
        }
        self.count(before, after, request.is_none());
        let is_owned = self.connections.owner(id).is_some();
        let is_forgotten = match after {
            CmState::Idle => true,
            CmState::Rejected => request.is_some() && !self.connections.is_findable(id, Kind::Peer),
            _ => false,
        };
        if is_forgotten && !is_owned {
            self.connections.remove(id);
            self.deadlines.set(id.index(), None);
        } else {
            let may_go = matches!(after, CmState::Rejected | CmState::TimeWait | CmState::DreqSent);
            self.connections.set_evictable(id, may_go && !is_owned);
            self.deadlines.set(id.index(), deadline);
        }
        Some(result)
    }

    fn count(&mut self, before: CmState, after: CmState, is_active: bool) {
        let entered = |state| before != state && after == state;
        let counters = &mut self.counters;
        counters.abandoned += u64::from(entered(CmState::Aborted));
        counters.rejected += u64::from(entered(CmState::Rejected) && before != CmState::Aborted);
        if entered(CmState::Established) {
            self.established += 1;
            counters.connects += u64::from(is_active);
        } else if before == CmState::Established && after != before {
            self.established -= 1;
        }
    }
}
