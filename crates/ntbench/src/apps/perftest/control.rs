//! The connection for control messages.

use super::super::node::{Node, Region};
use super::super::{AppError, Result, posted};
use crate::ndk::{Adapter, Connector};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of a [`Destination`].
const DESTINATION: usize = 56;
/// Room for the longest control message.
const ROOM: usize = 256;
/// Where messages go out from.
const OUT: usize = ROOM;
/// Bytes of the version's text.
const VERSION: usize = 16;

/// `struct pingpong_dest`: what a side tells about its queue pair and memory. Integers are big endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// Remote token of the memory.
    pub token: u32,
    /// Address of the first byte that the other side may use.
    pub address: u64,
    /// The queue pair; for people to read.
    pub qpn: u32,
}

impl Destination {
    /// Reads a control message; `None` if it is another one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; DESTINATION] = bytes.try_into().ok()?;
        let word = |at: usize| {
            let bytes = bytes[at..].first_chunk().copied();
            bytes.map(u32::from_be_bytes)
        };
        Some(Self {
            token: word(16)?,
            address: u64::from_be_bytes(*bytes[24..].first_chunk()?),
            qpn: word(8)?,
        })
    }

    /// The control message.
    #[must_use]
    pub fn to_bytes(self) -> [u8; DESTINATION] {
        let mut bytes = [0; DESTINATION];
        // Reads outstanding: what rdma_cm negotiates counts, this only has to be plausible.
        bytes[4..8].copy_from_slice(&16_u32.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.qpn.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.token.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.address.to_be_bytes());
        bytes
    }

    /// Whether the memory is there already.
    #[must_use]
    pub const fn names_memory(&self) -> bool {
        self.token != 0
    }
}

/// One end of the control connection.
pub struct Control {
    node: Node,
    region: Region,
}

impl Control {
    pub(super) fn new(ndk: &Adapter) -> Result<Self> {
        let node = Node::new(ndk, 4)?;
        let region = Region::new(&node.pd, 2 * ROOM)?;
        node.post_receive(0, &region, 0, ROOM)?;
        Ok(Self { node, region })
    }

    pub(super) fn accept(&mut self, connector: Connector) -> Result<()> {
        self.node.accept(connector)
    }

    pub(super) fn connect(&mut self, ndk: &Adapter, source: SocketAddr, target: SocketAddr) -> Result<()> {
        self.node.connect(ndk, source, target, &[])
    }

    /// The next message; `None` when the connection is over.
    pub(super) fn receive(&self) -> Result<Option<Vec<u8>>> {
        let Some(result) = self.node.received()? else {
            return Ok(None);
        };
        let message = self.region.memory.read(0, (result.bytes as usize).min(ROOM));
        self.node.post_receive(0, &self.region, 0, ROOM)?;
        Ok(Some(message))
    }

    pub(super) fn send(&self, message: &[u8]) -> Result<()> {
        self.post(message)?;
        self.node.sent("send")
    }

    /// Sends without waiting for the acknowledgement, which may be lost when the other side ends.
    pub(super) fn post(&self, message: &[u8]) -> Result<()> {
        self.region.memory.write(OUT, message);
        let sge = [self.region.sge(OUT, message.len())];
        posted("NdkSend", self.node.qp.send(0, &sge, 0))
    }

    /// Sends a message, and waits for the server's of the same kind.
    fn exchange(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.send(message)?;
        self.receive()?
            .ok_or(AppError::Silence("the server's control message"))
    }

    /// Waits until the server has come as far, and learns its memory.
    pub(super) fn meet(&self, ours: Destination) -> Result<Destination> {
        let answer = self.exchange(&ours.to_bytes())?;
        Destination::from_bytes(&answer)
            .ok_or_else(|| AppError::Nonsense(format!("{} bytes instead of its memory", answer.len())))
    }

    /// The last meeting: the server's message says that it has got ours.
    pub(super) fn part(&self, ours: Destination) -> Result<()> {
        self.post(&ours.to_bytes())?;
        let answer = self.receive()?;
        answer
            .map(|_| ())
            .ok_or(AppError::Silence("the server's last message"))
    }

    /// Version, size of a page, size of a cache line, path MTU.
    pub(super) fn agree(&self, version: &str) -> Result<()> {
        let mut text = [0; VERSION];
        let length = version.len().min(VERSION - 1);
        text[..length].copy_from_slice(&version.as_bytes()[..length]);
        self.exchange(&text)?;
        self.exchange(&4096_u32.to_be_bytes())?;
        self.exchange(&64_u32.to_be_bytes())?;
        // 5 is IBTA's number for 4096 bytes; the smaller one of both sides counts.
        self.exchange(b"5\0")?;
        Ok(())
    }

    /// Size, iterations, peak and average bandwidth, message rate: ours are not of interest to the server.
    pub(super) fn exchange_results(&self) -> Result<()> {
        for _ in 0..5 {
            self.exchange(&[0; 8])?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, grace: Duration) -> Result<()> {
        self.node.end(grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_laid_out_as_perftest_does() {
        let ours = Destination {
            token: 0x0102_0304,
            address: 0x1112_1314_1516_1718,
            qpn: 0x21_2223,
        };
        let bytes = ours.to_bytes();
        assert_eq!(bytes[8..12], [0, 0x21, 0x22, 0x23]);
        assert_eq!(bytes[16..20], [1, 2, 3, 4]);
        assert_eq!(bytes[24..32], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        assert_eq!(Destination::from_bytes(&bytes), Some(ours));
        assert_eq!(Destination::from_bytes(&bytes[..16]), None, "a version");
    }
}
