//! Carries out what the rules say.

use super::data::ConnectionData;
use super::machine::{Action, CmAction};
use super::object::{Claim, Connector, Core, Endpoint};
use crate::cm::{
    AcceptError, CompleteError, Connect, ConnectionId, DisconnectTimeout, Disconnecting, Finished, LocalQp,
    Notice, Outgoing, QpOutcome,
};
use crate::ndk::object::ObjectRef;
use crate::ndk::provider::now;
use crate::status;
use ndk_sys::{NTSTATUS, STATUS_CONNECTION_INVALID, STATUS_IO_TIMEOUT, STATUS_SUCCESS};
use roce_wire::num::Qpn;

impl Connector {
    /// Does what is due, unless somebody is at it, who will see it. At most `DISPATCH_LEVEL`, without a lock; consumers are
    /// called, and may close the connector, of which the caller has a reference.
    pub(super) fn run(connector: &ObjectRef<Self>) {
        let mut core = connector.core.lock();
        if core::mem::replace(&mut core.running, true) {
            return;
        }
        while let Some(action) = core.machine.take_action() {
            drop(core);
            Self::carry_out(connector, action);
            core = connector.core.lock();
        }
        core.running = false;
    }

    fn carry_out(connector: &ObjectRef<Self>, action: Action<super::object::Pending>) {
        match action {
            Action::Cm(action) => Self::message(connector, action),
            Action::Qp(action) => Self::change(connector, action),
            Action::Release => Self::release(connector),
            Action::Complete(request, status) => request.complete(status),
            Action::Disconnected { error } => {
                let event = connector.core.lock().disconnect_event.take();
                if let Some(event) = event {
                    event.indicate(error);
                }
            }
        }
    }

    /// The attempt is over without harm.
    fn release(connector: &ObjectRef<Self>) {
        connector.give_claim_back();
        let (qp, endpoint) = {
            let mut core = connector.core.lock();
            core.addresses = None;
            core.qp_parameters = None;
            (
                core.qp.take(),
                core::mem::replace(&mut core.endpoint, Endpoint::None),
            )
        };
        drop(qp);
        connector.release_endpoint(endpoint);
    }

    /// Asks the connection manager, and sends what it says.
    fn message(connector: &ObjectRef<Self>, action: CmAction) {
        let provider = connector.provider();
        let (first, second) = match action {
            CmAction::Connect => (Self::send_req(connector), None),
            CmAction::Reply | CmAction::Ready => (connector.finish_claim(QpOutcome::Moved), None),
            CmAction::Disconnect => (connector.send_dreq(), None),
            CmAction::Lost => {
                let connection = connector.core.lock().connection;
                if let Some(connection) = connection {
                    provider.on_lost(connection);
                }
                (None, None)
            }
            CmAction::Close => {
                let first = connector.finish_claim(QpOutcome::NotMoved);
                let connection = connector.core.lock().connection.take();
                (
                    first,
                    connection.and_then(|connection| provider.close_connection(connection)),
                )
            }
        };
        for outgoing in [first, second].iter().flatten() {
            if let Err(status) = provider.post(outgoing) {
                connector.core.lock().machine.on_not_sent(action, status);
            }
        }
        // Whoever tells all connectors that the device has failed may have come before this one was under way.
        if let Some(status) = provider.device_failure() {
            connector.core.lock().machine.on_device_failed(status);
        }
    }

    fn send_req(connector: &ObjectRef<Self>) -> Option<Outgoing> {
        let mut core = connector.core.lock();
        let core = &mut *core;
        // `NdkConnect` has set all three before this can be due.
        let (Some(to), Some((local, peer)), Some(qp)) = (core.attempt.to, core.addresses, &core.qp) else {
            core.machine.on_connect_failed(STATUS_CONNECTION_INVALID);
            return None;
        };
        let connect = Connect {
            to,
            local,
            peer,
            qp: local_qp(qp),
            limits: core.attempt.limits,
            private_data: &core.attempt.private_data[..core.attempt.length],
        };
        // With the connector locked, so that an answer finds the connection's name.
        let result = connector
            .provider()
            .cm()
            .connect(now(), &connect, connector.clone());
        match result {
            Ok((connection, req)) => {
                core.connection = Some(connection);
                Some(req)
            }
            Err(error) => {
                core.machine.on_connect_failed(status::of_connect_error(error));
                None
            }
        }
    }

    /// The second half of what waited for the queue pair; the message that follows from it.
    fn finish_claim(&self, outcome: QpOutcome) -> Option<Outgoing> {
        let mut core = self.core.lock();
        match core.claim.take()? {
            Claim::Complete(token) => {
                let Finished { send, result } = self.provider().cm().finish_complete(now(), token, outcome);
                let result = result.map_err(|error: CompleteError| status::of_complete_error(error));
                core.machine.on_ready_sent(result);
                send
            }
            Claim::Accept(token) => {
                let Finished { send, result } = self.provider().cm().finish_accept(now(), token, outcome);
                let result = result.map_err(|error: AcceptError| status::of_accept_error(error));
                core.machine.on_reply_sent(result);
                send
            }
        }
    }

    fn send_dreq(&self) -> Option<Outgoing> {
        let mut core = self.core.lock();
        let answer = core
            .connection
            .map(|connection| self.provider().cm().disconnect(now(), connection));
        match answer {
            Some(Ok(Disconnecting::Started(dreq))) => return Some(dreq),
            // The peer was first.
            Some(Ok(Disconnecting::Over)) => core.machine.on_disconnect_done(STATUS_SUCCESS),
            Some(Err(_)) | None => core.machine.on_disconnect_done(STATUS_CONNECTION_INVALID),
        }
        None
    }

    /// What the connection manager has to say about the connection. `DISPATCH_LEVEL`, without a lock.
    pub fn notify(connector: &ObjectRef<Self>, connection: ConnectionId, notice: &Notice) {
        {
            let mut core = connector.core.lock();
            if core.connection != Some(connection) {
                return; // It is about an earlier attempt.
            }
            core.take_notice(notice);
        }
        Self::run(connector);
    }

    /// The device has failed: `status` says how. At most `DISPATCH_LEVEL`, without a lock.
    pub fn on_device_failed(connector: &ObjectRef<Self>, status: NTSTATUS) {
        connector.core.lock().machine.on_device_failed(status);
        Self::run(connector);
    }
}

impl Core {
    fn take_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Accepted(accepted) => {
                if self.machine.on_replied() {
                    self.data = Some(ConnectionData::of_reply(
                        accepted.qp.limits,
                        &accepted.private_data,
                    ));
                }
            }
            Notice::Refused(refusal) => {
                if self.machine.on_refused() {
                    self.data = Some(ConnectionData::of_refusal(&refusal.private_data));
                }
            }
            Notice::TimedOut => {
                self.machine.on_connect_failed(STATUS_IO_TIMEOUT);
                self.machine.on_accept_timeout();
            }
            Notice::Aborted => self.machine.on_aborted(),
            Notice::Established => self.machine.on_ready(),
            Notice::Disconnected => self.machine.on_peer_disconnected(),
            Notice::DisconnectDone(result) => {
                let status = match result {
                    Ok(()) => STATUS_SUCCESS,
                    Err(DisconnectTimeout) => STATUS_IO_TIMEOUT,
                };
                self.machine.on_disconnect_done(status);
            }
        }
    }
}

/// A queue pair as REQ and REP describe it.
pub(super) fn local_qp(qp: &crate::ndk::qp::Qp) -> LocalQp {
    LocalQp {
        qpn: Qpn::truncated(qp.number()),
        srq: qp.has_srq(),
    }
}
