//! An adapter and its consumer.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use roce_wire::num::{MaxCmRetries, Qpn, Timeout};

use super::super::cm::{
    AddressHandle, Config, ConnectionId, ListenerId, ListenerSlot, Manager, Slot, Tables, TimerCell,
};
use super::consumer::Connector;

/// As many connections as no test needs.
pub const MANY: usize = 64;
/// Where each node listens.
pub const PORT: u16 = 445;
const BACKLOG: u32 = 8;
/// The third party's number.
pub const STRANGER: usize = 2;

/// Which connector of a node.
pub type Ticket = usize;

pub struct Memory;

impl Tables for Memory {
    type Context = usize;
    type Owner = Rc<Ticket>;
    type Slots = Vec<Slot<Rc<Ticket>>>;
    type Timers = Vec<TimerCell>;
    type Listeners = Vec<ListenerSlot<usize>>;
}

pub struct Node {
    pub capacity: usize,
    pub secret: u64,
    pub cm: Manager<Memory>,
    pub listener: ListenerId,
    pub connectors: Vec<Connector>,
    next_qpn: u32,
    next_port: u16,
}

impl Node {
    pub fn new(number: usize, capacity: usize, secret: u64) -> Self {
        let config = Config {
            response_timeout: Timeout::truncated(15),
            max_retries: MaxCmRetries::truncated(3),
            packet_life_time: Timeout::truncated(12),
            mra_service_timeout: Timeout::truncated(17),
            ..Config::new([secret, 7], 0x1000 + number as u64)
        };
        let slots = (0..capacity).map(|_| Slot::default()).collect();
        let listeners = (0..2).map(|_| ListenerSlot::default()).collect();
        let mut cm = Manager::new(config, slots, vec![TimerCell::default(); capacity], listeners);
        let (listener, _) = cm.listen(ip(number), PORT, BACKLOG, number).expect("it is free");
        Self {
            capacity,
            secret,
            cm,
            listener,
            connectors: Vec::new(),
            next_qpn: 0x100,
            next_port: 50_000,
        }
    }

    /// A queue pair of its own for every connector: the device takes care of that.
    pub fn new_qpn(&mut self) -> Qpn {
        self.next_qpn += 1;
        Qpn::truncated(self.next_qpn)
    }

    /// An ephemeral port, or one of the few that consumers ask for.
    pub fn port(&mut self, asked: usize) -> u16 {
        if asked < 2 {
            return 1000 + u16::try_from(asked).unwrap_or_default();
        }
        self.next_port += 1;
        self.next_port
    }

    pub fn find(&self, id: ConnectionId) -> Option<Ticket> {
        self.connectors
            .iter()
            .position(|connector| connector.id == Some(id))
    }

    /// Something waits for this node's consumer or device.
    pub fn has_work(&self) -> bool {
        self.connectors
            .iter()
            .any(|connector| connector.token.is_some() || connector.phase.holds())
    }

    /// Nothing is left: no connection, no deadline, no reference, no place in the backlog.
    pub fn check_empty(&mut self) {
        let states: Vec<_> = (self.connectors.iter())
            .filter_map(|connector| Some((self.cm.state(connector.id?)?, connector)))
            .collect();
        assert_eq!(self.cm.connections(), 0, "connections are left: {states:?}");
        assert_eq!(self.cm.next_deadline(), None);
        assert_eq!(self.cm.active_connections(), 0);
        assert_eq!(self.cm.established_connections().count(), 0);
        for connector in &self.connectors {
            assert_eq!(
                Rc::strong_count(&connector.owner),
                1,
                "an owner is left: {connector:?}"
            );
        }
    }
}

pub fn ip(number: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, 1 + u8::try_from(number).unwrap_or_default()).into()
}

pub fn address(number: usize, port: u16) -> SocketAddr {
    SocketAddr::new(ip(number), port)
}

/// How `here` sees a packet from, and sends one to, `there`.
pub fn handle(here: usize, there: usize) -> AddressHandle {
    AddressHandle {
        mac: [2, 0, 0, 0, 0, u8::try_from(there).unwrap_or_default()],
        gid: ip(there).into(),
        local_gid: ip(here).into(),
        gid_index: 0,
        qpn: Qpn::GSI,
        udp_src_port: 0xc000,
        traffic_class: 0,
    }
}

/// The node that has the address.
pub fn number_of(handle: &AddressHandle) -> usize {
    (0..=STRANGER)
        .find(|number| handle.gid == ip(*number).into())
        .expect("an address of this world")
}
