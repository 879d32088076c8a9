//! Neighbours that nobody has set: the host's IP stack at the adapter's port asks for them on the wire.

use super::model::{self, Neighbour};
use crate::wire::HostStack;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The stacks by interface.
static HOSTS: Mutex<BTreeMap<u64, Arc<HostStack>>> = Mutex::new(BTreeMap::new());

/// How long a neighbour may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// An interface has a stack.
pub fn plug_in(luid: u64, host: &Arc<HostStack>) {
    HOSTS.lock().insert(luid, Arc::clone(host));
}

/// Called when the addresses of a stack have changed, at PASSIVE.
pub type Changed = Arc<dyn Fn() + Send + Sync>;

/// Who follows the addresses of an interface.
static FOLLOWERS: Mutex<BTreeMap<u64, Changed>> = Mutex::new(BTreeMap::new());

/// `changed` is called when the addresses of an interface have changed, until it is gone.
pub fn follow(luid: u64, changed: Changed) {
    FOLLOWERS.lock().insert(luid, changed);
}

/// The interface has one more address: its stack answers for it.
pub(super) fn add_address(luid: u64, address: IpAddr, prefix: u8) {
    let host = HOSTS.lock().get(&luid).cloned();
    if let Some(host) = host {
        let _ = host.add_address(address, prefix);
        tell(luid);
    }
}

/// The interface has lost an address.
pub(super) fn remove_address(luid: u64, address: IpAddr) {
    let host = HOSTS.lock().get(&luid).cloned();
    if let Some(host) = host {
        host.remove_address(address);
        tell(luid);
    }
}

fn tell(luid: u64) {
    let follower = FOLLOWERS.lock().get(&luid).cloned();
    if let Some(changed) = follower {
        changed();
    }
}

/// The interface is gone.
pub fn unplug(luid: u64) {
    HOSTS.lock().remove(&luid);
    FOLLOWERS.lock().remove(&luid);
}

/// Forgets the neighbours of an interface that were not set by hand.
pub fn flush_neighbours(luid: u64) {
    model::forget_neighbours(luid);
    if let Some(host) = HOSTS.lock().get(&luid) {
        host.flush_neighbours();
    }
}

/// The station behind an address of the interface's link: from the table, or by asking on the wire, for about a second.
pub(super) fn resolve(luid: u64, source: Option<IpAddr>, address: IpAddr) -> Option<Neighbour> {
    if let Some(neighbour) = model::neighbour(luid, address) {
        return Some(neighbour);
    }
    let of_family = |one: &IpAddr| one.is_ipv4() == address.is_ipv4();
    let given = source.filter(|source| !source.is_unspecified() && of_family(source));
    let source = given.or_else(|| model::of_interface(luid).into_iter().find(of_family))?;
    let host = HOSTS.lock().get(&luid).cloned()?;
    let station = host.resolve(source, address, PATIENCE)?;
    model::learn(luid, address, station.0);
    model::neighbour(luid, address)
}
