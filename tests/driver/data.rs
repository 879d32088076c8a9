//! What goes over a connection: sends, writes and reads, between two adapters on one wire.

use crate::duo::{Duo, Region, assert_good, post_receives, take};
use crate::support::pattern;
use ndk_sys::{
    NdkOperationTypeRead, NdkOperationTypeReceive, NdkOperationTypeSend, NdkOperationTypeWrite,
    STATUS_SUCCESS,
};

/// Judges functions: NdkSend, NdkReceive, NdkGetCqResultsEx, NdkArmCq
#[test]
fn a_send_arrives() {
    let duo = Duo::new();
    let pair = duo.pair();
    let source = Region::new(&pair.client.pd, 4096);
    let target = Region::new(&pair.server.pd, 4096);
    source.memory.write(0, &pattern(1000));
    post_receives(&pair.server, &target, 50, 1);
    assert_eq!(pair.client.qp.send(7, &[source.sge(0, 1000)], 0), STATUS_SUCCESS);
    let sent = assert_good(&pair.client.initiator_cq, 7);
    assert_eq!((sent.operation, sent.provider_error), (NdkOperationTypeSend, 0));
    let received = assert_good(&pair.server.receive_cq, 50);
    assert_eq!(
        (received.operation, received.bytes),
        (NdkOperationTypeReceive, 1000)
    );
    assert_eq!(target.memory.read(0, 1001), [pattern(1000), vec![0]].concat());
}

/// Judges functions: NdkWrite, NdkRead, NdkRegisterMr, NdkGetRemoteTokenFromMr
#[test]
fn writes_and_reads_reach_the_peers_memory() {
    const LENGTH: usize = 100_000;
    let duo = Duo::new();
    let pair = duo.pair();
    let source = Region::new(&pair.client.pd, LENGTH);
    let sink = Region::new(&pair.client.pd, LENGTH);
    let remote = Region::new(&pair.server.pd, LENGTH + 100);
    source.memory.write(0, &pattern(LENGTH));
    let (address, token) = remote.remote(50);
    let qp = &pair.client.qp;
    assert_eq!(qp.write(1, &[source.whole()], address, token, 0), STATUS_SUCCESS);
    assert_eq!(qp.read(2, &[sink.whole()], address, token, 0), STATUS_SUCCESS);
    let done = take(&pair.client.initiator_cq, 2);
    assert_eq!(
        done.iter()
            .map(|one| (one.status, one.context, one.operation))
            .collect::<Vec<_>>(),
        [
            (STATUS_SUCCESS, 1, NdkOperationTypeWrite),
            (STATUS_SUCCESS, 2, NdkOperationTypeRead)
        ]
    );
    assert_eq!(remote.memory.read(50, LENGTH), pattern(LENGTH));
    assert_eq!(sink.memory.read(0, LENGTH), pattern(LENGTH));
    assert_eq!(
        (remote.memory.read(0, 50), remote.memory.read(LENGTH + 50, 50)),
        (vec![0; 50], vec![0; 50])
    );
}
