//! A peer that dies and comes back, a thousand connects.

use crate::support::{Bench, LIMIT, Setup, step};
use anyhow::{Context, Result, anyhow, ensure};
use ndk_sys::{STATUS_CANCELLED, STATUS_CONNECTION_REFUSED, STATUS_IO_TIMEOUT, STATUS_SUCCESS};
use ntbench::apps::node::{Node, Region};
use ntbench::machine::NIC_IPV4;
use ntbench::ndk::trace::status_name;
use ntbench::ndk::{self, ConnectOptions};
use ntbench::wire::Impairment;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use xtask::peer::{Listen, Reply};

const PORT: u16 = 7700;
const LINUX: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)), PORT);

fn ours(port: u16) -> SocketAddr {
    (NIC_IPV4, port).into()
}

/// Judges with Linux: peer killed, peer rebooted
#[test]
fn a_peer_that_dies_ends_its_connections_and_comes_back() -> Result<()> {
    let mut bench = Bench::boot(&Setup {
        name: "linux-killed",
        mtus: &[1500],
        impairment: Impairment::default(),
    })?;
    step("a program that is killed", || program_killed(&bench))?;
    let node = step("a guest that is killed", || guest_killed(&mut bench))?;
    drop(node);
    bench.boot_linux()?;
    step("the rebooted guest", || program_killed(&bench))?;
    bench.finish(|_| Ok(()))
}

/// Linux's program is killed in the middle of a transfer; its kernel then disconnects.
fn program_killed(bench: &Bench) -> Result<()> {
    let (node, region) = transfer(bench, "kill -9 $!")?;
    await_disconnect(&node)?;
    drop(region);
    Ok(())
}

fn await_disconnect(node: &Node) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !node.is_disconnected() {
        ensure!(Instant::now() < deadline, "no disconnect event");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// QEMU is killed: nobody disconnects, and what we send is never acknowledged.
fn guest_killed(bench: &mut Bench) -> Result<Node> {
    let (mut node, region) = transfer(bench, "wait")?;
    bench.kill_linux();
    let sge = [region.sge(0, 64)];
    let status = node.qp.send(1, &sge, 0);
    ensure!(status == STATUS_SUCCESS, "NdkSend: {}", status_name(status));
    let status = node.qp.send(2, &sge, 0);
    ensure!(status == STATUS_SUCCESS, "NdkSend: {}", status_name(status));
    for expected in [STATUS_IO_TIMEOUT, STATUS_CANCELLED] {
        let result = node
            .sends
            .wait_for(1, LIMIT)
            .pop()
            .context("the send never completes")?;
        ensure!(
            result.status == expected,
            "it completes with {}",
            status_name(result.status)
        );
    }
    // The connection is lost: the consumer has been told, and has nobody to wait for when it disconnects.
    await_disconnect(&node)?;
    node.disconnect()?;
    Ok(node)
}

/// A connection from a program in the guest that wants a thousand messages and has got some; `then` is what the guest's shell
/// does a while after it has started.
fn transfer(bench: &Bench, then: &str) -> Result<(Node, Region)> {
    let incoming = bench.listen(ours(PORT))?;
    let client = format!("ucmatose -s {NIC_IPV4} -p {PORT} -C 1000 -S 1000");
    let running = bench.linux().start(&format!("{client} & sleep 3; {then}"))?;
    let mut node = Node::new(bench.ndk(), 64).context("the queues")?;
    let region = Region::new(&node.pd, 1000).context("the region")?;
    let connector = incoming.next_within(LIMIT).context("no connection comes")?;
    node.accept(connector)?;
    for _ in 0..10 {
        node.send(&region, 0, 1000)?;
    }
    drop(running);
    Ok((node, region))
}

/// Judges with Linux: reject by Linux, 1,000 connects
/// Judges functions: `NdkConnect`, `NdkCompleteConnect`, `NdkDisconnect`
/// Judges rule: a refused connect may be retried on the same connector and queue pair (NDKPI: `NdkConnect`)
#[test]
fn a_thousand_connects_and_disconnects() -> Result<()> {
    const CONNECTS: u32 = 1000;
    const AT_A_TIME: usize = 4;
    let bench = Bench::boot(&Setup {
        name: "linux-connects",
        mtus: &[1500],
        impairment: Impairment::default(),
    })?;
    step("rejects by Linux, retried on one connector", || refused(&bench))?;
    step("a thousand connects", || {
        let mut listener = bench.linux().listen(&Listen {
            addr: LINUX.ip(),
            port: PORT,
            reply: Reply::Accept(b"welcome".to_vec()),
            count: CONNECTS,
            timeout: LIMIT,
        })?;
        // Several at a time: most of a connect is waiting for the guest.
        let next = AtomicU32::new(0);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_A_TIME)
                .map(|_| scope.spawn(|| connect_until(bench.ndk(), &next, CONNECTS)))
                .collect();
            workers.into_iter().try_for_each(|worker| {
                let result = worker.join();
                result.map_err(|_| anyhow!("a panic"))?
            })
        })?;
        while listener.next_event(LIMIT)?.is_some() {}
        Ok(())
    })?;
    bench.finish(|_| Ok(()))
}

/// Connects and disconnects until all of them together have done it so often.
fn connect_until(ndk: &ndk::Adapter, next: &AtomicU32, connects: u32) -> Result<()> {
    loop {
        let connect = next.fetch_add(1, Ordering::Relaxed);
        if connect >= connects {
            return Ok(());
        }
        let mut node = Node::new(ndk, 4)?;
        node.connect(ndk, ours(0), LINUX, b"hello")
            .with_context(|| format!("connect {connect}"))?;
        node.disconnect()
            .with_context(|| format!("disconnect {connect}"))?;
    }
}

fn refused(bench: &Bench) -> Result<()> {
    const REJECTS: u32 = 3;
    let mut listener = bench.linux().listen(&Listen {
        addr: LINUX.ip(),
        port: PORT,
        reply: Reply::Reject(b"not today".to_vec()),
        count: REJECTS,
        timeout: LIMIT,
    })?;
    let node = Node::new(bench.ndk(), 4)?;
    let connector = bench
        .ndk()
        .create_connector()
        .map_err(|status| anyhow::anyhow!("NdkCreateConnector: {}", status_name(status)))?;
    for _ in 0..REJECTS {
        let status = connector
            .connect(&node.qp, ours(0), LINUX, &ConnectOptions::default())
            .err()
            .context("Linux has accepted")?;
        ensure!(
            status == STATUS_CONNECTION_REFUSED,
            "NdkConnect: {}",
            status_name(status)
        );
        let data = connector
            .connection_data()
            .map_err(|status| anyhow::anyhow!("NdkGetConnectionData: {}", status_name(status)))?;
        ensure!(
            data.private_data.starts_with(b"not today\0"),
            "the data is {:?}",
            data.private_data
        );
    }
    while listener.next_event(LIMIT)?.is_some() {}
    Ok(())
}
