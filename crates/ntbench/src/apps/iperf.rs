//! `iperf3`'s server for TCP, over the host's own IP stack: what the Ethernet half of an adapter is judged by. It is no NDK consumer.
//!
//! A client makes one connection for control and one for each stream, of which there is one here. The control connection carries
//! the states of the test as single bytes and the parameters and results as JSON behind a length of 4 bytes, big endian. The stream
//! carries what nobody looks at; it begins with the client's cookie, as the control connection does. The facts are from iperf3's
//! source, version 3.12.

use super::{AppError, Result};
use crate::wire::host::{TcpListener, TcpStream};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The port that clients use unless they are told another one.
pub const PORT: u16 = 5201;
/// 36 characters and a zero byte, the same on all connections of a test.
const COOKIE: usize = 37;
/// The longest parameters or results that make sense.
const MAX_JSON: usize = 64 * 1024;
/// Bytes that are read or written at once.
const BLOCK: usize = 32 * 1024;
/// How often a stream looks whether the test is over.
const POLL: Duration = Duration::from_millis(200);

/// States of a test, in iperf3's numbers.
mod state {
    pub const TEST_START: u8 = 1;
    pub const TEST_RUNNING: u8 = 2;
    pub const TEST_END: u8 = 4;
    pub const PARAM_EXCHANGE: u8 = 9;
    pub const CREATE_STREAMS: u8 = 10;
    pub const EXCHANGE_RESULTS: u8 = 13;
    pub const DISPLAY_RESULTS: u8 = 14;
    pub const IPERF_DONE: u8 = 16;
}

/// What a client has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parameters {
    /// The server sends: the option `-R`.
    reverse: bool,
    /// How many bytes the stream carries at least: the option `-n`.
    bytes: u64,
}

impl Parameters {
    fn from_json(value: &Value) -> Result<Self> {
        let streams = value["parallel"].as_u64().unwrap_or(1);
        let is_tcp = value["tcp"].as_bool().unwrap_or(false);
        let is_bidirectional = value["bidirectional"].as_bool().unwrap_or(false);
        if !is_tcp || is_bidirectional || streams != 1 {
            return Err(AppError::Nonsense(format!("a test that is not served: {value}")));
        }
        Ok(Self {
            reverse: value["reverse"].as_bool().unwrap_or(false),
            bytes: value["num"].as_u64().unwrap_or(0),
        })
    }
}

/// Serves one test of one client; `limit` bounds each wait and the test as a whole. Returns the bytes that the stream has
/// carried, as this side counts them.
///
/// # Errors
/// Something fails, or the client does not behave like iperf3's.
pub fn serve(listener: &mut TcpListener, limit: Duration) -> Result<u64> {
    let deadline = Instant::now() + limit;
    let mut control = Control {
        stream: tcp("a client", listener.accept(limit))?,
    };
    let cookie = control.bytes::<COOKIE>()?;
    control.say(state::PARAM_EXCHANGE)?;
    let parameters = Parameters::from_json(&control.read_json()?)?;
    control.say(state::CREATE_STREAMS)?;
    let mut stream = tcp("a stream", listener.accept(limit))?;
    let mut theirs = [0; COOKIE];
    tcp("the stream's cookie", stream.read_exact(&mut theirs))?;
    if theirs != cookie {
        return Err(AppError::Nonsense("another cookie".to_owned()));
    }
    stream.set_limit(POLL);
    control.say(state::TEST_START)?;
    control.say(state::TEST_RUNNING)?;
    let carried = run(&mut control, stream, parameters, deadline)?;
    control.say(state::EXCHANGE_RESULTS)?;
    control.read_json()?;
    control.write_json(&results(carried, parameters.reverse))?;
    control.say(state::DISPLAY_RESULTS)?;
    control.expect(state::IPERF_DONE)?;
    Ok(carried)
}

/// Carries data until the client says that the test is over: the number of bytes.
fn run(control: &mut Control, stream: TcpStream, parameters: Parameters, deadline: Instant) -> Result<u64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            if parameters.reverse {
                source(stream, &over, deadline)
            } else {
                sink(stream, parameters.bytes, &over, deadline)
            }
        });
        let end = control.expect(state::TEST_END);
        over.store(true, Ordering::Release);
        let carried = worker.join();
        let carried = carried.map_err(|_| AppError::Nonsense("a panic".to_owned()))?;
        end.and(carried)
    })
}

/// Reads until the stream ends, or until nothing more comes when the test is over and that many bytes have come: a busy client says that
/// it is over while its last bytes are still on their way.
fn sink(mut stream: TcpStream, least: u64, over: &AtomicBool, deadline: Instant) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut carried = 0;
    while Instant::now() < deadline {
        match stream.read(&mut block) {
            Ok(0) => return Ok(carried),
            Ok(bytes) => carried += bytes as u64,
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                if over.load(Ordering::Acquire) && carried >= least {
                    return Ok(carried);
                }
            }
            Err(error) => return tcp("a stream", Err(error)),
        }
    }
    Err(AppError::Silence("the end of the test"))
}

/// Writes until the test is over.
fn source(mut stream: TcpStream, over: &AtomicBool, deadline: Instant) -> Result<u64> {
    let block = vec![0x5A; BLOCK];
    let mut carried = 0;
    while Instant::now() < deadline {
        if over.load(Ordering::Acquire) {
            return Ok(carried);
        }
        match stream.write(&block) {
            Ok(bytes) => carried += bytes as u64,
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            // The client closes its streams at the end, and the word about that may come later.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(carried),
            Err(error) => return tcp("a stream", Err(error)),
        }
    }
    Err(AppError::Silence("the end of the test"))
}

/// What the client wants to know; it has no use for the times.
fn results(carried: u64, reverse: bool) -> Value {
    json!({
        "cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0,
        // Only a sender could have retransmitted, and this one does not count it.
        "sender_has_retransmits": if reverse { 0 } else { -1 },
        "streams": [{
            "id": 1, "bytes": carried, "retransmits": -1, "jitter": 0, "errors": 0,
            "packets": 0, "start_time": 0, "end_time": 0,
        }],
    })
}

/// The control connection.
struct Control {
    stream: TcpStream,
}

impl Control {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        tcp("the control connection", self.stream.read_exact(&mut bytes))?;
        Ok(bytes)
    }

    fn expect(&mut self, state: u8) -> Result<()> {
        let [said] = self.bytes()?;
        if said == state {
            Ok(())
        } else {
            Err(AppError::Nonsense(format!("state {said} instead of {state}")))
        }
    }

    fn say(&mut self, state: u8) -> Result<()> {
        tcp("the control connection", self.stream.write_all(&[state]))
    }

    fn read_json(&mut self) -> Result<Value> {
        let length = u32::from_be_bytes(self.bytes()?) as usize;
        if length > MAX_JSON {
            return Err(AppError::Nonsense(format!("{length} bytes of JSON")));
        }
        let mut text = vec![0; length];
        tcp("the control connection", self.stream.read_exact(&mut text))?;
        serde_json::from_slice(&text).map_err(|error| AppError::Nonsense(error.to_string()))
    }

    fn write_json(&mut self, value: &Value) -> Result<()> {
        let text = value.to_string();
        let length = u32::try_from(text.len()).map_err(|_| AppError::Nonsense("long results".to_owned()))?;
        let message = [&length.to_be_bytes(), text.as_bytes()].concat();
        tcp("the control connection", self.stream.write_all(&message))
    }
}

/// Names the connection of an error.
fn tcp<T>(what: &'static str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => AppError::Silence(what),
        kind => AppError::Call(what, kind.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_that_are_served_are_accepted() {
        let accepted = Parameters::from_json(&json!({"tcp": true, "parallel": 1, "reverse": true, "num": 7}));
        let parameters = Parameters {
            reverse: true,
            bytes: 7,
        };
        assert_eq!(accepted, Ok(parameters));
        for refused in [
            json!({"udp": true}),
            json!({"tcp": true, "bidirectional": true}),
            json!({"tcp": true, "parallel": 2}),
            json!([]),
        ] {
            assert!(Parameters::from_json(&refused).is_err(), "{refused}");
        }
    }
}
