//! The socket between a client and the server: whole messages with their files.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::protocol::{Header, MAX_FILES, MAX_MESSAGE, flags};

/// A message from the other end.
#[derive(Debug)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub body: Vec<u8>,
    /// The files that came with it.
    pub files: Vec<OwnedFd>,
}

/// A connection.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// Wraps the connection.
    #[must_use]
    pub const fn new(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// The connection.
    #[must_use]
    pub const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The next message; `None` when the other end has closed the connection between two messages.
    ///
    /// # Errors
    /// What the socket says; `InvalidData` for a size that no message has and for too many files: nothing that follows can be told
    /// apart then. `UnexpectedEof` if the connection ends inside a message.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        self.receive_until(None)
    }

    /// As [`Channel::receive`], and the whole message must come within `limit`.
    ///
    /// # Errors
    /// As [`Channel::receive`]; `TimedOut`.
    pub fn receive_within(&self, limit: Duration) -> io::Result<Option<Message>> {
        self.receive_until(Some(Instant::now() + limit))
    }

    fn receive_until(&self, end: Option<Instant>) -> io::Result<Option<Message>> {
        let mut header = Header::new_zeroed();
        let mut files = Vec::new();
        if !self.fill(header.as_mut_bytes(), &mut files, true, end)? {
            return Ok(None);
        }
        let size = header.size;
        if !(size_of::<Header>()..=MAX_MESSAGE as usize).contains(&(size as usize)) {
            return Err(invalid(format!("a message of {size} bytes")));
        }
        let mut body = vec![0; size as usize - size_of::<Header>()];
        self.fill(&mut body, &mut files, false, end)?;
        Ok(Some(Message { header, body, files }))
    }

    /// Fills `buffer`, and collects the files that come on the way. False: the connection has ended before the first byte.
    fn fill(
        &self,
        buffer: &mut [u8],
        files: &mut Vec<OwnedFd>,
        may_end: bool,
        end: Option<Instant>,
    ) -> io::Result<bool> {
        let mut done = 0;
        while done < buffer.len() {
            if let Some(end) = end {
                let left = end.checked_duration_since(Instant::now());
                // Zero would be no limit at all.
                let left = left
                    .filter(|left| !left.is_zero())
                    .ok_or(io::ErrorKind::TimedOut)?;
                self.stream.set_read_timeout(Some(left))?;
            }
            let received = self.receive_some(&mut buffer[done..], files)?;
            match received {
                0 if done == 0 && may_end => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => done += received,
            }
        }
        Ok(true)
    }

    fn receive_some(&self, buffer: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(buffer)];
        let received = loop {
            match recvmsg(&self.stream, &mut pieces, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(received) => break received,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                files.extend(rights);
            }
        }
        if files.len() > MAX_FILES || received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(invalid("too many files in one message".to_owned()));
        }
        Ok(received.bytes)
    }

    /// Sends a command with its files, of which there are [`MAX_FILES`] at most.
    ///
    /// # Errors
    /// What the socket says.
    pub fn command(&self, id: u16, command: u16, body: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let size = size_of::<Header>() + body.len();
        let header = Header {
            id,
            command,
            size: u32::try_from(size).map_err(io::Error::other)?,
            flags: flags::COMMAND,
            error: 0,
        };
        self.send([header.as_bytes(), body, &[]], files)
    }

    /// Answers a message: `pieces` one after the other, and a file.
    ///
    /// # Errors
    /// What the socket says.
    pub fn reply(&self, to: &Header, pieces: [&[u8]; 2], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let size = size_of::<Header>() + pieces[0].len() + pieces[1].len();
        let header = Header {
            size: u32::try_from(size).map_err(io::Error::other)?,
            flags: flags::REPLY,
            error: 0,
            ..*to
        };
        self.send([header.as_bytes(), pieces[0], pieces[1]], file.as_slice())
    }

    /// Answers a message with an error.
    ///
    /// # Errors
    /// What the socket says.
    pub fn reply_error(&self, to: &Header, error: Errno) -> io::Result<()> {
        let header = Header {
            size: u32::try_from(size_of::<Header>()).map_err(io::Error::other)?,
            flags: flags::REPLY | flags::ERROR,
            error: error.raw_os_error().unsigned_abs(),
            ..*to
        };
        self.send([header.as_bytes(), &[], &[]], &[])
    }

    fn send(&self, pieces: [&[u8]; 3], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = pieces.concat();
        let mut sent = 0;
        while sent < bytes.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            // They go with the first byte.
            let files = if sent == 0 { files } else { &[] };
            if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
                return Err(io::Error::other("no room for so many files"));
            }
            let rest = [IoSlice::new(&bytes[sent..])];
            match sendmsg(self.stream.as_fd(), &rest, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(bytes) => sent += bytes,
            }
        }
        Ok(())
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
