//! Who listens where, and for how many requests at a time.

use core::net::{IpAddr, SocketAddr};
use core::ops::DerefMut;

/// Names a listener to the rest of the driver. Once it is released the name stays invalid: calls with it have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId {
    index: usize,
    generation: u64,
}

/// Why nobody can listen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// The address and port are taken.
    AddressInUse,
    /// All ephemeral ports of the address are taken.
    NoPort,
    /// All listener slots are taken.
    NoResources,
}

/// Why a request finds no listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// Nobody listens there, or not at present.
    NoListener,
    /// The listener has as many unanswered requests as it wants.
    BacklogFull,
}

/// Ports that a listener gets which asks for none (RFC 6335).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 49_152..=65_535;

/// One element of the memory of the manager's listeners. Only the manager looks into it.
#[derive(Debug)]
pub struct ListenerSlot<C> {
    bound: Option<Bound<C>>,
    /// How often this slot has been used.
    generation: u64,
}

impl<C> Default for ListenerSlot<C> {
    fn default() -> Self {
        Self {
            bound: None,
            generation: 0,
        }
    }
}

/// An address that is taken.
#[derive(Debug)]
struct Bound<C> {
    address: IpAddr,
    port: u16,
    backlog: u32,
    /// Requests that the consumer has not answered.
    held: u32,
    paused: bool,
    /// `None` once the listener has stopped: the address stays taken until its connections are closed.
    context: Option<C>,
}

impl<C> Bound<C> {
    /// Whether both want requests for the same address and port.
    fn overlaps(&self, address: IpAddr, port: u16) -> bool {
        self.port == port
            && self.address.is_ipv4() == address.is_ipv4()
            && (self.address == address || self.address.is_unspecified() || address.is_unspecified())
    }
}

/// All listeners of an adapter.
#[derive(Debug)]
pub struct Listeners<L> {
    slots: L,
    /// Where the search for an ephemeral port begins.
    next_port: u16,
}

impl<C: Clone + 'static, L: DerefMut<Target = [ListenerSlot<C>]>> Listeners<L> {
    /// No listeners, in `slots`. Ephemeral ports are given out from some port on that `seed` decides.
    pub fn new(mut slots: L, seed: u64) -> Self {
        slots.fill_with(ListenerSlot::default);
        let ports = EPHEMERAL.len() as u64;
        let offset = u16::try_from(seed % ports).unwrap_or_default();
        Self {
            slots,
            next_port: EPHEMERAL.start() + offset,
        }
    }

    /// See [`super::Manager::listen`].
    pub fn listen(
        &mut self,
        address: IpAddr,
        port: u16,
        backlog: u32,
        context: C,
    ) -> Result<(ListenerId, u16), ListenError> {
        let index = self
            .slots
            .iter()
            .position(|slot| slot.bound.is_none())
            .ok_or(ListenError::NoResources)?;
        let port = match port {
            0 => self.ephemeral_port(address).ok_or(ListenError::NoPort)?,
            _ if self.is_free(address, port) => port,
            _ => return Err(ListenError::AddressInUse),
        };
        let slot = &mut self.slots[index];
        slot.generation += 1;
        slot.bound = Some(Bound {
            address,
            port,
            backlog,
            held: 0,
            paused: false,
            context: Some(context),
        });
        Ok((
            ListenerId {
                index,
                generation: slot.generation,
            },
            port,
        ))
    }

    /// See [`super::Manager::set_paused`].
    pub fn set_paused(&mut self, id: ListenerId, paused: bool) {
        if let Some(bound) = self.bound(id) {
            bound.paused = paused;
        }
    }

    /// See [`super::Manager::stop_listening`].
    pub fn stop(&mut self, id: ListenerId) -> Option<C> {
        self.bound(id)?.context.take()
    }

    /// See [`super::Manager::release`].
    pub fn release(&mut self, id: ListenerId) -> Option<C> {
        let context = self.stop(id);
        if self.bound(id).is_some() {
            self.slots[id.index].bound = None;
        }
        context
    }

    /// See [`super::Manager::listeners`].
    pub fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        let bound = self.slots.iter().filter_map(|slot| slot.bound.as_ref());
        bound.map(|bound| SocketAddr::new(bound.address, bound.port))
    }

    /// Counts a request in, if there is a listener for it.
    pub fn admit(&mut self, address: IpAddr, port: u16) -> Result<(ListenerId, C), Unwanted> {
        let (index, generation, bound) = (self.slots.iter_mut().enumerate())
            .find_map(|(index, slot)| {
                let bound = slot
                    .bound
                    .as_mut()
                    .filter(|bound| bound.overlaps(address, port))?;
                Some((index, slot.generation, bound))
            })
            .ok_or(Unwanted::NoListener)?;
        let context = bound
            .context
            .as_ref()
            .filter(|_| !bound.paused)
            .ok_or(Unwanted::NoListener)?;
        if bound.held >= bound.backlog {
            return Err(Unwanted::BacklogFull);
        }
        bound.held += 1;
        Ok((ListenerId { index, generation }, context.clone()))
    }

    /// Counts a request out: the consumer has answered it, or it never got that far.
    pub fn answered(&mut self, id: ListenerId) {
        if let Some(bound) = self.bound(id) {
            bound.held = bound.held.saturating_sub(1);
        }
    }

    fn bound(&mut self, id: ListenerId) -> Option<&mut Bound<C>> {
        self.slots
            .get_mut(id.index)
            .filter(|slot| slot.generation == id.generation)?
            .bound
            .as_mut()
    }

    fn is_free(&self, address: IpAddr, port: u16) -> bool {
        !self
            .slots
            .iter()
            .filter_map(|slot| slot.bound.as_ref())
            .any(|bound| bound.overlaps(address, port))
    }

    /// The next free port. One more try than there are listeners finds one, unless there are more listeners than ports.
    fn ephemeral_port(&mut self, address: IpAddr) -> Option<u16> {
        let tries = (self.slots.len() + 1).min(EPHEMERAL.len());
        let mut candidates = (self.next_port..=*EPHEMERAL.end()).chain(EPHEMERAL).take(tries);
        let port = candidates.find(|port| self.is_free(address, *port))?;
        self.next_port = port.checked_add(1).unwrap_or(*EPHEMERAL.start());
        Some(port)
    }
}
