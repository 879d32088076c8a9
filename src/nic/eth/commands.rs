//! Settings of the port, and of its queues.

use vrnic_abi::cmd::Opcode;
use vrnic_abi::eth::{EthConfig, EthQueueModify, MAX_MULTICAST, RssTable};
use zerocopy::IntoBytes;

use crate::nic::command::{CommandError, MAILBOX_BYTES, Mailbox};
use crate::nic::{Nic, Wait};
use crate::os::irql::Passive;

/// How long, and for how many completions, a queue's events are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moderation {
    /// Longest time, in microseconds; 0 for none.
    pub microseconds: u16,
    /// Completions.
    pub frames: u16,
}

impl Moderation {
    /// Events are sent at once.
    pub const OFF: Self = Self {
        microseconds: 0,
        frames: 0,
    };
}

const _: () = assert!(MAX_MULTICAST as usize * 6 <= MAILBOX_BYTES);

impl Nic {
    /// Sets filter, MTU, address and treatment of tags.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn set_eth_config(&self, passive: &Passive, config: &EthConfig) -> Result<(), CommandError> {
        let opcode = Opcode::SET_ETH_CONFIG;
        let _done = self.command(Wait::Passive(passive), opcode, config.as_bytes(), Mailbox::None)?;
        self.set_current_mac(config.mac);
        Ok(())
    }

    /// Sets the multicast addresses, [`MAX_MULTICAST`] at most.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn set_multicast(&self, passive: &Passive, addresses: &[[u8; 6]]) -> Result<(), CommandError> {
        let mailbox = if addresses.is_empty() {
            Mailbox::None
        } else {
            Mailbox::In(addresses.as_flattened())
        };
        let _done = self.command(Wait::Passive(passive), Opcode::SET_MULTICAST, &[], mailbox)?;
        Ok(())
    }

    /// Sets how received frames are spread over the queues.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn set_rss(&self, passive: &Passive, table: &RssTable) -> Result<(), CommandError> {
        let mailbox = Mailbox::In(table.as_bytes());
        let _done = self.command(Wait::Passive(passive), Opcode::SET_RSS, &[], mailbox)?;
        Ok(())
    }

    /// Sets the moderation of a queue.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn set_moderation(
        &self,
        passive: &Passive,
        number: u32,
        moderation: Moderation,
    ) -> Result<(), CommandError> {
        let modify = EthQueueModify {
            number: number.into(),
            moderation_us: moderation.microseconds.into(),
            moderation_count: moderation.frames.into(),
        };
        let opcode = Opcode::MODIFY_ETH_QUEUE;
        let _done = self.command(Wait::Passive(passive), opcode, modify.as_bytes(), Mailbox::None)?;
        Ok(())
    }
}
