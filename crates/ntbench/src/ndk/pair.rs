//! Two ends of a connection, for tests and benchmarks that are about what is sent over it.

use super::connect::ConnectOptions;
use super::pd::{Pd, QpConfig};
use super::{Adapter, Connector, Cq, Incoming, Qp};
use ndk_sys::{NTSTATUS, STATUS_IO_TIMEOUT};
use std::net::SocketAddr;
use std::time::Duration;

/// How a pair is made.
#[derive(Clone, Copy, Debug)]
pub struct PairOptions {
    /// Depth of each of the four CQs.
    pub cq_depth: u32,
    /// Depth of each receive queue.
    pub receive_depth: u32,
    /// Depth of each initiator queue.
    pub initiator_depth: u32,
    /// Elements of each request.
    pub sge: u32,
    /// Bytes that may be inline.
    pub inline: u32,
    /// Reads that may be outstanding in each direction.
    pub reads: u32,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            cq_depth: 128,
            receive_depth: 32,
            initiator_depth: 32,
            sge: 4,
            inline: 0,
            reads: u32::MAX,
        }
    }
}

/// One end. Dropping it closes everything in good order.
#[derive(Debug)]
pub struct End {
    // In the order in which they go down.
    /// Closed while it is connected: an abort.
    pub connector: Option<Connector>,
    /// The QP; its context is 0.
    pub qp: Qp,
    /// The PD.
    pub pd: Pd,
    /// Where receives complete.
    pub receive_cq: Cq,
    /// Where everything else completes.
    pub initiator_cq: Cq,
}

impl End {
    /// CQs, PD and QP, not connected.
    ///
    /// # Errors
    /// The status of the creation that failed.
    pub fn new(ndk: &Adapter, options: &PairOptions) -> Result<Self, NTSTATUS> {
        let receive_cq = ndk.create_silent_cq(options.cq_depth)?;
        let initiator_cq = ndk.create_silent_cq(options.cq_depth)?;
        let pd = ndk.create_pd()?;
        let qp = pd.create_qp(&QpConfig {
            receive_cq: &receive_cq,
            initiator_cq: &initiator_cq,
            context: 0,
            receive_depth: options.receive_depth,
            initiator_depth: options.initiator_depth,
            receive_sge: options.sge,
            initiator_sge: options.sge,
            inline: options.inline,
        })?;
        Ok(Self {
            connector: None,
            qp,
            pd,
            receive_cq,
            initiator_cq,
        })
    }

    /// The connector.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        self.connector.as_ref().expect("this end has a connector")
    }
}

/// A connection.
#[derive(Debug)]
pub struct Pair {
    /// The end that has connected.
    pub client: End,
    /// The end that has accepted.
    pub server: End,
}

/// How long a connection request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects two ends that are there.
///
/// # Errors
/// The status of what failed; `STATUS_IO_TIMEOUT` if no request arrives.
pub fn connect_ends(
    client: &Adapter,
    client_end: &mut End,
    server: &Adapter,
    server_end: &mut End,
    from: SocketAddr,
    to: SocketAddr,
    reads: u32,
) -> Result<(), NTSTATUS> {
    let options = ConnectOptions {
        inbound: reads,
        outbound: reads,
        private_data: Vec::new(),
    };
    let incoming = Incoming::listen(server, to)?;
    let connector = client.create_connector()?;
    let connecting = connector.start_connect(&client_end.qp, from, to, &options);
    let accepted = incoming.next_within(PATIENCE).ok_or(STATUS_IO_TIMEOUT);
    let Ok(accepted) = accepted else {
        connecting.wait()?;
        return Err(STATUS_IO_TIMEOUT);
    };
    let accepting = accepted.start_accept(&server_end.qp, &options, None);
    if accepting.status() < 0 {
        // Nobody would answer the request.
        drop(accepted);
        let _ = connecting.wait();
        return accepting.wait();
    }
    connecting.wait()?;
    connector.complete_connect(None)?;
    accepting.wait()?;
    // It ends with the connection.
    drop(incoming.listener().start_close());
    client_end.connector = Some(connector);
    server_end.connector = Some(accepted);
    Ok(())
}

/// Makes both ends and connects them; the listener is closed again.
///
/// # Errors
/// The status of what failed.
pub fn connect(
    client: &Adapter,
    server: &Adapter,
    from: SocketAddr,
    to: SocketAddr,
    options: &PairOptions,
) -> Result<Pair, NTSTATUS> {
    let mut pair = Pair {
        client: End::new(client, options)?,
        server: End::new(server, options)?,
    };
    connect_ends(
        client,
        &mut pair.client,
        server,
        &mut pair.server,
        from,
        to,
        options.reads,
    )?;
    Ok(pair)
}
