//! TCP streams of the host's stack, with waits that end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};

use super::Shared;

/// Where local ports of connections begin (RFC 6335).
pub(super) const FIRST_EPHEMERAL_PORT: u16 = 49152;
/// Bytes that a stream buffers in each direction.
const BUFFER: usize = 64 * 1024;

/// A TCP port that accepts one connection after another.
pub struct TcpListener {
    shared: Arc<Shared>,
    port: u16,
    /// The socket that the next client gets.
    next: SocketHandle,
}

/// A connection. Dropping it closes it in good order.
pub struct TcpStream {
    shared: Arc<Shared>,
    handle: SocketHandle,
    limit: Duration,
}

impl TcpListener {
    pub(super) fn new(shared: &Arc<Shared>, port: u16) -> io::Result<Self> {
        let next = add_listening(shared, port)?;
        Ok(Self {
            shared: Arc::clone(shared),
            port,
            next,
        })
    }

    /// The next connection, which waits no longer than `limit` in each read and write.
    ///
    /// # Errors
    /// `TimedOut` if none comes within `limit`.
    pub fn accept(&mut self, limit: Duration) -> io::Result<TcpStream> {
        self.shared
            .wait(self.next, limit, |socket| socket.may_send().then_some(Ok(())))?;
        let next = add_listening(&self.shared, self.port)?;
        Ok(TcpStream {
            shared: Arc::clone(&self.shared),
            handle: std::mem::replace(&mut self.next, next),
            limit,
        })
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.close(self.next);
    }
}

impl TcpStream {
    pub(super) fn connect(shared: &Arc<Shared>, target: SocketAddr, limit: Duration) -> io::Result<Self> {
        let mut guard = shared.state.lock();
        let state = &mut *guard;
        let port = state.next_port;
        state.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        let mut socket = new_socket();
        socket
            .connect(state.interface.context(), target, port)
            .map_err(invalid)?;
        let handle = state.sockets.add(socket);
        shared.wake(state);
        drop(guard);
        let stream = Self {
            shared: Arc::clone(shared),
            handle,
            limit,
        };
        shared.wait(handle, limit, |socket| match socket.state() {
            State::Established => Some(Ok(())),
            State::Closed => Some(Err(ErrorKind::ConnectionRefused.into())),
            _ => None,
        })?;
        Ok(stream)
    }
}

impl TcpStream {
    /// Changes how long each read and write waits at most.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared.wait(self.handle, self.limit, |socket| {
            if socket.can_recv() {
                Some(socket.recv_slice(buffer).map_err(io::Error::other))
            } else {
                (!socket.may_recv()).then_some(Ok(0))
            }
        })
    }
}

impl Write for TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.shared.wait(self.handle, self.limit, |socket| {
            if socket.can_send() {
                Some(socket.send_slice(data).map_err(io::Error::other))
            } else {
                (!socket.may_send()).then_some(Err(ErrorKind::BrokenPipe.into()))
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.wait(self.handle, self.limit, |socket| {
            (socket.send_queue() == 0 || !socket.is_active()).then_some(Ok(()))
        })
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        // The peer gets what is buffered, and then the end; whether it does is not worth an error here.
        let _ = self.flush();
        self.shared.close(self.handle);
    }
}

impl Shared {
    /// Waits until `done` says so; it may change the socket, and the stack then looks at it.
    fn wait<R>(
        &self,
        handle: SocketHandle,
        limit: Duration,
        mut done: impl FnMut(&mut Socket<'_>) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        loop {
            if let Some(result) = done(state.sockets.get_mut(handle)) {
                self.wake(&mut state);
                return result;
            }
            if self.news.wait_until(&mut state, deadline).timed_out() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    /// Closes a socket. It is forgotten when the peer has agreed, or by the next call that finds it closed.
    fn close(&self, handle: SocketHandle) {
        let mut state = self.state.lock();
        let socket = state.sockets.get_mut::<Socket<'_>>(handle);
        socket.set_timeout(Some(smoltcp::time::Duration::from_secs(5)));
        socket.close();
        state.closing.push(handle);
        self.wake(&mut state);
    }
}

fn add_listening(shared: &Shared, port: u16) -> io::Result<SocketHandle> {
    let mut socket = new_socket();
    socket.listen(port).map_err(invalid)?;
    Ok(shared.state.lock().sockets.add(socket))
}

fn new_socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}
