//! Linux as the judge: a Debian kernel with soft-RoCE, rdma-core and perftest, in QEMU on the NIC's wire, against the real
//! `vrnic.sys`. tshark and the ICRC then judge what was on the wire.
//!
//! | module | what |
//! |---|---|
//! | `reject` | what a consumer rejects, in every way |
//! | `tools` | rping, ucmatose and perftest, either side as server |
//! | `wire` | a peer that dies and comes back, a thousand connects |

mod reject;
mod support;
mod tools;
mod wire;
