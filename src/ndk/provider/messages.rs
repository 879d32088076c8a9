//! Between the device's CM service and the connection manager.

use super::CmTables;
use super::{Provider, now};
use crate::cm::{ConnectionId, Event, Outgoing, Reacts};
use crate::ndk::datagram;
use crate::ndk::listener::Listener;
use crate::nic::Wait;
use crate::status;
use ndk_sys::{NTSTATUS, STATUS_INTERNAL_ERROR};
use vrnic_abi::cm::CmReceive;

impl Provider {
    /// A MAD has arrived. DISPATCH; MADs of one ring come one after another.
    pub fn on_cm_receive(&self, received: &CmReceive) {
        let Some(local) = self
            .addresses
            .lock()
            .get(usize::from(received.gid_index.get()))
            .copied()
            .flatten()
        else {
            return; // The address was taken away while the MAD was on its way.
        };
        let Some(from) = datagram::sender(received, local) else {
            return;
        };
        let reaction = self.cm.lock().receive(now(), &from, &received.mad);
        self.carry_out(reaction);
    }

    /// Time has passed. DISPATCH, never overlapping itself.
    pub fn on_timer(&self) {
        loop {
            let due = self.cm.lock().expire(now());
            match due {
                Some(reaction) => self.carry_out(reaction),
                None => return,
            }
        }
    }

    fn carry_out(&self, reaction: Reacts<CmTables>) {
        self.post_if_any(reaction.send.as_ref());
        match reaction.event {
            Some(Event::Request(request)) => {
                let connection = request.connection;
                if Listener::deliver(request).is_err() {
                    let refusal = self.cm.lock().refuse(now(), connection);
                    self.post_if_any(refusal.as_ref());
                }
            }
            // No connection has an owner yet.
            Some(Event::Connection { .. }) | None => {}
        }
    }

    /// `NdkReject`: see the table in `docs/`, "Reject".
    pub(in crate::ndk) fn reject(&self, connection: ConnectionId, data: &[u8], wait: Wait<'_>) -> NTSTATUS {
        let plan = self.cm.lock().prepare_reject(connection, data);
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return status::of_reject_error(error),
        };
        let result = self
            .nic
            .cm_send(wait, &datagram::destination(&plan.send.to), &plan.send.mad);
        let row = match result {
            Ok(_) => status::SENT,
            Err(error) => {
                let row = status::of_command_error(&error);
                if row.status == STATUS_INTERNAL_ERROR {
                    wdk::println!("vrnic: CM_SEND of a REJ failed: {error:?}");
                }
                row
            }
        };
        self.cm.lock().finish_reject(now(), plan.token, row.outcome);
        row.status
    }

    /// A connector is closed: an unanswered request is rejected implicitly.
    pub(in crate::ndk) fn abandon(&self, connection: ConnectionId) {
        let closed = self.cm.lock().close(now(), connection);
        self.post_if_any(closed.send.as_ref());
    }

    fn post_if_any(&self, outgoing: Option<&Outgoing>) {
        if let Some(outgoing) = outgoing {
            self.post(outgoing);
        }
    }

    /// Sends without waiting for the firmware. A MAD that cannot be posted is lost like one on the wire: the peer's
    /// retransmission brings it up again.
    fn post(&self, outgoing: &Outgoing) {
        let _lost = self
            .nic
            .cm_send(Wait::Post, &datagram::destination(&outgoing.to), &outgoing.mad);
    }
}
