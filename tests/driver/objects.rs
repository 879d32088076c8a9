//! Lives of objects: versions, creation at both IRQLs, and closing in every order that consumers use.

use crate::duo::{Duo, Region, assert_good, post_receives};
use crate::support::{QUIET, eventually, pattern};
use ndk_sys::{NDIS_STATUS_BAD_VERSION, NDK_VERSION, NdkOperationTypeSend, STATUS_SUCCESS};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::ndk::{End, Notify, PairOptions, Started, VERSION_1_2, pair};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Judges functions: OpenNDKAdapterHandler, NdkGetCqResultsEx, NdkSendAndInvalidate
/// Judges rule: whoever asks for {1,0} gets 1.2 and what belongs to it, and may talk to a consumer of 2.0
#[test]
fn consumers_of_both_major_versions_talk_to_each_other() {
    let duo = Duo::new();
    for minor in 0..=2 {
        let version = NDK_VERSION {
            Major: 1,
            Minor: minor,
        };
        let old = duo.machine.open_ndk_on(0, version).expect("it opens");
        let reported = old.version();
        assert_eq!((reported.Major, reported.Minor), (1, 2), "asked for 1.{minor}");
        let (from, to) = (crate::duo::client_address(), crate::duo::server_address());
        let pair = pair::connect(&old, &duo.server, from, to, &PairOptions::default()).expect("they connect");
        let own = Region::new(&pair.client.pd, 100);
        let remote = Region::new(&pair.server.pd, 100);
        own.memory.write(0, &pattern(100));
        post_receives(&pair.server, &remote, 1, 1);
        assert_eq!(pair.client.qp.send(2, &[own.whole()], 0), STATUS_SUCCESS);
        assert_eq!(
            assert_good(&pair.client.initiator_cq, 2).operation,
            NdkOperationTypeSend
        );
        assert_good(&pair.server.receive_cq, 1);
        assert_eq!(remote.memory.read(0, 100), pattern(100));
    }
}

/// Judges functions: NdkCompleteConnectEx, NdkAcceptEx
/// Judges rule: NDKPI 2.1 and the functions that it adds are not offered: BAD_VERSION
#[test]
fn what_is_newer_is_not_offered() {
    let duo = Duo::new();
    for (major, minor) in [(2, 1), (2, 2), (3, 0), (1, 3), (0, 9), (u16::MAX, 0)] {
        let version = NDK_VERSION {
            Major: major,
            Minor: minor,
        };
        let refused = duo.machine.open_ndk_on(0, version).err();
        assert_eq!(refused, Some(NDIS_STATUS_BAD_VERSION), "{major}.{minor}");
    }
}

/// Judges functions: NdkCreateCq, NdkCreatePd, NdkCreateMr, NdkCreateMw, NdkCreateSrq, NdkCreateQp, NdkCreateQpWithSrq
/// Judges functions: NdkCreateConnector, NdkCreateListener
/// Judges functions: NdkCloseCq, NdkClosePd, NdkCloseMr, NdkCloseMw, NdkCloseSrq, NdkCloseQp, NdkCloseConnector, NdkCloseListener
/// Judges rule: everything is created and closed at PASSIVE and at DISPATCH
#[test]
fn everything_is_made_and_closed_at_both_irqls() {
    let duo = Duo::new();
    let ndk = &duo.client;
    for irql in [PASSIVE_LEVEL, DISPATCH_LEVEL] {
        macro_rules! at {
            ($work:expr) => {
                duo.kernel().run_at(irql, 0, || $work)
            };
        }
        fn made<T>(started: Started<T>) -> T {
            started.wait().expect("it is made")
        }
        let cq = made(at!(ndk.start_create_cq(16, None, |_, _| {})));
        let pd = made(at!(ndk.start_create_pd()));
        let mr = made(at!(pd.start_create_mr(false)));
        let fast = made(at!(pd.start_create_mr(true)));
        let mw = made(at!(pd.start_create_mw()));
        let srq = made(at!(pd.start_create_srq(16, 2, 0, |_| {})));
        let config = ntbench::ndk::QpConfig::new(&cq);
        let qp = made(at!(pd.start_create_qp(&config)));
        let shared = made(at!(pd.start_create_qp_with_srq(&config, &srq)));
        for closing in [
            at!(shared.start_close()),
            at!(qp.start_close()),
            at!(srq.start_close()),
            at!(mw.start_close()),
            at!(fast.start_close()),
            at!(mr.start_close()),
            at!(pd.start_close()),
            at!(cq.start_close()),
        ] {
            closing.wait();
        }
        let connector = at!(ndk.create_connector()).expect("it is made");
        at!(connector.start_close()).wait();
        let listener = at!(ndk.create_listener(drop)).expect("it is made");
        at!(listener.start_close()).wait();
    }
}

/// Judges rule: an antecedent that is closed first waits for its successors, in any order
#[test]
fn antecedents_may_be_closed_first() {
    let duo = Duo::new();
    // As Microsoft's consumer does it, and the other way round.
    for backwards in [false, true] {
        let pair = duo.pair();
        let own = Region::new(&pair.client.pd, 4096);
        post_receives(&pair.client, &own, 1, 4);
        let End {
            connector,
            qp,
            pd,
            receive_cq,
            initiator_cq,
        } = pair.client;
        let connector = connector.expect("it is connected");
        let mut closings = Vec::new();
        if backwards {
            closings.push(pd.start_close());
            closings.push(receive_cq.start_close());
            closings.push(initiator_cq.start_close());
            closings.push(qp.start_close());
            std::thread::sleep(QUIET);
            assert!(
                closings.iter().all(|closing| !closing.is_complete()),
                "the connector holds the QP, and that the rest"
            );
            closings.push(connector.start_close());
            closings.push(own.mr.start_close());
        } else {
            qp.flush();
            closings.push(connector.start_close());
            closings.push(qp.start_close());
            closings.push(receive_cq.start_close());
            closings.push(initiator_cq.start_close());
            closings.push(own.mr.start_close());
            closings.push(pd.start_close());
        }
        for closing in closings {
            closing.wait();
        }
    }
}

/// Judges functions: CloseNDKAdapterHandler
/// Judges rule: closing an adapter waits until the closes of all its objects have completed
#[test]
fn an_adapter_waits_for_its_objects() {
    let duo = Duo::new();
    let ndk = duo.machine.open_ndk_on(0, VERSION_1_2).expect("it opens");
    let (from, to) = (crate::duo::client_address(), crate::duo::server_address());
    let pair = pair::connect(&ndk, &duo.server, from, to, &PairOptions::default()).expect("they connect");
    let closing = ndk.start_close();
    std::thread::sleep(QUIET);
    assert!(!closing.is_finished(), "objects of it are open");
    drop(pair);
    eventually("it is closed", || closing.is_finished());
}

/// Judges rule: any callback may close what it is called for, and post and poll
#[test]
fn callbacks_may_do_anything() {
    const ROUNDS: usize = 50;
    let duo = Duo::new();
    let pair = duo.pair();
    let own = Region::new(&pair.client.pd, 64);
    // A CQ that is polled and armed again in its own callback, as consumers do it.
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let cq = duo
        .client
        .create_cq(64, move |cq, status| {
            assert_eq!(status, STATUS_SUCCESS);
            loop {
                let results = cq.results_ex(16);
                counted.fetch_add(results.len(), Ordering::Relaxed);
                if results.is_empty() {
                    break;
                }
            }
            cq.arm(Notify::Any);
            counted.fetch_add(cq.results(16).len(), Ordering::Relaxed);
        })
        .expect("a CQ is made");
    let qp = pair
        .client
        .pd
        .create_qp(&ntbench::ndk::QpConfig::new(&cq))
        .expect("a QP is made");
    cq.arm(Notify::Any);
    for round in 0..ROUNDS {
        assert_eq!(qp.receive(round as u64, &[own.whole()]), STATUS_SUCCESS);
        if round % 10 == 9 {
            qp.flush();
            eventually("they are cancelled", || {
                count.load(Ordering::Relaxed) == round + 1
            });
        }
    }
}
