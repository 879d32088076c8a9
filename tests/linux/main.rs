//! Linux as the judge: a Debian kernel with soft-RoCE, rdma-core and perftest, in QEMU on the NIC's wire, against the real
//! `vrnic.sys`. tshark and the ICRC then judge what was on the wire.
//!
//! | module | what |
//! |---|---|
//! | `reject` | what a consumer rejects, in every way |
//! | `tools` | rping, ucmatose and perftest, either side as server |
//! | `pingpong` | `ibv_rc_pingpong`, either side as server, against a NIC without the driver |
//! | `loss` | rping, perftest and `ibv_rc_pingpong` on a wire that loses and reorders |
//! | `wire` | a peer that dies and comes back, a thousand connects |
//! | `ethernet` | ping, and iperf3 both ways, through the driver's Ethernet queues |

mod ethernet;
mod loss;
mod pingpong;
mod reject;
mod support;
mod tools;
mod wire;

// A NIC that a test drives by bytes: the device's tests have what it takes.
#[expect(dead_code, reason = "the device's tests use more of it")]
#[path = "../../crates/vrnic-device/tests/device/host.rs"]
mod host;
#[expect(dead_code, reason = "the device's tests use more of it")]
#[path = "../../crates/vrnic-device/tests/device/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the device's tests use more of it")]
#[path = "../../crates/vrnic-device/tests/device/rdma/side.rs"]
mod side;
