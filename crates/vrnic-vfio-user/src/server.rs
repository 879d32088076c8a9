//! The socket of a NIC: client after client, one at a time.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;

use crate::channel::Channel;
use crate::function::Function;

/// How long a new client waits for the one before to be gone: a QEMU that was killed and started again meets itself.
const TURN: Duration = Duration::from_secs(2);

/// How long a client that is refused may take to say something.
const PATIENCE: Duration = Duration::from_millis(500);

/// A NIC's socket. Dropping it ends its client and removes the socket.
pub struct Server {
    path: PathBuf,
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    function: Function,
    stopping: AtomicBool,
    client: Mutex<Option<UnixStream>>,
    changed: Condvar,
}

impl Shared {
    fn client(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens at `path`, in place of a socket that an earlier run left.
    ///
    /// # Errors
    /// The socket cannot be made: its path is too long, its folder is not there, or there is something else at that path; no
    /// thread can be started.
    pub fn start(path: &Path, function: Function) -> io::Result<Self> {
        remove_socket(path)?;
        let listener = Arc::new(UnixListener::bind(path)?);
        let shared = Arc::new(Shared {
            function,
            stopping: AtomicBool::new(false),
            client: Mutex::new(None),
            changed: Condvar::new(),
        });
        let acceptor = thread::Builder::new().name("vfio-user".to_owned()).spawn({
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            move || accept(&listener, &shared)
        })?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// What is served.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.shared.function
    }

    /// Waits until it ends, which it does not by itself.
    pub fn join(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of that thread has been printed already.
            let _ = acceptor.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(client) = &*self.shared.client() {
            // It may be closed already.
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the acceptor, whose call fails then.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let _ = remove_socket(&self.path);
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let name = shared.function.name();
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Acquire) {
            wait_for_turn(shared, Duration::MAX);
            return;
        }
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("{name}: no client can be accepted: {error}");
                // Out of files, most likely: that passes.
                thread::sleep(PATIENCE);
                continue;
            }
        };
        if !wait_for_turn(shared, TURN) {
            eprintln!("{name}: refused a client: another one has the NIC");
            refuse(stream);
            continue;
        }
        if let Err(error) = start(stream, shared) {
            eprintln!("{name}: a client cannot be served: {error}");
        }
    }
}

/// Waits until there is no client.
fn wait_for_turn(shared: &Shared, limit: Duration) -> bool {
    let client = shared.client();
    let (client, _) = shared
        .changed
        .wait_timeout_while(client, limit, |client| client.is_some())
        .unwrap_or_else(PoisonError::into_inner);
    client.is_none()
}

fn start(stream: UnixStream, shared: &Arc<Shared>) -> io::Result<()> {
    *shared.client() = Some(stream.try_clone()?);
    let spawned = thread::Builder::new().name("vfio-user-client".to_owned()).spawn({
        let shared = Arc::clone(shared);
        move || serve(stream, &shared)
    });
    if spawned.is_err() {
        *shared.client() = None;
    }
    spawned.map(drop)
}

fn serve(stream: UnixStream, shared: &Shared) {
    let name = shared.function.name();
    eprintln!("{name}: a client has come");
    match shared.function.serve(&Channel::new(stream)) {
        Ok(()) => eprintln!("{name}: the client has gone"),
        Err(error) => eprintln!("{name}: the client was cut off: {error}"),
    }
    *shared.client() = None;
    shared.changed.notify_all();
}

/// Tells a client that the NIC has one.
fn refuse(stream: UnixStream) {
    let limited = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let channel = Channel::new(stream);
    if let (Ok(()), Ok(Some(message))) = (limited, channel.receive()) {
        // It may be gone by now.
        let _ = channel.reply_error(&message.header, Errno::BUSY);
    }
}

/// Removes a socket; what is no socket stays, and `bind` will say so.
fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}
