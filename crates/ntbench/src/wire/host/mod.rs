//! The host's IP stack: address resolution, ping and TCP for the addresses that an adapter has. The stack is smoltcp. Besides those it has
//! the station's link-local address, as all hosts do: Linux asks for neighbours from its own.
//!
//! It is bound above a miniport like a protocol driver ([`crate::ndis::Protocol`]), or sits on a port of the wire itself, where it takes
//! what is not RDMA.

mod device;
mod tcp;

pub use tcp::{TcpListener, TcpStream};

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use roce_wire::eth::MacAddr;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::Socket;
use smoltcp::time;
use smoltcp::wire::{EthernetAddress, IpCidr};
use vrnic_device::Wire;

use super::neighbour::{self, Event};
use device::Queue;
pub(crate) use device::is_rdma;

/// How often a neighbour is asked for before it counts as unreachable; RFC 4861's `MAX_UNICAST_SOLICIT`.
const QUESTIONS: u32 = 3;

/// What a stack sends its frames through.
pub trait Link: Send + Sync {
    /// Sends frames in their order. Called without locks of the stack.
    fn send(&self, frames: Vec<Vec<u8>>);
}

/// A port of the wire as a link.
struct Port(Arc<dyn Wire>);

impl Link for Port {
    fn send(&self, frames: Vec<Vec<u8>>) {
        for frame in &frames {
            self.0.transmit(frame);
        }
    }
}

/// What a stack is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its station.
    pub mac: MacAddr,
    /// Largest IP packet, in bytes.
    pub mtu: usize,
    /// Whether the checksums of IPv4 headers are computed below.
    pub ip4: bool,
    /// Whether those of TCP are.
    pub tcp: bool,
    /// Whether those of UDP are.
    pub udp: bool,
}

impl Attachment {
    /// Ethernet as everybody has it.
    #[must_use]
    pub const fn plain(mac: MacAddr) -> Self {
        Self {
            mac,
            mtu: 1500,
            ip4: false,
            tcp: false,
            udp: false,
        }
    }
}

/// The stack of one adapter. Dropping it ends its thread; its connections are cut off.
pub struct HostStack {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    start: Instant,
    link: Arc<dyn Link>,
    state: Mutex<State>,
    /// Something for the stack's thread to do.
    work: Condvar,
    /// The stack has done something, or has learnt of a neighbour.
    news: Condvar,
}

struct State {
    mac: MacAddr,
    queue: Queue,
    interface: Interface,
    sockets: SocketSet<'static>,
    neighbours: HashMap<IpAddr, MacAddr>,
    next_port: u16,
    /// Sockets that nobody holds any more, until they are closed.
    closing: Vec<SocketHandle>,
    work: bool,
    stopping: bool,
}

impl HostStack {
    /// Starts a stack that transmits to `wire` as the station `mac`, without an address yet.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(mac: MacAddr, wire: Arc<dyn Wire>) -> io::Result<Self> {
        Self::above(Attachment::plain(mac), Arc::new(Port(wire)))
    }

    /// Starts a stack that sends through `link`, without an address yet.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn above(attachment: Attachment, link: Arc<dyn Link>) -> io::Result<Self> {
        let (queue, interface) = new_interface(attachment, time::Instant::ZERO);
        let state = State {
            mac: attachment.mac,
            queue,
            interface,
            sockets: SocketSet::new(Vec::new()),
            neighbours: HashMap::new(),
            next_port: tcp::FIRST_EPHEMERAL_PORT,
            closing: Vec::new(),
            work: false,
            stopping: false,
        };
        let shared = Arc::new(Shared {
            start: Instant::now(),
            link,
            state: Mutex::new(state),
            work: Condvar::new(),
            news: Condvar::new(),
        });
        let thread = thread::Builder::new().name("host-ip".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A frame has come to the port. Those of RDMA are not for the stack.
    pub fn receive(&self, frame: &[u8]) {
        if device::is_rdma(frame) {
            return;
        }
        let mut state = self.shared.state.lock();
        if let Some(Event::Answer { ip, mac }) = neighbour::read(state.mac, &[], frame) {
            state.neighbours.insert(ip, mac);
            self.shared.news.notify_all();
        }
        state.queue.arrived(frame);
        self.shared.wake(&mut state);
    }

    /// Attaches the stack to something else; its addresses and connections stay, its neighbours are forgotten.
    pub fn attach(&self, attachment: Attachment) {
        let mut state = self.shared.state.lock();
        let (queue, mut interface) = new_interface(attachment, self.shared.now());
        let own = link_local(state.mac);
        let others = state.interface.ip_addrs().iter().filter(|cidr| **cidr != own);
        interface.update_ip_addrs(|addresses| addresses.extend(others.copied()));
        state.mac = attachment.mac;
        state.queue = queue;
        state.interface = interface;
        state.neighbours.clear();
        self.shared.wake(&mut state);
    }

    /// The addresses that the stack has.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let state = self.shared.state.lock();
        state
            .interface
            .ip_addrs()
            .iter()
            .map(|cidr| cidr.address().into())
            .collect()
    }

    /// Gives the stack an address. False: it has as many as it can have.
    #[must_use]
    pub fn add_address(&self, address: IpAddr, prefix: u8) -> bool {
        let mut state = self.shared.state.lock();
        let mut added = false;
        state.interface.update_ip_addrs(|addresses| {
            added = addresses.push(IpCidr::new(address.into(), prefix)).is_ok();
        });
        added
    }

    /// Takes an address away.
    pub fn remove_address(&self, address: IpAddr) {
        let mut state = self.shared.state.lock();
        let gone = smoltcp::wire::IpAddress::from(address);
        state
            .interface
            .update_ip_addrs(|addresses| addresses.retain(|cidr| cidr.address() != gone));
    }

    /// The station of a neighbour, asked for by ARP or neighbour discovery unless it is known. `None`: it does not answer
    /// within `limit`, or the addresses are of two families.
    #[must_use]
    pub fn resolve(&self, source: IpAddr, target: IpAddr, limit: Duration) -> Option<MacAddr> {
        let mut state = self.shared.state.lock();
        let question = neighbour::question(state.mac, source, target)?;
        for _ in 0..QUESTIONS {
            if let Some(mac) = state.neighbours.get(&target) {
                return Some(*mac);
            }
            // Not from here: whoever carries it may bring a frame to this stack before it returns.
            state.queue.depart(question.clone());
            self.shared.wake(&mut state);
            let deadline = Instant::now() + limit / QUESTIONS;
            let unknown = |state: &mut State| !state.neighbours.contains_key(&target);
            self.shared.news.wait_while_until(&mut state, unknown, deadline);
        }
        state.neighbours.get(&target).copied()
    }

    /// Forgets all neighbours.
    pub fn flush_neighbours(&self) {
        self.shared.state.lock().neighbours.clear();
    }

    /// Listens on a TCP port of all addresses.
    ///
    /// # Errors
    /// `InvalidInput` for port 0.
    pub fn listen(&self, port: u16) -> io::Result<TcpListener> {
        TcpListener::new(&self.shared, port)
    }

    /// Connects a TCP stream. It waits `limit` at most, then and in each later read and write.
    ///
    /// # Errors
    /// `TimedOut`, `ConnectionRefused`, or `InvalidInput` for a target that makes no sense.
    pub fn connect(&self, target: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        TcpStream::connect(&self.shared, target, limit)
    }
}

impl fmt::Debug for HostStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostStack")
            .field("mac", &self.shared.state.lock().mac)
            .finish_non_exhaustive()
    }
}

impl Drop for HostStack {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.stopping = true;
        self.shared.wake(&mut state);
        drop(state);
        // The last owner may be the wire's thread; it must not wait for itself, but the stack's thread never waits for it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn new_interface(attachment: Attachment, now: time::Instant) -> (Queue, Interface) {
    let mut queue = Queue::new(attachment);
    let config = Config::new(EthernetAddress(attachment.mac.0).into());
    let mut interface = Interface::new(config, &mut queue, now);
    interface.update_ip_addrs(|addresses| addresses.extend([link_local(attachment.mac)]));
    (queue, interface)
}

/// The address that a station makes for itself: RFC 4291, section 2.5.6 and appendix A.
fn link_local(mac: MacAddr) -> IpCidr {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&[0xFE, 0x80]);
    address[8..11].copy_from_slice(&mac.0[..3]);
    address[8] ^= 2;
    address[11..13].copy_from_slice(&[0xFF, 0xFE]);
    address[13..].copy_from_slice(&mac.0[3..]);
    IpCidr::new(IpAddr::from(Ipv6Addr::from(address)).into(), 64)
}

impl Shared {
    fn now(&self) -> time::Instant {
        time::Instant::from_micros(i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Has the stack's thread look.
    fn wake(&self, state: &mut State) {
        state.work = true;
        self.work.notify_one();
    }

    /// Forgets the sockets that are closed by now.
    fn reap(state: &mut State) {
        let State { sockets, closing, .. } = state;
        closing.retain(|&handle| {
            let open = sockets.get::<Socket<'_>>(handle).is_open();
            if !open {
                sockets.remove(handle);
            }
            open
        });
    }

    /// The stack's thread.
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopping {
            state.work = false;
            let State {
                queue,
                interface,
                sockets,
                ..
            } = &mut *state;
            interface.poll(self.now(), queue, sockets);
            let delay = interface.poll_delay(self.now(), sockets);
            let frames = queue.take_departing();
            Self::reap(&mut state);
            self.news.notify_all();
            if !frames.is_empty() {
                MutexGuard::unlocked(&mut state, || self.link.send(frames));
            }
            let idle = |state: &mut State| !state.work && !state.stopping;
            match delay {
                Some(delay) => {
                    let deadline = Instant::now() + delay.into();
                    self.work.wait_while_until(&mut state, idle, deadline);
                }
                None => self.work.wait_while(&mut state, idle),
            }
        }
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::hub::{Hub, HubConfig, PortHandle};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A stack on a port of its own; the address's last byte is the station's number.
    fn station(hub: &Hub, number: u8) -> (Arc<HostStack>, Arc<PortHandle>) {
        let port = Arc::new(hub.port("host"));
        let stack =
            HostStack::start(MacAddr([2, 0, 0, 0, 0, number]), port.clone()).expect("a thread starts");
        let stack = Arc::new(stack);
        assert!(stack.add_address(v4(number), 24));
        assert!(stack.add_address(v6(number), 64));
        let receiver = Arc::downgrade(&stack);
        port.connect(Arc::new(move |frame| {
            if let Some(stack) = receiver.upgrade() {
                stack.receive(frame);
            }
        }));
        (stack, port)
    }

    fn v4(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    fn v6(number: u8) -> IpAddr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()).into()
    }

    #[test]
    fn neighbours_answer_and_strangers_do_not() {
        let hub = Hub::new(HubConfig::default()).expect("a thread starts");
        let ((one, _one), (_two, _other)) = (station(&hub, 1), station(&hub, 2));
        let two = Some(MacAddr([2, 0, 0, 0, 0, 2]));
        assert_eq!(one.resolve(v4(1), v4(2), LIMIT), two);
        assert_eq!(one.resolve(v6(1), v6(2), LIMIT), two);
        assert_eq!(one.resolve(v4(1), v4(3), Duration::from_millis(30)), None);
        assert_eq!(one.resolve(v4(1), v6(2), LIMIT), None, "two families");
        // As Linux asks when no packet waits for the answer.
        let local = "fe80::ff:fe00:1".parse().expect("an address");
        assert_eq!(one.resolve(local, v6(2), LIMIT), two);
    }

    #[test]
    fn streams_carry_more_than_their_buffers_both_ways() {
        let hub = Hub::new(HubConfig::default()).expect("a thread starts");
        let ((one, _one), (two, _two)) = (station(&hub, 1), station(&hub, 2));
        let data: Vec<u8> = (0..300_000u32).map(|index| index.to_le_bytes()[1]).collect();
        for address in [v4(2), v6(2)] {
            let mut listener = two.listen(700).expect("a good port");
            let mut client = one
                .connect((address, 700).into(), LIMIT)
                .expect("somebody listens");
            let mut server = listener.accept(LIMIT).expect("somebody has connected");
            let received = thread::scope(|scope| {
                scope.spawn(|| client.write_all(&data).expect("it is read"));
                let mut received = vec![0; data.len()];
                server.read_exact(&mut received).expect("it is written");
                received
            });
            assert_eq!(received, data);
            server.write_all(b"done").expect("it is read");
            let mut answer = [0; 4];
            client.read_exact(&mut answer).expect("it is written");
            assert_eq!(&answer, b"done");
            drop(server);
            assert_eq!(client.read(&mut answer).expect("the end is no error"), 0);
        }
    }

    #[test]
    fn nobody_listening_is_an_error_and_waits_end() {
        let hub = Hub::new(HubConfig::default()).expect("a thread starts");
        let ((one, _one), (two, _two)) = (station(&hub, 1), station(&hub, 2));
        let kind_of = |result: io::Result<TcpStream>| result.err().map(|error| error.kind());
        let refused = one.connect((v4(2), 701).into(), LIMIT);
        assert_eq!(kind_of(refused), Some(io::ErrorKind::ConnectionRefused));
        let silent = one.connect((v4(9), 701).into(), Duration::from_millis(50));
        assert_eq!(kind_of(silent), Some(io::ErrorKind::TimedOut));
        let mut listener = two.listen(702).expect("a good port");
        let nobody = listener.accept(Duration::from_millis(20));
        assert_eq!(kind_of(nobody), Some(io::ErrorKind::TimedOut));
        assert_eq!(
            two.listen(0).err().map(|error| error.kind()),
            Some(io::ErrorKind::InvalidInput)
        );
    }
}
