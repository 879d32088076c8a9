//! What `ntbench check` does with queues and memory: posts that succeed and fail, arming of every kind, flushing. A provider
//! that can is connected to itself; one that cannot may fail every post.

use crate::ndk::pair::{self, End, PairOptions};
use crate::ndk::{Adapter, ConnectOptions, CqFunctions, Incoming, Memory, Notify, QpConfig};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_OP_FLAG_DEFER, NDK_OP_FLAG_SILENT_SUCCESS, NTSTATUS, STATUS_SUCCESS,
};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a completion is waited for.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than the limit for completions.
const LONG: Duration = Duration::from_millis(2500);
/// More elements than any request may have.
const TOO_MANY: usize = 200;
/// Bytes of each message.
const LENGTH: u32 = 64;

/// Everything; what fails with a status is no broken rule.
pub(super) fn run(adapter: &Adapter, address: SocketAddr) {
    let _ = memory(adapter);
    let _ = shared_receives(adapter);
    let _ = accept(adapter, address);
    let _ = connected(adapter, address);
}

/// Regions and mappings.
fn memory(adapter: &Adapter) -> Result<(), NTSTATUS> {
    let memory = Memory::new(10_000);
    let pd = adapter.create_pd()?;
    let _ = pd.privileged_token();
    let lam = adapter.build_lam(&memory, 9_000)?;
    drop(lam);
    let mr = pd.create_mr(false)?;
    mr.register(&memory, 9_000, NDK_MR_FLAG_ALLOW_LOCAL_WRITE)?;
    for _ in 0..2 {
        let _ = (mr.local_token(), mr.remote_token());
    }
    mr.deregister()
}

/// The threshold of an SRQ that is empty.
fn shared_receives(adapter: &Adapter) -> Result<(), NTSTATUS> {
    let pd = adapter.create_pd()?;
    let srq = pd.create_srq(16, 1, 0, |_| {})?;
    srq.modify(0, 2)
}

/// Accepts the request of a provider that makes one up.
fn accept(adapter: &Adapter, address: SocketAddr) -> Result<(), NTSTATUS> {
    let mut end = End::new(adapter, &PairOptions::default())?;
    let incoming = Incoming::listen(adapter, address)?;
    let Some(connector) = incoming.next_within(PATIENCE) else {
        return Ok(());
    };
    drop(incoming.listener().start_close());
    for (room, length) in [(None, 0), (Some(8), 8), (Some(500), 500)] {
        let _ = connector.get_connection_data(room, length);
    }
    let accepted = connector.accept(&end.qp, &ConnectOptions::default(), Some(Box::new(|| {})));
    end.connector = Some(connector);
    accepted
}

/// Works with the adapter connected to itself; unconnected if that cannot be.
fn connected(adapter: &Adapter, address: SocketAddr) -> Result<(), NTSTATUS> {
    let options = PairOptions::default();
    let (mut client, mut server) = (End::new(adapter, &options)?, End::new(adapter, &options)?);
    let from = SocketAddr::new(address.ip(), 0);
    let _ = pair::connect_ends(
        adapter,
        &mut client,
        adapter,
        &mut server,
        from,
        address,
        u32::MAX,
    );
    let memory = Memory::new(4096);
    let mr = server.pd.create_mr(false)?;
    mr.register(&memory, 4096, NDK_MR_FLAG_ALLOW_LOCAL_WRITE)?;
    let own = client.pd.create_mr(false)?;
    own.register(&memory, 4096, NDK_MR_FLAG_ALLOW_LOCAL_WRITE)?;
    for context in 0..16 {
        let sges = [memory.sge(0, LENGTH, mr.local_token())];
        let _ = server.qp.receive(context, &sges);
    }
    sends(&client, &memory, own.local_token());
    flush(&client, &memory, own.local_token())?;
    drop(client);
    let _ = server.receive_cq.wait_for(16, PATIENCE);
    notifications(adapter, &memory)
}

/// Sends of every kind, and one that must fail.
fn sends(end: &End, memory: &Memory, token: u32) {
    let sges = [memory.sge(0, LENGTH, token)];
    let cq = &end.initiator_cq;
    // What is there before anybody looks comes in one piece.
    let posted = (0..2).filter(|&context| end.qp.send(context, &sges, 0) == STATUS_SUCCESS);
    let posted = posted.count();
    let _ = cq.wait_for(posted, PATIENCE);
    let _ = end.qp.send(2, &sges, NDK_OP_FLAG_SILENT_SUCCESS);
    let _ = end.qp.send(3, &sges, 0);
    let _ = cq.wait_for(1, PATIENCE);
    // Armed for what does not come, then for anything.
    cq.arm(Notify::Solicited);
    let _ = end.qp.send(4, &sges, 0);
    let _ = cq.wait_for(1, PATIENCE);
    let seen = cq.notifications();
    cq.arm(Notify::Any);
    let _ = cq.results(1);
    if end.qp.send(5, &sges, 0) == STATUS_SUCCESS && !cq.wait_for_notification(seen, PATIENCE) {
        let _ = cq.results(1);
        let _ = cq.wait_for(1, LONG);
    }
    let _ = cq.wait_for(1, PATIENCE);
    // A deferred request before one that fails must be processed all the same.
    let deferred = end.qp.send(6, &sges, NDK_OP_FLAG_DEFER);
    let many = vec![sges[0]; TOO_MANY];
    let _ = end.qp.send(7, &many, 0);
    if deferred == STATUS_SUCCESS && cq.wait_for(1, PATIENCE).is_empty() {
        let _ = cq.wait_for(1, LONG);
    }
}

/// Receives that are outstanding when their QP is flushed.
fn flush(end: &End, memory: &Memory, token: u32) -> Result<(), NTSTATUS> {
    let cq = &end.receive_cq;
    let qp = end.pd.create_qp(&QpConfig {
        context: 0x51,
        ..QpConfig::new(cq)
    })?;
    let mut posted = 0;
    for context in 0..3 {
        posted += usize::from(qp.receive(context, &[memory.sge(0, LENGTH, token)]) == STATUS_SUCCESS);
    }
    qp.flush();
    if cq.wait_for(posted, PATIENCE).len() < posted {
        let _ = cq.wait_for(posted, LONG);
    }
    qp.close();
    Ok(())
}

/// A consumer that takes completions and arms again in its callback.
fn notifications(adapter: &Adapter, memory: &Memory) -> Result<(), NTSTATUS> {
    let again = |cq: &CqFunctions, _| {
        cq.arm(Notify::Any);
        let _ = cq.results(16);
    };
    let cq = adapter.create_cq(64, again)?;
    let pd = adapter.create_pd()?;
    let qp = pd.create_qp(&QpConfig::new(&cq))?;
    let mr = pd.create_mr(false)?;
    mr.register(memory, 4096, NDK_MR_FLAG_ALLOW_LOCAL_WRITE)?;
    cq.arm(Notify::Any);
    for context in 0..4 {
        let sges = [memory.sge(0, LENGTH, mr.local_token())];
        let _ = qp.receive(context, &sges);
        let _ = qp.send(context, &sges, 0);
    }
    qp.flush();
    let _ = cq.wait_for_notification(0, PATIENCE);
    // Those of the callback may still come.
    std::thread::sleep(PATIENCE);
    Ok(())
}
