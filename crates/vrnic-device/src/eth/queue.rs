//! An Ethernet queue, all of them, and when they are served.

use vrnic_abi::doorbell;
use vrnic_abi::eth::{EthCompletion, EthQueueCreate, RxDescriptor};
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs::FatalSyndrome;

use super::completion_ring::CompletionRing;
use super::descriptor_ring::DescriptorRing;
use super::port::{Address, Port};
use super::rss::Rss;
use super::transmit::Transmitter;
use crate::device::{Device, count, new_event};
use crate::host::DmaFault;
use crate::moderation::Moderation;
use crate::ring::BadIndex;

/// Ethernet queues that there can be.
pub(crate) const MAX_QUEUES: u16 = 16;
static_assertions::const_assert!(MAX_QUEUES as u32 <= doorbell::MAX_ETH_QUEUES);

/// One queue.
pub(crate) struct EthQueue {
    pub number: u32,
    /// As in force.
    pub attributes: EthQueueCreate,
    pub(super) transmitter: Transmitter,
    pub(super) buffers: DescriptorRing<RxDescriptor>,
    pub(super) completions: CompletionRing,
    /// It does nothing any more.
    failed: bool,
}

/// Which of a queue's rings cannot be used.
pub(crate) enum WrongRing {
    Transmit,
    Receive,
    Completion,
}

/// All queues, and what belongs to the port.
pub(crate) struct Ethernet {
    /// By number; one that is at work is taken out.
    queues: [Option<Box<EthQueue>>; MAX_QUEUES as usize],
    pub port: Port,
    pub rss: Rss,
    /// Which queue is served first in the next turn.
    first: usize,
}

impl EthQueue {
    /// A queue whose attributes have been checked, with empty rings; its doorbell words are set to zero.
    ///
    /// # Errors
    /// A ring is not acceptable.
    pub fn new(device: &mut Device, number: u32, attributes: EthQueueCreate) -> Result<Self, WrongRing> {
        let words = doorbell::ETH + u64::from(number) * doorbell::ETH_STRIDE;
        let (dma, doorbells) = (&mut device.dma, &device.doorbells);
        let transmitter = Transmitter::new(dma, attributes.tx.get(), attributes.tx_log2, words, doorbells)
            .map_err(|_| WrongRing::Transmit)?;
        let buffers = DescriptorRing::new(
            dma,
            attributes.rx.get(),
            attributes.rx_log2,
            words + doorbell::ETH_RX_PRODUCER,
            doorbells,
        )
        .map_err(|_| WrongRing::Receive)?;
        let (addr, log2) = (attributes.completions.get(), attributes.completions_log2);
        let completions =
            CompletionRing::new(dma, addr, log2, words, doorbells).map_err(|_| WrongRing::Completion)?;
        Ok(Self {
            number,
            attributes,
            transmitter,
            buffers,
            completions,
            failed: false,
        })
    }

    fn moderation(&self) -> Moderation {
        Moderation {
            time_us: self.attributes.moderation_us.get(),
            count: self.attributes.moderation_count.get(),
        }
    }

    /// Writes a completion; there is room.
    pub(super) fn complete(&mut self, device: &mut Device, completion: EthCompletion) -> Result<(), Broken> {
        Ok(self.completions.post(&mut device.dma, completion)?)
    }
}

/// Why a queue cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(FatalSyndrome);

impl From<BadIndex> for Broken {
    fn from(_: BadIndex) -> Self {
        Self(FatalSyndrome::BAD_DOORBELL)
    }
}

impl From<DmaFault> for Broken {
    fn from(_: DmaFault) -> Self {
        Self(FatalSyndrome::DMA_FAULT)
    }
}

impl Ethernet {
    /// No queues.
    pub fn new(mac: Address, mtu: u16) -> Self {
        Self {
            queues: [const { None }; MAX_QUEUES as usize],
            port: Port::new(mac, mtu),
            rss: Rss::off(),
            first: 0,
        }
    }

    /// The queue with that number.
    pub fn get(&self, number: u32) -> Option<&EthQueue> {
        let at = usize::try_from(number).ok()?;
        self.queues.get(at)?.as_deref()
    }

    /// The queue with that number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut EthQueue> {
        self.slot(number)?.as_deref_mut()
    }

    /// The lowest number that is free.
    pub fn free_number(&self) -> Option<u32> {
        (0..)
            .zip(&self.queues)
            .find_map(|(number, queue)| queue.is_none().then_some(number))
    }

    /// Puts a queue at its number.
    pub fn insert(&mut self, queue: Box<EthQueue>) {
        if let Some(slot) = self.slot(queue.number) {
            *slot = Some(queue);
        }
    }

    /// Takes a queue out.
    pub fn remove(&mut self, number: u32) -> Option<Box<EthQueue>> {
        self.slot(number)?.take()
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<Box<EthQueue>>> {
        let at = usize::try_from(number).ok()?;
        self.queues.get_mut(at)
    }

    /// When the first event that moderation holds back is due.
    pub fn held_until(&self) -> Option<u64> {
        let queues = self.queues.iter().flatten();
        queues.filter_map(|queue| queue.completions.held_until()).min()
    }
}

/// Frames and segments that a queue may send before it is another's turn.
const QUEUE_BUDGET: usize = 32;
/// Frames and segments that all queues may send before it is the turn of RDMA.
const TURN_BUDGET: usize = 64;

impl Device {
    /// Serves all Ethernet queues. True if there was something to do.
    pub fn poll_ethernet(&mut self) -> bool {
        let count = usize::from(MAX_QUEUES);
        let first = self.ethernet.first;
        self.ethernet.first = (first + 1) % count;
        let mut budget = TURN_BUDGET;
        let mut worked = false;
        for number in (0..u32::from(MAX_QUEUES)).cycle().skip(first).take(count) {
            worked |= self.serve_ethernet_queue(number, |queue, device| {
                let mut left = QUEUE_BUDGET.min(budget);
                let all = left;
                let sent = queue.transmit(device, &mut left);
                budget -= all - left;
                sent
            });
        }
        worked
    }

    /// Lets a queue do something, and then sends its event if that is due. False if the queue does not exist, or does not work, or there
    /// was nothing to do.
    pub(super) fn serve_ethernet_queue(
        &mut self,
        number: u32,
        work: impl FnOnce(&mut EthQueue, &mut Self) -> Result<bool, Broken>,
    ) -> bool {
        let Some(mut queue) = self.ethernet.remove(number) else {
            return false;
        };
        let mut worked = false;
        if !queue.failed {
            match work(&mut queue, self) {
                Ok(this) => worked = this | self.send_ethernet_event(&mut queue),
                Err(broken) => self.fail_ethernet_queue(&mut queue, broken),
            }
        }
        self.ethernet.insert(queue);
        worked
    }

    /// Sends the event of a queue if it is due. True if it has been sent.
    fn send_ethernet_event(&mut self, queue: &mut EthQueue) -> bool {
        let Some(word) = queue
            .completions
            .due(&self.doorbells, queue.moderation(), self.clock)
        else {
            if let Some(held_until) = queue.completions.held_until() {
                self.wake_engine_by(held_until);
            }
            return false;
        };
        let eqn = queue.attributes.eqn.get();
        // Without room it stays due. The word is cleared first: as soon as the event is there, the driver may arm again.
        if !self.event_queue_has_room(eqn) || !queue.completions.disarm(&self.doorbells, word) {
            return false;
        }
        let event = Event {
            number: queue.number.into(),
            ..new_event(EventKind::ETH)
        };
        self.post_event(eqn, event)
    }

    fn fail_ethernet_queue(&mut self, queue: &mut EthQueue, Broken(syndrome): Broken) {
        queue.failed = true;
        count(&mut self.statistics.eth_queue_errors, 1);
        let detail = u16::try_from(syndrome.0).unwrap_or(u16::MAX);
        self.tell(
            queue.attributes.eqn.get(),
            EventKind::ETH_ERROR,
            queue.number,
            detail,
        );
    }
}
