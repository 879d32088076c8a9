//! What the transport of a queue pair asks of the device.

use vrnic_abi::cqe::{CQE_IMMEDIATE, CQE_INVALIDATED, CQE_RECEIVE, CQE_SOLICITED, Cqe, WorkStatus};
use vrnic_abi::event::EventKind;
use vrnic_abi::wqe::{BindSegment, FastRegSegment};
use zerocopy::FromZeros;

use super::access::Memory;
use super::queue_pair::Queues;
use crate::device::{Device, count};
use crate::frame_buffer::FrameBuffer;
use crate::rc::{
    Access, AccessFault, Counter, Extra, Host, QpEvent, ReceiveCompletion, ReceiveRequest, RemoteRange,
    SendCompletion, SendRequest, Sge,
};

/// Bytes of early packets that all queue pairs together may hold.
const MAX_PARKED: usize = 64 << 20;

/// The device, as the transport of one queue pair sees it.
pub(crate) struct QueuePairHost<'a> {
    pub device: &'a mut Device,
    pub queues: &'a mut Queues,
}

impl QueuePairHost<'_> {
    fn memory(&mut self) -> Memory<'_> {
        Memory {
            dma: &mut self.device.dma,
            keys: &self.device.rdma.keys,
            rights: self.queues.rights(),
        }
    }

    /// The queue pair goes to ERROR as soon as its transport has returned; once, because a wrong index stays wrong.
    fn condemn(&mut self, status: WorkStatus) {
        if !self.queues.condemned {
            self.queues.condemned = true;
            self.device.rdma.condemned.push((self.queues.index(), status));
        }
    }
}

impl Host for QueuePairHost<'_> {
    fn now(&mut self) -> u64 {
        self.device.clock.now()
    }

    fn next_send(&mut self, request: &mut SendRequest) -> bool {
        if self.queues.sq.refresh(&self.device.doorbells).is_err() {
            self.condemn(WorkStatus::LOCAL_OPERATION);
        }
        self.queues.sq.take(&mut self.device.dma, request)
    }

    fn next_receive(&mut self, receive: &mut ReceiveRequest) -> bool {
        let Some(rq) = &mut self.queues.rq else {
            return self.next_shared_receive(receive);
        };
        if rq.refresh(&self.device.doorbells).is_err() {
            self.condemn(WorkStatus::LOCAL_OPERATION);
            return false;
        }
        let taken = rq.take(&mut self.device.dma, receive);
        taken.unwrap_or_else(|_| {
            receive.fault = Some(WorkStatus::LOCAL_OPERATION);
            true
        })
    }

    fn flush_receive(&mut self) -> Option<u32> {
        let rq = self.queues.rq.as_mut()?;
        // A wrong index posts nothing; the queue pair is in ERROR already.
        let _ = rq.refresh(&self.device.doorbells);
        rq.skip()
    }

    fn check_local(&mut self, sges: &[Sge], access: Access) -> Result<(), AccessFault> {
        self.memory().check_local(sges, access)
    }

    fn read_local(&mut self, sges: &[Sge], offset: u32, data: &mut [u8]) -> Result<(), AccessFault> {
        self.memory().read_local(sges, offset, data)
    }

    fn write_local(&mut self, sges: &[Sge], offset: u32, data: &[u8]) -> Result<(), AccessFault> {
        self.memory().write_local(sges, offset, data)
    }

    fn check_remote(&mut self, range: RemoteRange, access: Access) -> Result<(), AccessFault> {
        self.memory()
            .check_remote(range.key, range.addr, range.length.into(), access)
    }

    fn read_remote(&mut self, key: u32, addr: u64, data: &mut [u8]) -> Result<(), AccessFault> {
        self.memory().read_remote(key, addr, data)
    }

    fn write_remote(&mut self, key: u32, addr: u64, data: &[u8]) -> Result<(), AccessFault> {
        self.memory().write_remote(key, addr, data)
    }

    fn invalidate_for_peer(&mut self, key: u32) -> Result<(), AccessFault> {
        let (pdn, qpn) = (self.queues.create.pdn.get(), self.queues.qpn);
        self.device.rdma.keys.invalidate(key, pdn, qpn)
    }

    fn fast_register(&mut self, segment: &FastRegSegment) -> Result<(), WorkStatus> {
        let pdn = self.queues.create.pdn.get();
        let device = &mut *self.device;
        device.rdma.keys.fast_register(&mut device.dma, pdn, segment)
    }

    fn invalidate_local(&mut self, key: u32) -> Result<(), WorkStatus> {
        self.invalidate_for_peer(key)
            .map_err(|AccessFault| WorkStatus::LOCAL_OPERATION)
    }

    fn bind(&mut self, segment: &BindSegment) -> Result<(), WorkStatus> {
        let (pdn, qpn) = (self.queues.create.pdn.get(), self.queues.qpn);
        self.device.rdma.keys.bind(pdn, qpn, segment)
    }

    fn complete_send(&mut self, completion: &SendCompletion) {
        let cqe = Cqe {
            qpn: self.queues.qpn.into(),
            index: completion.index.into(),
            syndrome: completion.syndrome.into(),
            opcode: completion.opcode.0,
            status: completion.status.0,
            ..Cqe::new_zeroed()
        };
        self.device
            .post_completion(self.queues.create.send_cqn.get(), cqe);
    }

    fn complete_receive(&mut self, completion: &ReceiveCompletion) {
        let (extra, kind) = match completion.extra {
            Extra::None => (0, 0),
            Extra::Immediate(data) => (data, CQE_IMMEDIATE),
            Extra::Invalidated(key) => (key, CQE_INVALIDATED),
        };
        let solicited = if completion.solicited { CQE_SOLICITED } else { 0 };
        let cqe = Cqe {
            qpn: self.queues.qpn.into(),
            index: completion.index.into(),
            byte_len: completion.byte_len.into(),
            extra: extra.into(),
            flags: (CQE_RECEIVE | solicited | kind).into(),
            status: completion.status.0,
            ..Cqe::new_zeroed()
        };
        self.device
            .post_completion(self.queues.create.recv_cqn.get(), cqe);
    }

    fn event(&mut self, event: QpEvent) {
        let (kind, detail) = match event {
            QpEvent::CommEst => (EventKind::QP_COMM_EST, 0),
            QpEvent::Fatal(status) => {
                count(&mut self.device.statistics.qp_errors, 1);
                (EventKind::QP_FATAL, status.0.into())
            }
            QpEvent::LastWqe if self.queues.srqn().is_none() => return,
            QpEvent::LastWqe => (EventKind::QP_LAST_WQE, 0),
        };
        self.device
            .tell(self.queues.create.eqn.get(), kind, self.queues.qpn, detail);
    }

    fn count(&mut self, counter: Counter) {
        let statistics = &mut self.device.statistics;
        let counter = match counter {
            Counter::Duplicate => &mut statistics.rc_duplicates,
            Counter::OutOfSequence => &mut statistics.rc_out_of_sequence,
            Counter::Nak => &mut statistics.rc_naks_out,
            Counter::RnrNak => &mut statistics.rc_rnr_naks_out,
            Counter::Retransmit => &mut statistics.rc_retransmits,
            Counter::Timeout => &mut statistics.rc_timeouts,
        };
        count(counter, 1);
    }

    fn transmit(&mut self, frame: &mut FrameBuffer) {
        self.device.transmit_rdma(frame);
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let parked = &mut self.device.rdma.parked;
        let fits = bytes <= MAX_PARKED - *parked;
        if fits {
            *parked += bytes;
        }
        fits
    }

    fn release(&mut self, bytes: usize) {
        self.device.rdma.parked -= bytes;
    }
}

impl QueuePairHost<'_> {
    fn next_shared_receive(&mut self, receive: &mut ReceiveRequest) -> bool {
        let Some(srqn) = self.queues.srqn() else {
            return false;
        };
        let Some(srq) = self.device.rdma.srqs.get_mut(srqn) else {
            return false;
        };
        let is_good = !srq.failed && srq.ring.refresh(&self.device.doorbells).is_ok();
        if let (true, Ok(taken)) = (is_good, srq.ring.take(&mut self.device.dma, receive)) {
            self.device.check_limit(srqn);
            return taken;
        }
        self.device.fail_srq(srqn);
        self.condemn(WorkStatus::LOCAL_OPERATION);
        false
    }
}
