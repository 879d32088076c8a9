//! A capture of the wire, in the format that the NIC's own tap writes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use vrnic_device::read_pcap;

use vrnic_device::PcapTap;

use crate::hub::{Captured, Tap};

/// A capture file of the whole wire. What is written goes to the file whenever the wire is idle, and when this is dropped.
pub struct Pcap<W: Write + Send = BufWriter<File>>(PcapTap<W>);

impl Pcap {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write + Send> Pcap<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        PcapTap::new(out).map(Self)
    }

    /// Writes out what is buffered, and says whether all has been written so far.
    ///
    /// # Errors
    /// The first error; the capture ends where it occurred.
    pub fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send> Tap for Pcap<W> {
    fn frame(&self, frame: &Captured<'_>) {
        self.0.record(frame.time, frame.bytes);
    }

    fn idle(&self) {
        // An error is kept for whoever flushes.
        let _ = self.0.flush();
    }
}

impl<W: Write + Send> Drop for Pcap<W> {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            eprintln!("the capture is not complete: {error}");
        }
    }
}
