//! The scripted peer and Linux on one wire: Linux is the judge of what `roce-wire` writes, and its messages are what we read.
//!
//! Needs what `./x peer` prepares. The capture is kept where `VRNIC_CAPTURE` says; it is how the IPv6 and MRA fixtures of
//! `roce-wire` were made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ntbench::wire::peer::Heard;
use ntbench::wire::{DgramPort, Hub, HubConfig, Ladder, Pcap, Peer, PeerConfig};
use roce_wire::cm::{CmMad, CmMessage, MessageMraed, MessageRejected, PrivateData, Rej, RejectReason};
use roce_wire::eth::MacAddr;
use xtask::peer::{Connect, LinuxPeer, Listen, Neighbour, PeerFiles, Reply, Wire};
use xtask::{paths, tshark};

const PATIENCE: Duration = Duration::from_mins(1);
const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x77, 0, 9]);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 9));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9));

/// The wire with both of them on it. Fields are dropped in this order.
struct Setup {
    linux: LinuxPeer,
    /// Linux's addresses.
    addresses: [IpAddr; 2],
    peer: Peer,
    _guest: DgramPort,
    ladder: Arc<Ladder>,
    hub: Hub,
    capture: PathBuf,
}

impl Setup {
    fn boot() -> Self {
        let folder = paths::run_dir("wire").expect("a folder for the run");
        let capture =
            std::env::var_os("VRNIC_CAPTURE").map_or_else(|| folder.join("wire.pcap"), PathBuf::from);
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        hub.tap(Arc::new(
            Pcap::create(&capture).expect("the capture can be written"),
        ));
        let ladder = Arc::new(Ladder::default());
        hub.tap(Arc::clone(&ladder) as Arc<_>);
        let config = PeerConfig {
            name: "peer".into(),
            mac: MAC,
            addresses: vec![V4, V6],
        };
        let peer = Peer::attach(&hub, config);
        let wire = Wire::in_dir(&folder);
        let guest =
            DgramPort::attach(&hub, "linux", &wire.host, &wire.guest).expect("the socket can be bound");
        // IPv4 has a permanent entry; IPv6 is found by neighbour discovery.
        let neighbours = vec![Neighbour { ip: V4, mac: MAC.0 }];
        let config = xtask::peer::PeerConfig::new(wire, neighbours);
        let files = PeerFiles::prepared().expect("a prepared peer");
        let linux = LinuxPeer::boot(&files, &config).expect("the guest boots");
        let addresses = [config.ipv4.0.into(), config.ipv6.0.into()];
        Self {
            linux,
            addresses,
            peer,
            _guest: guest,
            ladder,
            hub,
            capture,
        }
    }
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut all = data.to_vec();
    all.resize(148, 0);
    all
}

fn reject(heard: &Heard, data: &[u8]) -> CmMad {
    let rej = Rej {
        remote_comm_id: heard.mad.message.local_comm_id(),
        message_rejected: MessageRejected::REQ,
        reason: RejectReason::CONSUMER_REJECT,
        private_data: PrivateData::new(data).expect("fits"),
        ..Rej::default()
    };
    CmMad::new(heard.mad.transaction_id, rej)
}

#[test]
fn linux_and_the_scripted_peer_understand_each_other() {
    let setup = Setup::boot();
    for (ours, theirs) in [V4, V6].into_iter().zip(setup.addresses) {
        println!("{theirs} and {ours}");
        setup
            .peer
            .resolve(theirs, PATIENCE)
            .expect("Linux answers ARP and neighbour solicitation");
        linux_is_rejected(&setup, ours);
        linux_gives_up(&setup, ours);
        linux_rejects(&setup, theirs);
        linux_accepts_and_disconnects(&setup, theirs);
        linux_has_nobody_listening(&setup, theirs);
        linux_is_slow(&setup, theirs);
    }
    assert!(setup.hub.settle(PATIENCE));
    println!("{}", setup.ladder.render());
    assert_eq!(setup.hub.statistics().overflowed, 0);
    let messages = tshark::decode(
        &setup.capture,
        "infiniband.mad.attributeid",
        &["infiniband.mad.attributeid"],
    );
    assert_eq!(
        messages.expect("tshark reads it").len(),
        setup.ladder.rows().len()
    );
}

/// Linux's request, our REJ.
fn linux_is_rejected(setup: &Setup, ours: IpAddr) {
    let connect = Connect {
        data: b"may I?".to_vec(),
        ..Connect::new(ours, 7000)
    };
    let connecting = setup.linux.start_connect(&connect).expect("the client starts");
    let heard = setup
        .peer
        .wait_message(PATIENCE, |heard| {
            service_port(heard) == Some(7000) && heard.from.is_ipv4() == ours.is_ipv4()
        })
        .expect("a request");
    let data: Vec<u8> = (0..148).collect();
    setup
        .peer
        .send_message(heard.from, &reject(&heard, &data))
        .expect("it knows the way");
    let events = connecting.events().expect("the client ends");
    assert_eq!(
        (events[0].event.as_str(), events[0].status),
        ("RDMA_CM_EVENT_REJECTED", 28)
    );
    assert_eq!(events[0].data, data);
}

/// Linux's REJ for want of an answer.
fn linux_gives_up(setup: &Setup, ours: IpAddr) {
    let connect = Connect {
        give_up: Some(Duration::from_millis(500)),
        ..Connect::new(ours, 7003)
    };
    setup.linux.connect(&connect).expect("the client ends");
    let heard = setup
        .peer
        .wait_message(PATIENCE, |heard| {
            heard.from.is_ipv4() == ours.is_ipv4()
                && matches!(heard.mad.message, CmMessage::Rej(rej) if rej.reason == RejectReason::TIMEOUT)
        })
        .expect("a reject");
    let CmMessage::Rej(rej) = heard.mad.message else {
        panic!("{heard:?}")
    };
    assert_eq!(rej.message_rejected, MessageRejected::NO_MESSAGE);
    // Its GUID, as our own peer sends it.
    assert_eq!(rej.ari().len(), 8);
}

fn service_port(heard: &Heard) -> Option<u16> {
    match heard.mad.message {
        CmMessage::Req(req) => req.service_id.to_port().map(|(_, port)| port),
        _ => None,
    }
}

fn listen(addr: IpAddr, port: u16, reply: Reply) -> Listen {
    Listen {
        addr,
        port,
        reply,
        count: 1,
        timeout: PATIENCE,
    }
}

/// Our request, Linux's REJ.
fn linux_rejects(setup: &Setup, theirs: IpAddr) {
    let mut listener = setup
        .linux
        .listen(&listen(theirs, 7001, Reply::Reject(b"no".to_vec())))
        .expect("it listens");
    let attempt = setup
        .peer
        .connect(SocketAddr::new(theirs, 7001), b"hello")
        .expect("it knows the way");
    let answer = setup.peer.wait_answer(&attempt, PATIENCE).expect("an answer");
    let CmMessage::Rej(rej) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (rej.reason, rej.message_rejected),
        (RejectReason::CONSUMER_REJECT, MessageRejected::REQ)
    );
    assert_eq!(rej.private_data.as_array()[..], padded(b"no"));
    let event = listener
        .next_event(PATIENCE)
        .expect("an event")
        .expect("a request");
    assert!(event.data.starts_with(b"hello\0"), "{event:?}");
}

/// Our request, Linux's REP, our RTU, our DREQ, Linux's DREP.
fn linux_accepts_and_disconnects(setup: &Setup, theirs: IpAddr) {
    let _listener = setup
        .linux
        .listen(&listen(theirs, 7002, Reply::Accept(b"yes".to_vec())))
        .expect("it listens");
    let attempt = setup
        .peer
        .connect(SocketAddr::new(theirs, 7002), b"")
        .expect("it knows the way");
    let answer = setup.peer.wait_answer(&attempt, PATIENCE).expect("an answer");
    let CmMessage::Rep(rep) = answer else {
        panic!("{answer:?}")
    };
    assert!(rep.private_data.as_array().starts_with(b"yes\0"));
    let send = |mad: &CmMad| setup.peer.send_message(theirs, mad).expect("it knows the way");
    send(&attempt.ready(rep.local_comm_id));
    send(&attempt.disconnect(rep.local_comm_id, rep.local_qpn));
    let released = setup.peer.wait_message(PATIENCE, |heard| {
        matches!(heard.mad.message, CmMessage::Drep(drep) if drep.remote_comm_id == attempt.comm_id())
    });
    released.expect("a reply to the disconnection");
}

/// Our request, the kernel's own REJ.
fn linux_has_nobody_listening(setup: &Setup, theirs: IpAddr) {
    let attempt = setup
        .peer
        .connect(SocketAddr::new(theirs, 7999), b"")
        .expect("it knows the way");
    let answer = setup.peer.wait_answer(&attempt, PATIENCE).expect("an answer");
    let CmMessage::Rej(rej) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(rej.reason, RejectReason::INVALID_SERVICE_ID);
}

/// Our request, and the same again while the program in the guest is stopped: Linux's MRA.
fn linux_is_slow(setup: &Setup, theirs: IpAddr) {
    let _listener = setup
        .linux
        .listen(&listen(theirs, 7004, Reply::Reject(Vec::new())))
        .expect("it listens");
    let signal = |name: &str| {
        let command = format!("killall -{name} vrnic-rdma-client");
        assert_eq!(setup.linux.run(&command, PATIENCE).expect("it ends").code, 0);
    };
    signal("STOP");
    let attempt = setup
        .peer
        .connect(SocketAddr::new(theirs, 7004), b"")
        .expect("it knows the way");
    // The first one must have reached rdma_cm before the second one comes: until then Linux takes that for the first.
    let mut answer = None;
    for _ in 0..30 {
        answer = setup.peer.wait_answer(&attempt, Duration::from_secs(1)).ok();
        if answer.is_some() {
            break;
        }
        setup.peer.send(&attempt).expect("it knows the way");
    }
    let Some(CmMessage::Mra(mra)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(mra.message_mraed, MessageMraed::REQ);
    assert!(mra.service_timeout.nanoseconds() > 1_000_000_000, "{mra:?}");
    signal("CONT");
    let rejected = setup.peer.wait_message(
        PATIENCE,
        |heard| matches!(heard.mad.message, CmMessage::Rej(rej) if rej.remote_comm_id == attempt.comm_id()),
    );
    rejected.expect("the answer in the end");
}
