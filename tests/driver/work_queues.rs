//! Completion queues, shared receive queues and queue pairs of the real `vrnic.sys`.

use crate::support::{PATIENCE, QUIET, eventually, machine, open, pattern, sys};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
    NDK_OP_FLAG_DEFER, NDK_OP_FLAG_INLINE, NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT, NDK_OP_FLAG_SILENT_SUCCESS,
    NdkOperationTypeReceive, NdkOperationTypeSend, NdkOperationTypeWrite, STATUS_BUFFER_OVERFLOW,
    STATUS_CANCELLED, STATUS_CONNECTION_INVALID, STATUS_DATA_OVERRUN, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER_MIX, STATUS_SUCCESS,
};
use ntbench::machine::v4;
use ntbench::measure::{Cabled, FastPath};
use ntbench::ndk::pair::{self, End, Pair, PairOptions};
use ntbench::ndk::{self, Memory, Mr, Notify};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use vrnic_device::Engine;

/// Memory that is registered for everything.
struct Region {
    mr: Mr,
    memory: Memory,
}

impl Region {
    fn new(end: &End, length: usize) -> Self {
        let memory = Memory::new(length);
        let mr = end.pd.create_mr(false).expect("a region");
        let access =
            NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
        mr.register(&memory, length, access).expect("registered");
        Self { mr, memory }
    }

    fn sge(&self, at: usize, length: u32) -> ndk::Sge {
        self.memory.sge(at, length, self.mr.local_token())
    }
}

/// Both ends on one adapter: the device loops back.
fn connected(ndk: &ndk::Adapter, port: u16, options: &PairOptions) -> Pair {
    pair::connect(ndk, ndk, v4(0), v4(port), options).expect("connected")
}

/// Judges functions: NdkSend, NdkReceive, NdkGetCqResultsEx, NdkArmCq
#[test]
fn a_message_arrives() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7400, &PairOptions::default());
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    let data = pattern(1000);
    from.memory.write(0, &data);
    assert_eq!(pair.server.qp.receive(7, &[to.sge(0, 2000)]), STATUS_SUCCESS);
    assert_eq!(
        pair.client.qp.send(8, &[from.sge(0, 600), from.sge(600, 400)], 0),
        STATUS_SUCCESS
    );
    let received = pair.server.receive_cq.wait_for(1, PATIENCE);
    assert_eq!((received[0].status, received[0].bytes), (STATUS_SUCCESS, 1000));
    assert_eq!(
        (received[0].context, received[0].operation),
        (7, NdkOperationTypeReceive)
    );
    let sent = pair.client.initiator_cq.wait_for(1, PATIENCE);
    assert_eq!((sent[0].status, sent[0].context), (STATUS_SUCCESS, 8));
    assert_eq!(sent[0].operation, NdkOperationTypeSend);
    assert_eq!(to.memory.read(0, 1000), data);
}

/// A completion may come while an empty queue is being looked at.
/// Judges rule: a completion queue may be polled at any time, empty or not
#[test]
fn a_queue_may_be_polled_all_the_time() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7413, &PairOptions::default());
    let (from, to) = (Region::new(&pair.client, 64), Region::new(&pair.server, 64));
    let (target, token) = (to.memory.va(), to.mr.remote_token());
    for round in 0..5_000 {
        let status = pair.client.qp.write(round, &[from.sge(0, 64)], target, token, 0);
        assert_eq!(status, STATUS_SUCCESS);
        let deadline = Instant::now() + PATIENCE;
        let result = loop {
            if let Some(result) = pair.client.initiator_cq.results_ex(1).pop() {
                break result;
            }
            assert!(Instant::now() < deadline, "request {round} is completed");
        };
        assert_eq!((result.context, result.status), (round, STATUS_SUCCESS));
    }
}

/// Judges functions: NdkWrite, NdkSend
/// Judges rule: inline data is taken during the call, from as many elements as there are (NDKPI: NDK_OP_FLAG_INLINE)
#[test]
fn inline_data_is_taken_during_the_call() {
    let machine = machine();
    let ndk = open(&machine);
    let options = PairOptions {
        sge: 1,
        inline: 256,
        ..PairOptions::default()
    };
    let pair = connected(&ndk, 7401, &options);
    let to = Region::new(&pair.server, 4096);
    let source = Memory::new(512);
    let data = pattern(256);
    source.write(0, &data);
    let pieces: Vec<_> = (0..8).map(|at| source.inline_sge(at * 32, 32)).collect();
    assert_eq!(pair.server.qp.receive(1, &[to.sge(0, 256)]), STATUS_SUCCESS);
    assert_eq!(
        pair.client.qp.send(2, &pieces, NDK_OP_FLAG_INLINE),
        STATUS_SUCCESS
    );
    let write = pair.client.qp.write(
        3,
        &pieces[..1],
        to.memory.va() + 1024,
        to.mr.remote_token(),
        NDK_OP_FLAG_INLINE,
    );
    assert_eq!(write, STATUS_SUCCESS);
    source.fill(0);
    let ended = pair.client.initiator_cq.wait_for(2, PATIENCE);
    assert!(
        ended.iter().all(|result| result.status == STATUS_SUCCESS),
        "{ended:?}"
    );
    assert_eq!(ended[1].operation, NdkOperationTypeWrite);
    assert_eq!(to.memory.read(0, 256), data);
    assert_eq!(to.memory.read(1024, 32), data[..32]);
    let too_long = [source.inline_sge(0, 257)];
    assert_eq!(
        pair.client.qp.send(4, &too_long, NDK_OP_FLAG_INLINE),
        STATUS_BUFFER_OVERFLOW
    );
}

/// Judges rule: a queue takes as many requests as it was created for, and no more until one has completed (NDKPI: NdkCreateQp)
#[test]
fn depths_are_exact() {
    let machine = machine();
    let ndk = open(&machine);
    let options = PairOptions {
        receive_depth: 5,
        initiator_depth: 3,
        ..PairOptions::default()
    };
    let pair = connected(&ndk, 7402, &options);
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    for context in 0..5 {
        assert_eq!(pair.server.qp.receive(context, &[to.sge(0, 64)]), STATUS_SUCCESS);
    }
    assert_eq!(
        pair.server.qp.receive(5, &[to.sge(0, 64)]),
        STATUS_INSUFFICIENT_RESOURCES
    );
    for context in 0..3 {
        assert_eq!(
            pair.client.qp.send(context, &[from.sge(0, 64)], 0),
            STATUS_SUCCESS
        );
    }
    assert_eq!(
        pair.client.qp.send(3, &[from.sge(0, 64)], 0),
        STATUS_INSUFFICIENT_RESOURCES
    );
    assert_eq!(pair.client.initiator_cq.wait_for(3, PATIENCE).len(), 3);
    for context in 0..2 {
        assert_eq!(
            pair.client.qp.send(context, &[from.sge(0, 64)], 0),
            STATUS_SUCCESS
        );
    }
    assert_eq!(pair.client.initiator_cq.wait_for(2, PATIENCE).len(), 2);
    let contexts: Vec<u64> = pair
        .server
        .receive_cq
        .wait_for(5, PATIENCE)
        .iter()
        .map(|result| result.context)
        .collect();
    assert_eq!(contexts, [0, 1, 2, 3, 4]);
    let many = [from.sge(0, 1); 5];
    assert_eq!(pair.client.qp.send(9, &many, 0), STATUS_DATA_OVERRUN);
    assert_eq!(pair.server.qp.receive(9, &many), STATUS_DATA_OVERRUN);
}

/// Judges rule: initiator requests need a connection, receives do not (NDKPI: NdkSend, NdkReceive)
/// Judges NetworkDirect test: ReceiveFlushQP
#[test]
fn a_queue_pair_without_a_connection_takes_receives_and_flushes_them() {
    let machine = machine();
    let ndk = open(&machine);
    let end = End::new(&ndk, &PairOptions::default()).expect("an end");
    let region = Region::new(&end, 4096);
    assert_eq!(end.qp.send(1, &[region.sge(0, 64)], 0), STATUS_CONNECTION_INVALID);
    for context in 1..=3 {
        assert_eq!(end.qp.receive(context, &[region.sge(0, 64)]), STATUS_SUCCESS);
    }
    assert_eq!(end.qp.receive(4, &[]), STATUS_SUCCESS, "an empty list");
    end.qp.flush();
    let flushed = end.receive_cq.wait_for(4, PATIENCE);
    let seen: Vec<_> = flushed
        .iter()
        .map(|result| (result.context, result.status))
        .collect();
    let cancelled: Vec<_> = (1..=4).map(|context| (context, STATUS_CANCELLED)).collect();
    assert_eq!(seen, cancelled);
    assert_eq!(end.qp.receive(5, &[region.sge(0, 64)]), STATUS_SUCCESS);
    let late = end.receive_cq.wait_for(1, PATIENCE);
    assert_eq!((late[0].context, late[0].status), (5, STATUS_CANCELLED));
}

/// Judges rule: deferred requests are processed with the next one that is not, or when a post fails (NDKPI: Deferred Processing)
#[test]
fn a_chain_of_deferred_requests() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7403, &PairOptions::default());
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    let write = |context: u64, flags: u32| {
        let at = usize::try_from(context).expect("small") * 16;
        let address = to.memory.va() + at as u64;
        pair.client
            .qp
            .write(context, &[from.sge(at, 16)], address, to.mr.remote_token(), flags)
    };
    from.memory.write(0, &pattern(512));
    for context in 0..15 {
        assert_eq!(
            write(context, NDK_OP_FLAG_DEFER | NDK_OP_FLAG_SILENT_SUCCESS),
            STATUS_SUCCESS
        );
    }
    assert_eq!(write(15, 0), STATUS_SUCCESS);
    let ended = pair.client.initiator_cq.wait_for(1, PATIENCE);
    assert_eq!((ended[0].context, ended[0].status), (15, STATUS_SUCCESS));
    assert_eq!(to.memory.read(0, 256), pattern(256));
    // A failure rings what was deferred before it.
    assert_eq!(write(16, NDK_OP_FLAG_DEFER), STATUS_SUCCESS);
    let many = [from.sge(0, 1); 5];
    assert_eq!(
        pair.client.qp.send(17, &many, NDK_OP_FLAG_DEFER),
        STATUS_DATA_OVERRUN
    );
    let ended = pair.client.initiator_cq.wait_for(1, PATIENCE);
    assert_eq!((ended[0].context, ended[0].status), (16, STATUS_SUCCESS));
}

/// Judges functions: NdkFlush
/// Judges rule: a flush cancels everything outstanding, deferred requests included (NDKPI: NdkFlush)
#[test]
fn a_flush_in_the_middle_of_a_chain() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7404, &PairOptions::default());
    let from = Region::new(&pair.client, 4096);
    assert_eq!(pair.client.qp.receive(1, &[from.sge(0, 64)]), STATUS_SUCCESS);
    for context in 2..5 {
        // Nobody has posted a receive: they wait.
        assert_eq!(
            pair.client
                .qp
                .send(context, &[from.sge(0, 64)], NDK_OP_FLAG_DEFER),
            STATUS_SUCCESS
        );
    }
    pair.client.qp.flush();
    let sends = pair.client.initiator_cq.wait_for(3, PATIENCE);
    let contexts: Vec<_> = sends
        .iter()
        .map(|result| (result.context, result.status))
        .collect();
    assert_eq!(
        contexts,
        [
            (2, STATUS_CANCELLED),
            (3, STATUS_CANCELLED),
            (4, STATUS_CANCELLED)
        ]
    );
    assert_eq!(
        pair.client.receive_cq.wait_for(1, PATIENCE)[0].status,
        STATUS_CANCELLED
    );
}

/// Judges functions: NdkResizeCq
#[test]
fn a_resized_queue_keeps_its_entries() {
    let machine = machine();
    let ndk = open(&machine);
    let options = PairOptions {
        receive_depth: 100,
        initiator_depth: 100,
        cq_depth: 100,
        ..PairOptions::default()
    };
    let pair = connected(&ndk, 7405, &options);
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    let transfer = |count: u64| {
        for context in 0..count {
            assert_eq!(pair.server.qp.receive(context, &[to.sge(0, 64)]), STATUS_SUCCESS);
            assert_eq!(
                pair.client.qp.send(context, &[from.sge(0, 64)], 0),
                STATUS_SUCCESS
            );
        }
        assert_eq!(
            pair.client
                .initiator_cq
                .wait_for(usize::try_from(count).expect("small"), PATIENCE)
                .len() as u64,
            count
        );
    };
    let cq = &pair.server.receive_cq;
    for depth in [500, 110, 1000, 120] {
        transfer(30);
        cq.resize(depth).expect("resized");
        transfer(30);
        let contexts: Vec<u64> = cq
            .wait_for(60, PATIENCE)
            .iter()
            .map(|result| result.context)
            .collect();
        assert_eq!(
            contexts,
            (0..30).chain(0..30).collect::<Vec<_>>(),
            "depth {depth}"
        );
        for _ in 0..5 {
            transfer(50);
            assert_eq!(cq.wait_for(50, PATIENCE).len(), 50);
        }
    }
    assert_eq!(cq.resize(0), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(cq.resize(4_194_304), Err(STATUS_INVALID_PARAMETER));
}

/// Judges functions: NdkControlCqInterruptModeration
#[test]
fn moderation() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7406, &PairOptions::default());
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    let cq = &pair.server.receive_cq;
    assert_eq!(cq.moderate(u32::MAX, u32::MAX), STATUS_INVALID_PARAMETER_MIX);
    assert_eq!(cq.moderate(u32::MAX, 129), STATUS_INVALID_PARAMETER_MIX);
    for (interval, count) in [(20, u32::MAX), (0, 0), (1000, 4), (u32::MAX, 2), (0, 5)] {
        assert_eq!(cq.moderate(interval, count), STATUS_SUCCESS);
        for context in 0..4 {
            assert_eq!(pair.server.qp.receive(context, &[to.sge(0, 64)]), STATUS_SUCCESS);
            assert_eq!(
                pair.client.qp.send(context, &[from.sge(0, 64)], 0),
                STATUS_SUCCESS
            );
        }
        assert_eq!(cq.wait_for(4, PATIENCE).len(), 4, "{interval} {count}");
        assert_eq!(pair.client.initiator_cq.wait_for(4, PATIENCE).len(), 4);
    }
}

/// Judges rule: an armed queue notifies once; solicited means solicited or in error (NDKPI: NdkArmCq)
#[test]
fn solicited_notifications() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = connected(&ndk, 7407, &PairOptions::default());
    let (from, to) = (Region::new(&pair.client, 4096), Region::new(&pair.server, 4096));
    let cq = &pair.server.receive_cq;
    let send = |flags: u32| {
        assert_eq!(pair.server.qp.receive(0, &[to.sge(0, 64)]), STATUS_SUCCESS);
        assert_eq!(pair.client.qp.send(0, &[from.sge(0, 64)], flags), STATUS_SUCCESS);
        assert_eq!(pair.client.initiator_cq.wait_for(1, PATIENCE).len(), 1);
    };
    cq.arm(Notify::Solicited);
    send(0);
    assert!(!cq.wait_for_notification(0, QUIET), "not solicited");
    send(NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT);
    assert!(cq.wait_for_notification(0, PATIENCE));
    send(NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT);
    assert!(!cq.wait_for_notification(1, QUIET), "not armed");
    assert_eq!(cq.results(10).len(), 3);
    cq.arm(Notify::Errors);
    send(NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT);
    assert!(!cq.wait_for_notification(1, QUIET), "no error of the queue");
    cq.arm(Notify::Any);
    assert!(cq.wait_for_notification(1, PATIENCE), "one is there already");
    assert_eq!(cq.results(10).len(), 1);
}

/// Judges rule: a queue that overruns says so, and its queue pairs fail (NDKPI: NdkCqNotificationCallback)
#[test]
fn an_overrun_is_told() {
    let machine = machine();
    let ndk = open(&machine);
    let said = Arc::new(AtomicU32::new(0));
    let saying = Arc::clone(&said);
    let small = ndk
        .create_cq(4, move |_, status| {
            if status == STATUS_BUFFER_OVERFLOW {
                saying.fetch_add(1, Ordering::SeqCst);
            }
        })
        .expect("a queue");
    let big = ndk.create_silent_cq(64).expect("a queue");
    let pd = ndk.create_pd().expect("a domain");
    let qp = pd
        .create_qp(&ndk::QpConfig {
            receive_depth: 16,
            initiator_cq: &big,
            ..ndk::QpConfig::new(&small)
        })
        .expect("a queue pair");
    small.arm(Notify::Errors);
    for context in 0..16 {
        assert_eq!(qp.receive(context, &[]), STATUS_SUCCESS);
    }
    qp.flush();
    eventually("the overrun is told", || said.load(Ordering::SeqCst) == 1);
    eventually("what is outstanding is cancelled", || {
        small
            .results(16)
            .iter()
            .all(|result| result.status == STATUS_CANCELLED)
            && qp.outstanding() == 0
    });
}

/// Judges rule: results of a closed queue pair are not given (NDKPI: Object Lifetime Requirements)
#[test]
fn a_closed_queue_pair_leaves_nothing_behind() {
    let machine = machine();
    let ndk = open(&machine);
    for round in 0..5 {
        let pair = connected(&ndk, 7420 + round, &PairOptions::default());
        let Pair { client, server } = pair;
        let (from, to) = (Region::new(&client, 4096), Region::new(&server, 4096));
        for context in 0..3 {
            assert_eq!(server.qp.receive(context, &[to.sge(0, 64)]), STATUS_SUCCESS);
            assert_eq!(client.qp.send(context, &[from.sge(0, 64)], 0), STATUS_SUCCESS);
        }
        assert_eq!(client.initiator_cq.wait_for(3, PATIENCE).len(), 3);
        assert_eq!(server.receive_cq.results(1).len(), 1);
        drop(server.connector);
        drop(server.qp);
        assert_eq!(server.receive_cq.results(10), []);
        drop(to);
        // Its completion queues are as good as new.
        let again = End {
            connector: None,
            qp: server
                .pd
                .create_qp(&ndk::QpConfig {
                    initiator_cq: &server.initiator_cq,
                    ..ndk::QpConfig::new(&server.receive_cq)
                })
                .expect("another queue pair"),
            pd: server.pd,
            receive_cq: server.receive_cq,
            initiator_cq: server.initiator_cq,
        };
        assert_eq!(again.qp.receive(77, &[]), STATUS_SUCCESS);
        again.qp.flush();
        assert_eq!(again.receive_cq.wait_for(1, PATIENCE)[0].context, 77);
    }
}

/// Judges functions: NdkCreateSrq, NdkModifySrq, NdkSrqReceive, NdkCreateQpWithSrq
#[test]
fn a_shared_receive_queue() {
    let machine = machine();
    let ndk = open(&machine);
    let low = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&low);
    let mut server = End::new(&ndk, &PairOptions::default()).expect("an end");
    let srq = server
        .pd
        .create_srq(8, 2, 3, move |status| {
            assert_eq!(status, STATUS_SUCCESS);
            counting.fetch_add(1, Ordering::SeqCst);
        })
        .expect("a shared queue");
    server.qp = server
        .pd
        .create_qp_with_srq(
            &ndk::QpConfig {
                initiator_cq: &server.initiator_cq,
                ..ndk::QpConfig::new(&server.receive_cq)
            },
            &srq,
        )
        .expect("a queue pair");
    let mut client = End::new(&ndk, &PairOptions::default()).expect("an end");
    pair::connect_ends(&ndk, &mut client, &ndk, &mut server, v4(0), v4(7408), 0).expect("connected");
    let (from, to) = (Region::new(&client, 4096), Region::new(&server, 8192));
    let send = |count: usize| {
        for context in 0..count {
            assert_eq!(
                client.qp.send(context as u64, &[from.sge(0, 64)], 0),
                STATUS_SUCCESS
            );
        }
        assert_eq!(client.initiator_cq.wait_for(count, PATIENCE).len(), count);
        let received = server.receive_cq.wait_for(count, PATIENCE);
        assert!(
            received.iter().all(|result| result.status == STATUS_SUCCESS),
            "{received:?}"
        );
    };
    let fill = |count: u64| {
        for context in 0..count {
            assert_eq!(srq.receive(context, &[to.sge(0, 64)]), STATUS_SUCCESS);
        }
    };
    fill(8);
    assert_eq!(srq.receive(9, &[to.sge(0, 64)]), STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(srq.receive(9, &[to.sge(0, 64); 3]), STATUS_DATA_OVERRUN);
    send(5);
    assert_eq!(low.load(Ordering::SeqCst), 0, "three are left");
    send(1);
    eventually("the queue is low", || low.load(Ordering::SeqCst) == 1);
    send(1);
    srq.modify(0, 4).expect("modified");
    eventually("it is low already", || low.load(Ordering::SeqCst) == 2);
    srq.modify(100, 0).expect("grown");
    fill(99);
    assert_eq!(srq.receive(9, &[to.sge(0, 64)]), STATUS_INSUFFICIENT_RESOURCES);
    send(20);
    srq.modify(10, 0).expect("shrunk");
    assert_eq!(srq.receive(9, &[to.sge(0, 64)]), STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(srq.modify(0, 11), Err(STATUS_INVALID_PARAMETER));
    send(20);
    assert_eq!(low.load(Ordering::SeqCst), 2);
}

/// The fast path costs no more instructions than that of Linux's erdma provider (`docs/`, "Queues"; what it has none of is compared with
/// the closest that it has).
#[test]
fn instructions_of_the_fast_path() {
    let cabled = Cabled::start(&sys(), Engine::Host).expect("the driver starts");
    let limits = [
        ("SEND, one SGE", 195),
        ("SEND inline, 64 B", 342),
        ("SEND, each in a deferred chain of 16", 138),
        ("WRITE, one SGE", 206),
        ("READ, one SGE", 206),
        ("poll, one completion", 134),
        ("poll, each of 16 completions", 95),
    ];
    let costs = FastPath::new(&cabled).costs(0);
    for (name, limit) in limits {
        let cost = costs.iter().find(|cost| cost.name == name).expect(name);
        assert!(
            (1..=limit).contains(&cost.instructions),
            "{name}: {} instructions, {limit} at most",
            cost.instructions
        );
    }
}
