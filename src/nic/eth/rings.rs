//! The rings and doorbells of one queue. Indexes run freely; who uses them in which order is the caller's business, and no index
//! can lead out of a ring.
#![expect(unsafe_code, reason = "memory shared with the device")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ndk_sys::NDIS_STATUS;
use vrnic_abi::cmd::Opcode;
use vrnic_abi::doorbell::{
    ETH, ETH_ARM, ETH_ARM_INDEX_MASK, ETH_ARMED, ETH_CONSUMER, ETH_RX_PRODUCER, ETH_STRIDE, ETH_TX_PRODUCER,
};
use vrnic_abi::eth::{EthCompletion, EthQueueCreate, RxDescriptor, TxDescriptor};
use vrnic_abi::resource::ObjectNumber;
use zerocopy::IntoBytes;

use super::commands::Moderation;
use super::completion::Completion;
use crate::nic::command::{CommandError, Mailbox, Reply};
use crate::nic::health::Reason;
use crate::nic::work_queue::doorbell::Doorbell;
use crate::nic::{Nic, Wait};
use crate::os::dma::Coherent;
use crate::os::irql::Passive;
use crate::os::pool::PoolArc;

/// Sizes of a queue's rings, as logarithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Transmit descriptors.
    pub transmit: u8,
    /// Receive descriptors.
    pub receive: u8,
}

impl RingSizes {
    /// Of the completion ring: room for both.
    const fn completions(self) -> u8 {
        let larger = if self.transmit > self.receive {
            self.transmit
        } else {
            self.receive
        };
        larger + 1
    }
}

/// A number that no queue has.
const NO_QUEUE: u32 = u32::MAX;

/// A ring of descriptors or completions.
struct Memory {
    block: Coherent,
    mask: u32,
}

impl Memory {
    fn allocate(passive: &Passive, nic: &Nic, log2: u8, entry: usize) -> Result<Self, NDIS_STATUS> {
        Ok(Self {
            block: Coherent::allocate(passive, nic.handle(), entry << log2)?,
            mask: (1 << log2) - 1,
        })
    }

    /// Entry `index`, which consists of `WORDS` words.
    fn entry<const WORDS: usize>(&self, index: u32) -> &[AtomicU64; WORDS] {
        let offset = (index & self.mask) as usize * WORDS * 8;
        // SAFETY: the mask keeps the offset inside of the block.
        let place: NonNull<u8> = unsafe { self.block.memory().byte_add(offset) };
        // SAFETY: whole and aligned, in memory that lives as long as `self` and is accessed atomically.
        unsafe { place.cast().as_ref() }
    }

    fn clear(&self) {
        for index in 0..=self.mask {
            // Of whatever kind the entries are, they have 16 bytes at least.
            let [low, high] = self.entry::<2>(index);
            low.store(0, Ordering::Relaxed);
            high.store(0, Ordering::Relaxed);
        }
    }
}

const _: () = assert!(size_of::<TxDescriptor>() == 16 && size_of::<RxDescriptor>() == 16);
const _: () = assert!(size_of::<EthCompletion>() == 32);

/// The rings. The device must not know them any more when they are dropped.
pub struct EthRings {
    transmit: Memory,
    receive: Memory,
    completions: Memory,
    completions_log2: u8,
    sizes: RingSizes,
    number: AtomicU32,
    transmit_producer: Doorbell,
    receive_producer: Doorbell,
    consumer: Doorbell,
    arm: Doorbell,
}

impl EthRings {
    /// Allocates them.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn allocate(passive: &Passive, nic: &PoolArc<Nic>, sizes: RingSizes) -> Result<Self, NDIS_STATUS> {
        let memory = |log2, entry| Memory::allocate(passive, nic, log2, entry);
        Ok(Self {
            transmit: memory(sizes.transmit, size_of::<TxDescriptor>())?,
            receive: memory(sizes.receive, size_of::<RxDescriptor>())?,
            completions: memory(sizes.completions(), size_of::<EthCompletion>())?,
            completions_log2: sizes.completions(),
            sizes,
            number: AtomicU32::new(NO_QUEUE),
            transmit_producer: Doorbell::unset(nic),
            receive_producer: Doorbell::unset(nic),
            consumer: Doorbell::unset(nic),
            arm: Doorbell::unset(nic),
        })
    }

    /// Sizes of the rings.
    #[must_use]
    pub fn sizes(&self) -> RingSizes {
        self.sizes
    }

    /// Whether the device knows the queue by this number.
    #[must_use]
    pub fn is_number(&self, number: u32) -> bool {
        self.number.load(Ordering::Acquire) == number && number != NO_QUEUE
    }

    /// The number by which the device knows the queue.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number != NO_QUEUE)
    }

    /// Makes the queue known to the device, empty, with all indexes at zero.
    ///
    /// # Errors
    ///
    /// The device refused, or says something that cannot be.
    pub fn register(
        &self,
        passive: &Passive,
        nic: &Nic,
        eqn: u32,
        moderation: Moderation,
    ) -> Result<(), CommandError> {
        self.completions.clear();
        let create = EthQueueCreate {
            tx: self.transmit.block.device_address().into(),
            rx: self.receive.block.device_address().into(),
            completions: self.completions.block.device_address().into(),
            eqn: eqn.into(),
            tx_log2: self.sizes.transmit,
            rx_log2: self.sizes.receive,
            completions_log2: self.completions_log2,
            reserved: 0,
            moderation_us: moderation.microseconds.into(),
            moderation_count: moderation.frames.into(),
        };
        let opcode = Opcode::CREATE_ETH_QUEUE;
        let reply = nic.command(Wait::Passive(passive), opcode, create.as_bytes(), Mailbox::None)?;
        let Reply::Done([b0, b1, b2, b3, ..]) = reply else {
            return Err(CommandError::Timeout); // A waiting caller gets the result or an error.
        };
        let number = u32::from_le_bytes([b0, b1, b2, b3]);
        if number >= nic.info().max_eth_queues.get().into() {
            nic.fail(Reason::BadCompletion, number);
            return Err(CommandError::Dead);
        }
        let doorbells = ETH + u64::from(number) * ETH_STRIDE;
        self.transmit_producer.set(doorbells + ETH_TX_PRODUCER);
        self.receive_producer.set(doorbells + ETH_RX_PRODUCER);
        self.consumer.set(doorbells + ETH_CONSUMER);
        self.arm.set(doorbells + ETH_ARM);
        self.number.store(number, Ordering::Release);
        Ok(())
    }

    /// The device does not know the queue any more: ringing does nothing.
    pub fn forget(&self) {
        self.number.store(NO_QUEUE, Ordering::Release);
        for doorbell in [
            &self.transmit_producer,
            &self.receive_producer,
            &self.consumer,
            &self.arm,
        ] {
            doorbell.clear();
        }
    }

    /// Makes the device forget the queue: it touches neither rings nor buffers any more when this has succeeded.
    ///
    /// # Errors
    ///
    /// The device refused, or does not answer.
    pub fn unregister(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        let Some(number) = self.number() else {
            return Ok(());
        };
        let number = ObjectNumber {
            number: number.into(),
        };
        let opcode = Opcode::DESTROY_ETH_QUEUE;
        let _done = nic.command(Wait::Passive(passive), opcode, number.as_bytes(), Mailbox::None)?;
        self.forget();
        Ok(())
    }

    /// Writes a transmit descriptor: the bus address of a piece, and its word ([`super::descriptor::piece`]).
    #[inline]
    pub fn write_transmit(&self, index: u32, address: u64, word: u64) {
        let [low, high] = self.transmit.entry(index);
        low.store(address.to_le(), Ordering::Relaxed);
        high.store(word.to_le(), Ordering::Relaxed);
    }

    /// Writes the second word of a transmit descriptor again.
    #[inline]
    pub fn rewrite_transmit(&self, index: u32, word: u64) {
        let [_, high] = self.transmit.entry(index);
        high.store(word.to_le(), Ordering::Relaxed);
    }

    /// Writes a receive descriptor.
    #[inline]
    pub fn write_receive(&self, index: u32, address: u64, length: u32) {
        let [low, high] = self.receive.entry(index);
        low.store(address.to_le(), Ordering::Relaxed);
        high.store(u64::from(length).to_le(), Ordering::Relaxed);
    }

    /// Completion number `index`, if the device has written it.
    #[inline]
    #[must_use]
    pub fn completion(&self, index: u32) -> Option<Completion> {
        Completion::read(self.completions.entry(index), index, self.completions_log2.into())
    }

    /// Posts the transmit descriptors before `index`.
    pub fn ring_transmit(&self, index: u32) {
        self.transmit_producer.ring(index);
    }

    /// Posts the receive descriptors before `index`. The device looks when it needs one.
    pub fn ring_receive(&self, index: u32) {
        self.receive_producer.store(index);
    }

    /// The completions before `index` have been read.
    pub fn ring_consumer(&self, index: u32) {
        self.consumer.store(index);
    }

    /// Asks for an event for the completion `index`, or any after it.
    pub fn arm(&self, index: u32) {
        self.arm.ring(ETH_ARMED | index & ETH_ARM_INDEX_MASK);
    }
}
