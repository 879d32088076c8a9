//! The adapter's Ethernet: its queues, and how frames are spread over them.
//!
//! | module | what it is |
//! |---|---|
//! | `transmit`, `receive` | the two halves of a queue |
//! | `queue` | a queue |
//! | `port` | what is set for all of them: filter, addresses, scaling, offloads |
//! | `entries` | functions that NDIS calls |
//! | [`layout`] | sizes |

mod entries;
mod layout;
mod port;
mod queue;
mod receive;
mod transmit;

pub use entries::{cancel_send, return_net_buffer_lists, send_net_buffer_lists};
use layout::MAX_LARGE_SEND;
pub use port::{MULTICAST_LIST, Port};
pub use transmit::Closed;

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use ndk_sys::NDIS_STATUS;
use vrnic_abi::eth::RSS_ENTRIES;

use self::queue::{Queue, Served};
use super::config::{Config, Offloads};
use super::offload::Tagging;
use super::rss::Spread;
use crate::nic::Nic;
use crate::nic::command::CommandError;
use crate::nic::eth::Moderation;
use crate::os::interrupt::Throttle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::nbl::{Returned, SendChain};
use crate::os::pool::{PoolArc, PoolSlice};

/// Completions that one DPC serves before others have their turn.
const BUDGET: usize = 128;

/// What the queues are made from.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Largest payload of a frame.
    pub mtu: u32,
    /// Receive buffers of each queue.
    pub receive_buffers: u32,
    /// Transmit descriptors of each queue that may be in use.
    pub transmit_buffers: u32,
    /// What is done about tags.
    pub tagging: Tagging,
}

/// All queues.
pub struct Ethernet {
    queues: PoolSlice<Queue>,
    /// By hash: the queue that sends a flow, and how many of these entries are in use; 0: the first queue sends all.
    spread: [AtomicU8; RSS_ENTRIES],
    spread_entries: AtomicU32,
    /// Of received frames: [`Offloads`] and [`Tagging`] as bits.
    offloads: AtomicU32,
    tagging: AtomicU32,
    /// What is set for all queues.
    pub port: SpinLock<Port>,
    /// Largest payload of a frame.
    mtu: u32,
}

impl Ethernet {
    /// Allocates `count` queues; their events come by the messages that `message` gives. The device does not have them yet.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(
        passive: &Passive,
        nic: &PoolArc<Nic>,
        config: &Config,
        count: usize,
        message: impl Fn(usize) -> u32,
    ) -> Result<Self, NDIS_STATUS> {
        let mtu = config.mtu.min(nic.link().mtu);
        let tagging = Tagging {
            priority: config.priority,
            vlan: config.vlan,
            own: config.vlan_id,
        };
        let settings = Settings {
            mtu,
            receive_buffers: config.receive_buffers,
            transmit_buffers: config.transmit_buffers,
            tagging,
        };
        let queues = PoolSlice::try_from_fn(count, |index| {
            Queue::new(passive, nic, &settings, index, message(index))
        })?;
        let mac = config.network_address.unwrap_or_else(|| nic.mac());
        Ok(Self {
            queues,
            spread: [const { AtomicU8::new(0) }; RSS_ENTRIES],
            spread_entries: AtomicU32::new(0),
            offloads: AtomicU32::new(config.offloads.bits()),
            tagging: AtomicU32::new(tagging.bits()),
            port: SpinLock::new(Port::new(mac, config)),
            mtu,
        })
    }

    /// Largest payload of a frame.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// How many queues there are.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Transmit descriptors that the device has.
    pub fn in_flight(&self) -> u32 {
        self.queues.iter().map(Queue::in_flight).sum()
    }

    fn rules(&self) -> receive::Rules {
        receive::Rules {
            offloads: Offloads::from_bits(self.offloads.load(Ordering::Relaxed)),
            tagging: Tagging::from_bits(self.tagging.load(Ordering::Relaxed)),
        }
    }

    /// Which offloads of received frames are passed on.
    pub fn set_offloads(&self, offloads: Offloads) {
        self.offloads.store(offloads.bits(), Ordering::Relaxed);
    }

    /// Changes what is done about tags.
    pub fn set_tagging(&self, tagging: Tagging) {
        self.tagging.store(tagging.bits(), Ordering::Relaxed);
        for queue in self.queues.iter() {
            queue.set_tagging(tagging);
        }
    }

    /// What is done about tags.
    pub fn tagging(&self) -> Tagging {
        Tagging::from_bits(self.tagging.load(Ordering::Relaxed))
    }

    /// Which queue sends a flow with that hash.
    fn queue_of(&self, hash: u32) -> usize {
        let entries = self.spread_entries.load(Ordering::Acquire);
        if entries == 0 || hash == 0 {
            return 0;
        }
        let entry = hash as usize & (entries as usize - 1) & (RSS_ENTRIES - 1);
        usize::from(self.spread[entry].load(Ordering::Relaxed))
    }

    /// Spreads what is sent as what is received.
    pub fn set_spread(&self, spread: &Spread) {
        self.spread_entries.store(0, Ordering::Release);
        for (place, queue) in self.spread.iter().zip(spread.queues) {
            place.store(queue, Ordering::Relaxed);
        }
        let entries = u32::try_from(spread.entries).unwrap_or(0);
        self.spread_entries.store(entries, Ordering::Release);
    }

    /// `MiniportSendNetBufferLists`.
    fn send(&self, mut chain: SendChain) {
        let mut next = chain.next();
        while let Some(list) = next {
            let index = self.queue_of(list.request().hash);
            let Some(queue) = self.queues.get(index).or(self.queues.first()) else {
                return; // Cannot be: there is one at least.
            };
            next = queue.send(list, &mut chain, |list| {
                self.queue_of(list.request().hash) == index
            });
        }
    }

    /// `MiniportReturnNetBufferLists`.
    fn take_returned(&self, mut returned: Returned) {
        let mut next = returned.next();
        while let Some(buffer) = next {
            let index = buffer.queue();
            next = match self.queues.get(index) {
                Some(queue) => queue.take_returned(buffer, &mut returned, index),
                None => returned.next(), // Cannot be: the buffer says what we wrote.
            };
        }
    }

    fn cancel(&self, id: usize) {
        for queue in self.queues.iter() {
            queue.cancel(id);
        }
    }

    /// The device says that a queue has completions.
    pub fn on_event(&self, number: u32) {
        if let Some(queue) = self.queues.iter().find(|queue| queue.is_number(number)) {
            queue.set_ready();
        }
    }

    /// Serves the queues of a message that have something. `DISPATCH_LEVEL`, without a lock.
    pub fn serve(&self, message: u32, throttle: &mut Throttle) -> Served {
        let rules = self.rules();
        let mut left = throttle.limit().min(BUDGET);
        let mut result = Served::All;
        for queue in self.queues.iter().filter(|queue| queue.message() == message) {
            if !queue.take_ready() {
                continue;
            }
            if left == 0 {
                queue.set_ready();
                result = Served::Part;
                continue;
            }
            match queue.serve(left, &rules) {
                Served::All => {}
                Served::Part => {
                    queue.set_ready();
                    result = Served::Part;
                    left = 0;
                }
                Served::Garbage => return Served::Garbage,
            }
        }
        if result == Served::Part {
            throttle.set_more();
        }
        result
    }

    /// Makes all queues known to the device and opens them.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn start(&self, passive: &Passive, nic: &Nic, why: Closed) -> Result<(), CommandError> {
        let moderation = self.port.lock().moderation();
        for queue in self.queues.iter() {
            queue.start(passive, nic, moderation, why)?;
        }
        self.apply(passive, nic)
    }

    /// The device does nothing any more: ends what is in flight. At most `DISPATCH_LEVEL`.
    pub fn clear(&self, why: Closed, at_dispatch: bool) {
        for queue in self.queues.iter() {
            queue.clear(why, at_dispatch);
        }
    }

    /// Takes all queues from the device and ends what is in flight.
    ///
    /// # Errors
    ///
    /// The device refused, or does not answer: it may still have them.
    pub fn stop(&self, passive: &Passive, nic: &Nic, why: Closed) -> Result<(), CommandError> {
        for queue in self.queues.iter() {
            queue.close_transmit(why, false);
            queue.unregister(passive, nic)?;
            queue.clear(why, false);
        }
        Ok(())
    }

    /// Takes nothing to send any more, and lists that wait go back.
    pub fn close(&self, why: Closed, at_dispatch: bool) {
        for queue in self.queues.iter() {
            queue.close_transmit(why, at_dispatch);
        }
    }

    /// That reason is gone.
    pub fn open(&self, why: Closed) {
        for queue in self.queues.iter() {
            queue.open_transmit(why);
        }
    }

    /// Hands nothing to NDIS any more, or does again.
    pub fn set_receiving(&self, receiving: bool) {
        for queue in self.queues.iter() {
            queue.set_receiving(receiving);
        }
    }

    /// Whether NDIS and the device have nothing of each other's.
    pub fn is_idle(&self) -> bool {
        self.queues.iter().all(Queue::is_idle)
    }

    /// Called at each tick; whether sending has come to nothing for `limit` ticks.
    pub fn is_stuck(&self, limit: u32) -> bool {
        // All of them have to count the tick.
        self.queues
            .iter()
            .fold(false, |stuck, queue| stuck | queue.is_stuck(limit))
    }

    /// Brings the device to the moderation that is set.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn apply_moderation(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        let moderation: Moderation = self.port.lock().moderation();
        for number in self.queues.iter().filter_map(Queue::number) {
            nic.set_moderation(passive, number, moderation)?;
        }
        Ok(())
    }
}

pub use self::queue::Served as ServedQueues;
