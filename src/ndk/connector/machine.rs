//! What a connector does when: the NDK rules for it, without the operating system, the device and the messages.
//!
//! Consumer's calls and everything that happens are methods; each changes the state and leaves **actions**, which are taken one
//! at a time with [`Machine::take_action`] and carried out without a lock. Whoever carries out an action reports how it went by
//! another method. One caller at a time takes actions, so that a consumer's callbacks come one after another and in the
//! order of what they report.
//!
//! `R` is the consumer's request: given when it starts, and given back exactly once in [`Action::Complete`].

use ndk_sys::NTSTATUS;
use ndk_sys::status::{
    STATUS_CANCELLED, STATUS_CONNECTION_ABORTED, STATUS_CONNECTION_INVALID, STATUS_CONNECTION_REFUSED,
    STATUS_INVALID_DEVICE_STATE, STATUS_IO_TIMEOUT, STATUS_SUCCESS,
};

/// Where a connector stands. `docs/`, "Connections", has the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// May connect: new, or its last attempt failed without harm.
    Idle,
    /// `NdkConnect`: the way to the peer is being looked for.
    Resolving,
    /// `NdkConnect`: the REQ is out.
    Connecting,
    /// `NdkConnect` has succeeded: the peer's REP waits for the consumer.
    Replied,
    /// `NdkCompleteConnect`: the queue pair is on its way to RTS.
    Completing,
    /// The peer's REQ waits for the consumer.
    Requested,
    /// `NdkAccept`: the queue pair is on its way to RTR.
    Preparing,
    /// `NdkAccept`: the REP is out.
    Accepting,
    /// `NdkAccept`: the peer is ready, and the queue pair on its way to RTS.
    Finishing,
    /// Connected. A request that is left completes when the RTU is out.
    Established,
    /// Was connected; the consumer is or will be told by its disconnect event.
    Broken,
    /// `NdkDisconnect`.
    Disconnecting,
    /// Nothing but closing is left.
    Over,
}

/// A message, or the end of all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmAction {
    /// Send the REQ. [`Machine::on_connect_failed`] if it cannot be.
    Connect,
    /// Send the REP. [`Machine::on_reply_sent`] follows.
    Reply,
    /// Send the RTU. [`Machine::on_ready_sent`] follows.
    Ready,
    /// Send the DREQ. [`Machine::on_disconnect_done`] follows, now or later.
    Disconnect,
    /// Our end has broken: send a DREQ and forget about it.
    Lost,
    /// The consumer has no more interest: reject or disconnect as needed, and report nothing any more.
    Close,
}

/// What becomes of the queue pair. [`Machine::on_qp_done`] follows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QpAction {
    /// INIT to RTR.
    Receive,
    /// RTR to RTS.
    Send,
    /// INIT to RTS.
    Connect,
    /// To ERROR: every request is flushed, and all DMA ends.
    Flush,
}

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<R> {
    /// For the connection manager.
    Cm(CmAction),
    /// For the queue pair.
    Qp(QpAction),
    /// The attempt is over without harm: queue pair and endpoint are for others again.
    Release,
    /// The consumer's request is over.
    Complete(R, NTSTATUS),
    /// The consumer's disconnect event; whether something broke, as opposed to the peer's wish.
    Disconnected {
        /// The connection broke.
        error: bool,
    },
}

/// The state of one connector.
#[derive(Debug)]
pub struct Machine<R> {
    phase: Phase,
    /// The request that the consumer waits for.
    pending: Option<R>,
    /// It is over, but the consumer does not know yet.
    complete: Option<(R, NTSTATUS)>,
    cm: Option<CmAction>,
    qp: Option<QpAction>,
    /// A change of the queue pair is under way.
    qp_busy: bool,
    release: bool,
    /// The disconnect event is due; whether because of an error.
    indicate: Option<bool>,
    /// The connection ended before the consumer was told that there is one; whether because of an error.
    early_end: Option<bool>,
    /// `NdkDisconnect` waits for the peer's answer.
    waits_for_peer: bool,
    /// How `NdkDisconnect` ends.
    outcome: NTSTATUS,
}

impl<R> Machine<R> {
    /// A connector that may connect.
    #[must_use]
    pub const fn idle() -> Self {
        Self::new(Phase::Idle)
    }

    /// The connector of an incoming request.
    #[must_use]
    pub const fn requested() -> Self {
        Self::new(Phase::Requested)
    }

    const fn new(phase: Phase) -> Self {
        Self {
            phase,
            pending: None,
            complete: None,
            cm: None,
            qp: None,
            qp_busy: false,
            release: false,
            indicate: None,
            early_end: None,
            waits_for_peer: false,
            outcome: STATUS_SUCCESS,
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The next thing to do. The order matters: messages and the queue pair first, then what the consumer is told.
    pub fn take_action(&mut self) -> Option<Action<R>> {
        if let Some(cm) = self.cm.take() {
            return Some(Action::Cm(cm));
        }
        if !self.qp_busy
            && let Some(qp) = self.qp.take()
        {
            self.qp_busy = true;
            return Some(Action::Qp(qp));
        }
        if core::mem::take(&mut self.release) {
            return Some(Action::Release);
        }
        if let Some((request, status)) = self.complete.take() {
            return Some(Action::Complete(request, status));
        }
        let error = self.indicate.take()?;
        Some(Action::Disconnected { error })
    }

    // The consumer's calls. Each makes the request if it can be started.

    /// Whether `NdkConnect` may begin: nothing has happened yet, or only a failure without harm.
    ///
    /// # Errors
    /// `STATUS_INVALID_DEVICE_STATE`.
    pub fn check_connect(&self) -> Result<(), NTSTATUS> {
        if self.phase == Phase::Idle && self.is_quiet() && !self.release {
            Ok(())
        } else {
            Err(STATUS_INVALID_DEVICE_STATE)
        }
    }

    /// `NdkConnect` and `NdkConnectWithSharedEndpoint`: [`Machine::on_resolved`] follows.
    ///
    /// # Errors
    /// As [`Machine::check_connect`].
    pub fn connect(&mut self, request: impl FnOnce() -> R) -> Result<(), NTSTATUS> {
        self.check_connect()?;
        self.start(Phase::Resolving, request());
        Ok(())
    }

    /// Whether `NdkCompleteConnect` may begin.
    ///
    /// # Errors
    /// `STATUS_CONNECTION_INVALID` unless `NdkConnect` has succeeded.
    pub fn check_complete(&self) -> Result<(), NTSTATUS> {
        if self.phase == Phase::Replied && self.is_quiet() {
            Ok(())
        } else {
            Err(STATUS_CONNECTION_INVALID)
        }
    }

    /// `NdkCompleteConnect`.
    ///
    /// # Errors
    /// As [`Machine::check_complete`].
    pub fn complete_connect(&mut self, request: impl FnOnce() -> R) -> Result<(), NTSTATUS> {
        self.check_complete()?;
        self.start(Phase::Completing, request());
        self.qp = Some(QpAction::Connect);
        Ok(())
    }

    /// Whether `NdkAccept` may begin.
    ///
    /// # Errors
    /// `STATUS_INVALID_DEVICE_STATE` unless a request waits for an answer.
    pub fn check_accept(&self) -> Result<(), NTSTATUS> {
        if self.phase == Phase::Requested && self.is_quiet() {
            Ok(())
        } else {
            Err(STATUS_INVALID_DEVICE_STATE)
        }
    }

    /// `NdkAccept`.
    ///
    /// # Errors
    /// As [`Machine::check_accept`].
    pub fn accept(&mut self, request: impl FnOnce() -> R) -> Result<(), NTSTATUS> {
        self.check_accept()?;
        self.start(Phase::Preparing, request());
        self.qp = Some(QpAction::Receive);
        Ok(())
    }

    /// Whether `NdkReject` may begin.
    ///
    /// # Errors
    /// `STATUS_INVALID_DEVICE_STATE` unless a REQ or a REP waits for an answer.
    pub fn check_reject(&self) -> Result<(), NTSTATUS> {
        match self.phase {
            Phase::Requested | Phase::Replied if self.is_quiet() => Ok(()),
            _ => Err(STATUS_INVALID_DEVICE_STATE),
        }
    }

    /// `NdkReject` has ended the attempt, one way or another: sent, or found that it was over.
    pub fn on_rejected(&mut self) {
        match self.phase {
            Phase::Requested => self.phase = Phase::Over,
            Phase::Replied => self.fail_attempt(),
            // Closed meanwhile, or answered otherwise against the rules: that call has seen to the rest.
            _ => {}
        }
    }

    /// `NdkDisconnect`.
    ///
    /// # Errors
    /// `STATUS_CONNECTION_INVALID` if there is no connection.
    pub fn disconnect(&mut self, request: impl FnOnce() -> R) -> Result<(), NTSTATUS> {
        let connected = match self.phase {
            Phase::Established if self.is_quiet() => true,
            Phase::Broken if self.is_quiet() => false,
            _ => return Err(STATUS_CONNECTION_INVALID),
        };
        self.indicate = None;
        self.outcome = STATUS_SUCCESS;
        self.waits_for_peer = connected;
        self.start(Phase::Disconnecting, request());
        if connected {
            self.cm = Some(CmAction::Disconnect);
        }
        self.qp = Some(QpAction::Flush);
        Ok(())
    }

    /// The consumer closes the connector: cancels what is pending, ends what is there.
    pub fn close(&mut self) {
        self.indicate = None;
        match self.phase {
            Phase::Idle | Phase::Requested | Phase::Over => self.phase = Phase::Over,
            Phase::Resolving | Phase::Connecting => {
                self.phase = Phase::Over;
                self.release = true;
                self.finish(STATUS_CANCELLED);
            }
            Phase::Replied
            | Phase::Completing
            | Phase::Preparing
            | Phase::Accepting
            | Phase::Finishing
            | Phase::Established
            | Phase::Broken => {
                self.fail_attempt();
                self.finish(STATUS_CANCELLED);
            }
            Phase::Disconnecting => {
                if core::mem::take(&mut self.waits_for_peer) {
                    self.outcome = STATUS_CANCELLED;
                }
                self.finish_disconnect();
            }
        }
        self.cm = Some(CmAction::Close);
    }

    // What happens.

    /// The way to the peer is known, or there is none.
    pub fn on_resolved(&mut self, result: Result<(), NTSTATUS>) {
        if self.phase != Phase::Resolving {
            return;
        }
        match result {
            Ok(()) => {
                self.phase = Phase::Connecting;
                self.cm = Some(CmAction::Connect);
            }
            Err(status) => self.fail_connect(status),
        }
    }

    /// A message could not be sent. What is repeated until it is answered, or need not arrive, is left to that.
    pub fn on_not_sent(&mut self, action: CmAction, status: NTSTATUS) {
        match action {
            CmAction::Connect => self.on_connect_failed(status),
            CmAction::Reply => self.on_reply_sent(Err(status)),
            CmAction::Ready | CmAction::Disconnect | CmAction::Lost | CmAction::Close => {}
        }
    }

    /// The REQ could not be sent, or nobody has answered it.
    pub fn on_connect_failed(&mut self, status: NTSTATUS) {
        if self.phase == Phase::Connecting {
            self.fail_connect(status);
        }
    }

    /// The peer has accepted. False if nobody wants to know any more.
    pub fn on_replied(&mut self) -> bool {
        let wanted = self.phase == Phase::Connecting;
        if wanted {
            self.phase = Phase::Replied;
            self.finish(STATUS_SUCCESS);
        }
        wanted
    }

    /// The peer has rejected: our REQ, or our REP. False if nobody wants to know any more.
    pub fn on_refused(&mut self) -> bool {
        match self.phase {
            Phase::Connecting => self.fail_connect(STATUS_CONNECTION_REFUSED),
            Phase::Accepting => {
                self.fail_attempt();
                self.finish(STATUS_CONNECTION_REFUSED);
            }
            _ => return false,
        }
        true
    }

    /// The REP is out, or cannot be sent.
    pub fn on_reply_sent(&mut self, result: Result<(), NTSTATUS>) {
        if let (Phase::Accepting, Err(status)) = (self.phase, result) {
            self.fail_attempt();
            self.finish(status);
        }
    }

    /// The peer has got our REP and is connected: its RTU, or its first packet.
    pub fn on_ready(&mut self) {
        if self.phase == Phase::Accepting {
            self.phase = Phase::Finishing;
            self.qp = Some(QpAction::Send);
        }
    }

    /// The peer never said that it got our REP.
    pub fn on_accept_timeout(&mut self) {
        if self.phase == Phase::Accepting {
            self.fail_attempt();
            self.finish(STATUS_IO_TIMEOUT);
        }
    }

    /// The RTU is out, or the peer is gone.
    pub fn on_ready_sent(&mut self, result: Result<(), NTSTATUS>) {
        if self.phase != Phase::Established || self.pending.is_none() {
            return;
        }
        match result {
            Ok(()) => self.establish(),
            Err(status) => {
                self.fail_attempt();
                self.finish(status);
            }
        }
    }

    /// The peer has given up, otherwise than by rejecting.
    pub fn on_aborted(&mut self) {
        if self.phase == Phase::Accepting {
            self.fail_attempt();
            self.finish(STATUS_CONNECTION_ABORTED);
        }
    }

    /// The peer has disconnected. It has its answer.
    pub fn on_peer_disconnected(&mut self) {
        if let Phase::Established | Phase::Finishing = self.phase {
            self.end(false);
        }
    }

    /// The queue pair has failed, and the connection with it.
    pub fn on_qp_failed(&mut self) {
        match self.phase {
            Phase::Established | Phase::Finishing => self.end(true),
            Phase::Accepting => self.on_aborted(),
            _ => {}
        }
    }

    /// The answer to our DREQ, or none: `status`.
    pub fn on_disconnect_done(&mut self, status: NTSTATUS) {
        if self.phase == Phase::Disconnecting && core::mem::take(&mut self.waits_for_peer) {
            self.outcome = status;
            self.finish_disconnect();
        }
    }

    /// The queue pair has done what it was told by the last action, or refuses.
    pub fn on_qp_done(&mut self, action: QpAction, result: Result<(), NTSTATUS>) {
        self.qp_busy = false;
        match (self.phase, action, result) {
            (Phase::Completing, QpAction::Connect, Ok(())) => {
                // A DREQ may arrive as soon as the RTU is out; the request completes when it is.
                self.phase = Phase::Established;
                self.cm = Some(CmAction::Ready);
            }
            (Phase::Preparing, QpAction::Receive, Ok(())) => {
                self.phase = Phase::Accepting;
                self.cm = Some(CmAction::Reply);
            }
            (Phase::Finishing, QpAction::Send, Ok(())) => {
                self.phase = Phase::Established;
                self.establish();
            }
            (Phase::Completing | Phase::Preparing | Phase::Finishing, _, Err(status)) => {
                self.fail_attempt();
                self.finish(status);
            }
            (Phase::Disconnecting, QpAction::Flush, result) => {
                if let Err(status) = result {
                    self.waits_for_peer = false;
                    self.outcome = status;
                }
                self.finish_disconnect();
            }
            _ => {}
        }
    }

    /// The device has failed or is gone: `status` says which. Commands under way report for themselves.
    pub fn on_device_failed(&mut self, status: NTSTATUS) {
        match self.phase {
            Phase::Resolving | Phase::Connecting => self.fail_connect(status),
            Phase::Accepting => {
                self.fail_attempt();
                self.finish(status);
            }
            Phase::Established | Phase::Finishing => self.end(true),
            Phase::Disconnecting => self.on_disconnect_done(status),
            _ => {}
        }
    }

    /// Nothing is pending, and nothing that the consumer does not know yet.
    fn is_quiet(&self) -> bool {
        self.pending.is_none() && self.complete.is_none()
    }

    fn start(&mut self, phase: Phase, request: R) {
        self.phase = phase;
        self.pending = Some(request);
    }

    /// The pending request, if there is one, is over.
    fn finish(&mut self, status: NTSTATUS) {
        if let Some(request) = self.pending.take() {
            self.complete = Some((request, status));
        }
    }

    /// `NdkConnect` fails; the queue pair is as it was, and the connector may try again.
    fn fail_connect(&mut self, status: NTSTATUS) {
        self.phase = Phase::Idle;
        self.cm = Some(CmAction::Close);
        self.release = true;
        self.finish(status);
    }

    /// An attempt fails that has, or may have, moved the queue pair.
    fn fail_attempt(&mut self) {
        self.phase = Phase::Over;
        self.cm = Some(CmAction::Close);
        // Whatever the queue pair was about to become, it goes to ERROR when the change under way is over.
        self.qp = Some(QpAction::Flush);
    }

    /// The consumer is told that it is connected, and what has happened since.
    fn establish(&mut self) {
        self.finish(STATUS_SUCCESS);
        if let Some(error) = self.early_end.take() {
            self.end(error);
        }
    }

    /// The connection is no more; the consumer has not asked for it.
    fn end(&mut self, error: bool) {
        if self.pending.is_some() {
            self.early_end.get_or_insert(error);
            return;
        }
        self.phase = Phase::Broken;
        self.indicate = Some(error);
        if error {
            self.cm = Some(CmAction::Lost);
        }
    }

    fn finish_disconnect(&mut self) {
        if self.waits_for_peer || self.qp_busy || self.qp.is_some() {
            return;
        }
        self.phase = Phase::Over;
        self.cm = Some(CmAction::Close);
        self.finish(self.outcome);
    }
}

#[cfg(test)]
mod tests;
