//! `rping`: the client offers a buffer with text, the server reads it; the client offers another one, the server writes the
//! text back. Each offer and each "go on" is a SEND of 16 bytes: address, token and length, big endian.

use super::node::{GRACE, Node, Region};
use super::{AppError, Result, posted};
use crate::ndk::{Adapter, Connector};
use std::net::SocketAddr;

/// Bytes of an offer.
const OFFER: usize = 16;
/// Bytes of a buffer that either side has at least: rping's own limit.
pub const MAX_SIZE: usize = 64 * 1024;
/// Entries of the queues, as rping has them.
const DEPTH: u32 = 16;

/// What the other end may read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    address: u64,
    token: u32,
    length: u32,
}

/// What the server sends when it has read or written.
const GO_ON: Offer = Offer {
    address: 0,
    token: 0,
    length: 0,
};

impl Offer {
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let nonsense = || AppError::Nonsense(format!("an offer of {} bytes", bytes.len()));
        let (address, rest) = bytes.split_first_chunk().ok_or_else(nonsense)?;
        let (token, rest) = rest.split_first_chunk().ok_or_else(nonsense)?;
        let length = rest.try_into().map_err(|_| nonsense())?;
        let offer = Self {
            address: u64::from_be_bytes(*address),
            token: u32::from_be_bytes(*token),
            length: u32::from_be_bytes(length),
        };
        if offer.length as usize > MAX_SIZE {
            return Err(AppError::Nonsense(format!("{offer:?}")));
        }
        Ok(offer)
    }

    fn to_bytes(self) -> [u8; OFFER] {
        let value = u128::from(self.address) << 64 | u128::from(self.token) << 32 | u128::from(self.length);
        value.to_be_bytes()
    }
}

/// A connection with its buffers: an offer in and out, and the data.
struct Session {
    node: Node,
    control: Region,
    data: Region,
}

/// Where in the control region offers go out from.
const OUT: usize = OFFER;

impl Session {
    fn new(ndk: &Adapter) -> Result<Self> {
        let node = Node::new(ndk, DEPTH)?;
        let control = Region::new(&node.pd, 2 * OFFER)?;
        let data = Region::new(&node.pd, 2 * MAX_SIZE)?;
        node.post_receive(0, &control, 0, OFFER)?;
        Ok(Self { node, control, data })
    }

    /// The next offer, whose receive is posted again; `None` at the end of the connection.
    fn offer(&self) -> Result<Option<Offer>> {
        let Some(result) = self.node.received()? else {
            return Ok(None);
        };
        let length = (result.bytes as usize).min(OFFER);
        let offer = Offer::from_bytes(&self.control.memory.read(0, length))?;
        self.node.post_receive(0, &self.control, 0, OFFER)?;
        Ok(Some(offer))
    }

    fn send(&self, offer: Offer) -> Result<()> {
        self.post(offer)?;
        self.node.sent("send")
    }

    fn post(&self, offer: Offer) -> Result<()> {
        self.control.memory.write(OUT, &offer.to_bytes());
        let sge = [self.control.sge(OUT, OFFER)];
        posted("NdkSend", self.node.qp.send(0, &sge, 0))
    }

    /// Serves one ping: its text.
    fn answer(&self, is_last: bool) -> Result<String> {
        let missing = || AppError::Nonsense("fewer pings than agreed on".to_owned());
        let source = self.offer()?.ok_or_else(missing)?;
        let sge = [self.data.sge(0, source.length as usize)];
        let status = self.node.qp.read(1, &sge, source.address, source.token, 0);
        posted("NdkRead", status)?;
        self.node.sent("read")?;
        let text = self.data.memory.read(0, source.length as usize);
        self.send(GO_ON)?;
        let sink = self.offer()?.ok_or_else(missing)?;
        let length = sink.length.min(source.length) as usize;
        let sge = [self.data.sge(0, length)];
        let status = self.node.qp.write(2, &sge, sink.address, sink.token, 0);
        posted("NdkWrite", status)?;
        self.node.sent("write")?;
        // With the last one the client may be gone, and its acknowledgement lost.
        self.post(GO_ON)?;
        if !is_last {
            self.node.sent("send")?;
        }
        Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
    }

    /// Has the server read a text and write it back.
    fn ping(&self, number: usize, size: usize) -> Result<()> {
        let text = text(number, size);
        self.data.memory.write(0, &text);
        self.data.memory.write(MAX_SIZE, &vec![0; size]);
        for at in [0, MAX_SIZE] {
            self.send(Offer {
                address: self.data.remote_address(at),
                token: self.data.remote_token(),
                length: u32::try_from(size).map_err(|_| AppError::Nonsense("a long ping".to_owned()))?,
            })?;
            self.offer()?.ok_or(AppError::Silence("the server"))?;
        }
        if self.data.memory.read(MAX_SIZE, size) == text {
            Ok(())
        } else {
            Err(AppError::Nonsense(format!("something else than ping {number}")))
        }
    }
}

/// Serves one client that pings `count` times, and ends when it disconnects or soon after; returns the texts that it has sent.
///
/// # Errors
/// Something fails, or the client does what `rping` does not do.
pub fn serve(ndk: &Adapter, connector: Connector, count: usize) -> Result<Vec<String>> {
    let mut session = Session::new(ndk)?;
    session.node.accept(connector)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(session.answer(texts.len() + 1 == count)?);
    }
    session.node.end(GRACE)?;
    Ok(texts)
}

/// Pings a server `count` times with `size` bytes, checks what comes back, and disconnects.
///
/// # Errors
/// Something fails, or other text comes back.
pub fn ping(ndk: &Adapter, source: SocketAddr, target: SocketAddr, count: usize, size: usize) -> Result<()> {
    ping_while(ndk, source, target, size, |number| number < count)
}

/// As [`ping`], as long as `more` agrees to the next ping, of which it gets the number, from 0.
///
/// # Errors
/// As there.
pub fn ping_while(
    ndk: &Adapter,
    source: SocketAddr,
    target: SocketAddr,
    size: usize,
    mut more: impl FnMut(usize) -> bool,
) -> Result<()> {
    let mut session = Session::new(ndk)?;
    session.node.connect(ndk, source, target, &[])?;
    for number in (0..).take_while(|&number| more(number)) {
        session.ping(number, size)?;
    }
    session.node.disconnect()
}

/// As `rping` fills its buffer: a number, then the alphabet round and round, and a zero at the end.
fn text(number: usize, size: usize) -> Vec<u8> {
    let mut text = format!("rdma-ping-{number}: ").into_bytes();
    let filler = (b'A'..=b'z').cycle().skip(number % 58);
    text.extend(filler.take(size.saturating_sub(text.len() + 1)));
    text.resize(size, 0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_big_endian() {
        let offer = Offer {
            address: 0x0102_0304_0506_0708,
            token: 0x1112_1314,
            length: 64,
        };
        let bytes = offer.to_bytes();
        assert_eq!(
            bytes,
            [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0, 0, 0, 64]
        );
        assert_eq!(Offer::from_bytes(&bytes), Ok(offer));
        assert!(Offer::from_bytes(&bytes[1..]).is_err());
        assert!(
            Offer::from_bytes(&[0xFF; 16]).is_err(),
            "longer than any rping's buffer"
        );
    }

    #[test]
    fn texts_have_their_size() {
        assert_eq!(text(3, 64).len(), 64);
        assert!(text(3, 64).starts_with(b"rdma-ping-3: "));
        assert_eq!(text(3, 64).last(), Some(&0));
    }
}
