//! Event queues: what the device tells the driver, with an interrupt when the queue is armed.

use vrnic_abi::doorbell;
use vrnic_abi::event::Event;
use vrnic_abi::regs::FatalSyndrome;
use vrnic_abi::resource::{EQ_ASYNC, EqCreate};
use zerocopy::IntoBytes;

use crate::device::{Device, count};
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::ring::{Indexes, RingMemory};

/// Event queues that this firmware has.
pub(crate) const MAX_EVENT_QUEUES: u32 = 64;
static_assertions::const_assert!(MAX_EVENT_QUEUES <= doorbell::MAX_EQS);

/// One event queue.
pub(crate) struct EventQueue {
    /// As it was created.
    pub attributes: EqCreate,
    /// Objects that send their events here.
    pub users: u32,
    ring: RingMemory,
    number: u32,
    indexes: Indexes,
    lost: u32,
}

/// What became of an event.
enum Posted {
    Written { interrupt: bool },
    Full,
}

impl EventQueue {
    /// A queue whose doorbell words are zero.
    pub fn new(number: u32, attributes: EqCreate, ring: RingMemory, doorbells: &DoorbellMemory) -> Self {
        doorbells.store(consumer_word(number), 0);
        doorbells.store(arm_word(number), 0);
        Self {
            attributes,
            users: 0,
            ring,
            number,
            indexes: Indexes::default(),
            lost: 0,
        }
    }

    fn is_asynchronous(&self) -> bool {
        self.attributes.flags.get() & EQ_ASYNC != 0
    }

    /// Takes over the driver's consumer index. True if it moved.
    ///
    /// # Errors
    /// It went back, or past what was written.
    fn refresh(&mut self, doorbells: &DoorbellMemory) -> Result<bool, FatalSyndrome> {
        self.indexes
            .consume(doorbells.load(consumer_word(self.number)))
            .map_err(|_| FatalSyndrome::BAD_DOORBELL)
    }

    fn is_full(&self) -> bool {
        self.ring.is_full(&self.indexes)
    }

    fn post(
        &mut self,
        dma: &mut Dma,
        doorbells: &DoorbellMemory,
        mut event: Event,
    ) -> Result<Posted, FatalSyndrome> {
        self.refresh(doorbells)?;
        if self.is_full() {
            self.lost = self.lost.saturating_add(1);
            return Ok(Posted::Full);
        }
        event.lost = self.lost.into();
        event.owner = self.ring.phase(self.indexes.producer);
        self.ring
            .publish(dma, self.indexes.producer, event.as_bytes())
            .map_err(|_| FatalSyndrome::DMA_FAULT)?;
        self.indexes.produce();
        self.lost = 0;
        // The driver arms and then looks at the queue; we write the queue and then look at the arm word. Both use full
        // barriers, so one of us sees the other.
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let armed = doorbells.load(arm_word(self.number)) & doorbell::EQ_ARMED != 0;
        Ok(Posted::Written {
            interrupt: armed && doorbells.take(arm_word(self.number)) & doorbell::EQ_ARMED != 0,
        })
    }
}

/// All event queues, by number.
pub(crate) struct EventQueues {
    queues: [Option<Box<EventQueue>>; MAX_EVENT_QUEUES as usize],
}

impl EventQueues {
    /// None.
    pub fn new() -> Self {
        Self {
            queues: [const { None }; MAX_EVENT_QUEUES as usize],
        }
    }

    /// The queue with that number.
    pub fn get(&self, number: u32) -> Option<&EventQueue> {
        self.slot(number).and_then(|slot| self.queues[slot].as_deref())
    }

    /// The queue with that number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut EventQueue> {
        self.slot(number)
            .and_then(|slot| self.queues[slot].as_deref_mut())
    }

    fn slot(&self, number: u32) -> Option<usize> {
        usize::try_from(number)
            .ok()
            .filter(|slot| *slot < self.queues.len())
    }

    /// The lowest number that is free.
    pub fn free_number(&self) -> Option<u32> {
        (0..)
            .zip(&self.queues)
            .find_map(|(number, queue)| queue.is_none().then_some(number))
    }

    /// Puts a queue at its number.
    pub fn insert(&mut self, queue: EventQueue) {
        if let Some(slot) = self.slot(queue.number) {
            self.queues[slot] = Some(Box::new(queue));
        }
    }

    /// Takes a queue away.
    pub fn remove(&mut self, number: u32) {
        if let Some(slot) = self.slot(number) {
            self.queues[slot] = None;
        }
    }

    /// The number of the queue that gets link and fatal events.
    pub fn asynchronous(&self) -> Option<u32> {
        self.queues
            .iter()
            .flatten()
            .find(|queue| queue.is_asynchronous())
            .map(|queue| queue.number)
    }
}

impl Device {
    /// Writes an event. False if the queue does not exist, is full, or has just failed.
    pub fn post_event(&mut self, number: u32, event: Event) -> bool {
        let Some(queue) = self.event_queues.get_mut(number) else {
            return false;
        };
        match queue.post(&mut self.dma, &self.doorbells, event) {
            Ok(Posted::Written { interrupt }) => {
                let vector = queue.attributes.vector.get();
                if interrupt {
                    self.raise(vector);
                }
                true
            }
            Ok(Posted::Full) => {
                count(&mut self.statistics.events_lost, 1);
                false
            }
            Err(syndrome) => {
                self.go_fatal(syndrome);
                false
            }
        }
    }

    /// Whether an event that is posted now would be written.
    pub fn event_queue_has_room(&mut self, number: u32) -> bool {
        let Some(queue) = self.event_queues.get_mut(number) else {
            return false;
        };
        match queue.refresh(&self.doorbells) {
            Ok(_) => !queue.is_full(),
            Err(syndrome) => {
                self.go_fatal(syndrome);
                false
            }
        }
    }

    /// Looks at all consumer indexes. True if one has moved.
    pub fn poll_event_queues(&mut self) -> bool {
        let mut moved = false;
        let mut failed = None;
        for queue in self.event_queues.queues.iter_mut().flatten() {
            match queue.refresh(&self.doorbells) {
                Ok(this) => moved |= this,
                Err(syndrome) => failed = Some(syndrome),
            }
        }
        if let Some(syndrome) = failed {
            self.go_fatal(syndrome);
        }
        moved
    }
}

fn consumer_word(number: u32) -> u64 {
    doorbell::EQ + u64::from(number) * doorbell::EQ_STRIDE + doorbell::EQ_CONSUMER
}

fn arm_word(number: u32) -> u64 {
    doorbell::EQ + u64::from(number) * doorbell::EQ_STRIDE + doorbell::EQ_ARM
}
