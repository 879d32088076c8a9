//! What a consumer rejects, in every way, as Linux sees it.
//!
//! One test, because the guest is booted once and the kernel of the bench is one as well; each step says what it is about.

use crate::support::{Bench, LIMIT, Setup, step};
use anyhow::{Context, Result, bail, ensure};
use ndk_sys::{STATUS_CONNECTION_ABORTED, STATUS_SUCCESS};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::machine::{v4, v6};
use ntbench::ndk::{Connector, Incoming};
use ntbench::wire::Impairment;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use xtask::peer::{ClientEvent, Connect};
use xtask::tshark;

const PORT: u16 = 7500;
/// Linux's number for a consumer's reject.
const CONSUMER_DEFINED: i32 = 28;
/// Linux's number for nobody listening.
const INVALID_SERVICE_ID: i32 = 8;

/// Judges with Linux: reject by us, IPv6
/// Judges functions: `NdkReject`, `NdkListen`, `NdkGetConnectionData`
#[test]
fn linux_sees_what_the_consumer_decides() -> Result<()> {
    let bench = Bench::boot(&Setup {
        name: "linux-reject",
        mtus: &[1500],
        impairment: Impairment::default(),
    })?;

    step(
        "private data of 0, 1, 147 and 148 bytes, both families, both IRQLs",
        || private_data(&bench),
    )?;
    step("the request's own private data", || request_data(&bench))?;
    step("a port that nobody listens on", || closed_port(&bench))?;
    step("a connector that is closed", || implicit_reject(&bench))?;
    step("a consumer that takes longer than Linux's patience", || {
        slow_consumer(&bench)
    })?;
    step("a Linux that gives up", || gives_up(&bench))?;
    step("twenty clients at once", || many_clients(&bench))?;

    bench.finish(judge)
}

fn next(incoming: &Incoming) -> Result<Connector> {
    incoming
        .next_within(LIMIT)
        .context("no connection request arrives")
}

fn request(target: SocketAddr) -> Connect {
    Connect::new(target.ip(), target.port())
}

fn pattern(length: usize) -> Vec<u8> {
    (1..=length)
        .map(|at| u8::try_from(at % 251 + 1).expect("below 256"))
        .collect()
}

/// Checks that Linux reports a reject with that status and exactly that private data: it hands out the whole field.
fn assert_rejected(event: &ClientEvent, status: i32, data: &[u8]) -> Result<()> {
    let mut field = data.to_vec();
    field.resize(148, 0);
    ensure!(
        event.event == "RDMA_CM_EVENT_REJECTED" && event.status == status,
        "Linux reports {event:?}"
    );
    ensure!(event.data == field, "the private data is {:?}", event.data);
    Ok(())
}

fn only(events: Vec<ClientEvent>) -> Result<ClientEvent> {
    match <[ClientEvent; 1]>::try_from(events) {
        Ok([event]) => Ok(event),
        Err(events) => bail!("not one event: {events:?}"),
    }
}

fn private_data(bench: &Bench) -> Result<()> {
    for target in [v4(PORT), v6(PORT)] {
        let incoming = bench.listen(target)?;
        for (length, irql) in [
            (0, PASSIVE_LEVEL),
            (1, DISPATCH_LEVEL),
            (147, PASSIVE_LEVEL),
            (148, DISPATCH_LEVEL),
        ] {
            let linux = bench.linux().start_connect(&request(target))?;
            let connector = next(&incoming)?;
            let data = pattern(length);
            let status = bench.machine.kernel().run_at(irql, 0, || connector.reject(&data));
            ensure!(status == STATUS_SUCCESS, "NdkReject: {status:#x}");
            assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, &data)?;
        }
    }
    Ok(())
}

fn request_data(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let sent = pattern(56);
    let linux = bench.linux().start_connect(&Connect {
        data: sent.clone(),
        ..request(v4(PORT))
    })?;
    let connector = next(&incoming)?;
    let data = connector
        .connection_data()
        .map_err(|status| anyhow::anyhow!("{status:#x}"))?;
    ensure!(
        data.private_data == sent,
        "the consumer reads {:?}",
        data.private_data
    );
    let peer = connector
        .peer_address()
        .map_err(|status| anyhow::anyhow!("{status:#x}"))?;
    ensure!(peer.ip().to_string() == "10.77.0.2", "the peer is {peer}");
    ensure!(connector.reject(&data.private_data) == STATUS_SUCCESS);
    assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, &sent)
}

fn closed_port(bench: &Bench) -> Result<()> {
    let event = only(bench.linux().connect(&request(v4(PORT + 1)))?)?;
    assert_rejected(&event, INVALID_SERVICE_ID, &[])
}

fn implicit_reject(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let linux = bench.linux().start_connect(&request(v4(PORT)))?;
    next(&incoming)?.close();
    assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, &[])
}

fn slow_consumer(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let linux = bench.linux().start_connect(&request(v4(PORT)))?;
    let connector = next(&incoming)?;
    // Linux repeats a request after about four seconds; an MRA must keep it waiting, and not become a second event.
    ensure!(
        incoming.next_within(Duration::from_secs(10)).is_none(),
        "a repeated request is no new one"
    );
    ensure!(connector.reject(b"sorry for the wait") == STATUS_SUCCESS);
    assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, b"sorry for the wait")
}

fn gives_up(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let give_up = Some(Duration::from_secs(1));
    let linux = bench.linux().start_connect(&Connect {
        give_up,
        ..request(v4(PORT))
    })?;
    let connector = next(&incoming)?;
    let event = only(linux.events()?)?;
    ensure!(event.event == "GAVE_UP", "Linux reports {event:?}");
    ensure!(bench.machine.hub().settle(LIMIT), "the wire does not settle");
    bench.machine.kernel().settle();
    let status = connector.reject(b"too late");
    ensure!(status == STATUS_CONNECTION_ABORTED, "NdkReject: {status:#x}");
    Ok(())
}

fn many_clients(bench: &Bench) -> Result<()> {
    const CLIENTS: u8 = 20;
    let incoming = bench.listen(v4(PORT))?;
    let started: Result<Vec<_>> = (0..CLIENTS)
        .map(|client| {
            bench.linux().start_connect(&Connect {
                data: vec![client + 1],
                ..request(v4(PORT))
            })
        })
        .collect();
    for _ in 0..CLIENTS {
        let connector = next(&incoming)?;
        let data = connector
            .connection_data()
            .map_err(|status| anyhow::anyhow!("{status:#x}"))?
            .private_data;
        ensure!(connector.reject(&data[..1]) == STATUS_SUCCESS);
    }
    for (client, linux) in (1..).zip(started?) {
        assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, &[client])?;
    }
    Ok(())
}

/// What others say of the capture: each REJ is what was asked for.
fn judge(pcap: &Path) -> Result<()> {
    let fields = [
        "infiniband.cm.rej.reason",
        "infiniband.cm.rej.msgrej",
        "infiniband.cm.rej.private",
        "ip.src",
    ];
    let rejects = tshark::decode(
        pcap,
        "infiniband.mad.attributeid == 0x0012 && eth.src == 52:54:00:77:00:09",
        &fields,
    )?;
    let reasons: BTreeSet<_> = rejects
        .iter()
        .flat_map(|row| row["infiniband.cm.rej.reason"].clone())
        .collect();
    ensure!(
        rejects.len() >= 30,
        "tshark sees {} rejects of ours",
        rejects.len()
    );
    ensure!(
        reasons
            .iter()
            .any(|reason| reason.contains("28") || reason == "0x001c"),
        "tshark sees the reasons {reasons:?}"
    );
    let longest = hex(&pattern(148));
    let carried = |row: &tshark::Row| {
        row["infiniband.cm.rej.private"]
            .iter()
            .any(|data| data.replace(':', "") == longest)
    };
    ensure!(
        rejects.iter().any(carried),
        "tshark sees the private data of 148 bytes"
    );
    let messages = tshark::decode(pcap, "infiniband.mad.attributeid == 0x0011", &["frame.number"])?;
    ensure!(
        !messages.is_empty(),
        "the slow consumer's peer was told to wait by an MRA"
    );
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
