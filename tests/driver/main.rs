//! Tests that drive the real `vrnic.sys` in the bench, with a NIC in the same process and scripted peers.
//!
//! One binary, because there is one kernel at a time in a process: the tests take turns. A broken rule ends the process with
//! the verifier's report.
#![expect(
    clippy::doc_markdown,
    reason = "what a test judges is read by the conformance table: names as they are"
)]

mod connections;
mod data;
mod device;
mod duo;
mod ethernet;
mod hostile;
mod limits;
mod listener;
mod memory;
mod miniport;
mod network_direct;
mod objects;
mod queue_failures;
mod recovery;
mod reject;
mod support;
mod work_queues;
