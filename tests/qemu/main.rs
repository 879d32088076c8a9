//! The NIC in stock QEMU, over vfio-user: Linux guests find it, and in one of them the bench drives it with `vrnic.sys`.
//!
//! `./x test` brings what these tests need: QEMU, the Linux peer, and the programs (`VRNIC_VFIO_USER`, `VRNIC_NTBENCH`).

mod attach;
mod bench;
mod guests;
mod support;
