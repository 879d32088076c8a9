//! Writes the frames of `tests/fixtures/ours.pcap` to standard output, for tshark to judge.

use std::io::{self, Write};

#[path = "../tests/common/ours.rs"]
mod ours;

/// A pcap file header (microseconds, Ethernet), and per frame a record header.
fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 0xffff, 1];
    out.write_all(&header.map(u32::to_le_bytes).concat())?;
    for frame in ours::frames() {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        out.write_all(&[0, 0, length, length].map(u32::to_le_bytes).concat())?;
        out.write_all(&frame)?;
    }
    out.flush()
}
