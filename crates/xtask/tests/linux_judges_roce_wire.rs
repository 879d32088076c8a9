//! `roce-wire` judged by Linux: this process answers the requests of a Linux guest with REJs built by `roce-wire`, and the
//! guest's `rdma_cm` says what it makes of them. Needs what `./x peer` prepares.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use roce_wire::cm::{CmMad, CmMessage, CommId, MessageRejected, PrivateData, Rej, RejectReason};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{Frame, FrameAddress, GSI_IPV6_LEN, IpPair, write_gsi};
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::Psn;
use xtask::paths;
use xtask::peer::{Connect, LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};

const HOST_MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 9];
const HOST_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 9));
const HOST_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9));
const PORT: u16 = 7777;
const LIMIT: Duration = Duration::from_mins(1);

/// How the host answers a request.
#[derive(Clone, Debug)]
enum Answer {
    /// A REJ with this private data.
    Reject(Vec<u8>),
    /// The same, with one bit of the ICRC wrong.
    Damaged(Vec<u8>),
    /// Nothing.
    Silence,
}

/// The host on the wire: a thread that answers requests as told, and passes on each CM message that it gets.
struct Host {
    answer: Arc<Mutex<Answer>>,
    messages: Receiver<(FrameAddress, CmMessage)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    fn start(wire: &Wire) -> Self {
        let socket = wire.bind_host().expect("the host's end of the wire");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a time limit");
        let answer = Arc::new(Mutex::new(Answer::Silence));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, messages) = mpsc::channel();
        let thread = thread::spawn({
            let (answer, stop, wire) = (Arc::clone(&answer), Arc::clone(&stop), wire.clone());
            move || {
                let mut buffer = vec![0; 65536];
                while !stop.load(Ordering::Relaxed) {
                    match socket.recv(&mut buffer) {
                        Ok(length) => handle(&buffer[..length], &answer, &socket, &wire, &sender),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => panic!("the wire: {error}"),
                    }
                }
            }
        });
        Self {
            answer,
            messages,
            stop,
            thread: Some(thread),
        }
    }

    fn answer_with(&self, answer: Answer) {
        *self.answer.lock().expect("no panic") = answer;
        while self.messages.try_recv().is_ok() {}
    }

    fn next(&self) -> (FrameAddress, CmMessage) {
        self.messages
            .recv_timeout(LIMIT)
            .expect("a CM message from Linux")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn handle(
    bytes: &[u8],
    answer: &Mutex<Answer>,
    socket: &UnixDatagram,
    wire: &Wire,
    sender: &Sender<(FrameAddress, CmMessage)>,
) {
    // What is no valid RoCE frame is the guest's ordinary traffic.
    let Ok(frame) = Frame::parse(bytes) else { return };
    let mad = frame.gsi_mad().expect("Linux sends management datagrams only");
    let cm = CmMad::from_bytes(mad).expect("Linux's CM messages can be read");
    let _ = sender.send((frame.address, cm.message));
    let CmMessage::Req(req) = cm.message else { return };
    let answer = answer.lock().expect("no panic").clone();
    let (data, damage) = match answer {
        Answer::Reject(data) => (data, 0),
        Answer::Damaged(data) => (data, 1),
        Answer::Silence => return,
    };
    let rej = Rej {
        local_comm_id: CommId(77),
        remote_comm_id: req.local_comm_id,
        message_rejected: MessageRejected::REQ,
        reason: RejectReason::CONSUMER_REJECT,
        private_data: PrivateData::new(&data).expect("it fits"),
        ..Rej::default()
    };
    let mut buffer = [0; GSI_IPV6_LEN];
    let mad = CmMad::new(cm.transaction_id, rej).to_bytes();
    let length = write_gsi(
        &mut buffer,
        &reply_address(&frame.address),
        Psn::truncated(1),
        &mad,
    )
    .expect("it fits");
    buffer[length - 1] ^= damage;
    socket
        .send_to(&buffer[..length], &wire.guest)
        .expect("QEMU is there");
}

fn reply_address(to: &FrameAddress) -> FrameAddress {
    FrameAddress {
        source_mac: MacAddr(HOST_MAC),
        destination_mac: to.source_mac,
        ip: IpPair::new(to.ip.destination(), to.ip.source()).expect("one family"),
        udp_source_port: 0xc001,
        traffic_class: 0,
        hop_limit: 64,
    }
}

fn boot() -> (LinuxPeer, Host, PeerConfig) {
    let wire = Wire::in_dir(&paths::run_dir("judge").expect("a folder for the run"));
    let host = Host::start(&wire);
    let neighbours = [HOST_IPV4, HOST_IPV6]
        .map(|ip| Neighbour { ip, mac: HOST_MAC })
        .to_vec();
    let config = PeerConfig::new(wire, neighbours);
    let peer = LinuxPeer::boot(&PeerFiles::prepared().expect("a prepared peer"), &config);
    (peer.expect("the guest boots"), host, config)
}

#[test]
fn linux_reads_our_rejects_and_we_read_its_requests() {
    let (peer, host, config) = boot();
    for (ip, guest_ip) in [
        (HOST_IPV4, IpAddr::V4(config.ipv4.0)),
        (HOST_IPV6, IpAddr::V6(config.ipv6.0)),
    ] {
        for length in [0_u8, 1, 147, 148] {
            let data: Vec<u8> = (1..=length).collect();
            host.answer_with(Answer::Reject(data.clone()));
            let mut expected = data;
            expected.resize(148, 0);
            let connect = Connect {
                data: vec![length; 56],
                ..Connect::new(ip, PORT)
            };
            let events = peer.connect(&connect).expect("the client ends");
            assert_eq!(events.len(), 1, "{events:?}");
            assert_eq!(
                (events[0].event.as_str(), events[0].status),
                ("RDMA_CM_EVENT_REJECTED", 28)
            );
            assert_eq!(events[0].data, expected, "{length} bytes over {ip}");

            let (address, message) = host.next();
            let CmMessage::Req(req) = message else {
                panic!("not a REQ: {message:?}")
            };
            assert_eq!(address.source_mac, MacAddr(config.mac));
            assert_eq!(req.service_id, ServiceId::from_port(PortSpace::TCP, PORT));
            let (header, consumer) = IpCmHeader::parse(&req.private_data).expect("the RDMA IP CM header");
            assert_eq!(
                header.addresses,
                IpCmAddresses::new(guest_ip, ip).expect("one family")
            );
            assert_eq!(consumer, &[length; 56]);
        }
    }
    linux_ignores_a_wrong_icrc(&peer, &host);
    linux_says_that_it_gives_up(&peer, &host);
}

/// The control of the test above: it is the REJ, whole, that ends the attempt.
fn linux_ignores_a_wrong_icrc(peer: &LinuxPeer, host: &Host) {
    host.answer_with(Answer::Damaged(b"no".to_vec()));
    let connect = Connect {
        timeout: Duration::from_secs(3),
        ..Connect::new(HOST_IPV4, PORT)
    };
    let events = peer.connect(&connect).expect("the client ends");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].event, "TIMEOUT");
}

fn linux_says_that_it_gives_up(peer: &LinuxPeer, host: &Host) {
    host.answer_with(Answer::Silence);
    let connect = Connect {
        give_up: Some(Duration::from_millis(200)),
        ..Connect::new(HOST_IPV6, PORT)
    };
    let events = peer.connect(&connect).expect("the client ends");
    assert_eq!(events[0].event, "GAVE_UP");
    let (_, request) = host.next();
    let (_, message) = host.next();
    let CmMessage::Rej(rej) = message else {
        panic!("not a REJ: {message:?}")
    };
    assert_eq!(rej.reason, RejectReason::TIMEOUT);
    assert_eq!(rej.local_comm_id, request.local_comm_id());
}
