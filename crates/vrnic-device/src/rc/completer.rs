//! Takes what comes back for our requests: acknowledgements and READ responses (IBTA 9.7.5, 9.7.6), and the passing of time.

use roce_wire::aeth::{AckKind, Aeth, NakCode};
use roce_wire::bth::Opcode;
use roce_wire::frame::Frame;
use roce_wire::num::Psn;
use vrnic_abi::cqe::WorkStatus;

use super::host::{Counter, Host, Operation};
use super::port::Failure;
use super::psn::Seq;
use super::requester::{Requester, Stage};
use super::retry::rnr_delay;

impl Requester {
    /// A packet has come that answers a request. A failure is that of the front request.
    pub fn receive<H: Host>(&mut self, host: &mut H, frame: &Frame<'_>) -> Result<(), Failure> {
        let psn = frame.bth.psn;
        match (frame.bth.opcode, frame.extended.aeth) {
            (Opcode::RC_ACKNOWLEDGE, Some(aeth)) => self.acknowledged(host, psn, aeth),
            (
                opcode @ (Opcode::RC_RDMA_READ_RESPONSE_FIRST
                | Opcode::RC_RDMA_READ_RESPONSE_MIDDLE
                | Opcode::RC_RDMA_READ_RESPONSE_LAST
                | Opcode::RC_RDMA_READ_RESPONSE_ONLY),
                _,
            ) => self.read_response(host, psn, opcode, frame.payload),
            // We ask for no atomic operation: nobody has a reason to answer one.
            _ => Ok(()),
        }
    }

    fn acknowledged<H: Host>(&mut self, host: &mut H, psn: Psn, aeth: Aeth) -> Result<(), Failure> {
        let seq = self.unacked.near(psn);
        // What is old or never was is no news ("ghost acknowledge", IBTA 9.7.5.1.1).
        if seq < self.unacked || seq >= self.sent {
            return Ok(());
        }
        match aeth.kind() {
            AckKind::Ack { .. } => self.all_before(host, seq.after(1)).map(|_| ()),
            AckKind::RnrNak { timer } => self.not_ready(host, seq, timer),
            AckKind::Nak(NakCode::PSN_SEQUENCE_ERROR) => {
                if self.all_before(host, seq)? {
                    self.lost()?;
                }
                Ok(())
            }
            AckKind::Nak(code) => {
                self.advance(host, self.reachable(seq))?;
                Err(Failure {
                    status: nak_status(code),
                    syndrome: aeth.syndrome.into(),
                })
            }
            AckKind::Reserved => Ok(()),
        }
    }

    fn not_ready<H: Host>(&mut self, host: &mut H, seq: Seq, timer: u8) -> Result<(), Failure> {
        if self.rnr_until.is_some() || !self.all_before(host, seq)? {
            return Ok(());
        }
        self.retry.not_ready()?;
        self.go_back();
        self.rnr_until = Some(host.now().saturating_add(rnr_delay(timer)));
        Ok(())
    }

    /// Everything before `target` has arrived. False: not the responses of a READ before it, which therefore are lost, and asked for again.
    fn all_before<H: Host>(&mut self, host: &mut H, target: Seq) -> Result<bool, Failure> {
        let reached = self.reachable(target);
        self.advance(host, reached)?;
        if reached < target {
            self.lost()?;
        }
        Ok(reached == target)
    }

    /// `target`, or the first response before it that is missing.
    fn reachable(&self, target: Seq) -> Seq {
        self.missing_response()
            .map_or(target, |missing| missing.min(target))
    }

    /// The READ response that is expected next.
    fn missing_response(&self) -> Option<Seq> {
        if self.begun_reads == 0 {
            return None;
        }
        let read = self
            .queue
            .iter()
            .find(|pending| pending.is_read() && pending.stage == Stage::Begun)?;
        Some(read.first.max(self.unacked))
    }

    fn read_response<H: Host>(
        &mut self,
        host: &mut H,
        psn: Psn,
        opcode: Opcode,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let seq = self.unacked.near(psn);
        let Some(missing) = self.missing_response().filter(|_| seq < self.sent) else {
            return Ok(());
        };
        if seq < missing {
            return Ok(());
        }
        // It acknowledges what was before the READ.
        self.advance(host, missing)?;
        if seq > missing {
            return self.lost();
        }
        self.store(host, seq, opcode, payload)?;
        self.advance(host, seq.after(1))
    }

    /// Puts a response where the READ at the front wants it.
    fn store<H: Host>(
        &mut self,
        host: &mut H,
        seq: Seq,
        opcode: Opcode,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let mtu = self.mtu();
        let Some(read) = self.queue.front() else {
            return Ok(());
        };
        let offset = seq.since(read.first) * mtu;
        let left = read.request.length - offset;
        let may_end = matches!(
            opcode,
            Opcode::RC_RDMA_READ_RESPONSE_LAST | Opcode::RC_RDMA_READ_RESPONSE_ONLY
        );
        // We may have asked piece by piece: any piece ends with a Last or Only.
        if payload.len() != left.min(mtu) as usize || (left <= mtu && !may_end) {
            return Err(WorkStatus::BAD_RESPONSE.into());
        }
        if payload.is_empty() {
            return Ok(());
        }
        host.write_local(&read.request.sges, offset, payload)
            .map_err(|_| WorkStatus::LOCAL_PROTECTION.into())
    }

    /// Everything before `seq` has arrived.
    fn advance<H: Host>(&mut self, host: &mut H, seq: Seq) -> Result<(), Failure> {
        if seq <= self.unacked {
            return Ok(());
        }
        self.window.acknowledged(seq.since(self.unacked));
        self.retry.progress();
        self.recovering = None;
        self.unacked = seq;
        while self.reads.front().is_some_and(|end| *end <= seq) {
            self.reads.pop_front();
        }
        self.retire(host)?;
        if self.sending < seq {
            self.sending = seq;
            self.cursor = 0;
        }
        let in_flight = self.sending > self.unacked && self.rnr_until.is_none();
        self.ack_deadline = if in_flight {
            self.retry.deadline(host.now())
        } else {
            None
        };
        Ok(())
    }

    /// Completes what is over at the front of the queue.
    pub(super) fn retire<H: Host>(&mut self, host: &mut H) -> Result<(), Failure> {
        while let Some(pending) = self.queue.front() {
            match pending.stage {
                Stage::Failed(status) => return Err(status.into()),
                Stage::Begun if pending.end() > self.unacked => break,
                Stage::New | Stage::Checked => break,
                Stage::Begun | Stage::Done => {}
            }
            if let Operation::Read {
                invalidate: Some(key),
                ..
            } = pending.request.operation
            {
                host.invalidate_local(key)?;
            }
            self.complete_front(host, WorkStatus::OK, 0);
        }
        Ok(())
    }

    /// The first packet that is not acknowledged is lost.
    fn lost(&mut self) -> Result<(), Failure> {
        // It is sent again already, or soon; if it is lost again, its timeout tells.
        let is_known = self.recovering == Some(self.unacked);
        if is_known && (self.retry.has_timeout() || self.sending == self.unacked) {
            return Ok(());
        }
        self.send_again()
    }

    fn send_again(&mut self) -> Result<(), Failure> {
        self.retry.again()?;
        self.window.lost();
        self.recovering = Some(self.unacked);
        self.go_back();
        Ok(())
    }

    /// When [`Self::expire`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.rnr_until.or(self.ack_deadline)
    }

    /// Time has passed.
    pub fn expire<H: Host>(&mut self, host: &mut H) -> Result<(), Failure> {
        let now = host.now();
        if self.rnr_until.is_some_and(|until| until <= now) {
            self.rnr_until = None;
        }
        if self.ack_deadline.is_some_and(|deadline| deadline <= now) {
            host.count(Counter::Timeout);
            self.send_again()?;
        }
        Ok(())
    }
}

fn nak_status(code: NakCode) -> WorkStatus {
    match code {
        NakCode::INVALID_REQUEST => WorkStatus::REMOTE_INVALID_REQUEST,
        NakCode::REMOTE_ACCESS_ERROR => WorkStatus::REMOTE_ACCESS,
        NakCode::REMOTE_OPERATIONAL_ERROR => WorkStatus::REMOTE_OPERATION,
        _ => WorkStatus::BAD_RESPONSE,
    }
}
