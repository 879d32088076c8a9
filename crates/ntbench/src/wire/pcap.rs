//! Captures in pcap format, with nanoseconds (<https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/>).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::hub::{Captured, Tap};

/// Says: nanoseconds, and the byte order of this file.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
const SNAP_LENGTH: u32 = 0x4_0000;
const LINK_TYPE_ETHERNET: u32 = 1;

/// A capture file. What is written goes to the file whenever the wire is idle, and when this is dropped.
pub struct Pcap<W: Write + Send = BufWriter<File>> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    /// The first error; nothing is written after it.
    error: Option<io::Error>,
}

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
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&VERSION.map(u16::to_le_bytes).concat())?;
        out.write_all(
            &[0, 0, SNAP_LENGTH, LINK_TYPE_ETHERNET]
                .map(u32::to_le_bytes)
                .concat(),
        )?;
        Ok(Self {
            state: Mutex::new(State { out, error: None }),
        })
    }

    /// Writes a frame. An error is kept for [`Pcap::flush`].
    pub fn record(&self, time: SystemTime, frame: &[u8]) {
        self.state.lock().attempt(|out| write_record(out, time, frame));
    }

    /// Writes out what is buffered, and says whether all has been written so far.
    ///
    /// # Errors
    /// The first error since the last call; after an error the capture ends where it occurred.
    pub fn flush(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(W::flush);
        match &state.error {
            // The error itself stays, so that nothing is written behind the gap.
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

impl<W: Write> State<W> {
    fn attempt(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.out).err();
        }
    }
}

fn write_record(out: &mut impl Write, time: SystemTime, frame: &[u8]) -> io::Result<()> {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The format's seconds end in 2106; a frame's length is far below 2³².
    let seconds = u32::try_from(since_epoch.as_secs()).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    out.write_all(
        &[seconds, since_epoch.subsec_nanos(), length, length]
            .map(u32::to_le_bytes)
            .concat(),
    )?;
    out.write_all(frame)
}

impl<W: Write + Send> Tap for Pcap<W> {
    fn frame(&self, frame: &Captured<'_>) {
        self.record(frame.time, frame.bytes);
    }

    fn idle(&self) {
        self.state.lock().attempt(W::flush);
    }
}

impl<W: Write + Send> Drop for Pcap<W> {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            eprintln!("the capture is not complete: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_capture_is_what_the_format_says() {
        let mut bytes = Vec::new();
        let pcap = Pcap::new(&mut bytes).expect("memory takes all");
        pcap.record(UNIX_EPOCH + Duration::new(5, 7), b"frame");
        drop(pcap);
        let header = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
        ];
        let record = [5, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0];
        assert_eq!(bytes, [&header[..], &record, b"frame"].concat());
    }

    /// Takes so many bytes, then none.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(taken)
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_said() {
        assert!(Pcap::new(Full(10)).is_err());
        let pcap = Pcap::new(Full(30)).expect("the header fits");
        assert!(pcap.flush().is_ok());
        pcap.record(UNIX_EPOCH, b"frame");
        assert_eq!(
            pcap.flush().map_err(|error| error.kind()),
            Err(io::ErrorKind::StorageFull)
        );
    }
}
