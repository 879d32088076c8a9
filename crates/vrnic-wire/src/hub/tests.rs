//! Each wait is bounded by [`PATIENCE`].

use std::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// A frame of 60 bytes that says its number.
fn frame(from: MacAddr, to: MacAddr, number: u8) -> Vec<u8> {
    let mut bytes = [&to.0[..], &from.0, &[0x88, 0xb5, number]].concat();
    bytes.resize(60, 0);
    bytes
}

/// A port that keeps the numbers of the frames that it gets.
struct Station {
    port: PortHandle,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Station {
    fn on(hub: &Hub, name: &str) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let port = hub.attach(name, Arc::new(move |frame| log.lock().push(frame[14])));
        Self { port, heard }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().clone()
    }
}

fn hub(impairment: Impairment) -> Hub {
    Hub::new(HubConfig {
        impairment,
        ..HubConfig::default()
    })
    .expect("a thread can be started")
}

#[test]
fn frames_for_all_reach_all_others() {
    let hub = hub(Impairment::default());
    let [a, b, c] = ["a", "b", "c"].map(|name| Station::on(&hub, name));
    a.port.transmit(&frame(mac(1), MacAddr::BROADCAST, 7));
    assert!(hub.settle(PATIENCE));
    assert_eq!((a.heard(), b.heard(), c.heard()), (vec![], vec![7], vec![7]));
    assert_eq!(
        hub.statistics(),
        Statistics {
            transmitted: 1,
            delivered: 2,
            ..Statistics::default()
        }
    );
}

#[test]
fn stations_are_learned_and_forgotten() {
    let hub = hub(Impairment::default());
    let [a, b, c] = ["a", "b", "c"].map(|name| Station::on(&hub, name));
    b.port.transmit(&frame(mac(2), MacAddr::BROADCAST, 1));
    a.port.transmit(&frame(mac(1), mac(2), 2));
    assert!(hub.settle(PATIENCE));
    assert_eq!((b.heard(), c.heard()), (vec![2], vec![1]));
    drop(b);
    a.port.transmit(&frame(mac(1), mac(2), 3));
    assert!(hub.settle(PATIENCE));
    assert_eq!(c.heard(), [1, 3]);
}

#[test]
fn frames_stay_in_order() {
    let hub = hub(Impairment::default());
    let (a, b) = (Station::on(&hub, "a"), Station::on(&hub, "b"));
    (0..200).for_each(|number| a.port.transmit(&frame(mac(1), mac(2), number)));
    assert!(hub.settle(PATIENCE));
    assert_eq!(b.heard(), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_receiver_is_never_called_by_who_transmits_and_may_transmit_itself() {
    let hub = hub(Impairment::default());
    let (done, threads) = mpsc::channel();
    let asker = Station::on(&hub, "asker");
    let port = Arc::new(hub.port("answerer"));
    let answerer = Arc::downgrade(&port);
    port.connect(Arc::new(move |bytes| {
        done.send(thread::current().id()).expect("the test waits");
        if let Some(port) = answerer.upgrade() {
            port.transmit(&frame(mac(2), mac(1), bytes[14] + 1));
        }
    }));
    asker.port.transmit(&frame(mac(1), mac(2), 1));
    assert_ne!(
        threads.recv_timeout(PATIENCE).expect("it is called"),
        thread::current().id()
    );
    assert!(hub.settle(PATIENCE));
    assert_eq!(asker.heard(), [2]);
}

#[test]
fn a_full_queue_drops_and_counts_and_never_blocks() {
    let hub = Hub::new(HubConfig {
        depth: 4,
        ..HubConfig::default()
    })
    .expect("a thread can be started");
    let (go, gate) = mpsc::channel::<()>();
    let (entered, blocked) = mpsc::channel();
    let gate = Mutex::new(gate);
    let _slow = hub.attach(
        "slow",
        Arc::new(move |_| {
            entered.send(()).expect("the test waits");
            let _ = gate.lock().recv_timeout(PATIENCE);
        }),
    );
    let sender = hub.port("sender");
    sender.transmit(&frame(mac(1), mac(2), 0));
    blocked
        .recv_timeout(PATIENCE)
        .expect("the first frame is being delivered");
    (0..10).for_each(|number| sender.transmit(&frame(mac(1), mac(2), number)));
    assert_eq!(hub.statistics().overflowed, 6);
    assert!(!hub.settle(Duration::ZERO), "frames are waiting");
    (0..5).for_each(|_| go.send(()).expect("the receiver waits"));
    assert!(hub.settle(PATIENCE));
    assert_eq!(hub.statistics().delivered, 5);
}

#[test]
fn runts_and_filtered_frames_are_counted() {
    let hub = hub(Impairment::default());
    let (a, b) = (Station::on(&hub, "a"), Station::on(&hub, "b"));
    hub.set_filter(Some(Arc::new(|bytes: &[u8]| bytes[14] != 2)));
    a.port.transmit(&[0; 13]);
    (1..=3).for_each(|number| a.port.transmit(&frame(mac(1), mac(2), number)));
    assert!(hub.settle(PATIENCE));
    assert_eq!(b.heard(), [1, 3]);
    let statistics = hub.statistics();
    assert_eq!((statistics.runts, statistics.filtered), (1, 1));
    hub.set_filter(None);
    a.port.transmit(&frame(mac(1), mac(2), 2));
    assert!(hub.settle(PATIENCE));
    assert_eq!(b.heard(), [1, 3, 2]);
}

/// What a station hears of 200 frames.
fn heard_through(impairment: Impairment) -> (Vec<u8>, Statistics) {
    let hub = hub(impairment);
    let (a, b) = (Station::on(&hub, "a"), Station::on(&hub, "b"));
    (0..200).for_each(|number| a.port.transmit(&frame(mac(1), mac(2), number)));
    assert!(hub.settle(PATIENCE));
    (b.heard(), hub.statistics())
}

#[test]
fn loss_drops() {
    let (heard, statistics) = heard_through(Impairment {
        seed: 3,
        loss: 0.5,
        ..Impairment::default()
    });
    assert_eq!(heard.len() as u64, 200 - statistics.lost);
    assert!((50..150).contains(&statistics.lost));
    let again = heard_through(Impairment {
        seed: 3,
        loss: 0.5,
        ..Impairment::default()
    });
    assert_eq!(again, (heard, statistics));
}

#[test]
fn duplication_doubles() {
    let (heard, statistics) = heard_through(Impairment {
        duplication: 1.0,
        ..Impairment::default()
    });
    assert_eq!(
        heard,
        (0..200).flat_map(|number| [number, number]).collect::<Vec<_>>()
    );
    assert_eq!(statistics.duplicated, 200);
}

#[test]
fn reordering_swaps_and_loses_nothing() {
    let (heard, statistics) = heard_through(Impairment {
        seed: 5,
        reordering: 0.3,
        ..Impairment::default()
    });
    assert!(!heard.is_sorted());
    assert!(statistics.reordered > 0);
    let mut sorted = heard;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_nothing_overtakes_arrives_all_the_same() {
    let hub = hub(Impairment {
        reordering: 1.0,
        ..Impairment::default()
    });
    let (a, b) = (Station::on(&hub, "a"), Station::on(&hub, "b"));
    a.port.transmit(&frame(mac(1), mac(2), 9));
    assert!(hub.settle(PATIENCE));
    assert_eq!(b.heard(), [9]);
}

#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<(String, u8)>>,
    idle: AtomicU64,
}

impl Tap for Recorder {
    fn frame(&self, frame: &Captured<'_>) {
        self.seen.lock().push((frame.port.to_owned(), frame.bytes[14]));
    }

    fn idle(&self) {
        count(&self.idle);
    }
}

#[test]
fn a_tap_sees_what_is_delivered_once() {
    let hub = hub(Impairment::default());
    let recorder = Arc::new(Recorder::default());
    hub.tap(Arc::clone(&recorder) as Arc<dyn Tap>);
    let [a, _b, _c] = ["a", "b", "c"].map(|name| Station::on(&hub, name));
    a.port.transmit(&frame(mac(1), MacAddr::BROADCAST, 5));
    assert!(hub.settle(PATIENCE));
    assert_eq!(*recorder.seen.lock(), [("a".to_owned(), 5)]);
    assert!(recorder.idle.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_hub_delivers_what_is_queued_before_it_ends() {
    let hub = hub(Impairment {
        reordering: 1.0,
        ..Impairment::default()
    });
    let (a, b) = (Station::on(&hub, "a"), Station::on(&hub, "b"));
    (0..=100).for_each(|number| a.port.transmit(&frame(mac(1), mac(2), number)));
    drop(hub);
    assert_eq!(b.heard().len(), 101);
    a.port.transmit(&frame(mac(1), mac(2), 0));
    assert_eq!(b.heard().len(), 101, "what comes later is dropped");
}
