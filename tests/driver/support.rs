//! What the tests that drive the real `.sys` share.

use ndk_sys::NTSTATUS;
use ntbench::cpu::irql::Irql;
use ntbench::machine::{Machine, MachineConfig, image_from_env};
use ntbench::ndk::{self, Connector, Incoming, VERSION_1_2};
use ntbench::wire::Peer;
use ntbench::wire::peer::Attempt;
use roce_wire::cm::{CmMessage, MessageRejected, Rej, RejectReason};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything that must happen may take; tests that pass never wait for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long is waited for something that must not happen.
pub const QUIET: Duration = Duration::from_millis(300);

/// The image under test.
pub fn sys() -> PathBuf {
    image_from_env().unwrap_or_else(|error| panic!("{error}"))
}

/// A machine with the driver running.
pub fn machine() -> Machine {
    Machine::start(MachineConfig::new(sys())).expect("the driver starts")
}

/// A consumer's adapter.
pub fn open(machine: &Machine) -> ndk::Adapter {
    machine
        .open_ndk(VERSION_1_2)
        .expect("the provider opens an adapter")
}

/// A listener on `address`.
pub fn listen(ndk: &ndk::Adapter, address: SocketAddr) -> Incoming {
    Incoming::listen(ndk, address).expect("the address is free")
}

/// The connector of the next request.
pub fn next(incoming: &Incoming) -> Connector {
    incoming
        .next_within(PATIENCE)
        .expect("a connection request arrives")
}

/// Whether no request comes for a while.
pub fn is_quiet(incoming: &Incoming) -> bool {
    incoming.next_within(QUIET).is_none()
}

/// Waits for something that happens on the driver's own time.
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `length` bytes that are easily told from zeros and from each other.
pub fn pattern(length: usize) -> Vec<u8> {
    (1..=length)
        .map(|at| u8::try_from(at % 251 + 1).expect("below 256"))
        .collect()
}

/// `data` as a REJ carries it.
pub fn padded(data: &[u8]) -> [u8; 148] {
    std::array::from_fn(|at| data.get(at).copied().unwrap_or(0))
}

/// The REJ that answers a request.
pub fn rejection(peer: &Peer, attempt: &Attempt) -> Rej {
    match peer.wait_answer(attempt, PATIENCE).expect("an answer arrives") {
        CmMessage::Rej(rej) => rej,
        other => panic!("the answer is {other:?}"),
    }
}

/// Checks that a request was rejected by the consumer, with `data`.
pub fn assert_rejected(peer: &Peer, attempt: &Attempt, data: &[u8]) {
    let rej = rejection(peer, attempt);
    assert_eq!(rej.reason, RejectReason::CONSUMER_REJECT);
    assert_eq!(rej.message_rejected, MessageRejected::REQ);
    assert_eq!(rej.private_data.as_array(), &padded(data));
    assert_eq!(rej.remote_comm_id, attempt.comm_id());
}

/// `NdkReject` at an IRQL.
pub fn reject_at(machine: &Machine, irql: Irql, connector: &Connector, data: &[u8]) -> NTSTATUS {
    machine.kernel().run_at(irql, 0, || connector.reject(data))
}
