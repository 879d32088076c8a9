//! Microsoft's NetworkDirect unit tests, by name, written anew for NDK. The outcomes are those of the originals where NDK's
//! pages are silent.

use crate::duo::{
    ALL_ACCESS, Duo, Region, assert_completes, assert_good, client_address, post_receives, server_address,
};
use crate::support::{PATIENCE, eventually, next, pattern};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_OP_FLAG_ALLOW_REMOTE_READ,
    NDK_OP_FLAG_ALLOW_REMOTE_WRITE, NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_BUFFER_OVERFLOW,
    STATUS_CANCELLED, STATUS_CONNECTION_REFUSED, STATUS_DEVICE_BUSY, STATUS_HOST_UNREACHABLE,
    STATUS_INVALID_ADDRESS, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_PARAMETER, STATUS_IO_TIMEOUT,
    STATUS_NETWORK_UNREACHABLE, STATUS_REMOTE_RESOURCES, STATUS_SHARING_VIOLATION, STATUS_SUCCESS,
};
use ntbench::ndk::trace::status_name;
use ntbench::ndk::{
    ConnectOptions, Connector, End, Incoming, Memory, MemoryOptions, Mw, Pair, PairOptions, QpConfig, Started,
};
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

/// An end that connects, and how far it has come.
struct Attempt {
    connector: Connector,
    end: End,
}

impl Attempt {
    fn new(duo: &Duo) -> Self {
        Self {
            connector: duo.client.create_connector().expect("a connector is made"),
            end: End::new(&duo.client, &PairOptions::default()).expect("an end is made"),
        }
    }

    fn start(&self, to: SocketAddr, data: &[u8]) -> Started<()> {
        let options = ConnectOptions::with_data(data);
        self.connector
            .start_connect(&self.end.qp, client_address(), to, &options)
    }
}

fn server_end(duo: &Duo) -> End {
    End::new(&duo.server, &PairOptions::default()).expect("an end is made")
}

fn listening(duo: &Duo) -> (Incoming, SocketAddr) {
    let address = server_address();
    let incoming = Incoming::listen(&duo.server, address).expect("the address is free");
    (incoming, address)
}

/// Judges NetworkDirect test: ConnClose
/// Judges rule: closing a connector that was neither accepted nor rejected rejects it
#[test]
fn closing_instead_of_accepting_refuses() {
    let duo = Duo::new();
    let (incoming, address) = listening(&duo);
    let attempt = Attempt::new(&duo);
    let connecting = attempt.start(address, b"");
    next(&incoming).close();
    assert_eq!(connecting.wait(), Err(STATUS_CONNECTION_REFUSED));
}

/// Judges NetworkDirect test: ConnListenClosing
#[test]
fn a_listener_that_is_closed_refuses() {
    let duo = Duo::new();
    let (sender, queue) = channel();
    let sender = to_queue(sender);
    let listener = duo.server.create_listener(sender).expect("a listener is made");
    let address = server_address();
    listener.listen(address).expect("the address is free");
    let first = Attempt::new(&duo);
    let connecting = first.start(address, b"");
    let held: Connector = queue.recv_timeout(PATIENCE).expect("a request arrives");
    let closing = listener.start_close();
    let second = Attempt::new(&duo);
    assert_eq!(
        second.start(address, b"").wait(),
        Err(STATUS_CONNECTION_REFUSED),
        "nobody listens any more"
    );
    assert!(!closing.is_complete(), "a connector of it is open");
    held.close();
    assert_eq!(connecting.wait(), Err(STATUS_CONNECTION_REFUSED));
    closing.wait();
}

/// What a connect event may do with its connector: senders are not shared between threads.
fn to_queue(sender: std::sync::mpsc::Sender<Connector>) -> impl Fn(Connector) + Send + Sync {
    let sender = std::sync::Mutex::new(sender);
    move |connector| {
        let sender = sender.lock().expect("no panic");
        sender.send(connector).expect("somebody waits");
    }
}

/// Judges NetworkDirect test: ConnReject
/// Judges rule: a refused connect leaves the QP as it was and may be tried again on the same connector
#[test]
fn a_reject_is_a_refusal_that_may_be_tried_again() {
    let duo = Duo::new();
    let (incoming, address) = listening(&duo);
    let attempt = Attempt::new(&duo);
    let connecting = attempt.start(address, b"first");
    let connector = next(&incoming);
    assert_eq!(connector.reject(&pattern(148)), STATUS_SUCCESS);
    assert_eq!(connecting.wait(), Err(STATUS_CONNECTION_REFUSED));
    let data = attempt
        .connector
        .connection_data()
        .expect("the data of the reject");
    assert_eq!(data.private_data, pattern(148));

    let again = attempt.start(address, b"second");
    let accepted = next(&incoming);
    let server = server_end(&duo);
    let accepting = accepted.start_accept(&server.qp, &ConnectOptions::default(), None);
    assert_eq!(again.wait(), Ok(()));
    assert_eq!(attempt.connector.complete_connect(None), Ok(()));
    assert_eq!(accepting.wait(), Ok(()));
}

/// Judges NetworkDirect test: ConnRejectClose
#[test]
fn the_connecting_side_may_reject_or_close_after_the_accept() {
    for reject in [true, false] {
        let duo = Duo::new();
        let (incoming, address) = listening(&duo);
        let Attempt { connector, end } = Attempt::new(&duo);
        let server = server_end(&duo);
        let source = client_address();
        let connecting = connector.start_connect(&end.qp, source, address, &ConnectOptions::default());
        let accepted = next(&incoming);
        let accepting = accepted.start_accept(&server.qp, &ConnectOptions::default(), None);
        assert_eq!(connecting.wait(), Ok(()));
        if reject {
            assert_eq!(connector.reject(b""), STATUS_SUCCESS);
            assert_eq!(accepting.wait(), Err(STATUS_CONNECTION_REFUSED));
        } else {
            connector.close();
            assert_eq!(accepting.wait(), Err(STATUS_CONNECTION_REFUSED));
        }
        drop(end);
    }
}

/// Judges NetworkDirect test: DualConnection
#[test]
fn two_connections_of_one_listener_carry_their_own_data() {
    let duo = Duo::new();
    let (incoming, address) = listening(&duo);
    let connect = |name: &[u8]| {
        let attempt = Attempt::new(&duo);
        let server = server_end(&duo);
        let connecting = attempt.start(address, name);
        let accepted = next(&incoming);
        let data = accepted.connection_data().expect("the data of the request");
        assert_eq!(&data.private_data[..name.len()], name);
        let accepting = accepted.start_accept(&server.qp, &ConnectOptions::default(), None);
        connecting.wait().expect("it is accepted");
        attempt.connector.complete_connect(None).expect("it is completed");
        accepting.wait().expect("it is completed");
        (attempt, server, accepted)
    };
    let pairs = [connect(b"one"), connect(b"two")];
    for (at, (attempt, server, _)) in pairs.iter().enumerate() {
        let message = vec![u8::try_from(at + 1).expect("small"); 100];
        let source = Region::new(&attempt.end.pd, 100);
        let target = Region::new(&server.pd, 100);
        source.memory.write(0, &message);
        post_receives(server, &target, 1, 1);
        assert_eq!(attempt.end.qp.send(2, &[source.whole()], 0), STATUS_SUCCESS);
        assert_good(&server.receive_cq, 1);
        assert_good(&attempt.end.initiator_cq, 2);
        assert_eq!(target.memory.read(0, 100), message);
    }
    for (attempt, _, accepted) in pairs {
        drop((attempt.connector, accepted));
    }
}

/// Judges NetworkDirect test: DualListen
/// Judges functions: NdkListen
#[test]
fn an_address_is_listened_on_once() {
    let duo = Duo::new();
    let (incoming, address) = listening(&duo);
    let second = duo.server.create_listener(drop).expect("a listener is made");
    assert_eq!(second.listen(address), Err(STATUS_SHARING_VIOLATION));
    drop(incoming);
    assert_eq!(second.listen(address), Ok(()), "it is free again");
}

/// Judges NetworkDirect test: InvalidIP
#[test]
fn addresses_that_are_nobodys_are_reported() {
    let duo = Duo::new();
    let listener = duo.server.create_listener(drop).expect("a listener is made");
    let foreign: SocketAddr = "10.77.0.200:7000".parse().expect("an address");
    assert_eq!(listener.listen(foreign), Err(STATUS_INVALID_ADDRESS));
    let attempt = Attempt::new(&duo);
    let from = |source: &str, target: &str| {
        let (source, target) = (
            source.parse().expect("an address"),
            target.parse().expect("an address"),
        );
        let options = ConnectOptions::default();
        attempt
            .connector
            .connect(&attempt.end.qp, source, target, &options)
    };
    assert_eq!(
        from("10.77.0.201:0", "10.77.0.10:7000"),
        Err(STATUS_INVALID_ADDRESS),
        "not our address"
    );
    assert_eq!(
        from("10.77.0.9:0", "10.78.0.1:7000"),
        Err(STATUS_NETWORK_UNREACHABLE),
        "no route"
    );
    assert_eq!(
        from("10.77.0.9:0", "10.77.0.200:7000"),
        Err(STATUS_HOST_UNREACHABLE),
        "no such host"
    );
    assert_eq!(
        from("10.77.0.9:0", "10.77.0.10:7000"),
        Err(STATUS_CONNECTION_REFUSED),
        "nobody listens; and the connector may still be used"
    );
}

/// A window on a region of the server's, that the client is told of.
fn bind(pair: &Pair, region: &Region, flags: u32) -> Mw {
    let window = pair.server.pd.create_mw().expect("a window is made");
    let length = region.memory.len() as u64;
    let status = pair
        .server
        .qp
        .bind(90, &region.mr, &window, region.memory.va(), length, flags);
    assert_eq!(status, STATUS_SUCCESS);
    assert_good(&pair.server.initiator_cq, 90);
    window
}

const READ_AND_WRITE: u32 = NDK_OP_FLAG_ALLOW_REMOTE_READ | NDK_OP_FLAG_ALLOW_REMOTE_WRITE;

/// The client does something that the server does not allow: that ends the connection.
fn assert_violation(post: impl Fn(&Pair, &Region, &Region) -> (NTSTATUS, Option<Mw>)) {
    let duo = Duo::new();
    let pair = duo.pair();
    let own = Region::new(&pair.client.pd, 4096);
    let remote = Region::new(&pair.server.pd, 4096);
    post_receives(&pair.server, &remote, 50, 2);
    // A window stays bound until the connection has ended.
    let (status, _window) = post(&pair, &own, &remote);
    assert_eq!(status, STATUS_SUCCESS);
    assert_completes(&pair.client.initiator_cq, 1, STATUS_ACCESS_VIOLATION);
    for context in [50, 51] {
        assert_completes(&pair.server.receive_cq, context, STATUS_CANCELLED);
    }
}

/// Judges NetworkDirect test: InvalidRead
#[test]
fn reading_by_an_invalidated_window_is_a_violation() {
    assert_violation(|pair, own, remote| {
        let window = bind(pair, remote, READ_AND_WRITE);
        let token = window.remote_token();
        assert_eq!(pair.server.qp.invalidate_window(91, &window, 0), STATUS_SUCCESS);
        assert_good(&pair.server.initiator_cq, 91);
        let status = pair
            .client
            .qp
            .read(1, &[own.whole()], remote.memory.va(), token, 0);
        (status, Some(window))
    });
}

/// Judges NetworkDirect test: InvalidWrite
#[test]
fn writing_by_an_invalidated_window_is_a_violation() {
    assert_violation(|pair, own, remote| {
        let window = bind(pair, remote, READ_AND_WRITE);
        let token = window.remote_token();
        assert_eq!(pair.server.qp.invalidate_window(91, &window, 0), STATUS_SUCCESS);
        assert_good(&pair.server.initiator_cq, 91);
        let status = pair
            .client
            .qp
            .write(1, &[own.whole()], remote.memory.va(), token, 0);
        (status, Some(window))
    });
}

/// Judges NetworkDirect test: OverRead
#[test]
fn reading_beyond_the_end_is_a_violation() {
    assert_violation(|pair, own, remote| {
        let (address, token) = remote.remote(1);
        (pair.client.qp.read(1, &[own.whole()], address, token, 0), None)
    });
}

/// Judges NetworkDirect test: OverWrite
#[test]
fn writing_beyond_the_end_is_a_violation() {
    assert_violation(|pair, own, remote| {
        let (address, token) = remote.remote(1);
        (pair.client.qp.write(1, &[own.whole()], address, token, 0), None)
    });
}

/// Judges NetworkDirect test: WriteViolation
#[test]
fn writing_where_only_reading_is_allowed_is_a_violation() {
    assert_violation(|pair, own, remote| {
        let window = bind(pair, remote, NDK_OP_FLAG_ALLOW_REMOTE_READ);
        let token = window.remote_token();
        let status = pair
            .client
            .qp
            .write(1, &[own.whole()], remote.memory.va(), token, 0);
        (status, Some(window))
    });
}

/// Judges NetworkDirect test: LargePrivateData
#[test]
fn private_data_may_be_as_long_as_the_adapter_says() {
    let duo = Duo::new();
    let info = duo.client.info().expect("the adapter says what it can");
    let (request, reply) = (info.MaxCallerData as usize, info.MaxCalleeData as usize);
    assert!(request >= 56 && reply >= 148, "{request} and {reply} bytes");
    let (incoming, address) = listening(&duo);
    let attempt = Attempt::new(&duo);
    let server = server_end(&duo);
    assert_eq!(
        attempt.start(address, &pattern(request + 1)).wait(),
        Err(STATUS_INVALID_BUFFER_SIZE)
    );
    let connecting = attempt.start(address, &pattern(request));
    let accepted = next(&incoming);
    let data = accepted.connection_data().expect("the data of the request");
    assert_eq!(data.private_data[..request], pattern(request));
    let accept =
        |length| accepted.start_accept(&server.qp, &ConnectOptions::with_data(&pattern(length)), None);
    assert_eq!(accept(reply + 1).wait(), Err(STATUS_INVALID_BUFFER_SIZE));
    let accepting = accept(reply);
    assert_eq!(connecting.wait(), Ok(()));
    let data = attempt
        .connector
        .connection_data()
        .expect("the data of the accept");
    assert_eq!(data.private_data[..reply], pattern(reply));
    assert_eq!(attempt.connector.complete_connect(None), Ok(()));
    assert_eq!(accepting.wait(), Ok(()));
}

/// Judges NetworkDirect test: LargeQPDepth
#[test]
fn queues_can_be_used_at_their_greatest_depth() {
    const LENGTH: usize = 8;
    let duo = Duo::new();
    let info = duo.client.info().expect("the adapter says what it can");
    let options = PairOptions {
        cq_depth: info.MaxReceiveQueueDepth.max(info.MaxInitiatorQueueDepth),
        receive_depth: info.MaxReceiveQueueDepth,
        initiator_depth: info.MaxInitiatorQueueDepth,
        sge: 1,
        ..PairOptions::default()
    };
    ntbench::ndk::trace::set_enabled(false);
    let pair = duo.pair_with(&options);
    let source = Region::new(&pair.client.pd, LENGTH);
    let target = Region::new(&pair.server.pd, LENGTH);
    let depth = u64::from(options.receive_depth.min(options.initiator_depth));
    for context in 0..depth {
        assert_eq!(
            pair.server.qp.receive(context, &[target.whole()]),
            STATUS_SUCCESS,
            "{context}"
        );
    }
    for context in 0..depth {
        assert_eq!(
            pair.client.qp.send(context, &[source.whole()], 0),
            STATUS_SUCCESS,
            "{context}"
        );
    }
    let mut context = 0;
    while context < depth {
        for result in pair.server.receive_cq.wait_for(1, PATIENCE) {
            let what = (result.context, status_name(result.status));
            let sent = || pair.client.initiator_cq.results(4);
            assert_eq!(what, (context, status_name(STATUS_SUCCESS)), "{:x?}", sent());
            context += 1;
        }
    }
    let sent = pair
        .client
        .initiator_cq
        .wait_for(usize::try_from(depth).expect("small"), PATIENCE);
    assert_eq!(sent.len() as u64, depth);
    ntbench::ndk::trace::set_enabled(true);
}

/// Judges NetworkDirect test: MRDeregister
#[test]
fn a_region_with_windows_stays_registered() {
    let duo = Duo::new();
    let pair = duo.pair();
    let region = Region::new(&pair.server.pd, 4096);
    let window = bind(&pair, &region, NDK_OP_FLAG_ALLOW_REMOTE_READ);
    assert_eq!(region.mr.deregister(), Err(STATUS_DEVICE_BUSY));
    let own = Region::new(&pair.client.pd, 64);
    region.memory.write(0, &pattern(64));
    let (address, token) = (region.memory.va(), window.remote_token());
    assert_eq!(
        pair.client.qp.read(1, &[own.whole()], address, token, 0),
        STATUS_SUCCESS
    );
    assert_good(&pair.client.initiator_cq, 1);
    assert_eq!(own.memory.read(0, 64), pattern(64), "it still works");
    assert_eq!(pair.server.qp.invalidate_window(2, &window, 0), STATUS_SUCCESS);
    assert_good(&pair.server.initiator_cq, 2);
    assert_eq!(region.mr.deregister(), Ok(()));
    region
        .mr
        .register(&region.memory, 4096, ALL_ACCESS)
        .expect("it can be registered again");
}

/// Judges NetworkDirect test: MRInvalidBuffer
#[test]
fn only_contiguous_memory_is_registered() {
    let duo = Duo::new();
    let pd = duo.client.create_pd().expect("a PD is made");
    let mr = pd.create_mr(false).expect("a region is made");
    let memory = Memory::new(8192);
    let flags = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
    assert_eq!(
        mr.start_register(&memory, 8193, flags).wait(),
        Err(STATUS_INVALID_PARAMETER),
        "longer than the MDL"
    );
    // Two MDLs that have nothing to do with each other.
    let gap = Memory::with(&MemoryOptions {
        length: 8192,
        pieces: vec![4096],
        ..MemoryOptions::default()
    });
    let second: usize = ntbench::memory::read(gap.mdl());
    ntbench::memory::write(gap.mdl(), memory.mdl());
    assert_eq!(
        mr.start_register(&gap, 8192, flags).wait(),
        Err(STATUS_INVALID_PARAMETER),
        "not virtually contiguous"
    );
    ntbench::memory::write(gap.mdl(), second);
    assert_eq!(mr.register(&gap, 8192, flags), Ok(()));
    assert_eq!(mr.deregister(), Ok(()));
    assert_eq!(
        mr.start_register(&memory, 4096, 0x8000_0000).wait(),
        Err(STATUS_INVALID_PARAMETER),
        "flags that there are not"
    );
}

/// Judges NetworkDirect test: QpMax
/// Judges functions: NdkCreateQp
#[test]
fn queue_pairs_are_made_up_to_the_limits_and_no_further() {
    let duo = Duo::new();
    let info = duo.client.info().expect("the adapter says what it can");
    let cq = duo.client.create_silent_cq(64).expect("a CQ is made");
    let pd = duo.client.create_pd().expect("a PD is made");
    let most = QpConfig {
        receive_depth: info.MaxReceiveQueueDepth,
        initiator_depth: info.MaxInitiatorQueueDepth,
        receive_sge: info.MaxReceiveRequestSge,
        initiator_sge: info.MaxInitiatorRequestSge,
        inline: info.MaxInlineDataSize,
        ..QpConfig::new(&cq)
    };
    pd.create_qp(&most).expect("all limits at the same time");
    let too_much = [
        QpConfig {
            receive_depth: most.receive_depth + 1,
            ..QpConfig::new(&cq)
        },
        QpConfig {
            initiator_depth: most.initiator_depth + 1,
            ..QpConfig::new(&cq)
        },
        QpConfig {
            receive_sge: most.receive_sge + 1,
            ..QpConfig::new(&cq)
        },
        QpConfig {
            initiator_sge: most.initiator_sge + 1,
            ..QpConfig::new(&cq)
        },
        QpConfig {
            inline: most.inline + 1,
            ..QpConfig::new(&cq)
        },
    ];
    for config in too_much {
        let status = pd.create_qp(&config).map(drop);
        assert_eq!(status, Err(STATUS_INVALID_PARAMETER), "{config:?}");
    }
    let many: Vec<_> = (0..1000).map(|_| pd.create_qp(&QpConfig::new(&cq))).collect();
    assert!(many.iter().all(Result::is_ok), "a thousand at a time");
}

/// Judges NetworkDirect test: ReceiveConnClosed
#[test]
fn receives_are_cancelled_when_the_connection_is_closed() {
    let duo = Duo::new();
    let mut pair = duo.pair();
    let target = Region::new(&pair.server.pd, 4096);
    post_receives(&pair.server, &target, 1, 4);
    let connector = pair.client.connector.take().expect("it is connected");
    connector.close();
    // The peer has gone: this side ends its connection, too.
    assert_eq!(pair.server.connector().disconnect(), Ok(()));
    for context in 1..=4 {
        assert_completes(&pair.server.receive_cq, context, STATUS_CANCELLED);
    }
}

/// Judges NetworkDirect test: ReceiveFlushQP
/// Judges functions: NdkFlush
#[test]
fn receives_of_a_queue_pair_that_was_never_connected_are_flushed() {
    let duo = Duo::new();
    let end = End::new(&duo.client, &PairOptions::default()).expect("an end is made");
    let target = Region::new(&end.pd, 4096);
    post_receives(&end, &target, 1, 4);
    assert_eq!(end.qp.receive(5, &[]), STATUS_SUCCESS, "without elements");
    end.qp.flush();
    for context in 1..=5 {
        assert_completes(&end.receive_cq, context, STATUS_CANCELLED);
    }
    eventually("nothing is outstanding", || end.qp.outstanding() == 0);
}

/// Judges NetworkDirect test: SendNoReceive
#[test]
fn a_send_without_a_receive_times_out() {
    let duo = Duo::new();
    let pair = duo.pair();
    let source = Region::new(&pair.client.pd, 100);
    for context in [1, 2] {
        assert_eq!(pair.client.qp.send(context, &[source.whole()], 0), STATUS_SUCCESS);
    }
    let results = pair.client.initiator_cq.wait_for(2, Duration::from_mins(1));
    let statuses: Vec<_> = results.iter().map(|one| (one.context, one.status)).collect();
    assert_eq!(statuses, [(1, STATUS_IO_TIMEOUT), (2, STATUS_CANCELLED)]);
}

/// Judges NetworkDirect test: mval
/// Judges rule: a send that is longer than the receive ends the connection
#[test]
fn a_receive_that_is_a_byte_too_short_overflows() {
    let duo = Duo::new();
    let pair = duo.pair();
    let source = Region::new(&pair.client.pd, 1024);
    let target = Region::new(&pair.server.pd, 1024);
    assert_eq!(pair.server.qp.receive(1, &[target.whole()]), STATUS_SUCCESS);
    assert_eq!(pair.server.qp.receive(2, &[target.sge(0, 1023)]), STATUS_SUCCESS);
    assert_eq!(pair.server.qp.receive(3, &[target.whole()]), STATUS_SUCCESS);
    for context in [1, 2, 3] {
        assert_eq!(pair.client.qp.send(context, &[source.whole()], 0), STATUS_SUCCESS);
    }
    assert_good(&pair.server.receive_cq, 1);
    assert_completes(&pair.server.receive_cq, 2, STATUS_BUFFER_OVERFLOW);
    assert_completes(&pair.server.receive_cq, 3, STATUS_CANCELLED);
    assert_good(&pair.client.initiator_cq, 1);
    assert_completes(&pair.client.initiator_cq, 2, STATUS_REMOTE_RESOURCES);
    assert_completes(&pair.client.initiator_cq, 3, STATUS_CANCELLED);
}

/// Judges NetworkDirect test: mw
/// Judges functions: NdkBind, NdkInvalidate, NdkCreateMw, NdkGetRemoteTokenFromMw
#[test]
fn windows_give_access_to_parts_until_they_are_invalidated() {
    let duo = Duo::new();
    let pair = duo.pair();
    let region = Region::new(&pair.server.pd, 8192);
    region.memory.write(0, &pattern(8192));
    let own = Region::new(&pair.client.pd, 1024);
    let window = pair.server.pd.create_mw().expect("a window is made");
    let base = region.memory.va() + 1000;
    let mut tokens = Vec::new();
    for round in 0..3_u64 {
        let status = pair
            .server
            .qp
            .bind(round, &region.mr, &window, base, 1024, READ_AND_WRITE);
        assert_eq!(status, STATUS_SUCCESS);
        let token = window.remote_token();
        tokens.push(token);
        assert_good(&pair.server.initiator_cq, round);
        assert_eq!(
            pair.client.qp.read(10, &[own.whole()], base, token, 0),
            STATUS_SUCCESS
        );
        assert_good(&pair.client.initiator_cq, 10);
        assert_eq!(own.memory.read(0, 1024), pattern(8192)[1000..2024]);
        assert_eq!(
            pair.client.qp.write(11, &[own.sge(0, 10)], base, token, 0),
            STATUS_SUCCESS
        );
        assert_good(&pair.client.initiator_cq, 11);
        assert_eq!(pair.server.qp.invalidate_window(12, &window, 0), STATUS_SUCCESS);
        assert_good(&pair.server.initiator_cq, 12);
    }
    tokens.dedup();
    assert_eq!(
        tokens.len(),
        3,
        "a window has another token each time: {tokens:x?}"
    );
    // A region without remote access by itself can have windows with it, but for writes it must be writable locally.
    let readable = Region::with(&pair.server.pd, Memory::new(4096), NDK_MR_FLAG_ALLOW_REMOTE_READ);
    let status = pair.server.qp.bind(
        20,
        &readable.mr,
        &window,
        readable.memory.va(),
        4096,
        NDK_OP_FLAG_ALLOW_REMOTE_WRITE,
    );
    assert_eq!(status, STATUS_ACCESS_VIOLATION, "it cannot be written locally");
    assert_eq!(pair.server.qp.outstanding(), 0);
}
