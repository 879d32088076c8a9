//! A port whose station is at the other end of a Unix stream socket: QEMU's `-netdev stream`. In front of each frame is its length, as a
//! 32-bit big-endian number.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::dgram::remove_socket;
use crate::hub::{Hub, PortHandle};

/// More than any frame. A length beyond it is none: the connection is closed.
const MAX_FRAME: usize = 128 * 1024;

/// Frames that wait for the other end.
const DEPTH: usize = 4096;

/// How long the other end may not read before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a connection is tried that is refused.
const RETRY: Duration = Duration::from_millis(200);

/// The port. Dropping it closes the connection and removes the socket that it has made.
pub struct StreamPort {
    shared: Arc<Shared>,
    /// The socket that this end has made.
    listening: Option<PathBuf>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    dropped: AtomicU64,
    /// The connection, if there is one.
    stream: Mutex<Option<UnixStream>>,
}

impl Shared {
    fn set_stream(&self, stream: Option<UnixStream>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }

    fn stream(&self) -> Option<UnixStream> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.as_ref().and_then(|stream| stream.try_clone().ok())
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn drop_frame(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl StreamPort {
    /// Listens at `path` for one connection after the other (`-netdev stream,server=off`).
    ///
    /// # Errors
    /// The socket cannot be bound, or no thread can be started.
    pub fn listen(hub: &Hub, name: &str, path: &Path) -> io::Result<Self> {
        remove_socket(path)?;
        let listener = UnixListener::bind(path)?;
        let accept = move || listener.accept().map(|(stream, _)| stream);
        Self::start(hub, name, Some(path.to_owned()), accept)
    }

    /// Connects to `path`, again and again until somebody listens there (`-netdev stream,server=on`), also after the connection
    /// has ended.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn connect(hub: &Hub, name: &str, path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        Self::start(hub, name, None, move || UnixStream::connect(&path))
    }

    fn start(
        hub: &Hub,
        name: &str,
        listening: Option<PathBuf>,
        next: impl Fn() -> io::Result<UnixStream> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (queue, frames) = mpsc::sync_channel(DEPTH);
        let port = hub.attach(name, enqueue(queue, Arc::clone(&shared)));
        let mut this = Self {
            shared,
            listening,
            threads: Vec::new(),
        };
        let shared = Arc::clone(&this.shared);
        this.spawn("wire-to-stream", move || write(&frames, &shared))?;
        let shared = Arc::clone(&this.shared);
        this.spawn("wire-from-stream", move || {
            while !shared.stopping() {
                match next() {
                    Ok(stream) if !shared.stopping() => read(stream, &port, &shared),
                    Ok(_) => {}
                    Err(_) => thread::sleep(RETRY),
                }
            }
        })?;
        Ok(this)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// How many frames for the station were dropped: it was not there, or did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for StreamPort {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(stream) = self.shared.stream() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(path) = &self.listening {
            // Wakes who accepts.
            let _ = UnixStream::connect(path);
        }
        // The reader owns the port, and so the queue's sending end, on which the writer waits.
        for thread in self.threads.drain(..).rev() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
        if let Some(path) = &self.listening {
            let _ = fs::remove_file(path);
        }
    }
}

/// Puts frames into `queue`, and drops them when it is full.
fn enqueue(queue: SyncSender<Vec<u8>>, shared: Arc<Shared>) -> crate::hub::Receiver {
    Arc::new(move |frame| match queue.try_send(frame.to_vec()) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => shared.drop_frame(),
    })
}

/// Until the queue's other end is gone.
fn write(frames: &Receiver<Vec<u8>>, shared: &Shared) {
    for frame in frames {
        let sent = shared.stream().is_some_and(|mut stream| {
            let sent = u32::try_from(frame.len()).is_ok_and(|length| {
                let message = [&length.to_be_bytes()[..], &frame].concat();
                stream.write_all(&message).is_ok()
            });
            if !sent {
                // Part of a frame may be out: what follows it would make no sense.
                let _ = stream.shutdown(Shutdown::Both);
            }
            sent
        });
        if !sent {
            shared.drop_frame();
        }
    }
}

/// Until the connection ends.
fn read(stream: UnixStream, port: &PortHandle, shared: &Shared) {
    let usable = stream.set_write_timeout(Some(PATIENCE)).is_ok();
    shared.set_stream(stream.try_clone().ok().filter(|_| usable));
    let mut reader = BufReader::with_capacity(MAX_FRAME, stream);
    let mut frame = Vec::new();
    while !shared.stopping() {
        match read_frame(&mut reader, &mut frame) {
            Ok(()) => port.transmit(&frame),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    eprintln!("{}: {error}", port.name());
                }
                break;
            }
        }
    }
    shared.set_stream(None);
    let _ = reader.get_ref().shutdown(Shutdown::Both);
}

fn read_frame(reader: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        let what = format!("the other end of the stream sends a frame of {length} bytes: closed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    frame.resize(length, 0);
    reader.read_exact(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubConfig;

    const LIMIT: Duration = Duration::from_secs(10);

    fn frame(number: u8) -> Vec<u8> {
        let mut bytes = vec![0xff; 6];
        bytes.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5, number]);
        bytes.resize(60, 0);
        bytes
    }

    fn with_length(frame: &[u8]) -> Vec<u8> {
        let length = u32::try_from(frame.len()).expect("short");
        [&length.to_be_bytes()[..], frame].concat()
    }

    /// A frame from the wire arrives at the guest, and one from the guest on the wire.
    fn exchange(hub: &Hub, guest: &mut UnixStream) {
        let (heard, frames) = mpsc::channel();
        let station = hub.attach("station", Arc::new(move |frame| drop(heard.send(frame.to_vec()))));
        guest.set_read_timeout(Some(LIMIT)).expect("not zero");
        // In pieces, as a stream may deliver it.
        for part in with_length(&frame(2)).chunks(7) {
            guest.write_all(part).expect("connected");
        }
        assert_eq!(frames.recv_timeout(LIMIT), Ok(frame(2)));
        station.transmit(&frame(1));
        let mut buffer = vec![0; 64];
        guest
            .read_exact(&mut buffer)
            .expect("a frame within the time limit");
        assert_eq!(buffer, with_length(&frame(1)));
    }

    #[test]
    fn one_guest_after_the_other_may_connect() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wire");
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        let port = StreamPort::listen(&hub, "guest", &path).expect("a fresh folder");
        for _ in 0..2 {
            exchange(&hub, &mut UnixStream::connect(&path).expect("it listens"));
        }
        drop(port);
        assert!(!path.exists());
    }

    #[test]
    fn a_guest_that_listens_is_found_whenever_it_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wire");
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        let _port = StreamPort::connect(&hub, "guest", &path).expect("threads");
        let listener = UnixListener::bind(&path).expect("a fresh folder");
        let (mut guest, _) = listener.accept().expect("it tries again");
        exchange(&hub, &mut guest);
    }

    #[test]
    fn a_length_that_no_frame_has_ends_the_connection_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wire");
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        let _port = StreamPort::listen(&hub, "guest", &path).expect("a fresh folder");
        let mut guest = UnixStream::connect(&path).expect("it listens");
        guest.write_all(&[0xff; 8]).expect("connected");
        guest.set_read_timeout(Some(LIMIT)).expect("not zero");
        assert!(matches!(guest.read(&mut [0; 1]), Ok(0) | Err(_)), "closed");
        exchange(&hub, &mut UnixStream::connect(&path).expect("it listens again"));
    }
}
