//! Between the device's CM service and the connection manager.

use super::{Cm, Provider, now};
use crate::cm::{ConnectionId, Event, Outgoing, Reaction};
use crate::ndk::connector::Connector;
use crate::ndk::datagram;
use crate::ndk::listener::Listener;
use crate::ndk::object::ObjectRef;
use crate::nic::{Health, Wait};
use crate::os::lock::SpinGuard;
use crate::status::{self, Row};
use ndk_sys::{NTSTATUS, STATUS_DEVICE_NOT_READY, STATUS_DEVICE_REMOVED, STATUS_INTERNAL_ERROR};
use vrnic_abi::cm::CmReceive;

impl Provider {
    /// The connection manager, locked. What it says is to be done after unlocking.
    pub(in crate::ndk) fn cm(&self) -> SpinGuard<'_, Cm> {
        self.cm.lock()
    }

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
        let reaction = self.cm().receive(now(), &from, &received.mad);
        self.carry_out(reaction);
    }

    /// Time has passed. DISPATCH, never overlapping itself.
    pub fn on_timer(&self) {
        self.queues.on_tick();
        loop {
            let due = self.cm().expire(now());
            match due {
                Some(reaction) => self.carry_out(reaction),
                None => return,
            }
        }
    }

    /// The first packet of the peer's queue pair has arrived: it has our REP, even if its RTU gets lost.
    pub(in crate::ndk) fn on_first_packet(&self, connection: ConnectionId) {
        let reaction = self.cm().established(now(), connection);
        self.carry_out(reaction);
    }

    /// Our end of a connection has broken.
    pub(in crate::ndk) fn on_lost(&self, connection: ConnectionId) {
        let reaction = self.cm().connection_lost(now(), connection);
        self.carry_out(reaction);
    }

    /// Why nothing can be sent any more.
    pub(in crate::ndk) fn device_failure(&self) -> Option<NTSTATUS> {
        match self.nic.health() {
            Health::Working => None,
            Health::Removed => Some(STATUS_DEVICE_REMOVED),
            Health::Dead => Some(STATUS_DEVICE_NOT_READY),
        }
    }

    /// The device has failed or is gone: whoever waits for a peer is told so. At most `DISPATCH_LEVEL`, without a lock.
    pub fn on_device_failed(&self) {
        let Some(status) = self.device_failure() else {
            return;
        };
        self.queues.on_device_failure(self.nic.health());
        let mut cursor = 0;
        loop {
            let next = self.cm().next_owner(&mut cursor);
            match next {
                Some((_, connector)) => Connector::on_device_failed(&connector, status),
                None => return,
            }
        }
    }

    fn carry_out(&self, reaction: Reaction<ObjectRef<Listener>, ObjectRef<Connector>>) {
        if let Some(outgoing) = reaction.send {
            let _repeated = self.post(&outgoing);
        }
        match reaction.event {
            None => {}
            Some(Event::Request(request)) => {
                let connection = request.connection;
                if Listener::deliver(request).is_err() {
                    let refusal = self.cm().refuse(now(), connection);
                    if let Some(refusal) = refusal {
                        let _repeated = self.post(&refusal);
                    }
                }
            }
            Some(Event::Connection {
                connection,
                owner,
                notice,
            }) => Connector::notify(&owner, connection, &notice),
        }
    }

    /// `NdkReject`: see the table in `docs/`, "Reject".
    ///
    /// # Errors
    /// Nothing was sent and nothing has changed.
    pub(in crate::ndk) fn reject(
        &self,
        connection: ConnectionId,
        data: &[u8],
        wait: Wait<'_>,
    ) -> Result<Row, NTSTATUS> {
        let plan = self.cm().prepare_reject(connection, data);
        let plan = plan.map_err(status::of_reject_error)?;
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
        self.cm().finish_reject(now(), plan.token, row.outcome);
        Ok(row)
    }

    /// A connector has no more interest in its connection: the message that ends it, if one is needed.
    pub(in crate::ndk) fn close_connection(&self, connection: ConnectionId) -> Option<Outgoing> {
        let closed = self.cm().close(now(), connection);
        drop(closed.owner); // After unlocking.
        closed.send
    }

    /// Sends without waiting for the firmware.
    ///
    /// # Errors
    /// What the firmware says, if it does so at once. A MAD that is not sent is lost like one on the wire: the peer's
    /// retransmission, or ours, brings it up again.
    pub(in crate::ndk) fn post(&self, outgoing: &Outgoing) -> Result<(), NTSTATUS> {
        self.nic
            .cm_send(Wait::Post, &datagram::destination(&outgoing.to), &outgoing.mad)
            .map(|_| ())
            .map_err(|error| status::of_command_error(&error).status)
    }
}
