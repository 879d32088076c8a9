//! What `./x` runs, as a library: the tests use the Linux peer and the capture checks directly.
//!
//! - [`driver`]: the Windows images, built on this machine
//! - [`doctor`]: what the machine has and lacks
//! - [`packages`]: what the host must have, and installing it
//! - [`peer`]: a Linux guest with soft-RoCE as the RDMA peer
//! - [`tshark`]: captures decoded by Wireshark
//! - [`progress`], [`paths`]: how it talks to people, and where things are

pub mod doctor;
pub mod driver;
pub mod packages;
pub mod paths;
pub mod peer;
pub mod progress;
pub mod tshark;
