//! The miniport's Ethernet half: net buffer lists through the driver, against a raw station and an IP stack on the wire.

mod fast_path;
mod ip;
mod keywords;
mod life;
mod offloads;
mod power;
mod scaling;
mod silent;
mod traffic;

use crate::support::{PATIENCE, eventually, sys};
use ndk_sys::{MediaConnectStateConnected, NDIS_STATUS_LINK_STATE};
use ntbench::machine::{Machine, MachineConfig, NIC_MAC};
use ntbench::ndis::Miniport;
use ntbench::ndis::adapter::Keyword;
use ntbench::ndis::frame::fill_checksums;
use ntbench::ndis::packet::{Layout, SendList};
use ntbench::wire::PortHandle;
use parking_lot::{Condvar, Mutex};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// EtherType of frames that no stack answers.
pub const EXPERIMENTAL: u16 = 0x88B5;

/// A machine whose stack is bound above the miniport.
pub fn config() -> MachineConfig {
    MachineConfig::new(sys())
}

/// As [`config`], with registry values.
pub fn with_keywords(keywords: &[(&str, u32)]) -> MachineConfig {
    let mut config = config();
    for &(name, value) in keywords {
        config.adapters[0]
            .keywords
            .insert(name.into(), Keyword::Text(value.to_string()));
    }
    config
}

/// The machine runs, with its link up.
pub fn start(config: MachineConfig) -> Machine {
    let machine = Machine::start(config).expect("the driver starts");
    wait_for_link(&machine, true);
    machine
}

/// Waits until the link is, by what the driver has said of it last, up or down.
pub fn wait_for_link(machine: &Machine, up: bool) {
    let miniport = miniport(machine);
    let at_first = miniport.attributes().general.map(|general| general.connect_state);
    eventually("the link changes", || {
        let all = miniport.indications().all();
        let last = all.iter().rev().find(|one| one.code == NDIS_STATUS_LINK_STATE);
        let state = last.map_or(at_first, |one| Some(i32::from(one.data[4])));
        (state == Some(MediaConnectStateConnected)) == up
    });
}

/// The first adapter's miniport.
pub fn miniport(machine: &Machine) -> &Arc<Miniport> {
    machine.adapter().miniport()
}

/// A station on the wire that sees and sends raw frames.
pub struct Station {
    port: Arc<PortHandle>,
    pub mac: [u8; 6],
    seen: Arc<(Mutex<Vec<Vec<u8>>>, Condvar)>,
}

impl Station {
    /// Plugs one in.
    pub fn new(machine: &Machine, number: u8) -> Self {
        let port = Arc::new(machine.hub().port(&format!("station{number}")));
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let keep = Arc::clone(&seen);
        port.connect(Arc::new(move |frame| {
            keep.0.lock().push(frame.to_vec());
            keep.1.notify_all();
        }));
        let station = Self {
            port,
            mac: [2, 0, 0, 0, 9, number],
            seen,
        };
        // So that the switch knows where it is.
        station.send(&frame([2, 0, 0, 0, 9, 0xEE], station.mac, EXPERIMENTAL, b"hello"));
        station
    }

    pub fn send(&self, frame: &[u8]) {
        self.port.transmit(frame);
    }

    /// The next `count` frames of those that `wanted` accepts; all others are forgotten.
    pub fn wait_for(&self, count: usize, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock();
        loop {
            seen.retain(|frame| wanted(frame));
            if seen.len() >= count {
                return seen.drain(..count).collect();
            }
            let late = self.seen.1.wait_until(&mut seen, deadline).timed_out();
            assert!(
                !late,
                "{count} frames arrive at the station, and not {}",
                seen.len()
            );
        }
    }

    /// What has come and `wanted` accepts.
    pub fn seen(&self, wanted: impl Fn(&[u8]) -> bool) -> usize {
        self.seen.0.lock().iter().filter(|frame| wanted(frame)).count()
    }
}

/// A frame.
pub fn frame(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), payload].concat()
}

/// A frame of `length` bytes to the adapter or from it, with a number in its payload.
pub fn numbered(to: [u8; 6], from: [u8; 6], number: u32, length: usize) -> Vec<u8> {
    let mut frame = frame(to, from, EXPERIMENTAL, &number.to_be_bytes());
    let fill = frame.len()..length.max(frame.len());
    frame.extend(fill.map(|at| u8::try_from((at + number as usize) % 251).expect("below 256")));
    frame
}

/// Whether it is a frame of [`numbered`], and its number.
pub fn number_of(frame: &[u8]) -> Option<u32> {
    let number = frame.get(14..18)?;
    (frame[12..14] == EXPERIMENTAL.to_be_bytes())
        .then(|| u32::from_be_bytes([number[0], number[1], number[2], number[3]]))
}

/// Whether the frame is one of [`numbered`].
pub fn is_numbered(frame: &[u8]) -> bool {
    number_of(frame).is_some()
}

/// One frame as a list.
pub fn list(frame: Vec<u8>, layout: usize) -> SendList {
    SendList {
        frames: vec![frame],
        layout: Layout::varied(layout),
        ..SendList::default()
    }
}

/// Which end of the wire a packet comes from.
#[derive(Clone, Copy)]
pub struct Flow {
    pub to_mac: [u8; 6],
    pub from_mac: [u8; 6],
    pub source: (IpAddr, u16),
    pub destination: (IpAddr, u16),
}

impl Flow {
    /// From the adapter to the station, or back.
    pub fn new(station: &Station, v6: bool, outwards: bool, ports: (u16, u16)) -> Self {
        let (own, other): (IpAddr, IpAddr) = if v6 {
            (
                "fd77::9".parse().expect("an address"),
                "fd77::99".parse().expect("an address"),
            )
        } else {
            ([10, 77, 0, 9].into(), [10, 77, 0, 99].into())
        };
        if outwards {
            Self {
                to_mac: station.mac,
                from_mac: NIC_MAC,
                source: (own, ports.0),
                destination: (other, ports.1),
            }
        } else {
            Self {
                to_mac: NIC_MAC,
                from_mac: station.mac,
                source: (other, ports.0),
                destination: (own, ports.1),
            }
        }
    }

    fn ip(&self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap_or(0);
        let mut packet = match (self.source.0, self.destination.0) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = length.checked_add(20).unwrap_or(0).to_be_bytes();
                let mut header = vec![
                    0x45, 0, total[0], total[1], 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0,
                ];
                header.extend(source.octets());
                header.extend(destination.octets());
                frame(self.to_mac, self.from_mac, 0x0800, &header)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let payload = length.to_be_bytes();
                let mut header = vec![0x60, 0, 0, 0, payload[0], payload[1], protocol, 64];
                header.extend(source.octets());
                header.extend(destination.octets());
                frame(self.to_mac, self.from_mac, 0x86DD, &header)
            }
            _ => panic!("addresses of two families"),
        };
        packet.extend(body);
        fill_checksums(&mut packet);
        packet
    }

    /// A UDP packet with right checksums.
    pub fn udp(&self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len() + 8)
            .expect("it is short")
            .to_be_bytes();
        let mut body = [self.source.1.to_be_bytes(), self.destination.1.to_be_bytes()].concat();
        body.extend([length[0], length[1], 0, 0]);
        body.extend(payload);
        self.ip(17, &body)
    }

    /// A TCP segment with right checksums, if it is no longer than an IP packet.
    pub fn tcp(&self, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut body = [self.source.1.to_be_bytes(), self.destination.1.to_be_bytes()].concat();
        body.extend(sequence.to_be_bytes());
        body.extend([0, 0, 0, 9, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        body.extend(payload);
        self.ip(6, &body)
    }
}

/// Sends lists at PASSIVE and waits until they have come back: whether all were sent.
pub fn send_all(machine: &Machine, lists: &[SendList]) -> bool {
    let miniport = miniport(machine);
    let numbers = miniport.send_lists(lists);
    let sent = miniport
        .wait_sent(&numbers, PATIENCE)
        .expect("each list comes back");
    sent.iter()
        .all(|sent| sent.status == ndk_sys::NDIS_STATUS_SUCCESS)
}

/// Frames still pass both ways.
pub fn assert_passes(machine: &Machine, station: &Station) {
    let out = numbered(station.mac, NIC_MAC, 0xFFFF_0001, 100);
    assert!(send_all(machine, &[list(out.clone(), 0)]), "it is sent");
    assert_eq!(
        station.wait_for(1, |frame| number_of(frame) == Some(0xFFFF_0001)),
        [out]
    );
    let back = numbered(NIC_MAC, station.mac, 0xFFFF_0002, 100);
    station.send(&back);
    let got = miniport(machine)
        .receives()
        .wait_for(1, PATIENCE, |received| {
            number_of(&received.data) == Some(0xFFFF_0002)
        })
        .expect("it is indicated");
    assert_eq!(got[0].data, back);
}

/// How long something took, which is bounded.
pub fn took(what: &str, limit: Duration, action: impl FnOnce()) {
    let start = Instant::now();
    action();
    let took = start.elapsed();
    assert!(took < limit, "{what} took {took:?}");
}
