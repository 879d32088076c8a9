//! The Linux peer: a Debian kernel with soft-RoCE (`rdma_rxe`) and rdma-core in QEMU, on a wire that the caller owns.
//!
//! [`PeerFiles::prepare`] downloads and builds kernel and initramfs (once); [`LinuxPeer::boot`] starts the guest, and
//! [`LinuxPeer::connect`] and [`LinuxPeer::listen`] run the client on librdmacm in it, as often as a test likes.
//!
//! - [`apt`]: Debian packages without touching the host's
//! - [`kernel`], [`userland`], [`image`], [`cpio`]: what the guest boots from
//! - [`guest`]: the running guest and the line protocol with its init
//! - [`client`]: the client's arguments and what it prints
//! - [`wire`]: the two ends of the Ethernet cable

pub mod apt;
pub mod client;
pub mod cpio;
pub mod guest;
pub mod image;
pub mod kernel;
pub mod userland;
pub mod wire;

pub use client::{ClientEvent, Connect, Listen, Listener, Reply};
pub use guest::{LinuxPeer, Neighbour, PeerConfig};
pub use image::PeerFiles;
pub use wire::Wire;
