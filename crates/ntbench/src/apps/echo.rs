//! `ucmatose`: both sides send a number of messages of a size that they have agreed on beforehand, and wait for as many. Then the
//! server disconnects.

use super::node::{Node, Region};
use super::{AppError, Result, posted};
use crate::ndk::{Adapter, Connector};
use std::net::SocketAddr;

/// How much is exchanged: the tool's options `-C` and `-S`.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Messages in each direction.
    pub count: u32,
    /// Bytes of each.
    pub size: usize,
}

struct Session {
    node: Node,
    /// A slot for each message that comes, and one that all are sent from.
    data: Region,
    exchange: Exchange,
}

impl Session {
    fn new(ndk: &Adapter, exchange: Exchange) -> Result<Self> {
        let node = Node::new(ndk, exchange.count.max(1))?;
        let slots = exchange.count as usize + 1;
        let data = Region::new(&node.pd, slots * exchange.size)?;
        for slot in 0..exchange.count {
            let at = slot as usize * exchange.size;
            node.post_receive(slot.into(), &data, at, exchange.size)?;
        }
        Ok(Self { node, data, exchange })
    }

    fn run(&self) -> Result<()> {
        let Exchange { count, size } = self.exchange;
        let source = [self.data.sge(count as usize * size, size)];
        for message in 0..count {
            posted("NdkSend", self.node.qp.send(message.into(), &source, 0))?;
        }
        for _ in 0..count {
            self.node.sent("send")?;
        }
        for message in 0..count {
            let result = self.node.received()?.ok_or(AppError::Silence("a message"))?;
            if result.context != u64::from(message) || result.bytes as usize != size {
                return Err(AppError::Nonsense(format!(
                    "{} bytes as message {message}",
                    result.bytes
                )));
            }
        }
        Ok(())
    }
}

/// Serves one connection.
///
/// # Errors
/// Something fails.
pub fn serve(ndk: &Adapter, connector: Connector, exchange: Exchange) -> Result<()> {
    let mut session = Session::new(ndk, exchange)?;
    session.node.accept(connector)?;
    session.run()?;
    session.node.disconnect()
}

/// Connects to a server, exchanges messages with it, and waits until it disconnects.
///
/// # Errors
/// Something fails.
pub fn run(ndk: &Adapter, source: SocketAddr, target: SocketAddr, exchange: Exchange) -> Result<()> {
    let mut session = Session::new(ndk, exchange)?;
    session.node.connect(ndk, source, target, &[])?;
    session.run()?;
    if session.node.received()?.is_some() {
        return Err(AppError::Nonsense("more messages than agreed on".to_owned()));
    }
    session.node.disconnect()
}
