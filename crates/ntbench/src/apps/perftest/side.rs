//! The connection of the test, from either side.

use super::super::node::{LIMIT, Node, Region};
use super::super::{AppError, Result, posted};
use super::control::Destination;
use super::{Test, Verb};
use crate::ndk::{Adapter, Connector};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Requests that a bandwidth test has in flight.
const WINDOW: u32 = 64;
/// How long a server may take between saying that it will listen and listening.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end.
pub(super) struct Side {
    node: Node,
    /// The first half is where requests take their data from, the second one what the other side uses.
    data: Region,
    test: Test,
}

impl Side {
    pub(super) fn new(ndk: &Adapter, test: Test) -> Result<Self> {
        let node = Node::new(ndk, test.iterations.max(WINDOW))?;
        let data = Region::new(&node.pd, 2 * test.size)?;
        let side = Self { node, data, test };
        if test.verb == Verb::Send {
            // All of them before anything can arrive; they may share the memory, as perftest's do.
            for number in 0..test.iterations {
                side.node
                    .post_receive(number.into(), &side.data, test.size, test.size)?;
            }
        }
        Ok(side)
    }

    /// What the other side is told.
    pub(super) fn destination(&self) -> Destination {
        Destination {
            token: self.data.remote_token(),
            address: self.data.remote_address(self.test.size),
            qpn: 0,
        }
    }

    pub(super) fn accept(&mut self, connector: Connector) -> Result<()> {
        self.node.accept(connector)
    }

    /// Connects; the server may not listen again yet.
    pub(super) fn connect(&mut self, ndk: &Adapter, source: SocketAddr, target: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.node.connect(ndk, source, target, &[]) {
                Err(AppError::Call("NdkConnect", status)) if Instant::now() < deadline => {
                    if status != "STATUS_CONNECTION_REFUSED" {
                        return Err(AppError::Call("NdkConnect", status));
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    /// The server's part: in most tests there is nothing to do but to be there.
    pub(super) fn answer(&self, theirs: impl FnOnce() -> Result<Destination>) -> Result<()> {
        match (self.test.verb, self.test.latency) {
            (Verb::Send, latency) => {
                for _ in 0..self.test.iterations {
                    self.receive()?;
                    if latency {
                        self.node.send(&self.data, 0, self.test.size)?;
                    }
                }
                Ok(())
            }
            // The server of the write latency test begins.
            (Verb::Write, true) => self.write_in_turn(theirs()?, true),
            _ => Ok(()),
        }
    }

    /// The client's part.
    pub(super) fn ask(&self, theirs: Destination) -> Result<()> {
        match (self.test.verb, self.test.latency) {
            (Verb::Send, true) => {
                for _ in 0..self.test.iterations {
                    self.node.send(&self.data, 0, self.test.size)?;
                    self.receive()?;
                }
                Ok(())
            }
            (Verb::Write, true) => self.write_in_turn(theirs, false),
            (Verb::Read, true) => self.keep_in_flight(theirs, 1),
            (_, false) => self.keep_in_flight(theirs, WINDOW),
        }
    }

    fn receive(&self) -> Result<()> {
        let result = self.node.received()?.ok_or(AppError::Silence("a message"))?;
        if result.bytes as usize == self.test.size {
            Ok(())
        } else {
            Err(AppError::Nonsense(format!("{} bytes", result.bytes)))
        }
    }

    fn keep_in_flight(&self, theirs: Destination, window: u32) -> Result<()> {
        let (mut posted, mut done) = (0, 0);
        while done < self.test.iterations {
            if posted < self.test.iterations && posted - done < window {
                self.post(theirs)?;
                posted += 1;
            } else {
                self.node.sent("request of the test")?;
                done += 1;
            }
        }
        Ok(())
    }

    fn post(&self, theirs: Destination) -> Result<()> {
        let sge = [self.data.sge(0, self.test.size)];
        let qp = &self.node.qp;
        match self.test.verb {
            Verb::Send => posted("NdkSend", qp.send(0, &sge, 0)),
            Verb::Read => posted("NdkRead", qp.read(0, &sge, theirs.address, theirs.token, 0)),
            Verb::Write => posted("NdkWrite", qp.write(0, &sge, theirs.address, theirs.token, 0)),
        }
    }

    /// Writes by turns: the last byte counts, and whoever sees it count writes the next one.
    fn write_in_turn(&self, theirs: Destination, first: bool) -> Result<()> {
        let last = self.test.size - 1;
        for number in 1..=self.test.iterations {
            let [count, ..] = number.to_le_bytes();
            if !first {
                self.await_byte(count)?;
            }
            self.data.memory.write(last, &[count]);
            self.post(theirs)?;
            self.node.sent("write")?;
            if first {
                self.await_byte(count)?;
            }
        }
        Ok(())
    }

    /// Waits until the last byte of what the other side writes is `count`.
    fn await_byte(&self, count: u8) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.data.memory.read(2 * self.test.size - 1, 1) != [count] {
            if Instant::now() > deadline {
                return Err(AppError::Silence("a write"));
            }
            thread::yield_now();
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self) -> Result<()> {
        self.node.disconnect()
    }
}
