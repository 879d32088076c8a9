//! The vrnic NIC as a library: a PCI function with an Ethernet port, for any host that has memory, interrupts and a wire.
//!
//! A host implements [`HostMemory`], [`Interrupts`] and [`Wire`], makes a [`Nic`], and forwards to it what its driver does
//! to configuration space and BARs. The manual in `docs/` says what a driver sees; the layouts are in `vrnic_abi`.
//!
//! The device trusts nothing from the host and nothing from the wire: each command, index, address and frame is checked
//! once, on a private copy, and what is wrong gets its status or is counted. None of it panics or blocks.
//!
//! | file | what |
//! |---|---|
//! | `nic`, `host`, `config` | the interface to the host |
//! | `cable` | a wire between two NICs |
//! | `frame_buffer`, `outbox` | frames that change hands on their way to the wire |
//! | `device` | the state behind the lock: reset, interrupts, link, fatal errors |
//! | `config_space`, `msix`, `regs`, `doorbells` | the PCI function and its BARs |
//! | `engine` | the thread that polls doorbells, sleeps and is kicked |
//! | `command_queue`, `commands` | commands and what they do |
//! | `ring`, `event_queue`, `moderation`, `gid_table` | objects that commands make |
//! | `eth` | Ethernet queues |
//! | `rdma`, `rc` | objects of reliable connections, and their transport |
//! | `receive`, `vlan`, `cm` | frames, and the CM service |
//! | `tap` | what crosses the port, as a pcap file |
//! | `faults` | misbehaviour on request |

mod cable;
mod clock;
mod cm;
mod command_queue;
mod commands;
mod config;
mod config_space;
mod device;
mod dma;
mod doorbells;
mod engine;
mod eth;
mod event_queue;
mod faults;
mod frame_buffer;
mod gid_table;
mod host;
mod moderation;
mod msix;
mod nic;
mod outbox;
pub mod rc;
mod rdma;
mod receive;
mod regs;
mod ring;
mod tap;
mod vlan;

pub use cable::CableEnd;
pub use config::{Engine, MTU_MAX, MTU_MIN, NicConfig};
pub use doorbells::DoorbellMemory;
pub use faults::{CompletionFault, Faults, Hold};
pub use frame_buffer::FrameBuffer;
pub use host::{DmaFault, HostMemory, Interrupts, Wire};
pub use msix::{MsixTable, MsixVector};
pub use nic::Nic;
pub use tap::{Direction, PcapTap, Tap, read_pcap};

/// Version of the firmware: major, minor and patch in bits 16 to 31, 8 to 15 and 0 to 7.
pub const FW_VERSION: u32 = 0x0000_0300;
