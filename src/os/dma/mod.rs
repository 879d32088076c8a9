//! Memory that the device reads and writes too.
//!
//! | module | what it is |
//! |---|---|
//! | `shared` | accesses to it: no reference to such memory ever exists, since the device may change it at any time |
//! | `channel`, `coherent` | NDIS's DMA channel, and memory at one bus address, made at `PASSIVE_LEVEL` |
//! | `adapter` | the device's DMA adapter, which maps memory at `DISPATCH_LEVEL` too |
//! | `mapping` | a consumer's buffer |
//! | `frames` | frames to send, mapped one by one without an allocation of ours |
//! | `buffer` | memory of our own in pages, and page tables |
//! | [`pages`] | from pieces of memory to pages and tables: rules without OS or device |
#![cfg_attr(windows, expect(unsafe_code, reason = "memory shared with the device"))]

pub mod pages;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod buffer;
#[cfg(windows)]
mod channel;
#[cfg(windows)]
mod coherent;
#[cfg(windows)]
mod frames;
#[cfg(windows)]
mod mapping;
#[cfg(windows)]
mod shared;

#[cfg(windows)]
pub use adapter::{Access, DmaAdapter, MAX_MAPPING};
#[cfg(windows)]
pub use buffer::{Buffer, DmaPages, PageTable};
#[cfg(windows)]
pub use channel::DmaChannel;
#[cfg(windows)]
pub use coherent::Coherent;
#[cfg(windows)]
pub use frames::{CopySpace, FrameSlots};
#[cfg(windows)]
pub use mapping::Mapping;
#[cfg(windows)]
pub use shared::Shared;
