//! A scripted CM peer: a station that speaks exactly what a test tells it to, and keeps all that it hears.
//!
//! It answers ARP and neighbour solicitation for its addresses by itself, and nothing else. Requests are [`Attempt`]s: `connect` makes
//! and sends one, `send` sends it again, its other methods make the messages that a peer may follow it with.

mod attempt;
mod damage;

pub use attempt::Attempt;
pub use damage::Damage;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use roce_wire::cm::{CmMad, CmMessage, CommId};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{Frame, FrameAddress, GSI_IPV6_LEN, IpPair, write_gsi};
use roce_wire::mad::Mad;
use roce_wire::num::Psn;
use thiserror::Error;

use super::hub::{Hub, PortHandle};
use super::neighbour;

/// The UDP source port of the peer's datagrams, out of the range that Linux uses.
const UDP_SOURCE_PORT: u16 = 0xd000;

/// Communication IDs begin here, so that they are easily told from others in a capture.
const FIRST_COMM_ID: u32 = 0x5eed_0001;

/// Who the peer is.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// What taps call its port.
    pub name: String,
    /// Its station address.
    pub mac: MacAddr,
    /// Its IP addresses: the first one of a family is the one that it sends from.
    pub addresses: Vec<IpAddr>,
}

/// A CM message that the peer has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub from: IpAddr,
    /// The message with its transaction ID.
    pub mad: CmMad,
}

/// Why the peer cannot do what it should.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeerError {
    /// The peer has no address of the family of the target's.
    #[error("the peer has no address from which to reach {0}")]
    NoSourceAddress(IpAddr),
    /// Nobody has told the peer the station of this address: see [`Peer::add_neighbour`] and [`Peer::resolve`].
    #[error("the peer knows no station for {0}")]
    UnknownNeighbour(IpAddr),
    /// The private data is longer than a REQ has room for.
    #[error("{0} bytes of private data do not fit into a REQ")]
    DataTooLong(usize),
    /// What was waited for has not come.
    #[error("nothing after {0:?}")]
    Timeout(Duration),
}

/// A peer on a wire.
pub struct Peer {
    state: Arc<State>,
    next_comm_id: AtomicU32,
    next_psn: AtomicU32,
}

/// What the wire's thread shares with the peer's owner.
struct State {
    config: PeerConfig,
    port: PortHandle,
    log: Mutex<Log>,
    news: Condvar,
}

#[derive(Default)]
struct Log {
    frames: Vec<Vec<u8>>,
    messages: Vec<Heard>,
    /// Which messages were for a communication ID.
    answers: HashMap<CommId, Vec<usize>>,
    neighbours: HashMap<IpAddr, MacAddr>,
}

impl Peer {
    /// Plugs a peer in.
    #[must_use]
    pub fn attach(hub: &Hub, config: PeerConfig) -> Self {
        let port = hub.port(&config.name);
        let state = Arc::new(State {
            config,
            port,
            log: Mutex::default(),
            news: Condvar::new(),
        });
        // Weak, because the state owns the port.
        let receiver = Arc::downgrade(&state);
        state.port.connect(Arc::new(move |frame| {
            if let Some(state) = receiver.upgrade() {
                state.receive(frame);
            }
        }));
        Self {
            state,
            next_comm_id: AtomicU32::new(FIRST_COMM_ID),
            next_psn: AtomicU32::new(0),
        }
    }

    /// Tells the peer the station of an address, as a permanent neighbour entry does.
    pub fn add_neighbour(&self, ip: IpAddr, mac: MacAddr) {
        self.state.log.lock().neighbours.insert(ip, mac);
    }

    /// Asks for the station of an address, by ARP or neighbour solicitation.
    ///
    /// # Errors
    /// There is no address to ask from, or nobody answers within `timeout`.
    pub fn resolve(&self, ip: IpAddr, timeout: Duration) -> Result<MacAddr, PeerError> {
        let question = neighbour::question(self.state.config.mac, self.source_for(ip)?, ip)
            .ok_or(PeerError::NoSourceAddress(ip))?;
        self.send_frame(&question);
        self.wait(timeout, |log| log.neighbours.get(&ip).copied())
    }

    /// Sends a connection request to a port, with the consumer's private data (at most 56 bytes).
    ///
    /// # Errors
    /// There is no way to the target, or the data is too long.
    pub fn connect(&self, target: SocketAddr, data: &[u8]) -> Result<Attempt, PeerError> {
        let attempt = self.attempt(target, data)?;
        self.send(&attempt)?;
        Ok(attempt)
    }

    /// Makes a connection request without sending it: its fields can be changed.
    ///
    /// # Errors
    /// Those of [`Peer::connect`].
    pub fn attempt(&self, target: SocketAddr, data: &[u8]) -> Result<Attempt, PeerError> {
        let source = self.source_for(target.ip())?;
        let id = CommId(self.next_comm_id.fetch_add(1, Ordering::Relaxed));
        Attempt::new(id, self.state.config.mac, source, target, data)
    }

    /// Sends a request, or sends it again.
    ///
    /// # Errors
    /// There is no way to the target.
    pub fn send(&self, attempt: &Attempt) -> Result<(), PeerError> {
        self.send_message(attempt.target.ip(), &attempt.mad())
    }

    /// Sends `count` requests with different communication IDs; `data` makes the private data of each.
    ///
    /// # Errors
    /// Those of [`Peer::connect`].
    pub fn flood(
        &self,
        target: SocketAddr,
        count: usize,
        mut data: impl FnMut(usize) -> Vec<u8>,
    ) -> Result<Vec<Attempt>, PeerError> {
        (0..count)
            .map(|index| self.connect(target, &data(index)))
            .collect()
    }

    /// Sends any message.
    ///
    /// # Errors
    /// There is no way to the target.
    pub fn send_message(&self, to: IpAddr, mad: &CmMad) -> Result<(), PeerError> {
        self.send_mad(to, &mad.to_bytes())
    }

    /// Sends any management datagram.
    ///
    /// # Errors
    /// There is no way to the target.
    pub fn send_mad(&self, to: IpAddr, mad: &Mad) -> Result<(), PeerError> {
        self.send_frame(&self.gsi_frame(to, mad)?);
        Ok(())
    }

    /// Sends a request that is damaged in one way.
    ///
    /// # Errors
    /// There is no way to the target.
    pub fn send_damaged(&self, attempt: &Attempt, damage: Damage) -> Result<(), PeerError> {
        let frame = self.gsi_frame(attempt.target.ip(), &attempt.mad().to_bytes())?;
        self.send_frame(&damage.to(&frame));
        Ok(())
    }

    /// Sends any bytes.
    pub fn send_frame(&self, frame: &[u8]) {
        self.state.port.transmit(frame);
    }

    /// The frame that carries a management datagram to `to`.
    ///
    /// # Errors
    /// There is no way to the target.
    ///
    /// # Panics
    /// Never: the buffer has room for the longer of the two kinds of frame.
    pub fn gsi_frame(&self, to: IpAddr, mad: &Mad) -> Result<Vec<u8>, PeerError> {
        let source = self.source_for(to)?;
        let neighbour = self.state.log.lock().neighbours.get(&to).copied();
        let address = FrameAddress {
            source_mac: self.state.config.mac,
            destination_mac: neighbour.ok_or(PeerError::UnknownNeighbour(to))?,
            ip: IpPair::new(source, to).ok_or(PeerError::NoSourceAddress(to))?,
            udp_source_port: UDP_SOURCE_PORT,
            traffic_class: 0,
            hop_limit: 64,
        };
        let psn = Psn::truncated(self.next_psn.fetch_add(1, Ordering::Relaxed));
        let mut buffer = vec![0; GSI_IPV6_LEN];
        let length = write_gsi(&mut buffer, &address, psn, mad).expect("the buffer is long enough");
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Waits for the first message that answers a request: one whose remote communication ID is that of the request.
    ///
    /// # Errors
    /// None comes within `timeout`.
    pub fn wait_answer(&self, attempt: &Attempt, timeout: Duration) -> Result<CmMessage, PeerError> {
        self.wait_answers(attempt, 1, timeout).map(|answers| answers[0])
    }

    /// Waits until a request has at least `count` answers, and returns all that it has by then.
    ///
    /// # Errors
    /// There are not so many within `timeout`.
    pub fn wait_answers(
        &self,
        attempt: &Attempt,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<CmMessage>, PeerError> {
        self.wait(timeout, |log| {
            let answers = log.answers(attempt.comm_id());
            (answers.len() >= count).then_some(answers)
        })
    }

    /// Waits for a message that `matches`, one heard before included.
    ///
    /// # Errors
    /// There is none within `timeout`.
    pub fn wait_message(
        &self,
        timeout: Duration,
        matches: impl Fn(&Heard) -> bool,
    ) -> Result<Heard, PeerError> {
        self.wait(timeout, |log| {
            log.messages.iter().find(|heard| matches(heard)).copied()
        })
    }

    /// Sends those requests again that have no answer after each of `rounds` times `timeout`, as a real peer does. Returns those that still
    /// have none: they should be none.
    ///
    /// # Errors
    /// There is no way to the target.
    pub fn persist<'a>(
        &self,
        attempts: &'a [Attempt],
        rounds: u32,
        timeout: Duration,
    ) -> Result<Vec<&'a Attempt>, PeerError> {
        let mut open: Vec<&Attempt> = attempts.iter().collect();
        for round in 0..rounds {
            let all_answered = |log: &Log| {
                open.iter()
                    .all(|attempt| log.answers.contains_key(&attempt.comm_id()))
            };
            if self.wait(timeout, |log| all_answered(log).then_some(())).is_ok() {
                return Ok(Vec::new());
            }
            let log = self.state.log.lock();
            open.retain(|attempt| !log.answers.contains_key(&attempt.comm_id()));
            drop(log);
            if round + 1 < rounds {
                open.iter().try_for_each(|attempt| self.send(attempt))?;
            }
        }
        Ok(open)
    }

    /// All answers to a request so far.
    #[must_use]
    pub fn answers(&self, attempt: &Attempt) -> Vec<CmMessage> {
        self.state.log.lock().answers(attempt.comm_id())
    }

    /// All CM messages heard so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Heard> {
        self.state.log.lock().messages.clone()
    }

    /// All frames heard so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        self.state.log.lock().frames.clone()
    }

    fn source_for(&self, target: IpAddr) -> Result<IpAddr, PeerError> {
        let mut addresses = self.state.config.addresses.iter();
        addresses
            .find(|address| address.is_ipv4() == target.is_ipv4())
            .copied()
            .ok_or(PeerError::NoSourceAddress(target))
    }

    /// Waits until `find` finds something.
    fn wait<T>(&self, timeout: Duration, mut find: impl FnMut(&Log) -> Option<T>) -> Result<T, PeerError> {
        let deadline = Instant::now() + timeout;
        let mut log = self.state.log.lock();
        loop {
            if let Some(found) = find(&log) {
                return Ok(found);
            }
            if self.state.news.wait_until(&mut log, deadline).timed_out() {
                return find(&log).ok_or(PeerError::Timeout(timeout));
            }
        }
    }
}

impl Log {
    fn answers(&self, id: CommId) -> Vec<CmMessage> {
        let indexes = self.answers.get(&id).map_or(&[][..], Vec::as_slice);
        indexes
            .iter()
            .map(|index| self.messages[*index].mad.message)
            .collect()
    }

    fn hear(&mut self, heard: &Heard) {
        if let Some(id) = heard.mad.message.remote_comm_id() {
            self.answers.entry(id).or_default().push(self.messages.len());
        }
        self.messages.push(*heard);
    }
}

impl State {
    /// On the wire's thread.
    fn receive(&self, frame: &[u8]) {
        let event = neighbour::read(self.config.mac, &self.config.addresses, frame);
        if let Some(neighbour::Event::Question { answer }) = &event {
            self.port.transmit(answer);
        }
        let heard = self.message(frame);
        let mut log = self.log.lock();
        log.frames.push(frame.to_vec());
        if let Some(neighbour::Event::Answer { ip, mac }) = event {
            log.neighbours.insert(ip, mac);
        }
        if let Some(heard) = heard {
            log.hear(&heard);
        }
        drop(log);
        self.news.notify_all();
    }

    /// The CM message for this peer that a frame carries.
    fn message(&self, frame: &[u8]) -> Option<Heard> {
        let frame = Frame::parse(frame).ok()?;
        let ip = frame.address.ip;
        let for_us = frame.address.destination_mac == self.config.mac
            && self.config.addresses.contains(&ip.destination());
        let mad = CmMad::from_bytes(frame.gsi_mad().ok()?).ok()?;
        for_us.then_some(Heard {
            from: ip.source(),
            mad,
        })
    }
}

#[cfg(test)]
mod tests;
