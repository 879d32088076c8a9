//! The tap on the port.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use roce_wire::cm::{Rej, Req};
use vrnic_abi::cmd::Status;
use vrnic_device::{Direction, PcapTap, Tap, read_pcap};

use crate::rig::{Rig, from_peer};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The packets of a pcap file with nanoseconds in this machine's byte order, or what is wrong with it.
fn packets(file: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let word = |at: usize| -> Result<u32, &'static str> {
        let bytes = file.get(at..at + 4).ok_or("it ends in a header")?;
        Ok(u32::from_ne_bytes(bytes.try_into().unwrap()))
    };
    if word(0)? != 0xA1B2_3C4D || word(16)? < 9000 || word(20)? != 1 {
        return Err("the file header");
    }
    let mut packets = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let length = word(at + 8)? as usize;
        if word(at + 12)? as usize != length {
            return Err("a packet is cut off");
        }
        packets.push(
            file.get(at + 16..at + 16 + length)
                .ok_or("it ends in a packet")?
                .to_vec(),
        );
        at += 16 + length;
    }
    Ok(packets)
}

#[test]
fn a_pcap_file_has_all_frames_in_order() {
    let mut rig = Rig::cm();
    let file = Buffer::default();
    let tap = Arc::new(PcapTap::new(file.clone()).unwrap());
    rig.nic.set_tap(Some(tap.clone()));
    rig.hear(Req::default());
    assert_eq!(rig.send(Rej::default()), Status::OK);
    let mut damaged = from_peer(Req::default());
    damaged[60] ^= 1;
    rig.nic.receive(&damaged);
    rig.nic.set_tap(None);
    rig.hear(Req::default());
    tap.flush().unwrap();
    let sent = rig.host.take_frames().remove(0);
    let file = file.0.lock().unwrap();
    let written = packets(&file).unwrap();
    assert_eq!(written, [from_peer(Req::default()), sent, damaged]);
    let read = read_pcap(&file).unwrap();
    assert!(read.iter().map(|(_, frame)| *frame).eq(&written));
    assert!(read.is_sorted_by_key(|(time, _)| *time));
}

#[test]
fn other_files_are_no_captures() {
    let file = Buffer::default();
    let tap = PcapTap::new(file.clone()).unwrap();
    assert_eq!(read_pcap(&file.0.lock().unwrap()).unwrap(), []);
    tap.frame(Direction::Sent, &[7; 60]);
    let file = file.0.lock().unwrap().clone();
    for length in (0..24).chain(25..file.len()) {
        assert!(read_pcap(&file[..length]).is_err(), "{length} bytes");
    }
    let text = b"#!/bin/sh\necho this is no capture at all\n";
    assert!(read_pcap(text).is_err());
}

#[test]
fn directions() {
    struct Log(Mutex<Vec<Direction>>);
    impl Tap for Log {
        fn frame(&self, direction: Direction, _: &[u8]) {
            self.0.lock().unwrap().push(direction);
        }
    }
    let log = Arc::new(Log(Mutex::default()));
    let mut rig = Rig::cm();
    rig.nic.set_tap(Some(log.clone()));
    rig.hear(Req::default());
    assert_eq!(rig.send(Rej::default()), Status::OK);
    rig.nic.set_link(false);
    rig.hear(Req::default());
    assert_eq!(*log.0.lock().unwrap(), [Direction::Received, Direction::Sent]);
}

#[test]
fn a_full_disk_is_told_at_the_end() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(data.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(PcapTap::new(Full(10)).is_err());
    let tap = PcapTap::new(Full(100)).unwrap();
    tap.frame(Direction::Sent, &[0; 60]);
    assert!(tap.flush().is_ok());
    tap.frame(Direction::Sent, &[0; 60]);
    assert_eq!(tap.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
}
