//! A queue pair: its states, and the way of everything that happens to the requester or the responder.

use std::sync::Arc;

use roce_wire::bth::Opcode;
use roce_wire::frame::{Frame, IpPair};
use roce_wire::num::Qpn;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;

use super::host::{Host, QpEvent};
use super::packet::Headers;
use super::port::{Failure, Port};
use super::request::Request;
use super::requester::Requester;
use super::responder::Responder;
use super::{Limits, Path, ReceiveAttributes, SendAttributes, TransportConfig};
use crate::frame_buffer::FrameBuffer;

/// The partition that every port is in, whatever the membership bit says (IBTA 10.9.1).
const DEFAULT_PARTITION: u16 = 0x7FFF;

/// A change of state that cannot be: the states do not follow each other, or an attribute is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateError;

/// Why a queue pair does not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The queue pair does not receive, or does not send, in its state.
    State,
    /// It does not come from the connected peer, or not to our address.
    Address,
    /// It belongs to another partition.
    PKey,
    /// It is nothing that a reliable connection exchanges.
    Opcode,
}

/// The transport of a queue pair.
pub struct QueuePair {
    config: Arc<TransportConfig>,
    qpn: Qpn,
    state: QpState,
    path: Option<Path>,
    receive: Option<ReceiveAttributes>,
    send: Option<SendAttributes>,
    limits: Limits,
    /// Headers to the peer, from RTR on.
    headers: Option<Headers>,
    requester: Requester,
    responder: Responder,
    /// The peer has been heard.
    is_heard: bool,
    /// All that was posted has been flushed.
    is_drained: bool,
    is_last_wqe_told: bool,
}

impl QueuePair {
    /// A queue pair in INIT.
    #[must_use]
    pub fn new(qpn: Qpn, config: Arc<TransportConfig>) -> Self {
        Self {
            qpn,
            state: QpState::INIT,
            path: None,
            receive: None,
            send: None,
            limits: Limits::default(),
            headers: None,
            requester: Requester::new(&config, SendAttributes::default(), 256),
            responder: Responder::new(&config, ReceiveAttributes::default().psn, 256),
            is_heard: false,
            is_drained: false,
            is_last_wqe_told: false,
            config,
        }
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> QpState {
        self.state
    }

    /// Sets the path, which counts from the next change to RTR on.
    ///
    /// # Errors
    /// The MTU is none.
    pub fn set_path(&mut self, path: Path) -> Result<(), StateError> {
        if !(8..=12).contains(&path.mtu_log2) {
            return Err(StateError);
        }
        self.path = Some(path);
        Ok(())
    }

    /// Sets what the responder begins with in RTR.
    pub const fn set_receive(&mut self, attributes: ReceiveAttributes) {
        self.receive = Some(attributes);
    }

    /// Sets what the requester begins with in RTS.
    pub const fn set_send(&mut self, attributes: SendAttributes) {
        self.send = Some(attributes);
    }

    /// Sets limits, which count at once.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.requester.max_reads = limits.max_outbound_reads.into();
        self.responder.max_reads = limits.max_inbound_reads.into();
        self.responder.rnr_timer = limits.min_rnr_timer;
    }

    /// INIT to RTR or RTS, RTR to RTS. The way to ERROR is [`Self::set_error`].
    ///
    /// # Errors
    /// See [`StateError`]; nothing has changed then.
    pub fn set_state(&mut self, state: QpState) -> Result<(), StateError> {
        match (self.state, state) {
            (QpState::INIT, QpState::RTR) => self.begin_receiving()?,
            (QpState::INIT, QpState::RTS) => {
                self.send.ok_or(StateError)?;
                self.begin_receiving()?;
                self.begin_sending()?;
            }
            (QpState::RTR, QpState::RTS) => self.begin_sending()?,
            _ => return Err(StateError),
        }
        self.state = state;
        Ok(())
    }

    fn begin_receiving(&mut self) -> Result<(), StateError> {
        let path = self.path.ok_or(StateError)?;
        let receive = self.receive.ok_or(StateError)?;
        self.headers = Some(Headers::new(&path, self.qpn, receive.peer_qpn));
        self.responder = Responder::new(&self.config, receive.psn, 1 << path.mtu_log2);
        self.set_limits(self.limits);
        Ok(())
    }

    fn begin_sending(&mut self) -> Result<(), StateError> {
        let path = self.path.ok_or(StateError)?;
        let send = self.send.ok_or(StateError)?;
        self.requester = Requester::new(&self.config, send, 1 << path.mtu_log2);
        self.set_limits(self.limits);
        Ok(())
    }

    /// To ERROR: nothing is sent any more, and [`Self::run`] flushes what is posted.
    pub fn set_error<H: Host>(&mut self, host: &mut H) {
        self.state = QpState::ERROR;
        self.is_drained = false;
        self.responder.stop(host);
    }

    /// To ERROR, by itself.
    fn fail<H: Host>(&mut self, host: &mut H, status: WorkStatus) {
        self.set_error(host);
        host.event(QpEvent::Fatal(status));
    }

    /// To ERROR, with the request at the front in error.
    fn fail_request<H: Host>(&mut self, host: &mut H, failure: Failure) {
        self.requester
            .complete_front(host, failure.status, failure.syndrome);
        self.fail(host, failure.status);
    }

    /// Whether it is in ERROR and all that was posted has been flushed.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether packets of the peer wait for a receive: call [`Self::run`] when one is posted.
    #[must_use]
    pub fn waits_for_receive(&self) -> bool {
        !self.responder.parking.is_empty()
    }

    /// A frame to this queue pair has come. What there is to answer, [`Self::run`] answers: after all frames that have come together.
    ///
    /// # Errors
    /// The frame is not taken: see [`Dropped`].
    pub fn receive<H: Host>(&mut self, host: &mut H, frame: &Frame<'_>) -> Result<(), Dropped> {
        if self.state != QpState::RTR && self.state != QpState::RTS {
            return Err(Dropped::State);
        }
        if !self
            .path
            .is_some_and(|path| is_answer(&path.ip, &frame.address.ip))
        {
            return Err(Dropped::Address);
        }
        if frame.bth.p_key & DEFAULT_PARTITION != DEFAULT_PARTITION {
            return Err(Dropped::PKey);
        }
        if let Some(request) = Request::of(frame) {
            self.hear(host);
            self.responder.receive(host, &request);
            return Ok(());
        }
        match frame.bth.opcode {
            // Congestion notification: the window is governed by losses alone.
            Opcode::CNP => Ok(()),
            opcode if !(0x0d..=0x12).contains(&opcode.0) => Err(Dropped::Opcode),
            _ if self.state != QpState::RTS => Err(Dropped::State),
            _ => {
                if let Err(failure) = self.requester.receive(host, frame) {
                    self.fail_request(host, failure);
                }
                Ok(())
            }
        }
    }

    /// The peer has sent a request: news as long as we may not send.
    fn hear<H: Host>(&mut self, host: &mut H) {
        if self.state == QpState::RTR && !self.is_heard {
            self.is_heard = true;
            host.event(QpEvent::CommEst);
        }
    }

    /// Does all that there is to do, in at most about `budget` packets, local operations or flushed requests. True: there is more, call
    /// again when other queue pairs have had their turn.
    pub fn run<H: Host>(&mut self, host: &mut H, buffer: &mut FrameBuffer, budget: usize) -> bool {
        match (self.state, self.headers) {
            (QpState::ERROR, _) => self.flush(host, budget),
            (QpState::RTR | QpState::RTS, Some(headers)) => {
                self.responder.unpark(host);
                let mut port = Port {
                    host,
                    buffer,
                    headers: &headers,
                };
                // After an error there is something to flush.
                self.transmit(&mut port, budget).unwrap_or(true)
            }
            _ => false,
        }
    }

    /// Answers and requests get half of the budget each, or what the other leaves. An error: the state is ERROR now.
    fn transmit<H: Host>(&mut self, port: &mut Port<'_, H>, budget: usize) -> Result<bool, ()> {
        let answered = self.answer(port, budget.div_ceil(2))?;
        // Requests get their turn even with a budget of one.
        let room = budget.saturating_sub(answered).max(1);
        let worked = if self.state == QpState::RTS {
            let worked = self.requester.run(port, room);
            worked.map_err(|failure| self.fail_request(port.host, failure))?
        } else {
            0
        };
        let left = room - worked;
        self.answer(port, left)?;
        Ok(self.responder.owes() || left == 0)
    }

    fn answer<H: Host>(&mut self, port: &mut Port<'_, H>, budget: usize) -> Result<usize, ()> {
        self.responder
            .answer(port, budget)
            .map_err(|status| self.fail(port.host, status))
    }

    fn flush<H: Host>(&mut self, host: &mut H, budget: usize) -> bool {
        for _ in 0..budget {
            if !self.requester.flush(host) && !self.responder.flush(host) {
                self.is_drained = true;
                if !self.is_last_wqe_told {
                    self.is_last_wqe_told = true;
                    host.event(QpEvent::LastWqe);
                }
                return false;
            }
        }
        true
    }

    /// When [`Self::expire`] has something to do, on the clock of [`Host::now`]. It changes with every call.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let requester = self.requester.deadline();
        let responder = self.responder.parking.deadline();
        if self.state == QpState::ERROR {
            return None;
        }
        match (requester, responder) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Time has passed: call [`Self::run`] next. Too early does no harm.
    pub fn expire<H: Host>(&mut self, host: &mut H) {
        if self.state != QpState::RTR && self.state != QpState::RTS {
            return;
        }
        self.responder.expire(host);
        if let Err(failure) = self.requester.expire(host) {
            self.fail_request(host, failure);
        }
    }

    /// Gives back what it has of the device, before it is dropped.
    pub fn abandon<H: Host>(&mut self, host: &mut H) {
        self.responder.stop(host);
    }
}

/// Whether a frame between those addresses comes from the peer of the path, to us.
fn is_answer(path: &IpPair, frame: &IpPair) -> bool {
    match (path, frame) {
        (
            IpPair::V4 {
                source: ours,
                destination: peers,
                ..
            },
            IpPair::V4 {
                source, destination, ..
            },
        ) => ours == destination && peers == source,
        (
            IpPair::V6 {
                source: ours,
                destination: peers,
                ..
            },
            IpPair::V6 {
                source, destination, ..
            },
        ) => ours == destination && peers == source,
        _ => false,
    }
}
