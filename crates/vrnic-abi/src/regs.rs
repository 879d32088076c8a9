//! BAR0: the control registers.
//!
//! Registers are 32 bits wide and are read and written with aligned 32-bit accesses only; any other access reads all
//! ones and writes nothing. Undefined offsets read zero.
//!
//! Bring-up: check [`MAGIC`] and [`ABI_VERSION`]; write [`CTRL_RESET`] to [`CTRL`] and wait until [`STATUS`] reads
//! [`DeviceState::IDLE`]; write the command queue registers; write [`CTRL_ENABLE`] and wait for
//! [`DeviceState::READY`]. The device goes to [`DeviceState::FATAL`] instead when a queue register is wrong.

/// Read-only: [`MAGIC_VALUE`].
pub const MAGIC: u32 = 0x000;
/// "VNIC" in ASCII, first letter in the lowest byte.
pub const MAGIC_VALUE: u32 = 0x4349_4E56;
/// Read-only: version of the interface, see [`crate::VERSION`].
pub const ABI_VERSION: u32 = 0x004;
/// Read-only: version of the firmware, for people.
pub const FW_VERSION: u32 = 0x008;

/// Read/write: [`CTRL_RESET`], [`CTRL_ENABLE`].
pub const CTRL: u32 = 0x010;
/// Writing it resets the device: all objects, doorbells, interrupts and registers but the identity go back to their initial
/// state. Reads zero again when the reset is done.
pub const CTRL_RESET: u32 = 1 << 0;
/// Writing it in [`DeviceState::IDLE`] starts the command queue; clearing it stops the queue and goes back to idle.
pub const CTRL_ENABLE: u32 = 1 << 1;
/// Read-only: a [`DeviceState`] in bits 0 to 3.
pub const STATUS: u32 = 0x014;
/// The bits of [`STATUS`] that hold the [`DeviceState`].
pub const STATUS_STATE_MASK: u32 = 0xF;
/// Read-only: a [`FatalSyndrome`], zero while the device works.
pub const FATAL_SYNDROME: u32 = 0x018;

open_enum! {
    /// What the device is doing, in [`STATUS`].
    pub enum DeviceState: u32 as u32 {
        /// A reset is under way.
        RESETTING = 0,
        /// Reset is done, the command queue is not running.
        IDLE = 1,
        /// The command queue is running.
        READY = 2,
        /// The device has stopped; [`FATAL_SYNDROME`] says why, only a reset helps.
        FATAL = 3,
    }
}

open_enum! {
    /// Why the device is in [`DeviceState::FATAL`].
    pub enum FatalSyndrome: u32 as u32 {
        /// No error.
        NONE = 0,
        /// A command queue register was out of range at [`CTRL_ENABLE`].
        BAD_QUEUE = 1,
        /// The command doorbell was more than a ring ahead of the completed commands, or the consumer index of an event
        /// queue went back or past what was written.
        BAD_DOORBELL = 2,
        /// DMA to the command queue or to an event queue failed.
        DMA_FAULT = 3,
        /// The firmware found its own state inconsistent.
        INTERNAL = 4,
    }
}

/// Read-only: bytes 0 to 3 of the permanent MAC address, byte 0 lowest.
pub const MAC_LO: u32 = 0x020;
/// Read-only: bytes 4 and 5 of the permanent MAC address in the lower half.
pub const MAC_HI: u32 = 0x024;
/// Read-only: [`LINK_UP`], and the largest Ethernet payload in bytes (MTU) in the upper half.
pub const LINK: u32 = 0x028;
/// Set in [`LINK`] while the link is up.
pub const LINK_UP: u32 = 1 << 0;
/// Position of the MTU in [`LINK`].
pub const LINK_MTU_SHIFT: u32 = 16;
/// Read-only: link speed in Mbit/s.
pub const LINK_SPEED: u32 = 0x02C;

/// Lower half of the address of the command ring ([`crate::cmd::Command`]); 64-byte aligned. Written while idle.
pub const CMDQ_BASE_LO: u32 = 0x040;
/// Upper half of the address of the command ring.
pub const CMDQ_BASE_HI: u32 = 0x044;
/// Lower half of the address of the completion ring ([`crate::cmd::Completion`]); 64-byte aligned.
pub const CMDQ_CPL_LO: u32 = 0x048;
/// Upper half of the address of the completion ring.
pub const CMDQ_CPL_HI: u32 = 0x04C;
/// Lower half of the address of the fetch word: 4 bytes, 4-byte aligned, into which the device writes how many commands
/// it has fetched since it was enabled (modulo 2^32), beginning with a zero at [`CTRL_ENABLE`]. A command that is counted there has been accepted.
pub const CMDQ_FETCH_LO: u32 = 0x050;
/// Upper half of the address of the fetch word.
pub const CMDQ_FETCH_HI: u32 = 0x054;
/// Logarithm to base two of the entries in either ring, [`CMDQ_LOG2_MIN`] to [`CMDQ_LOG2_MAX`].
pub const CMDQ_LOG2: u32 = 0x058;
/// Fewest entries of the command ring (logarithm).
pub const CMDQ_LOG2_MIN: u32 = 2;
/// Most entries of the command ring (logarithm).
pub const CMDQ_LOG2_MAX: u32 = 12;
/// Write-only: how many commands the driver has posted since the queue was enabled (modulo 2^32). At most a ring's worth
/// may be posted and not yet completed.
pub const CMDQ_DOORBELL: u32 = 0x05C;

/// Read, and write one to clear: what raised the interrupt of [`crate::pci::COMMAND_VECTOR`].
pub const INT_CAUSE: u32 = 0x080;
/// Read/write: causes that raise no interrupt. All ones after reset.
pub const INT_MASK: u32 = 0x084;
/// A command completion was written.
pub const INT_COMMAND: u32 = 1 << 0;
/// The device went to [`DeviceState::FATAL`].
pub const INT_FATAL: u32 = 1 << 1;

/// Write-only, any value: wakes the device when [`crate::doorbell::SLEEP`] says that it sleeps.
pub const KICK: u32 = 0x0C0;
