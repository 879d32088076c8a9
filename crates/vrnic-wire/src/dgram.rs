//! A port whose station is at the other end of Unix datagram sockets: QEMU's `-netdev dgram`, one datagram per frame.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::hub::{Hub, PortHandle};

/// More than any frame: what is longer than this is cut off by the receiving call.
const MAX_FRAME: usize = 64 * 1024;

/// Frames that wait for the other end. The kernel itself queues only about ten (`net.unix.max_dgram_qlen`).
const DEPTH: usize = 4096;

/// How long the other end may leave its queue full before a frame is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// The port. Dropping it unplugs the other end and removes the socket file.
pub struct DgramPort {
    local: PathBuf,
    socket: UnixDatagram,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    dropped: AtomicU64,
}

impl DgramPort {
    /// Plugs in the station behind `remote`, which sends its frames to `local`. `local` is made here, in place of a socket that an
    /// earlier run left; `remote` need not exist yet: frames are dropped until it does.
    ///
    /// # Errors
    /// `local` cannot be bound (the path is too long for a socket, or is something else than a socket), or no thread can be started.
    pub fn attach(hub: &Hub, name: &str, local: &Path, remote: &Path) -> io::Result<Self> {
        remove_socket(local)?;
        let socket = UnixDatagram::bind(local)?;
        let sender = UnixDatagram::unbound()?;
        sender.set_write_timeout(Some(PATIENCE))?;
        let shared = Arc::new(Shared::default());
        let (queue, frames) = mpsc::sync_channel::<Vec<u8>>(DEPTH);
        let port = hub.attach(name, enqueue(queue, Arc::clone(&shared)));
        let mut this = Self {
            local: local.into(),
            socket,
            shared,
            reader: None,
            writer: None,
        };
        let (shared, remote) = (Arc::clone(&this.shared), remote.to_owned());
        this.writer = Some(spawn("wire-to-guest", move || {
            for frame in frames {
                if shared.stopping.load(Ordering::Acquire) || sender.send_to(&frame, &remote).is_err() {
                    shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        })?);
        let (shared, socket) = (Arc::clone(&this.shared), this.socket.try_clone()?);
        this.reader = Some(spawn("wire-from-guest", move || read(&socket, &port, &shared))?);
        Ok(this)
    }

    /// How many frames for the station were dropped: it was not there, or did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// Puts frames into `queue`, and drops them when it is full.
fn enqueue(queue: SyncSender<Vec<u8>>, shared: Arc<Shared>) -> crate::hub::Receiver {
    Arc::new(move |frame| match queue.try_send(frame.to_vec()) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Until the socket is shut down. Owns the port: with it goes the queue's sending end, and so the writer's thread.
fn read(socket: &UnixDatagram, port: &PortHandle, shared: &Shared) {
    let mut buffer = vec![0; MAX_FRAME];
    while !shared.stopping.load(Ordering::Acquire) {
        match socket.recv(&mut buffer) {
            // What a shut down socket gives, and what an empty datagram gives.
            Ok(0) => {}
            Ok(length) => port.transmit(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                eprintln!("{}: nothing more can be received: {error}", port.name());
                return;
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run)
}

/// Removes a socket; what is no socket stays, and `bind` will say so.
pub(crate) fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

impl Drop for DgramPort {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the reader. It can only fail if the socket is shut down already.
        let _ = self.socket.shutdown(Shutdown::Both);
        for thread in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
        let _ = remove_socket(&self.local);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;
    use crate::hub::HubConfig;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A frame for all stations.
    fn frame(number: u8) -> Vec<u8> {
        let mut bytes = vec![0xff; 6];
        bytes.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5, number]);
        bytes.resize(60, 0);
        bytes
    }

    struct Setup {
        folder: tempfile::TempDir,
        hub: Hub,
    }

    impl Setup {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().expect("a folder"),
                hub: Hub::new(HubConfig::default()).expect("a thread can be started"),
            }
        }

        fn local(&self) -> PathBuf {
            self.folder.path().join("local")
        }

        fn remote(&self) -> PathBuf {
            self.folder.path().join("remote")
        }

        fn attach(&self) -> io::Result<DgramPort> {
            DgramPort::attach(&self.hub, "guest", &self.local(), &self.remote())
        }

        /// QEMU's end.
        fn guest(&self) -> UnixDatagram {
            let guest = UnixDatagram::bind(self.remote()).expect("a fresh folder");
            guest.set_read_timeout(Some(LIMIT)).expect("not zero");
            guest
        }

        /// Another station on the hub.
        fn station(&self) -> (PortHandle, Receiver<Vec<u8>>) {
            let (heard, frames) = mpsc::channel();
            let port = self
                .hub
                .attach("station", Arc::new(move |frame| drop(heard.send(frame.to_vec()))));
            (port, frames)
        }
    }

    #[test]
    fn frames_go_both_ways() {
        let setup = Setup::new();
        let (guest, _port) = (setup.guest(), setup.attach().expect("a fresh folder"));
        let (station, heard) = setup.station();
        station.transmit(&frame(1));
        let mut buffer = [0; 100];
        let length = guest.recv(&mut buffer).expect("a frame within the time limit");
        assert_eq!(buffer[..length], frame(1));
        guest.send_to(&[], setup.local()).expect("the port listens");
        guest.send_to(&frame(2), setup.local()).expect("the port listens");
        assert_eq!(heard.recv_timeout(LIMIT), Ok(frame(2)));
    }

    #[test]
    fn more_frames_than_the_kernel_queues_arrive_in_order() {
        let setup = Setup::new();
        let (guest, port) = (setup.guest(), setup.attach().expect("a fresh folder"));
        let (station, _heard) = setup.station();
        (0..200).for_each(|number| station.transmit(&frame(number)));
        for number in 0..200 {
            let mut buffer = [0; 100];
            let length = guest.recv(&mut buffer).expect("a frame within the time limit");
            assert_eq!(buffer[..length], frame(number));
        }
        assert_eq!(port.dropped(), 0);
    }

    #[test]
    fn frames_for_a_guest_that_is_not_there_are_dropped() {
        let setup = Setup::new();
        let port = setup.attach().expect("a fresh folder");
        let (station, _heard) = setup.station();
        (0..3).for_each(|number| station.transmit(&frame(number)));
        assert!(setup.hub.settle(LIMIT));
        let shared = Arc::clone(&port.shared);
        // Ends the writer's thread when its queue is empty.
        drop(port);
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_guest_that_does_not_read_holds_nobody_up() {
        let setup = Setup::new();
        let (_guest, port) = (setup.guest(), setup.attach().expect("a fresh folder"));
        let (station, _heard) = setup.station();
        (0..=255).for_each(|number| station.transmit(&frame(number)));
        assert!(setup.hub.settle(LIMIT));
        // Bounded: the frame that waits for the guest has a time limit, those behind it are dropped.
        drop(port);
    }

    #[test]
    fn an_old_socket_is_replaced_and_removed_in_the_end() {
        let setup = Setup::new();
        drop(UnixDatagram::bind(setup.local()).expect("a fresh folder"));
        assert!(setup.local().exists(), "a socket is left when its process ends");
        let port = setup.attach().expect("an old socket does not matter");
        drop(port);
        assert!(!setup.local().exists());
    }

    #[test]
    fn a_file_is_not_replaced() {
        let setup = Setup::new();
        fs::write(setup.local(), "precious").expect("a fresh folder");
        let error = setup.attach().err().expect("there is a file");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(setup.local()).expect("it is there"), b"precious");
    }
}
