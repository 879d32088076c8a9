//! The client's half of the protocol: reaches a device process as QEMU does.
//!
//! The server is not trusted either. Every answer has a time limit and is checked; one that is wrong, late or missing ends the
//! connection, and from then on the device is gone: see [`Client::fault`]. (rust-vmm's client waits for ever, panics on short
//! answers and does not look at their errors; it judges our server.)

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use serde_json::Value;
use thiserror::Error;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::channel::{Channel, Message};
use crate::protocol::{
    DEVICE_IS_PCI, DeviceInfo, DmaMap, DmaUnmap, Header, IRQ_DATA_EVENTFD, IRQ_TRIGGER, IrqInfo, IrqSet,
    MAX_TRANSFER, REGION_CAPABILITIES, REGION_MMAP, RegionAccess, RegionInfo, Version, argsz, command, flags,
    parse,
};

/// Why something did not work.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// There is no server at that path.
    #[error("nobody listens at {0}: {1}")]
    Connect(String, Arc<io::Error>),
    /// The server has answered with an error. The connection goes on.
    #[error("{0}: the server refuses: {1}")]
    Refused(&'static str, Errno),
    /// The server does not speak the protocol, or not as the device is described. The connection has ended.
    #[error("{0}: {1}")]
    Malformed(&'static str, String),
    /// No whole answer has come in time. The connection has ended.
    #[error("{0}: no answer within {1:?}")]
    Late(&'static str, Duration),
    /// The server has closed the connection.
    #[error("{0}: the server has gone")]
    Gone(&'static str),
    /// The socket has failed. The connection has ended.
    #[error("{0}: {1}")]
    Socket(&'static str, Arc<io::Error>),
}

impl From<ClientError> for io::Error {
    fn from(error: ClientError) -> Self {
        Self::other(error)
    }
}

/// How long a server may take over an answer, unless somebody says otherwise: it is a process on the same machine.
pub const LIMIT: Duration = Duration::from_secs(5);

/// A region of the device.
#[derive(Debug)]
pub struct Region {
    /// Bytes; 0: there is none.
    pub size: u64,
    /// The file behind all of it, and where in the file it begins, if it may be mapped.
    pub file: Option<(OwnedFd, u64)>,
}

/// A connection to a device process.
#[derive(Debug)]
pub struct Client {
    state: Mutex<State>,
    /// The same connection, for whoever ends it while somebody waits for an answer.
    stream: UnixStream,
    fault: OnceLock<ClientError>,
    limit: Duration,
    max_files: usize,
    max_transfer: usize,
}

#[derive(Debug)]
struct State {
    channel: Channel,
    next_id: u16,
}

impl Client {
    /// Connects, and agrees on the version. Each answer, this one included, may take `limit`.
    ///
    /// # Errors
    /// Nobody listens there, another client has the device, or the server speaks another protocol.
    pub fn connect(path: &Path, limit: Duration) -> Result<Self, ClientError> {
        let connect = |error: io::Error| ClientError::Connect(path.display().to_string(), Arc::new(error));
        let stream = UnixStream::connect(path).map_err(connect)?;
        stream.set_write_timeout(Some(limit)).map_err(connect)?;
        let mut client = Self {
            state: Mutex::new(State {
                channel: Channel::new(stream.try_clone().map_err(connect)?),
                next_id: 0,
            }),
            stream,
            fault: OnceLock::new(),
            limit,
            max_files: 1,
            max_transfer: MAX_TRANSFER as usize,
        };
        client.greet()?;
        Ok(client)
    }

    /// `VERSION`, and what the server can take.
    fn greet(&mut self) -> Result<(), ClientError> {
        const WHAT: &str = "agreeing on the version";
        let ours = Version { major: 0, minor: 1 };
        let text =
            format!("{{\"capabilities\":{{\"max_msg_fds\":1,\"max_data_xfer_size\":{MAX_TRANSFER}}}}}\0");
        let answer = self.ask(
            WHAT,
            command::VERSION,
            &[ours.as_bytes(), text.as_bytes()].concat(),
            &[],
        )?;
        let (theirs, text) = self.parse::<Version>(WHAT, &answer.body)?;
        if theirs.major != 0 {
            return Err(self.malformed(WHAT, format!("version {}.{}", theirs.major, theirs.minor)));
        }
        let capabilities = capabilities(text).map_err(|what| self.malformed(WHAT, what))?;
        (self.max_files, self.max_transfer) = capabilities;
        Ok(())
    }

    /// Why the device is gone; `None` while it is not.
    #[must_use]
    pub fn fault(&self) -> Option<&ClientError> {
        self.fault.get()
    }

    /// The connection, to be watched for its end.
    #[must_use]
    pub const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Ends the connection: whoever waits for an answer waits no longer. The first reason counts.
    pub fn end(&self, why: ClientError) {
        let _ = self.fault.set(why);
        // It may have ended by itself.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// `DEVICE_GET_INFO`: it must be a PCI function.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn device(&self) -> Result<DeviceInfo, ClientError> {
        const WHAT: &str = "asking about the device";
        let info = DeviceInfo {
            argsz: argsz::<DeviceInfo>(),
            ..DeviceInfo::new_zeroed()
        };
        let answer = self.ask(WHAT, command::DEVICE_GET_INFO, info.as_bytes(), &[])?;
        let (info, _) = self.parse::<DeviceInfo>(WHAT, &answer.body)?;
        if info.flags & DEVICE_IS_PCI == 0 {
            return Err(self.malformed(WHAT, "it is no PCI function".to_owned()));
        }
        Ok(info)
    }

    /// `DEVICE_GET_REGION_INFO`. Of a region that may be mapped in parts there is no file: all of it can be read and written.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn region(&self, index: u32) -> Result<Region, ClientError> {
        const WHAT: &str = "asking about a region";
        let info = RegionInfo {
            argsz: argsz::<RegionInfo>(),
            index,
            ..RegionInfo::new_zeroed()
        };
        let mut answer = self.ask(WHAT, command::DEVICE_GET_REGION_INFO, info.as_bytes(), &[])?;
        let (info, _) = self.parse::<RegionInfo>(WHAT, &answer.body)?;
        if info.index != index {
            return Err(self.malformed(WHAT, format!("{index} was meant, and not {}", info.index)));
        }
        let whole = info.flags & (REGION_MMAP | REGION_CAPABILITIES) == REGION_MMAP;
        let file = answer.files.pop().filter(|_| whole);
        if let Some(file) = &file {
            check_length(file, &info).map_err(|what| self.malformed(WHAT, what))?;
        }
        Ok(Region {
            size: info.size,
            file: file.map(|file| (file, info.offset)),
        })
    }

    /// `DEVICE_GET_IRQ_INFO`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn interrupts(&self, index: u32) -> Result<IrqInfo, ClientError> {
        const WHAT: &str = "asking about interrupts";
        let info = IrqInfo {
            argsz: argsz::<IrqInfo>(),
            index,
            ..IrqInfo::new_zeroed()
        };
        let answer = self.ask(WHAT, command::DEVICE_GET_IRQ_INFO, info.as_bytes(), &[])?;
        let (info, _) = self.parse::<IrqInfo>(WHAT, &answer.body)?;
        if info.index != index {
            return Err(self.malformed(WHAT, format!("{index} was meant, and not {}", info.index)));
        }
        Ok(info)
    }

    /// `DEVICE_SET_IRQS`: gives the interrupts of a kind, from the first one on, their event files; as many messages as the server wants.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn set_event_files(&self, index: u32, files: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        let mut start = 0;
        for files in files.chunks(self.max_files) {
            let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let set = IrqSet {
                argsz: argsz::<IrqSet>(),
                flags: IRQ_DATA_EVENTFD | IRQ_TRIGGER,
                index,
                start,
                count,
            };
            self.ask(
                "connecting interrupts",
                command::DEVICE_SET_IRQS,
                set.as_bytes(),
                files,
            )?;
            start += count;
        }
        Ok(())
    }

    /// `REGION_READ`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), ClientError> {
        const WHAT: &str = "reading from a region";
        let mut offset = offset;
        for data in data.chunks_mut(self.max_transfer) {
            let access = access(region, offset, data.len());
            let answer = self.ask(WHAT, command::REGION_READ, access.as_bytes(), &[])?;
            let (echo, bytes) = self.parse::<RegionAccess>(WHAT, &answer.body)?;
            if echo.as_bytes() != access.as_bytes() || bytes.len() != data.len() {
                let what = format!("{} bytes instead of {}: {echo:?}", bytes.len(), data.len());
                return Err(self.malformed(WHAT, what));
            }
            data.copy_from_slice(bytes);
            offset += u64::from(access.count);
        }
        Ok(())
    }

    /// `REGION_WRITE`: the device has it when this returns.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        const WHAT: &str = "writing to a region";
        let mut offset = offset;
        for data in data.chunks(self.max_transfer) {
            let access = access(region, offset, data.len());
            let body = [access.as_bytes(), data].concat();
            let answer = self.ask(WHAT, command::REGION_WRITE, &body, &[])?;
            let (echo, _) = self.parse::<RegionAccess>(WHAT, &answer.body)?;
            if echo.as_bytes() != access.as_bytes() {
                return Err(self.malformed(WHAT, format!("something else was written: {echo:?}")));
            }
            offset += u64::from(access.count);
        }
        Ok(())
    }

    /// `DMA_MAP`: the device may reach that part of the file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn map(&self, request: &DmaMap, file: BorrowedFd<'_>) -> Result<(), ClientError> {
        self.ask("mapping memory", command::DMA_MAP, request.as_bytes(), &[file])
            .map(drop)
    }

    /// `DMA_UNMAP`: the device does not reach it any more when this returns.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn unmap(&self, address: u64, size: u64) -> Result<(), ClientError> {
        const WHAT: &str = "unmapping memory";
        let unmap = DmaUnmap {
            argsz: argsz::<DmaUnmap>(),
            flags: 0,
            address,
            size,
        };
        let answer = self.ask(WHAT, command::DMA_UNMAP, unmap.as_bytes(), &[])?;
        let (echo, _) = self.parse::<DmaUnmap>(WHAT, &answer.body)?;
        if (echo.address, echo.size) != (address, size) {
            return Err(self.malformed(WHAT, format!("something else was unmapped: {echo:x?}")));
        }
        Ok(())
    }

    /// `DEVICE_RESET`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn reset(&self) -> Result<(), ClientError> {
        self.ask("resetting the device", command::DEVICE_RESET, &[], &[])
            .map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One command and its answer.
    fn ask(
        &self,
        what: &'static str,
        command: u16,
        body: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> Result<Message, ClientError> {
        let mut state = self.state();
        if self.fault.get().is_some() {
            return Err(ClientError::Gone(what));
        }
        let id = state.next_id;
        state.next_id = id.wrapping_add(1);
        let answer = state
            .channel
            .command(id, command, body, files)
            .and_then(|()| state.channel.receive_within(self.limit));
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(self.ended(ClientError::Gone(what))),
            Err(error) => return Err(self.ended(self.failed(what, error))),
        };
        let Header {
            id: echo,
            command: answered,
            flags,
            error,
            ..
        } = answer.header;
        if flags & flags::TYPE != flags::REPLY || (echo, answered) != (id, command) {
            return Err(self.malformed(what, format!("no answer to that: {:?}", answer.header)));
        }
        if flags & flags::ERROR != 0 {
            let errno = i32::try_from(error)
                .ok()
                .filter(|error| (1..4096).contains(error));
            let Some(errno) = errno.map(Errno::from_raw_os_error) else {
                return Err(self.malformed(what, format!("error {error}")));
            };
            return Err(ClientError::Refused(what, errno));
        }
        Ok(answer)
    }

    /// What a failure of the socket means.
    fn failed(&self, what: &'static str, error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ClientError::Late(what, self.limit),
            io::ErrorKind::InvalidData => ClientError::Malformed(what, error.to_string()),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                ClientError::Gone(what)
            }
            _ => ClientError::Socket(what, Arc::new(error)),
        }
    }

    fn ended(&self, error: ClientError) -> ClientError {
        self.end(error.clone());
        error
    }

    fn malformed(&self, what: &'static str, how: String) -> ClientError {
        self.ended(ClientError::Malformed(what, how))
    }

    fn parse<'a, T: FromBytes + KnownLayout + Immutable>(
        &self,
        what: &'static str,
        body: &'a [u8],
    ) -> Result<(T, &'a [u8]), ClientError> {
        parse(body).map_err(|_| self.malformed(what, format!("an answer of {} bytes", body.len())))
    }
}

/// Files in one message, and bytes in one access, that the server takes; the protocol says what holds if it does not tell.
fn capabilities(text: &[u8]) -> Result<(usize, usize), String> {
    let text = match text {
        [] => b"{}",
        [text @ .., 0] => text,
        _ => return Err("a text without an end".to_owned()),
    };
    let all: Value = serde_json::from_slice(text).map_err(|error| format!("its capabilities: {error}"))?;
    let number = |name: &str, default: u64| match &all["capabilities"][name] {
        Value::Null => Ok(default),
        value => {
            let number = value.as_u64().filter(|&number| number != 0);
            number.ok_or_else(|| format!("its {name} is {value}"))
        }
    };
    let files = number("max_msg_fds", 1)?.min(crate::protocol::MAX_FILES as u64);
    let transfer = number("max_data_xfer_size", MAX_TRANSFER.into())?.min(MAX_TRANSFER.into());
    Ok((
        usize::try_from(files).unwrap_or(1),
        usize::try_from(transfer).unwrap_or(1),
    ))
}

/// Whether a region lies in its file: an access to a page that is not there would be fatal.
fn check_length(file: &OwnedFd, info: &RegionInfo) -> Result<(), String> {
    let end = info.offset.checked_add(info.size);
    let length = rustix::fs::fstat(file.as_fd()).map(|status| status.st_size);
    let length = length.ok().and_then(|length| u64::try_from(length).ok());
    match (end, length) {
        (Some(end), Some(length)) if end <= length => Ok(()),
        _ => Err(format!("region {} is not in its file", info.index)),
    }
}

fn access(region: u32, offset: u64, length: usize) -> RegionAccess {
    RegionAccess {
        offset,
        region,
        count: u32::try_from(length).unwrap_or(u32::MAX),
    }
}
