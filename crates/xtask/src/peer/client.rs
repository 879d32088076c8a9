//! The client on librdmacm in the guest (`tests/linux-peer/client.c`): its arguments, and the events that it prints.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::guest::{LinuxPeer, Running};

/// What the guest itself may add to the time that the client was given.
const MARGIN: Duration = Duration::from_mins(1);

/// Connection attempts, one after another.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Whom to connect to.
    pub addr: IpAddr,
    /// The RDMA port (port space TCP).
    pub port: u16,
    /// Private data of the request; Linux takes up to 56 bytes.
    pub data: Vec<u8>,
    /// How many attempts.
    pub count: u32,
    /// Stop at the first attempt that is established.
    pub reconnect: bool,
    /// How long to wait for each event.
    pub timeout: Duration,
    /// Abandon each attempt after this time: Linux then sends a REJ (reason 4, timeout).
    pub give_up: Option<Duration>,
}

impl Connect {
    /// One attempt without private data, and 30 s for each event.
    #[must_use]
    pub fn new(addr: IpAddr, port: u16) -> Self {
        Self {
            addr,
            port,
            data: Vec::new(),
            count: 1,
            reconnect: false,
            timeout: Duration::from_secs(30),
            give_up: None,
        }
    }

    fn command(&self) -> String {
        let mut command = format!(
            "vrnic-rdma-client connect {} {} --count {} --timeout-ms {}{}",
            self.addr,
            self.port,
            self.count,
            self.timeout.as_millis(),
            data_argument(&self.data)
        );
        if self.reconnect {
            command.push_str(" --reconnect");
        }
        if let Some(after) = self.give_up {
            // Writing to a String cannot fail.
            let _ = write!(command, " --give-up-ms {}", after.as_millis());
        }
        command
    }
}

/// What a listener in the guest answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `rdma_accept` with this private data (up to 196 bytes).
    Accept(Vec<u8>),
    /// `rdma_reject` with this private data (up to 148 bytes).
    Reject(Vec<u8>),
}

/// A listener in the guest.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The guest's address to listen on.
    pub addr: IpAddr,
    /// The RDMA port (port space TCP).
    pub port: u16,
    /// What it answers to each request.
    pub reply: Reply,
    /// How many requests it answers before it ends.
    pub count: u32,
    /// How long to wait for each event.
    pub timeout: Duration,
}

impl Listen {
    fn command(&self) -> String {
        let (reply, data) = match &self.reply {
            Reply::Accept(data) => ("--accept", data),
            Reply::Reject(data) => ("--reject", data),
        };
        format!(
            "vrnic-rdma-client listen {} {} {reply} --count {} --timeout-ms {}{}",
            self.addr,
            self.port,
            self.count,
            self.timeout.as_millis(),
            data_argument(data)
        )
    }
}

/// One line of the client: an event of Linux's `rdma_cm`, or the client's own `TIMEOUT`, `GAVE_UP` or `ERROR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEvent {
    /// Which attempt or request, from 1.
    pub attempt: u32,
    /// The name, as `rdma_event_str` gives it, such as `RDMA_CM_EVENT_REJECTED`.
    pub event: String,
    /// The event's status: for a rejection, the REJ's reason; a negative errno for others.
    pub status: i32,
    /// The private data that came with the event. For a rejection Linux always gives all 148 bytes.
    pub data: Vec<u8>,
    /// Since the attempt's `rdma_connect` (or the request's arrival), in milliseconds.
    pub elapsed_ms: u64,
}

impl ClientEvent {
    /// Reads a line of the client.
    ///
    /// # Errors
    /// When the line is not of the client's form.
    pub fn parse(line: &str) -> Result<Self> {
        let value = |key: &str| {
            line.split(' ')
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                .with_context(|| format!("no {key}= in what the guest's client printed: {line}"))
        };
        let data = parse_hex(value("data")?)?;
        let length: usize = value("data_len")?.parse()?;
        if data.len() != length {
            bail!(
                "the guest's client printed {} bytes of data and says {length}: {line}",
                data.len()
            );
        }
        Ok(Self {
            attempt: value("attempt")?.parse()?,
            event: value("event")?.to_owned(),
            status: value("status")?.parse()?,
            data,
            elapsed_ms: value("elapsed_ms")?.parse()?,
        })
    }
}

/// A listener that runs in the guest.
#[derive(Debug)]
pub struct Listener {
    running: Running,
}

impl Listener {
    /// The next event, or `None` when the listener has answered all that it was to answer.
    ///
    /// # Errors
    /// When nothing comes within `limit`, the listener failed, or the guest is gone.
    pub fn next_event(&mut self, limit: Duration) -> Result<Option<ClientEvent>> {
        self.running
            .next_line(limit)?
            .map(|line| ClientEvent::parse(&line))
            .transpose()
    }
}

impl LinuxPeer {
    /// Runs connection attempts to their end and returns every event, in order.
    ///
    /// # Errors
    /// When the client cannot run, prints something unexpected, or the guest is gone.
    pub fn connect(&self, connect: &Connect) -> Result<Vec<ClientEvent>> {
        self.start_connect(connect)?.events()
    }

    /// Starts connection attempts, so that several clients can run at the same time.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn start_connect(&self, connect: &Connect) -> Result<Connecting> {
        // An attempt waits for the address, the route, the answer and the disconnection.
        let limit = connect.timeout * 4 * connect.count + MARGIN;
        Ok(Connecting {
            running: self.start(&connect.command())?,
            limit,
        })
    }

    /// Starts a listener and returns when it listens.
    ///
    /// # Errors
    /// When it cannot listen, or the guest is gone.
    pub fn listen(&self, listen: &Listen) -> Result<Listener> {
        let mut running = self.start(&listen.command())?;
        match running.next_line(MARGIN)? {
            Some(line) if line == "listening" => Ok(Listener { running }),
            other => bail!(
                "the guest's listener did not start: {}",
                other.unwrap_or_default()
            ),
        }
    }
}

/// Connection attempts that run in the guest.
#[derive(Debug)]
pub struct Connecting {
    running: Running,
    limit: Duration,
}

impl Connecting {
    /// Waits for the end of the attempts and returns every event, in order.
    ///
    /// # Errors
    /// As [`LinuxPeer::connect`].
    pub fn events(self) -> Result<Vec<ClientEvent>> {
        self.lines()?
            .iter()
            .map(|line| ClientEvent::parse(line))
            .collect()
    }

    /// Waits for the end of the attempts and returns what the client printed.
    ///
    /// # Errors
    /// As [`LinuxPeer::connect`], except that the lines may be of any form.
    pub fn lines(self) -> Result<Vec<String>> {
        Ok(self.running.finish(self.limit)?.lines)
    }
}

fn data_argument(data: &[u8]) -> String {
    if data.is_empty() {
        return String::new();
    }
    data.iter().fold(String::from(" --data-hex "), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads bytes from hexadecimal digits.
///
/// # Errors
/// When something else is in `text`, or the number of digits is odd.
pub fn parse_hex(text: &str) -> Result<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        bail!("not hexadecimal: {text}");
    }
    (0..text.len())
        .step_by(2)
        .map(|at| {
            u8::from_str_radix(&text[at..at + 2], 16).with_context(|| format!("not hexadecimal: {text}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_line_is_read() {
        let line = "attempt=2 event=RDMA_CM_EVENT_REJECTED status=28 data_len=3 data=0a0bff elapsed_ms=12";
        let event = ClientEvent::parse(line).expect("well formed");
        assert_eq!((event.attempt, event.status, event.elapsed_ms), (2, 28, 12));
        assert_eq!(event.event, "RDMA_CM_EVENT_REJECTED");
        assert_eq!(event.data, [0x0a, 0x0b, 0xff]);
    }

    #[test]
    fn lines_that_are_no_events_are_refused() {
        for line in [
            "",
            "rdma_create_id: No such device",
            "attempt=1 event=X status=0 data_len=2 data=00 elapsed_ms=1",
            "attempt=1 event=X status=0 data_len=1 data=0g elapsed_ms=1",
            "attempt=1 event=X status=0 data_len=1 data=é elapsed_ms=1",
            "attempt=1 event=X status=zero data_len=0 data= elapsed_ms=1",
        ] {
            assert!(ClientEvent::parse(line).is_err(), "{line}");
        }
    }
}
