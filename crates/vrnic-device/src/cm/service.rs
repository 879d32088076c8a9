//! Receiving and sending management datagrams.

use std::time::Instant;

use roce_wire::bth::{Bth, DEFAULT_P_KEY, Opcode};
use roce_wire::cm::CmMad;
use roce_wire::deth::Deth;
use roce_wire::frame::{ExtendedHeaders, Frame, FrameAddress, GSI_IPV6_LEN};
use roce_wire::gid::Gid as WireGid;
use roce_wire::mad::{GSI_Q_KEY, Mad};
use roce_wire::num::{Psn, Qpn};
use vrnic_abi::cm::CmReceive;
use vrnic_abi::doorbell;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs::FatalSyndrome;
use zerocopy::{FromZeros, IntoBytes};

use super::half_open::HalfOpen;
use crate::device::{Device, count, new_event};
use crate::doorbells::DoorbellMemory;
use crate::ring::{Indexes, RingMemory};
use crate::vlan;

/// The service, from `CM_ENABLE` to `CM_DISABLE`.
pub(crate) struct CmService {
    ring: RingMemory,
    eqn: u32,
    indexes: Indexes,
    /// Sequence number of the next datagram that we send.
    psn: Psn,
    /// Why the service is in error: the ring could not be written, or the driver's index was wrong.
    error: Option<FatalSyndrome>,
    /// The event queue was full when the error happened: the driver is told when there is room.
    error_event_owed: bool,
    pub half_open: HalfOpen,
}

impl CmService {
    /// A service with an empty ring.
    pub fn new(ring: RingMemory, eqn: u32, max_half_open: u32, doorbells: &DoorbellMemory) -> Self {
        doorbells.store(doorbell::CM_CONSUMER, 0);
        let half_open = HalfOpen::new(usize::try_from(max_half_open).unwrap_or(usize::MAX));
        Self {
            ring,
            eqn,
            indexes: Indexes::default(),
            psn: Psn::default(),
            error: None,
            error_event_owed: false,
            half_open,
        }
    }

    /// The event queue that announces what is received.
    pub fn eqn(&self) -> u32 {
        self.eqn
    }

    /// Nothing has gone wrong.
    pub fn is_working(&self) -> bool {
        self.error.is_none()
    }

    /// Takes over the driver's consumer index. True if it moved.
    ///
    /// # Errors
    /// It went back, or past what was written.
    fn refresh(&mut self, doorbells: &DoorbellMemory) -> Result<bool, FatalSyndrome> {
        self.indexes
            .consume(doorbells.load(doorbell::CM_CONSUMER))
            .map_err(|_| FatalSyndrome::BAD_DOORBELL)
    }

    fn is_full(&self) -> bool {
        self.ring.is_full(&self.indexes)
    }
}

impl Device {
    /// Looks at the consumer index of the receive ring. True if it moved.
    pub fn poll_cm_consumer(&mut self) -> bool {
        let Some(cm) = self.cm.as_mut().filter(|cm| cm.is_working()) else {
            return false;
        };
        cm.refresh(&self.doorbells).unwrap_or_else(|syndrome| {
            self.fail_cm(syndrome);
            false
        })
    }

    /// Hands a datagram to the driver, and follows the connection that it is about. `gid_index` is the address that
    /// `frame` came to.
    pub fn receive_mad(&mut self, frame: &Frame<'_>, gid_index: u16, mad: &Mad) {
        self.poll_cm_consumer();
        let Some(cm) = self.cm.as_mut().filter(|cm| cm.is_working()) else {
            return count(&mut self.statistics.drop_no_receiver, 1);
        };
        let delivered = !cm.is_full() && {
            let (producer, eqn) = (cm.indexes.producer, cm.eqn);
            let slot = receive_slot(frame, gid_index, mad);
            let addr = cm.ring.entry(producer);
            if self.dma.write(addr, slot.as_bytes()).is_err() {
                return self.fail_cm(FatalSyndrome::DMA_FAULT);
            }
            // The slot is ours until an event announces it: if there is no room for the event, the datagram is dropped.
            let event = Event {
                number: producer.into(),
                ..new_event(EventKind::CM_MAD)
            };
            self.post_event(eqn, event)
        };
        let Some(cm) = &mut self.cm else { return };
        if delivered {
            cm.indexes.produce();
            count(&mut self.statistics.cm_in, 1);
        } else {
            count(&mut self.statistics.drop_cm_full, 1);
        }
        let peer = WireGid::from(frame.address.ip.source()).0;
        if let Ok(CmMad { message, .. }) = CmMad::from_bytes(mad) {
            let abandoned = cm.half_open.received(peer, &message, delivered, Instant::now());
            count(&mut self.statistics.cm_abandoned, u64::from(abandoned));
        }
    }

    /// Stops the service: the driver is told, and has to disable it.
    fn fail_cm(&mut self, syndrome: FatalSyndrome) {
        if let Some(cm) = &mut self.cm {
            cm.error = Some(syndrome);
            self.post_cm_error();
        }
    }

    /// Tells the driver that the service is in error, if it has not been told for want of room.
    pub fn post_owed_cm_error(&mut self) {
        let eqn = self.cm.as_ref().filter(|cm| cm.error_event_owed).map(|cm| cm.eqn);
        if eqn.is_some_and(|eqn| self.event_queue_has_room(eqn)) {
            self.post_cm_error();
        }
    }

    fn post_cm_error(&mut self) {
        let Some((eqn, error)) = self.cm.as_ref().and_then(|cm| Some((cm.eqn, cm.error?))) else {
            return;
        };
        let event = Event {
            number: error.0.into(),
            ..new_event(EventKind::CM_ERROR)
        };
        let posted = self.post_event(eqn, event);
        if let Some(cm) = &mut self.cm {
            cm.error_event_owed = !posted;
        }
    }

    /// Sends a datagram to queue pair `dest_qp`.
    pub fn transmit_mad(&mut self, address: &FrameAddress, vlan: u16, dest_qp: Qpn, mad: &Mad) {
        let Some(cm) = &mut self.cm else { return };
        let bth = Bth {
            opcode: Opcode::UD_SEND_ONLY,
            mig_req: true,
            p_key: DEFAULT_P_KEY,
            dest_qp,
            psn: cm.psn,
            ..Bth::default()
        };
        let deth = Some(Deth {
            q_key: GSI_Q_KEY,
            source_qp: Qpn::GSI,
        });
        let extended = ExtendedHeaders {
            deth,
            ..ExtendedHeaders::default()
        };
        let mut buffer = [0; GSI_IPV6_LEN];
        let built = Frame {
            address: *address,
            bth,
            extended,
            payload: mad,
        }
        .write(&mut buffer);
        let Some(frame) = built.ok().and_then(|length| buffer.get(..length)) else {
            return self.go_fatal(FatalSyndrome::INTERNAL);
        };
        cm.psn = cm.psn.wrapping_add(1);
        count(&mut self.statistics.cm_out, 1);
        let mut buffer = self.outbox.take_spare();
        buffer.set(&vlan::tag(frame, vlan));
        self.transmit_rdma(&mut buffer);
        self.send_frames();
        self.outbox.put_spare(buffer);
    }
}

fn receive_slot(frame: &Frame<'_>, gid_index: u16, mad: &Mad) -> CmReceive {
    let address = &frame.address;
    CmReceive {
        src_mac: address.source_mac.0,
        gid_index: gid_index.into(),
        src_gid: WireGid::from(address.ip.source()).0,
        udp_src_port: address.udp_source_port.into(),
        traffic_class: address.traffic_class,
        hop_limit: address.hop_limit,
        src_qpn: frame.extended.deth.map_or(0, |deth| deth.source_qp.get()).into(),
        mad: *mad,
        ..CmReceive::new_zeroed()
    }
}
