//! Interfaces and their unicast addresses, and who wants to be told when they change.

use super::addresses;
use crate::cpu::call::call;
use crate::cpu::irql;
use crate::symbols::StackTrace;
use ndk_sys::{ADDRESS_FAMILY, AF_UNSPEC, MIB_NOTIFICATION_TYPE, MibAddInstance, MibDeleteInstance};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A unicast address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's LUID.
    pub luid: u64,
    /// The interface's index.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the on-link prefix, in bits.
    pub prefix: u8,
}

/// A way to a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface's LUID.
    pub luid: u64,
    /// The interface's index.
    pub index: u32,
    /// The range: addresses that begin like this.
    pub destination: IpAddr,
    /// How many bits of them do.
    pub prefix: u8,
    /// The router; `None` for what is on the link.
    pub next_hop: Option<IpAddr>,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its station address.
    pub station: [u8; 6],
    /// Whether it was set by hand.
    pub permanent: bool,
}

/// Somebody who is told of changes.
#[derive(Clone)]
pub(super) struct Subscriber {
    pub handle: u64,
    pub family: ADDRESS_FAMILY,
    pub callback: usize,
    pub context: u64,
    pub registered: StackTrace,
    running: usize,
}

struct Model {
    interfaces: Vec<(u64, u32)>,
    addresses: Vec<Address>,
    subscribers: Vec<Subscriber>,
    next_handle: u64,
    /// Those behind routers; what is on a link is known from the addresses.
    routes: Vec<Route>,
    neighbours: BTreeMap<(u64, IpAddr), Neighbour>,
}

/// The loopback interface's LUID (type 24) and index, as on every Windows.
const LOOPBACK: (u64, u32) = (24 << 48, 1);

impl Default for Model {
    fn default() -> Self {
        let (luid, index) = LOOPBACK;
        let loopback = |address: IpAddr, prefix| Address {
            luid,
            index,
            address,
            prefix,
        };
        Self {
            interfaces: vec![LOOPBACK],
            addresses: vec![
                loopback(Ipv4Addr::LOCALHOST.into(), 8),
                loopback(Ipv6Addr::LOCALHOST.into(), 128),
            ],
            subscribers: Vec::new(),
            next_handle: 0,
            routes: Vec::new(),
            neighbours: BTreeMap::new(),
        }
    }
}

static MODEL: Mutex<Option<Model>> = Mutex::new(None);
static RETURNED: Condvar = Condvar::new();

thread_local! {
    /// The subscriber whose callback this thread is in; 0 if it is in none.
    static IN_CALLBACK: Cell<u64> = const { Cell::new(0) };
}

fn with<R>(access: impl FnOnce(&mut Model) -> R) -> R {
    access(MODEL.lock().get_or_insert_default())
}

/// Adds an interface with its first addresses. PASSIVE.
pub fn add_interface(index: u32, luid: u64, addresses: &[(IpAddr, u8)]) {
    with(|model| model.interfaces.push((luid, index)));
    for &(address, prefix) in addresses {
        let _ = add_address(luid, address, prefix);
    }
}

/// LUID and index of each interface.
pub(super) fn interfaces() -> Vec<(u64, u32)> {
    with(|model| model.interfaces.clone())
}

/// Removes an interface with its addresses. PASSIVE.
pub fn remove_interface(luid: u64) {
    for address in list(AF_UNSPEC).into_iter().filter(|address| address.luid == luid) {
        let _ = remove_address(luid, address.address);
    }
    with(|model| {
        model.interfaces.retain(|&(other, _)| other != luid);
        model.routes.retain(|route| route.luid != luid);
        model.neighbours.retain(|&(other, _), _| other != luid);
    });
}

/// Gives an interface an address and tells the subscribers, on this thread, at PASSIVE. False if there is no such
/// interface, or it has the address.
#[must_use]
pub fn add_address(luid: u64, address: IpAddr, prefix: u8) -> bool {
    let added = with(|model| {
        let &(_, index) = model.interfaces.iter().find(|&&(other, _)| other == luid)?;
        let known = model
            .addresses
            .iter()
            .any(|one| one.luid == luid && one.address == address);
        let new = Address {
            luid,
            index,
            address,
            prefix,
        };
        (!known).then(|| {
            model.addresses.push(new);
            new
        })
    });
    if let Some(added) = added {
        super::host::add_address(luid, address, prefix);
        notify(&added, MibAddInstance);
    }
    added.is_some()
}

/// Takes an address from an interface and tells the subscribers, on this thread, at PASSIVE. False if it has no such
/// address.
#[must_use]
pub fn remove_address(luid: u64, address: IpAddr) -> bool {
    let removed = with(|model| {
        let at = model
            .addresses
            .iter()
            .position(|one| one.luid == luid && one.address == address)?;
        Some(model.addresses.remove(at))
    });
    if let Some(removed) = removed {
        super::host::remove_address(luid, address);
        notify(&removed, MibDeleteInstance);
    }
    removed.is_some()
}

/// The addresses of a family (`AF_UNSPEC`: all), in the order in which they were added.
#[must_use]
pub fn list(family: ADDRESS_FAMILY) -> Vec<Address> {
    with(|model| {
        model
            .addresses
            .iter()
            .filter(|one| addresses::is_of(one.address, family))
            .copied()
            .collect()
    })
}

/// Adds a route to what is behind a router. False if there is no such interface.
#[must_use]
pub fn add_route(luid: u64, destination: IpAddr, prefix: u8, next_hop: IpAddr) -> bool {
    let Some(index) = index_of(luid) else { return false };
    let route = Route {
        luid,
        index,
        destination,
        prefix,
        next_hop: Some(next_hop),
    };
    with(|model| model.routes.push(route));
    true
}

/// Removes what [`add_route`] added. False if there is no such route.
#[must_use]
pub fn remove_route(luid: u64, destination: IpAddr, prefix: u8) -> bool {
    let same = |route: &Route| (route.luid, route.destination, route.prefix) == (luid, destination, prefix);
    with(|model| {
        let before = model.routes.len();
        model.routes.retain(|route| !same(route));
        model.routes.len() != before
    })
}

/// Sets the station of a neighbour by hand, or forgets it.
pub fn set_neighbour(luid: u64, address: IpAddr, station: Option<[u8; 6]>) {
    with(|model| match station {
        Some(station) => {
            let neighbour = Neighbour {
                station,
                permanent: true,
            };
            model.neighbours.insert((luid, address), neighbour);
        }
        None => drop(model.neighbours.remove(&(luid, address))),
    });
}

/// Forgets the neighbours of an interface that were not set by hand.
pub(super) fn forget_neighbours(luid: u64) {
    with(|model| {
        model
            .neighbours
            .retain(|&(other, _), neighbour| other != luid || neighbour.permanent);
    });
}

/// A neighbour says where it is.
pub(super) fn learn(luid: u64, address: IpAddr, station: [u8; 6]) {
    with(|model| {
        let entry = model.neighbours.entry((luid, address)).or_insert(Neighbour {
            station,
            permanent: false,
        });
        if !entry.permanent {
            entry.station = station;
        }
    });
}

/// What is known of a neighbour.
#[must_use]
pub fn neighbour(luid: u64, address: IpAddr) -> Option<Neighbour> {
    with(|model| model.neighbours.get(&(luid, address)).copied())
}

/// The routes to an address, the most specific first.
#[must_use]
pub fn routes(to: IpAddr) -> Vec<Route> {
    let mut routes = with(|model| {
        let on_link = model.addresses.iter().map(|address| Route {
            luid: address.luid,
            index: address.index,
            destination: address.address,
            prefix: address.prefix,
            next_hop: None,
        });
        let all = on_link.chain(model.routes.iter().copied());
        all.filter(|route| begins_like(to, route.destination, route.prefix))
            .collect::<Vec<_>>()
    });
    routes.sort_by_key(|route| std::cmp::Reverse(route.prefix));
    routes
}

/// Whether two addresses are the same in their first bits.
fn begins_like(address: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differ = match (address, other) {
        (IpAddr::V4(one), IpAddr::V4(two)) => u128::from(one.to_bits() ^ two.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(two)) => one.to_bits() ^ two.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

/// The index of an interface.
#[must_use]
pub fn index_of(luid: u64) -> Option<u32> {
    let found = |model: &mut Model| model.interfaces.iter().find(|one| one.0 == luid).copied();
    with(found).map(|(_, index)| index)
}

/// The LUID of the interface with that index.
#[must_use]
pub fn luid_of(index: u32) -> Option<u64> {
    let found = |model: &mut Model| model.interfaces.iter().find(|one| one.1 == index).copied();
    with(found).map(|(luid, _)| luid)
}

/// The addresses of an interface.
#[must_use]
pub fn of_interface(luid: u64) -> Vec<IpAddr> {
    with(|model| {
        let own = model.addresses.iter().filter(|one| one.luid == luid);
        own.map(|one| one.address).collect()
    })
}

fn notify(address: &Address, change: MIB_NOTIFICATION_TYPE) {
    assert!(
        irql::current() == irql::PASSIVE_LEVEL,
        "addresses change at PASSIVE_LEVEL"
    );
    let row = addresses::row(address);
    let all: Vec<u64> = with(|model| model.subscribers.iter().map(|one| one.handle).collect());
    for handle in all {
        let wanted = |one: &Subscriber| addresses::is_of(address.address, one.family);
        tell(handle, wanted, (&raw const row).addr() as u64, change);
    }
}

/// Calls a subscriber, if it is still there.
pub(super) fn tell(
    handle: u64,
    wanted: impl Fn(&Subscriber) -> bool,
    row: u64,
    change: MIB_NOTIFICATION_TYPE,
) {
    let found = with(|model| {
        let subscriber = model
            .subscribers
            .iter_mut()
            .find(|one| one.handle == handle && wanted(one))?;
        subscriber.running += 1;
        Some((subscriber.callback, subscriber.context))
    });
    let Some((callback, context)) = found else { return };
    let outer = IN_CALLBACK.replace(handle);
    let _ = call(callback, &[context, row, u64::from(change.cast_unsigned())]);
    IN_CALLBACK.set(outer);
    with(|model| {
        for one in model.subscribers.iter_mut().filter(|one| one.handle == handle) {
            one.running -= 1;
        }
    });
    RETURNED.notify_all();
}

/// Adds a subscriber; returns its handle.
pub(super) fn subscribe(family: ADDRESS_FAMILY, callback: usize, context: u64) -> u64 {
    let registered = StackTrace::capture();
    with(|model| {
        model.next_handle += 1;
        let handle = 0xDEAD_4E49_0000_0000 + model.next_handle * 0x10;
        model.subscribers.push(Subscriber {
            handle,
            family,
            callback,
            context,
            registered,
            running: 0,
        });
        handle
    })
}

/// Removes a subscriber and waits until its callbacks have returned. False if there is none.
pub(super) fn unsubscribe(handle: u64) -> bool {
    let mut model = MODEL.lock();
    loop {
        let subscribers = &mut model.get_or_insert_default().subscribers;
        let Some(at) = subscribers.iter().position(|one| one.handle == handle) else {
            return false;
        };
        if subscribers[at].running == 0 {
            subscribers.remove(at);
            return true;
        }
        RETURNED.wait(&mut model);
    }
}

/// Whether this thread is in the callback of that subscriber.
pub(super) fn in_callback(handle: u64) -> bool {
    IN_CALLBACK.get() == handle
}

/// The subscribers whose callback is in `range`: those of an image.
pub(super) fn subscribers_in(range: &std::ops::Range<usize>) -> Vec<Subscriber> {
    with(|model| {
        model
            .subscribers
            .iter()
            .filter(|one| range.contains(&one.callback))
            .cloned()
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_sys::{AF_INET, AF_INET6};

    #[test]
    fn the_most_specific_route_comes_first() {
        let luid = 0x0006_0000_7800_0000;
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        add_interface(120, luid, &[(ip("10.78.0.1"), 24), (ip("fd78::1"), 64)]);
        assert!(add_route(luid, ip("10.78.64.0"), 18, ip("10.78.0.254")));
        assert!(
            !add_route(luid + 1, ip("10.78.64.0"), 18, ip("10.78.0.254")),
            "no such interface"
        );
        let hops = |to: &str| {
            routes(ip(to))
                .into_iter()
                .map(|route| route.next_hop)
                .collect::<Vec<_>>()
        };
        assert_eq!(hops("10.78.0.77"), [None]);
        assert_eq!(hops("10.78.65.1"), [Some(ip("10.78.0.254"))]);
        assert_eq!(hops("fd78::77"), [None]);
        assert!(hops("10.78.128.1").is_empty() && hops("fd79::1").is_empty());
        learn(luid, ip("10.78.0.77"), [1; 6]);
        set_neighbour(luid, ip("10.78.0.78"), Some([2; 6]));
        learn(luid, ip("10.78.0.78"), [3; 6]);
        forget_neighbours(luid);
        assert_eq!(neighbour(luid, ip("10.78.0.77")), None);
        let by_hand = neighbour(luid, ip("10.78.0.78")).expect("it stays");
        assert_eq!(by_hand.station, [2; 6], "what is set by hand is not learned over");
        remove_interface(luid);
        assert_eq!(neighbour(luid, ip("10.78.0.78")), None);
        assert!(hops("10.78.65.1").is_empty());
    }

    #[test]
    fn addresses_come_and_go_with_their_interface() {
        let luid = 0x0006_0000_7700_0000;
        let (v4, v6): (IpAddr, IpAddr) = ([10, 77, 0, 1].into(), "fd77::1".parse().expect("an address"));
        let mine = |family| {
            list(family)
                .into_iter()
                .filter(|one| one.luid == luid)
                .map(|one| one.address)
                .collect::<Vec<_>>()
        };
        assert!(!add_address(luid, v4, 24), "no interface yet");
        add_interface(77, luid, &[(v4, 24)]);
        assert!(add_address(luid, v6, 64));
        assert!(!add_address(luid, v6, 64), "twice");
        assert_eq!(mine(AF_UNSPEC), [v4, v6]);
        assert_eq!(mine(AF_INET), [v4]);
        assert_eq!(mine(AF_INET6), [v6]);
        assert!(remove_address(luid, v4));
        assert!(!remove_address(luid, v4), "gone already");
        remove_interface(luid);
        assert!(mine(AF_UNSPEC).is_empty());
        assert!(!add_address(luid, v4, 24), "no interface any more");
    }
}
