//! What SMB Direct complains about in its event log when an adapter cannot do it, and the limits that the adapter advertises.

use crate::duo::{
    Duo, Region, assert_completes, assert_good, client_address, post_receives, server_address, take,
};
use crate::support::{PATIENCE, next, pattern};
use ndk_sys::{
    NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED, NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED,
    NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED, NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED,
    NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_OP_FLAG_ALLOW_REMOTE_WRITE, NdkRoCEv2,
    STATUS_CANCELLED, STATUS_IO_TIMEOUT, STATUS_SUCCESS,
};
use ntbench::measure::Resources;
use ntbench::ndk::{
    ConnectOptions, End, FastRegistration, Incoming, Memory, PairOptions, QpConfig, VERSION_1_2, VERSION_2_0,
};
use std::time::{Duration, Instant};

/// Judges SMB Direct event: Admin 1
/// Judges rule: sends have at least 32 elements, as mlx4's
#[test]
fn sends_have_elements_enough() {
    with_all_elements(|pair, own, remote| {
        let most = elements(own);
        assert_eq!(pair.server.qp.receive(1, &[remote.whole()]), STATUS_SUCCESS);
        assert_eq!(pair.client.qp.send(2, &most, 0), STATUS_SUCCESS);
        assert_good(&pair.server.receive_cq, 1);
    });
}

/// Judges SMB Direct event: Admin 2
/// Judges rule: receives have at least 32 elements, as mlx4's
#[test]
fn receives_have_elements_enough() {
    with_all_elements(|pair, own, remote| {
        assert_eq!(pair.server.qp.receive(1, &elements(remote)), STATUS_SUCCESS);
        assert_eq!(pair.client.qp.send(2, &[own.whole()], 0), STATUS_SUCCESS);
        assert_good(&pair.server.receive_cq, 1);
        assert_eq!(remote.memory.read(0, LENGTH), own.memory.read(0, LENGTH));
    });
}

/// Judges SMB Direct event: Admin 3
/// Judges rule: reads have at least 32 elements, as mlx4's
#[test]
fn reads_have_elements_enough() {
    with_all_elements(|pair, own, remote| {
        remote.memory.fill(9);
        let (address, token) = remote.remote(0);
        assert_eq!(
            pair.client.qp.read(2, &elements(own), address, token, 0),
            STATUS_SUCCESS
        );
    });
}

/// Bytes in 32 elements.
const LENGTH: usize = 32 * 128;

fn elements(region: &Region) -> Vec<ntbench::ndk::Sge> {
    (0..32).map(|at| region.sge(at * 128, 128)).collect()
}

fn with_all_elements(work: impl Fn(&ntbench::ndk::Pair, &Region, &Region)) {
    let duo = Duo::new();
    let info = duo.client.info().expect("the adapter says what it can");
    for sge in [
        info.MaxInitiatorRequestSge,
        info.MaxReceiveRequestSge,
        info.MaxReadRequestSge,
    ] {
        assert!(sge >= 32, "{sge}");
    }
    let pair = duo.pair_with(&PairOptions {
        sge: 32,
        ..PairOptions::default()
    });
    let own = Region::new(&pair.client.pd, LENGTH);
    let remote = Region::new(&pair.server.pd, LENGTH);
    own.memory.write(0, &pattern(LENGTH));
    work(&pair, &own, &remote);
    assert_good(&pair.client.initiator_cq, 2);
}

/// Judges SMB Direct event: Admin 6
/// Judges rule: a request to a peer that has vanished ends within a bounded time
#[test]
fn nothing_waits_for_a_peer_that_has_vanished() {
    let duo = Duo::new();
    let pair = duo.pair();
    let own = Region::new(&pair.client.pd, 4096);
    post_receives(&pair.client, &own, 50, 2);
    duo.machine.nics()[1].set_link(false);
    assert_eq!(pair.client.qp.send(1, &[own.whole()], 0), STATUS_SUCCESS);
    let done = pair.client.initiator_cq.wait_for(1, 3 * PATIENCE);
    assert_eq!(done.first().map(|one| one.status), Some(STATUS_IO_TIMEOUT));
    for context in [50, 51] {
        assert_completes(&pair.client.receive_cq, context, STATUS_CANCELLED);
    }
}

/// Judges SMB Direct event: Admin 10
/// Judges rule: fast registrations have at least 16 pages, and all of FRMRPageCount
#[test]
fn fast_registrations_have_pages_enough() {
    let duo = Duo::new();
    let pages = duo
        .client
        .info()
        .expect("the adapter says what it can")
        .FRMRPageCount;
    assert!(pages >= 511, "{pages}");
    let pair = duo.pair();
    let length = pages as usize * 4096;
    let memory = Memory::new(length);
    let own = Region::new(&pair.client.pd, length);
    own.memory.write(0, &pattern(length));
    let lam = duo
        .server
        .build_lam(&memory, length)
        .expect("the memory is mapped");
    let mr = pair.server.pd.create_mr(true).expect("a region is made");
    mr.initialize_fast_register(pages, true)
        .expect("it takes them all");
    let registration = FastRegistration {
        pages: lam.pages(),
        offset: 0,
        length: length as u64,
        base: 0x10_0000,
    };
    let status = pair
        .server
        .qp
        .fast_register(1, &mr, &registration, NDK_OP_FLAG_ALLOW_REMOTE_WRITE);
    assert_eq!(status, STATUS_SUCCESS);
    assert_good(&pair.server.initiator_cq, 1);
    let write = pair
        .client
        .qp
        .write(2, &[own.whole()], 0x10_0000, mr.remote_token(), 0);
    assert_eq!(write, STATUS_SUCCESS);
    let done = pair.client.initiator_cq.wait_for(1, 3 * PATIENCE);
    assert_eq!(done.first().map(|one| one.status), Some(STATUS_SUCCESS));
    assert!(memory.read(0, length) == pattern(length));
}

/// Judges SMB Direct event: Operational 300
#[test]
fn the_versions_of_ndkpi_that_smb_direct_wants_are_there() {
    let duo = Duo::new();
    for version in [VERSION_1_2, VERSION_2_0] {
        let ndk = duo
            .machine
            .open_ndk_on(0, version)
            .unwrap_or_else(|status| panic!("{}.{}: {status:#x}", version.Major, version.Minor));
        let reported = ndk.info().expect("the adapter says what it can").Version;
        assert_eq!((reported.Major, reported.Minor), (version.Major, version.Minor));
    }
}

/// Judges SMB Direct event: Operational 301
/// Judges functions: NdkQueryAdapterInfo
/// Judges rule: no limit is below mlx4's
#[test]
fn no_limit_is_below_mlx4s() {
    let duo = Duo::new();
    let info = duo.client.info().expect("the adapter says what it can");
    let at_least = [
        ("MaxRegistrationSize", info.MaxRegistrationSize as u64, 1 << 30),
        ("MaxWindowSize", info.MaxWindowSize as u64, 1 << 30),
        ("FRMRPageCount", info.FRMRPageCount.into(), 511),
        ("MaxInitiatorRequestSge", info.MaxInitiatorRequestSge.into(), 32),
        ("MaxReceiveRequestSge", info.MaxReceiveRequestSge.into(), 32),
        ("MaxReadRequestSge", info.MaxReadRequestSge.into(), 32),
        ("MaxTransferLength", info.MaxTransferLength.into(), 1 << 30),
        ("MaxInlineDataSize", info.MaxInlineDataSize.into(), 256),
        ("MaxInboundReadLimit", info.MaxInboundReadLimit.into(), 16),
        ("MaxOutboundReadLimit", info.MaxOutboundReadLimit.into(), 128),
        ("MaxReceiveQueueDepth", info.MaxReceiveQueueDepth.into(), 16_351),
        (
            "MaxInitiatorQueueDepth",
            info.MaxInitiatorQueueDepth.into(),
            16_351,
        ),
        ("MaxSrqDepth", info.MaxSrqDepth.into(), 1),
        ("MaxCqDepth", info.MaxCqDepth.into(), 4_194_303),
        ("MaxCallerData", info.MaxCallerData.into(), 56),
        ("MaxCalleeData", info.MaxCalleeData.into(), 148),
    ];
    for (name, has, needs) in at_least {
        assert!(has >= needs, "{name} is {has}, mlx4 has {needs}");
    }
    let flags = NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED
        | NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED
        | NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED
        | NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED
        | NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED;
    assert_eq!(info.AdapterFlags & flags, flags, "{:#x}", info.AdapterFlags);
    assert_eq!(info.RdmaTechnology, NdkRoCEv2);
}

/// Judges SMB Direct event: Operational 302
/// Judges rule: the resources of several connections, 512 regions each, are there at the same time
#[test]
fn the_resources_of_several_connections_are_there() {
    let duo = Duo::new();
    let all: Vec<_> = (0..4)
        .map(|_| Resources::new(&duo.client).expect("there is room"))
        .collect();
    drop(all);
}

/// Judges SMB Direct event: Operational 303
/// Judges rule: a CQ as deep as its queues never overruns
#[test]
fn a_cq_as_deep_as_its_queues_does_not_overrun() {
    const DEPTH: u32 = 64;
    let duo = Duo::new();
    let failed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&failed);
    let cq = duo
        .client
        .create_cq(2 * DEPTH, move |_, status| {
            seen.fetch_or(status != STATUS_SUCCESS, std::sync::atomic::Ordering::Relaxed);
        })
        .expect("a CQ is made");
    let pd = duo.client.create_pd().expect("a PD is made");
    let own = Region::new(&pd, 4096);
    for _ in 0..3 {
        let qp = pd
            .create_qp(&QpConfig {
                receive_depth: DEPTH,
                ..QpConfig::new(&cq)
            })
            .expect("a QP is made");
        let twin = pd
            .create_qp(&QpConfig {
                receive_depth: DEPTH,
                ..QpConfig::new(&cq)
            })
            .expect("a QP is made");
        for qp in [&qp, &twin] {
            for context in 0..u64::from(DEPTH) {
                assert_eq!(qp.receive(context, &[own.whole()]), STATUS_SUCCESS);
            }
        }
        cq.arm(ntbench::ndk::Notify::Errors);
        qp.flush();
        twin.flush();
        let results = take(&cq, 2 * DEPTH as usize);
        assert!(results.iter().all(|one| one.status == STATUS_CANCELLED));
    }
    assert!(
        !failed.load(std::sync::atomic::Ordering::Relaxed),
        "it has not failed"
    );
}

/// Judges SMB Direct event: Operational 304
/// Judges rule: the resources of a connection are allocated without waiting for anything
#[test]
fn resources_do_not_take_long() {
    let duo = Duo::new();
    let before = Instant::now();
    drop(Resources::new(&duo.client).expect("there is room"));
    assert!(before.elapsed() < PATIENCE, "{:?}", before.elapsed());
}

/// Judges SMB Direct event: Debug 305
/// Judges functions: NdkConnect, NdkCompleteConnect, NdkAccept
/// Judges rule: a consumer that takes its time to accept and to complete loses nothing
#[test]
fn slow_consumers_connect_all_the_same() {
    let duo = Duo::new();
    let address = server_address();
    let incoming = Incoming::listen(&duo.server, address).expect("the address is free");
    let client = End::new(&duo.client, &PairOptions::default()).expect("an end is made");
    let server = End::new(&duo.server, &PairOptions::default()).expect("an end is made");
    let connector = duo.client.create_connector().expect("a connector is made");
    let options = ConnectOptions::default();
    let connecting = connector.start_connect(&client.qp, client_address(), address, &options);
    let accepted = next(&incoming);
    let slow = Duration::from_secs(6);
    std::thread::sleep(slow);
    let accepting = accepted.start_accept(&server.qp, &options, None);
    assert_eq!(connecting.wait(), Ok(()));
    std::thread::sleep(slow);
    assert_eq!(connector.complete_connect(None), Ok(()));
    assert_eq!(accepting.wait(), Ok(()));
    drop((connector, accepted));
}
