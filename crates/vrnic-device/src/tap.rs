//! A tap on the port: every frame that crosses it, in order, also into a pcap file, and such a file read again.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Which way a frame went, seen from the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the wire.
    Received,
    /// To the wire.
    Sent,
}

/// Sees all frames of a port, those that the NIC drops too. As for the other traits of the host: never blocks for long, never
/// calls back into the NIC.
pub trait Tap: Send + Sync {
    /// A frame, from the destination address to the last byte before the frame check sequence.
    fn frame(&self, direction: Direction, frame: &[u8]);
}

/// Writes the frames into a pcap file (libpcap's format, with nanoseconds).
pub struct PcapTap<W: Write + Send> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    error: Option<io::Error>,
}

/// `pcap_file_header`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct FileHeader {
    magic: u32,
    version: [u16; 2],
    time_zone: i32,
    accuracy: u32,
    snap_length: u32,
    link_type: u32,
}

/// The header of a packet in the file.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct PacketHeader {
    seconds: u32,
    nanoseconds: u32,
    captured: u32,
    length: u32,
}

/// Times have nanoseconds; the byte order is the writer's.
const MAGIC: u32 = 0xA1B2_3C4D;
const VERSION: [u16; 2] = [2, 4];
const SNAP_LENGTH: u32 = 0x1_0000;
const LINK_TYPE_ETHERNET: u32 = 1;

impl<W: Write + Send> PcapTap<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(mut out: W) -> io::Result<Self> {
        let header = FileHeader {
            magic: MAGIC,
            version: VERSION,
            time_zone: 0,
            accuracy: 0,
            snap_length: SNAP_LENGTH,
            link_type: LINK_TYPE_ETHERNET,
        };
        out.write_all(header.as_bytes())?;
        Ok(Self {
            state: Mutex::new(State { out, error: None }),
        })
    }

    /// Writes a frame. An error is kept for [`Self::flush`].
    pub fn record(&self, time: SystemTime, frame: &[u8]) {
        // Kept until then.
        let _ = self.attempt(|out| write_packet(out, time, frame));
    }

    /// Writes out what is buffered, and says whether all has been written so far.
    ///
    /// # Errors
    /// The first error: nothing is written behind the gap.
    pub fn flush(&self) -> io::Result<()> {
        self.attempt(W::flush)
    }

    fn attempt(&self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.error.is_none() {
            state.error = write(&mut state.out).err();
        }
        match &state.error {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

impl<W: Write + Send> Tap for PcapTap<W> {
    fn frame(&self, _: Direction, frame: &[u8]) {
        self.record(SystemTime::now(), frame);
    }
}

fn write_packet(out: &mut impl Write, time: SystemTime, frame: &[u8]) -> io::Result<()> {
    let time = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    let captured = &frame[..frame.len().min(SNAP_LENGTH as usize)];
    let header = PacketHeader {
        // The format's seconds have 32 bits: they last until 2106.
        seconds: u32::try_from(time.as_secs()).map_err(io::Error::other)?,
        nanoseconds: time.subsec_nanos(),
        captured: length.min(SNAP_LENGTH),
        length,
    };
    out.write_all(header.as_bytes())?;
    out.write_all(captured)
}

/// The frames of a file that [`PcapTap`] has written on a machine with the same byte order, with their times.
///
/// # Errors
/// It is another file, or it ends in the middle of a frame.
pub fn read_pcap(file: &[u8]) -> io::Result<Vec<(SystemTime, &[u8])>> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let (header, mut rest) = FileHeader::read_from_prefix(file).map_err(|_| bad("the file is too short"))?;
    if header.magic != MAGIC || header.link_type != LINK_TYPE_ETHERNET {
        return Err(bad("the file is no capture of ours"));
    }
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let cut_off = || bad("the capture is cut off");
        let (header, after) = PacketHeader::read_from_prefix(rest).map_err(|_| cut_off())?;
        let (frame, after) = after
            .split_at_checked(header.captured as usize)
            .ok_or_else(cut_off)?;
        let time = Duration::new(header.seconds.into(), 0) + Duration::from_nanos(header.nanoseconds.into());
        frames.push((SystemTime::UNIX_EPOCH + time, frame));
        rest = after;
    }
    Ok(frames)
}
