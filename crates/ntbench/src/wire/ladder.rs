//! What the connection managers say to each other, for people to read.

use std::fmt::{self, Write};
use std::time::Duration;

use parking_lot::Mutex;
use roce_wire::cm::{CmError, CmMad, CmMessage, MessageMraed, MessageRejected, RejectReason};
use roce_wire::eth::EthernetHeader;
use roce_wire::frame::{Frame, FrameError, GsiError};
use roce_wire::ip_cm::{IpCmHeader, ServiceId};

use super::hub::{Captured, Tap};

/// Bytes of private data that are shown.
const SHOWN: usize = 48;

/// A message, or a `RoCEv2` frame that should have been one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When, from the start of the wire.
    pub at: Duration,
    /// Who sent it: its IP address, or its MAC address if the frame is too damaged to tell.
    pub source: String,
    /// Who should get it.
    pub destination: String,
    /// What it is.
    pub event: Event,
}

/// What a [`Row`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A CM message.
    Message(Box<CmMad>),
    /// A datagram for the general service interface that is no CM message.
    NoMessage(CmError),
    /// A datagram that is refused by the general service interface.
    NotForGsi(GsiError),
    /// A damaged `RoCEv2` frame.
    Damaged(FrameError),
}

/// Reads a frame. `None`: it is not `RoCEv2`, or a packet of a connection.
#[must_use]
pub fn decode(at: Duration, bytes: &[u8]) -> Option<Row> {
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(FrameError::NotRoce(_)) => return None,
        Err(error) => {
            let ethernet = EthernetHeader::from_bytes(bytes.first_chunk()?);
            let (source, destination) = (ethernet.source.to_string(), ethernet.destination.to_string());
            return Some(Row {
                at,
                source,
                destination,
                event: Event::Damaged(error),
            });
        }
    };
    let event = match frame.gsi_mad() {
        Ok(mad) => CmMad::from_bytes(mad).map_or_else(Event::NoMessage, |mad| Event::Message(Box::new(mad))),
        // A packet of a connection, not a datagram.
        Err(GsiError::Opcode(_)) => return None,
        Err(error) => Event::NotForGsi(error),
    };
    let ip = frame.address.ip;
    Some(Row {
        at,
        source: ip.source().to_string(),
        destination: ip.destination().to_string(),
        event,
    })
}

impl Row {
    /// The row as a line, with `left` to the left of the arrow if it has part in it.
    #[must_use]
    pub fn line(&self, left: &str) -> String {
        let (first, arrow, second) = if self.destination == left && self.source != left {
            (&self.destination, "◀──", &self.source)
        } else {
            (&self.source, "──▶", &self.destination)
        };
        format!(
            "{:>12.6}  {first} {arrow} {second}  {}",
            self.at.as_secs_f64(),
            self.event
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(mad) => message(f, &mad.message),
            Self::NoMessage(error) => write!(f, "no CM message: {error:?}"),
            Self::NotForGsi(error) => write!(f, "not for the general service interface: {error:?}"),
            Self::Damaged(error) => write!(f, "damaged: {error:?}"),
        }
    }
}

fn message(f: &mut fmt::Formatter<'_>, message: &CmMessage) -> fmt::Result {
    write!(f, "{:<4} id {}", message.name(), message.local_comm_id())?;
    if let Some(remote) = message.remote_comm_id() {
        write!(f, " to {remote}")?;
    }
    let mut private_data = message.private_data();
    match message {
        CmMessage::Req(req) => {
            service(f, req.service_id)?;
            if let Ok((header, consumer)) = IpCmHeader::parse(&req.private_data) {
                write!(f, " from port {}", header.source_port)?;
                private_data = consumer;
            }
        }
        CmMessage::Mra(mra) => {
            let about = if mra.message_mraed == MessageMraed::REP {
                "REP"
            } else {
                "REQ"
            };
            write!(
                f,
                ", got the {about}, wait up to {} ms",
                mra.service_timeout.nanoseconds() / 1_000_000
            )?;
        }
        CmMessage::Rej(rej) => {
            f.write_str(match rej.message_rejected {
                MessageRejected::REQ => ", rejects the REQ",
                MessageRejected::REP => ", rejects the REP",
                _ => ", rejects",
            })?;
            reason(f, rej.reason)?;
        }
        CmMessage::Rep(_)
        | CmMessage::Rtu(_)
        | CmMessage::Dreq(_)
        | CmMessage::Drep(_)
        | CmMessage::Lap(_)
        | CmMessage::Apr(_) => {}
    }
    write!(f, "{}", Data(private_data))
}

fn service(f: &mut fmt::Formatter<'_>, id: ServiceId) -> fmt::Result {
    match id.to_port() {
        Some((_, port)) => write!(f, ", to port {port}"),
        None => write!(f, ", to service {:#018x}", id.0),
    }
}

fn reason(f: &mut fmt::Formatter<'_>, reason: RejectReason) -> fmt::Result {
    write!(f, ", reason {}", reason.0)?;
    match reason.name() {
        Some(name) => write!(f, " ({})", name.to_lowercase().replace('_', " ")),
        None => Ok(()),
    }
}

/// Private data without the zeros at its end: as text if it is some, as hexadecimal digits otherwise.
struct Data<'a>(&'a [u8]);

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self
            .0
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let (shown, more) = self.0[..used].split_at(used.min(SHOWN));
        if shown.is_empty() {
            return Ok(());
        }
        write!(f, ", {used} bytes ")?;
        if self.0[..used].iter().all(|byte| matches!(byte, b' '..=b'~')) {
            write!(f, "\"{}", String::from_utf8_lossy(shown))?;
            f.write_str(if more.is_empty() { "\"" } else { "…\"" })
        } else {
            shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(if more.is_empty() { "" } else { "…" })
        }
    }
}

/// Records the rows of a wire.
#[derive(Default)]
pub struct Ladder {
    rows: Mutex<Vec<Row>>,
}

impl Ladder {
    /// All rows so far.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.rows.lock().clone()
    }

    /// All rows so far as lines, with whoever sent the first one to the left.
    #[must_use]
    pub fn render(&self) -> String {
        let rows = self.rows.lock();
        let left = rows.first().map_or("", |row| &row.source);
        rows.iter().fold(String::new(), |mut text, row| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", row.line(left));
            text
        })
    }
}

impl Tap for Ladder {
    fn frame(&self, frame: &Captured<'_>) {
        if let Some(row) = decode(frame.since_start, frame.bytes) {
            self.rows.lock().push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use roce_wire::cm::{CommId, Mra, PrivateData, Rej, Req};
    use roce_wire::eth::MacAddr;
    use roce_wire::frame::{FrameAddress, IpPair, write_gsi};
    use roce_wire::ip_cm::{IpCmAddresses, PortSpace};
    use roce_wire::num::{Psn, Timeout};

    use super::*;

    const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn frame(source: Ipv4Addr, destination: Ipv4Addr, message: impl Into<CmMessage>) -> Vec<u8> {
        let address = FrameAddress {
            source_mac: MacAddr([2, 0, 0, 0, 0, 1]),
            destination_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            ip: IpPair::V4 {
                source,
                destination,
                identification: 0,
            },
            udp_source_port: 0xc000,
            traffic_class: 0,
            hop_limit: 1,
        };
        let mut buffer = vec![0; 400];
        let length = write_gsi(
            &mut buffer,
            &address,
            Psn::default(),
            &CmMad::new(1, message).to_bytes(),
        )
        .expect("fits");
        buffer.truncate(length);
        buffer
    }

    fn request(data: &[u8]) -> Req {
        let header = IpCmHeader {
            source_port: 1234,
            addresses: IpCmAddresses::V4 {
                source: LEFT,
                destination: RIGHT,
            },
        };
        Req {
            local_comm_id: CommId(0xabc),
            service_id: ServiceId::from_port(PortSpace::TCP, 445),
            private_data: header.private_data(data).expect("fits"),
            ..Req::default()
        }
    }

    fn reject(data: &[u8]) -> Rej {
        Rej {
            remote_comm_id: CommId(0xabc),
            reason: RejectReason::CONSUMER_REJECT,
            private_data: PrivateData::new(data).expect("fits"),
            ..Rej::default()
        }
    }

    fn captured(ladder: &Ladder, milliseconds: u64, bytes: &[u8]) {
        ladder.frame(&Captured {
            time: std::time::UNIX_EPOCH,
            since_start: Duration::from_millis(milliseconds),
            port: "",
            bytes,
        });
    }

    #[test]
    fn a_ladder_reads_well() {
        let ladder = Ladder::default();
        captured(&ladder, 1, &frame(LEFT, RIGHT, request(b"hello")));
        captured(
            &ladder,
            2,
            &frame(
                RIGHT,
                LEFT,
                Mra {
                    service_timeout: Timeout::truncated(20),
                    ..Mra::default()
                },
            ),
        );
        captured(&ladder, 2500, &frame(RIGHT, LEFT, reject(b"go\0away")));
        let expected = "    0.001000  10.0.0.1 ──▶ 10.0.0.2  REQ  id 0x00000abc, to port 445 from port 1234, 5 bytes \"hello\"\n    \
             0.002000  10.0.0.1 ◀── 10.0.0.2  MRA  id 0x00000000 to 0x00000000, got the REQ, wait up to 4294 ms\n    \
             2.500000  10.0.0.1 ◀── 10.0.0.2  REJ  id 0x00000000 to 0x00000abc, rejects the REQ, \
             reason 28 (consumer reject), 7 bytes 676f0061776179\n";
        assert_eq!(ladder.render(), expected);
        assert_eq!(ladder.rows().len(), 3);
    }

    #[test]
    fn long_private_data_is_cut() {
        let text = Data(&[b'x'; 60]).to_string();
        assert_eq!(text, format!(", 60 bytes \"{}…\"", "x".repeat(SHOWN)));
        let hex = Data(&[1; 60]).to_string();
        assert_eq!(hex, format!(", 60 bytes {}…", "01".repeat(SHOWN)));
        assert_eq!(Data(&[0; 60]).to_string(), "");
    }

    #[test]
    fn damaged_frames_have_a_row() {
        let mut bytes = frame(LEFT, RIGHT, reject(b""));
        *bytes.last_mut().expect("not empty") ^= 1;
        let row = decode(Duration::ZERO, &bytes).expect("a row");
        assert!(matches!(row.event, Event::Damaged(FrameError::Icrc { .. })));
        assert!(
            row.line("")
                .contains("02:00:00:00:00:01 ──▶ 02:00:00:00:00:02  damaged: Icrc")
        );
    }

    #[test]
    fn other_frames_have_none() {
        assert_eq!(decode(Duration::ZERO, &[0; 60]), None);
        assert_eq!(decode(Duration::ZERO, &[]), None);
    }
}
