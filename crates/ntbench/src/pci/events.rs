//! Interrupts of a device that is not in this process: event files, one for each vector, and the thread that waits for them.
#![expect(unsafe_code, reason = "makes event files, and waits for them")]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use vrnic_abi::pci::VECTORS;
use vrnic_device::Interrupts;

/// One for each vector, and one that wakes the thread for its end.
const FILES: usize = VECTORS as usize + 1;

/// A connection to whoever has the device, and what is done when it ends.
pub(super) struct Lifeline {
    /// The connection's socket.
    pub socket: OwnedFd,
    /// Runs on the thread, once.
    pub gone: Box<dyn FnOnce() + Send>,
}

/// The event files.
pub(super) struct EventFiles(Arc<[File; FILES]>);

impl EventFiles {
    /// New ones.
    pub fn new() -> io::Result<Self> {
        let mut files = Vec::new();
        for _ in 0..FILES {
            // SAFETY: creates a descriptor.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: it is new.
            files.push(File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
        let files: [File; FILES] = files
            .try_into()
            .map_err(|_| io::Error::other("the number of vectors"))?;
        Ok(Self(Arc::new(files)))
    }

    /// Those of the vectors.
    pub fn vectors(&self) -> [BorrowedFd<'_>; VECTORS as usize] {
        std::array::from_fn(|vector| self.0[vector].as_fd())
    }

    /// Starts the thread: from now on an event is an interrupt of its vector.
    pub fn listen(self, interrupts: Arc<dyn Interrupts>, lifeline: Option<Lifeline>) -> io::Result<Listener> {
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("interrupts".to_owned()).spawn({
            let (files, stopping) = (Arc::clone(&self.0), Arc::clone(&stopping));
            move || run(&files, lifeline, &stopping, &*interrupts)
        })?;
        Ok(Listener {
            files: self.0,
            stopping,
            thread: Some(thread),
        })
    }
}

/// The thread that waits for interrupts. Dropping it ends it.
pub(super) struct Listener {
    files: Arc<[File; FILES]>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Room is there: nobody else writes to that one.
        let _ = io::Write::write(&mut &self.files[FILES - 1], &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn run(
    files: &[File; FILES],
    mut lifeline: Option<Lifeline>,
    stopping: &AtomicBool,
    interrupts: &dyn Interrupts,
) {
    loop {
        let connection = lifeline.as_ref().map(|line| line.socket.as_fd());
        let Some(ended) = wait(files, connection) else {
            return;
        };
        if stopping.load(Ordering::Acquire) {
            return;
        }
        for (vector, event) in (0..VECTORS).zip(files) {
            let mut counter = [0; 8];
            // Nothing to read: it was another vector's.
            if (&*event).read_exact(&mut counter).is_ok() {
                interrupts.raise(vector);
            }
        }
        if ended && let Some(line) = lifeline.take() {
            (line.gone)();
        }
    }
}

/// Waits for any of the event files, or the end of the connection: whether it has ended. `None`: that cannot be.
fn wait(files: &[File; FILES], connection: Option<BorrowedFd<'_>>) -> Option<bool> {
    let file = |fd: i32, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|event| file(event.as_raw_fd(), libc::POLLIN))
        .chain(connection.map(|socket| file(socket.as_raw_fd(), libc::POLLRDHUP)))
        .collect();
    loop {
        // SAFETY: the list lives until the call returns.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
        if ready >= 0 {
            return Some(polled.get(FILES).is_some_and(|socket| socket.revents != 0));
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}
