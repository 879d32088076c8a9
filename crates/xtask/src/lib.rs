//! What `./x` runs, as a library: the tests use the Linux peer and the capture checks directly.
//!
//! - [`demo`]: the demo, with a scripted or a Linux peer
//! - [`check`]: tests, lints, documentation, benchmarks
//! - [`driver`]: the Windows images, built on this machine
//! - [`package`]: the driver package: INF, catalog, signatures
//! - [`abi`]: the layouts of the Windows structures, printed
//! - [`doctor`]: what the machine has and lacks
//! - [`packages`]: what the host must have, and installing it
//! - [`peer`]: a Linux guest with soft-RoCE as the RDMA peer
//! - [`bench`](mod@bench): the benchmarks, and our figures beside those of peers
//! - [`qemu`]: a QEMU that can attach the NIC
//! - [`conformance`]: the table of what is judged by which test
//! - [`capture`], [`tshark`]: captures decoded by Wireshark
//! - [`cargo`], [`progress`], [`paths`]: running Cargo, how it talks to people, and where things are

pub mod abi;
pub mod bench;
pub mod capture;
pub mod cargo;
pub mod check;
pub mod conformance;
pub mod demo;
pub mod doctor;
pub mod driver;
pub mod package;
pub mod packages;
pub mod paths;
pub mod peer;
pub mod progress;
pub mod qemu;
pub mod run;
pub mod tshark;
