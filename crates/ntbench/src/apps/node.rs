//! One end of a connection: two completion queues, a queue pair and registered memory.

use super::{AppError, Result, call, posted};
use crate::ndk::{
    Adapter, ConnectOptions, Connector, Cq, Memory, Mr, Pd, Qp, QpConfig, Sge, WorkResultEx, trace,
};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
    STATUS_SUCCESS,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the other end may take for anything: it may be a guest under emulation on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// How long the other end may take to disconnect when all is done.
pub const GRACE: Duration = Duration::from_secs(3);

/// Registered memory with all rights.
#[derive(Debug)]
pub struct Region {
    // In the order in which they go down.
    mr: Mr,
    /// The memory.
    pub memory: Memory,
}

impl Region {
    /// Registers `length` bytes.
    ///
    /// # Errors
    /// A function of the provider fails.
    pub fn new(pd: &Pd, length: usize) -> Result<Self> {
        let memory = Memory::new(length);
        let mr = call("NdkCreateMr", pd.create_mr(false))?;
        let flags =
            NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
        call("NdkRegisterMr", mr.register(&memory, length, flags))?;
        Ok(Self { mr, memory })
    }

    /// An element of it.
    ///
    /// # Panics
    /// When `length` is 4 GiB or more.
    #[must_use]
    pub fn sge(&self, at: usize, length: usize) -> Sge {
        let length = u32::try_from(length).expect("elements are shorter than 4 GiB");
        self.memory.sge(at, length, self.mr.local_token())
    }

    /// The token that the other end needs.
    #[must_use]
    pub fn remote_token(&self) -> u32 {
        self.mr.remote_token()
    }

    /// The address that the other end needs for the byte at `at`.
    #[must_use]
    pub fn remote_address(&self, at: usize) -> u64 {
        self.memory.va() + at as u64
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // It goes away with the region object in any case.
        let _ = self.mr.deregister();
    }
}

/// One end of a connection.
pub struct Node {
    // In the order in which they go down.
    connector: Option<Connector>,
    /// The queue pair.
    pub qp: Qp,
    /// Completions of receives.
    pub receives: Cq,
    /// Completions of everything else.
    pub sends: Cq,
    /// The protection domain of it all.
    pub pd: Pd,
    disconnected: Arc<AtomicBool>,
}

/// How many reads a connection has at a time.
const READS: u32 = 16;

impl Node {
    /// Makes the queues: `depth` entries each.
    ///
    /// # Errors
    /// A function of the provider fails.
    pub fn new(ndk: &Adapter, depth: u32) -> Result<Self> {
        let cq = || call("NdkCreateCq", ndk.create_silent_cq(depth));
        let (receives, sends) = (cq()?, cq()?);
        let pd = call("NdkCreatePd", ndk.create_pd())?;
        let config = QpConfig {
            receive_depth: depth,
            initiator_depth: depth,
            receive_sge: 1,
            initiator_sge: 1,
            initiator_cq: &sends,
            ..QpConfig::new(&receives)
        };
        let qp = call("NdkCreateQp", pd.create_qp(&config))?;
        Ok(Self {
            connector: None,
            qp,
            receives,
            sends,
            pd,
            disconnected: Arc::default(),
        })
    }

    fn on_disconnect(&self) -> impl Fn() + Send + Sync + 'static {
        let disconnected = Arc::clone(&self.disconnected);
        move || disconnected.store(true, Ordering::Release)
    }

    /// Connects as the active side.
    ///
    /// # Errors
    /// A function of the provider fails.
    pub fn connect(
        &mut self,
        ndk: &Adapter,
        source: SocketAddr,
        target: SocketAddr,
        data: &[u8],
    ) -> Result<()> {
        let connector = call("NdkCreateConnector", ndk.create_connector())?;
        let options = ConnectOptions {
            inbound: READS,
            outbound: READS,
            private_data: data.to_vec(),
        };
        call(
            "NdkConnect",
            connector.connect(&self.qp, source, target, &options),
        )?;
        let disconnect = self.on_disconnect();
        call(
            "NdkCompleteConnect",
            connector.complete_connect(Some(Box::new(disconnect))),
        )?;
        self.connector = Some(connector);
        Ok(())
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// A function of the provider fails.
    pub fn accept(&mut self, connector: Connector) -> Result<()> {
        let options = ConnectOptions {
            inbound: READS,
            outbound: READS,
            private_data: Vec::new(),
        };
        let disconnect = self.on_disconnect();
        call(
            "NdkAccept",
            connector.accept(&self.qp, &options, Some(Box::new(disconnect))),
        )?;
        self.connector = Some(connector);
        Ok(())
    }

    /// Whether the other end has disconnected.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Acquire)
    }

    /// Posts a receive of a part of `region`.
    ///
    /// # Errors
    /// The post fails.
    pub fn post_receive(&self, context: u64, region: &Region, at: usize, length: usize) -> Result<()> {
        posted("NdkReceive", self.qp.receive(context, &[region.sge(at, length)]))
    }

    /// Sends a part of `region`, and waits until that is done.
    ///
    /// # Errors
    /// The post or the request fails.
    pub fn send(&self, region: &Region, at: usize, length: usize) -> Result<()> {
        posted("NdkSend", self.qp.send(0, &[region.sge(at, length)], 0))?;
        self.sent("send")
    }

    /// Waits for the next completion of the initiator queue, which must be a success.
    ///
    /// # Errors
    /// The request fails, or does not complete.
    pub fn sent(&self, what: &'static str) -> Result<()> {
        success(what, next(what, &self.sends)?).map(|_| ())
    }

    /// The next receive; `None` when the connection is over instead.
    ///
    /// # Errors
    /// Neither comes, or the receive fails otherwise.
    pub fn received(&self) -> Result<Option<WorkResultEx>> {
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            if let Some(result) = self.receives.wait_for(1, POLL).pop() {
                if result.status == ndk_sys::STATUS_CANCELLED {
                    return Ok(None);
                }
                return success("receive", result).map(Some);
            }
            if self.is_disconnected() {
                return Ok(None);
            }
            if std::time::Instant::now() > deadline {
                return Err(AppError::Silence("a receive"));
            }
        }
    }

    /// Waits `grace` for the other end to disconnect, then disconnects in any case. Linux says only once that it disconnects when
    /// its program is gone before the answer has come, and that message may be lost.
    ///
    /// # Errors
    /// Those of [`Node::disconnect`].
    pub fn end(&mut self, grace: Duration) -> Result<()> {
        let deadline = std::time::Instant::now() + grace;
        while !self.is_disconnected() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.disconnect()
    }

    /// Disconnects in good order.
    ///
    /// # Errors
    /// The provider says that it took too long.
    pub fn disconnect(&mut self) -> Result<()> {
        match self.connector.take() {
            Some(connector) => call("NdkDisconnect", connector.disconnect()),
            None => Ok(()),
        }
    }
}

/// How often a wait for a completion looks whether the connection is over.
const POLL: Duration = Duration::from_millis(100);

fn next(what: &'static str, cq: &Cq) -> Result<WorkResultEx> {
    cq.wait_for(1, LIMIT).pop().ok_or(AppError::Silence(what))
}

fn success(what: &'static str, result: WorkResultEx) -> Result<WorkResultEx> {
    if result.status == STATUS_SUCCESS {
        Ok(result)
    } else {
        Err(AppError::Work(what, trace::status_name(result.status)))
    }
}
