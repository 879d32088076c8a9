//! The port space: which local addresses and ports are taken (NDKPI Listeners, Connectors, and Endpoints).
//!
//! It is `NetworkDirect`'s own, apart from TCP's. An endpoint belongs to a listener, a shared endpoint, or a connector; the
//! connectors of the first two keep their object, and with it the endpoint, so that nothing is counted here.

use core::net::{IpAddr, SocketAddr};
use core::ops::{DerefMut, RangeInclusive};

/// Ports that whoever does not care gets (NDKPI; RFC 6335).
const EPHEMERAL: RangeInclusive<u16> = 49_152..=65_535;

/// What an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A listener and the connectors that came in over it.
    Listener,
    /// A shared endpoint and the connectors that go out from it.
    Shared,
    /// One connector.
    Connector,
}

/// Why an endpoint cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The address and port are taken.
    Taken,
    /// All ephemeral ports of the address are taken.
    NoPort,
    /// The table is full.
    Full,
}

/// One element of the table's memory. Only the table looks into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointSlot {
    endpoint: Option<(SocketAddr, Owner)>,
    /// First slot of the chain of those ports that have this slot's index as remainder.
    chain: Link,
    /// Next in the chain, or in the free list.
    next: Link,
}

/// A slot's index plus one; 0 is the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const END: Self = Self(0);

    fn to(index: usize) -> Self {
        u32::try_from(index + 1).map_or(Self::END, Self)
    }

    fn index(self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(1)?).ok()
    }
}

/// All endpoints of an adapter, in memory of the caller's.
#[derive(Debug)]
pub struct Endpoints<S> {
    slots: S,
    free: Link,
    /// Where the search for an ephemeral port begins.
    next_port: u16,
}

impl<S: DerefMut<Target = [EndpointSlot]>> Endpoints<S> {
    /// No endpoints, in `slots`. Ephemeral ports are given out from some port on that `seed` decides.
    pub fn new(mut slots: S, seed: u64) -> Self {
        let mut free = Link::END;
        for (index, slot) in slots.iter_mut().enumerate().rev() {
            *slot = EndpointSlot {
                next: free,
                ..EndpointSlot::default()
            };
            free = Link::to(index);
        }
        let offset = u16::try_from(seed % EPHEMERAL.len() as u64).unwrap_or_default();
        Self {
            slots,
            free,
            next_port: EPHEMERAL.start() + offset,
        }
    }

    /// Takes `local`, with any free ephemeral port if its port is 0.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&mut self, local: SocketAddr, owner: Owner) -> Result<SocketAddr, BindError> {
        let index = self.free.index().ok_or(BindError::Full)?;
        let mut local = local;
        if local.port() == 0 {
            local.set_port(self.ephemeral_port(local.ip()).ok_or(BindError::NoPort)?);
        } else if !self.is_free(local.ip(), local.port()) {
            return Err(BindError::Taken);
        }
        let chain = self.chain_of(local.port());
        let next = core::mem::replace(&mut self.slots[chain].chain, Link::to(index));
        let slot = &mut self.slots[index];
        self.free = core::mem::replace(&mut slot.next, next);
        slot.endpoint = Some((local, owner));
        Ok(local)
    }

    /// Gives back what [`Endpoints::bind`] returned.
    pub fn release(&mut self, local: SocketAddr) {
        let chain = self.chain_of(local.port());
        let mut before: Option<usize> = None;
        let mut link = self.slots[chain].chain;
        while let Some(index) = link.index() {
            let next = self.slots[index].next;
            if self.slots[index]
                .endpoint
                .is_some_and(|(taken, _)| taken == local)
            {
                match before {
                    None => self.slots[chain].chain = next,
                    Some(before) => self.slots[before].next = next,
                }
                self.slots[index].endpoint = None;
                self.slots[index].next = self.free;
                self.free = Link::to(index);
                return;
            }
            before = Some(index);
            link = next;
        }
    }

    /// All endpoints, with what they are for.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, Owner)> {
        self.slots.iter().filter_map(|slot| slot.endpoint)
    }

    fn ephemeral_port(&mut self, address: IpAddr) -> Option<u16> {
        for _ in EPHEMERAL {
            let port = self.next_port;
            self.next_port = if port == *EPHEMERAL.end() {
                *EPHEMERAL.start()
            } else {
                port + 1
            };
            if self.is_free(address, port) {
                return Some(port);
            }
        }
        None
    }

    fn is_free(&self, address: IpAddr, port: u16) -> bool {
        let mut link = self.slots[self.chain_of(port)].chain;
        while let Some(index) = link.index() {
            let slot = &self.slots[index];
            if slot
                .endpoint
                .is_some_and(|(taken, _)| taken.port() == port && overlaps(taken.ip(), address))
            {
                return false;
            }
            link = slot.next;
        }
        true
    }

    fn chain_of(&self, port: u16) -> usize {
        usize::from(port) % self.slots.len()
    }
}

/// Whether two endpoints with the same port would be in each other's way.
fn overlaps(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4() && (one == other || one.is_unspecified() || other.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Table = Endpoints<Vec<EndpointSlot>>;

    fn table(slots: usize) -> Table {
        Endpoints::new(vec![EndpointSlot::default(); slots], 7)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("test address")
    }

    #[test]
    fn an_address_and_port_belong_to_one() {
        let mut table = table(8);
        let local = address("10.0.0.1:445");
        assert_eq!(table.bind(local, Owner::Listener), Ok(local));
        assert_eq!(table.bind(local, Owner::Connector), Err(BindError::Taken));
        let other = address("10.0.0.2:445");
        assert_eq!(table.bind(other, Owner::Shared), Ok(other));
        assert_eq!(
            table.bind(address("0.0.0.0:445"), Owner::Listener),
            Err(BindError::Taken),
            "any address overlaps with each"
        );
        let ipv6 = address("[::]:445");
        assert_eq!(table.bind(ipv6, Owner::Listener), Ok(ipv6), "another family");
        table.release(local);
        assert_eq!(table.bind(local, Owner::Connector), Ok(local));
        let all: Vec<_> = table.iter().collect();
        assert_eq!(all.len(), 3);
        assert!(all.contains(&(local, Owner::Connector)));
    }

    #[test]
    fn ephemeral_ports_are_all_given_out_once() {
        let mut table = table(EPHEMERAL.len() + 1);
        let any = address("10.0.0.1:0");
        let ports: std::collections::BTreeSet<u16> = EPHEMERAL
            .map(|_| table.bind(any, Owner::Connector).expect("one is left").port())
            .collect();
        assert!(ports.iter().copied().eq(EPHEMERAL));
        assert_eq!(table.bind(any, Owner::Connector), Err(BindError::NoPort));
        table.release(address("10.0.0.1:50000"));
        assert_eq!(table.bind(any, Owner::Connector), Ok(address("10.0.0.1:50000")));
    }

    #[test]
    fn a_full_table_says_so() {
        let mut table = table(2);
        let any = address("10.0.0.1:0");
        let first = table.bind(any, Owner::Connector).expect("room");
        table.bind(any, Owner::Connector).expect("room");
        assert_eq!(table.bind(any, Owner::Connector), Err(BindError::Full));
        table.release(first);
        assert!(table.bind(any, Owner::Connector).is_ok());
    }

    proptest! {
        /// Against a plain list.
        #[test]
        fn it_behaves_like_a_list(steps in prop::collection::vec((any::<bool>(), 0..3u8, 1..6u16), 1..200)) {
            let mut table = table(8);
            let mut model: Vec<SocketAddr> = Vec::new();
            for (bind, last, port) in steps {
                let local = SocketAddr::new(IpAddr::from([if last == 0 { 0 } else { 10 }, 0, 0, last]), port);
                if bind {
                    let taken = model.iter().any(|other| other.port() == port && overlaps(other.ip(), local.ip()));
                    let expected = match (model.len(), taken) {
                        (8, _) => Err(BindError::Full),
                        (_, true) => Err(BindError::Taken),
                        _ => Ok(local),
                    };
                    prop_assert_eq!(table.bind(local, Owner::Shared), expected);
                    if expected.is_ok() {
                        model.push(local);
                    }
                } else {
                    table.release(local);
                    model.retain(|other| *other != local);
                }
                let mut all: Vec<_> = table.iter().map(|(local, _)| local).collect();
                all.sort();
                model.sort();
                prop_assert_eq!(&all, &model);
            }
        }
    }
}
