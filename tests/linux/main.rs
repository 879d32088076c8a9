//! Linux as the judge: a Debian kernel with soft-RoCE, in QEMU on the NIC's wire, connects to the real `vrnic.sys`. tshark and
//! the ICRC then judge what was on the wire.
//!
//! One test, because the guest is booted once and the kernel of the bench is one as well; each step says what it is about.

use anyhow::{Context, Result, bail, ensure};
use ndk_sys::{STATUS_CONNECTION_ABORTED, STATUS_SUCCESS};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::machine::{Machine, MachineConfig, NIC_IPV4, NIC_IPV6, NIC_MAC, image_from_env, v4, v6};
use ntbench::ndk::{self, Connector, Incoming, VERSION_2_0};
use ntbench::wire::{DgramPort, Pcap};
use roce_wire::frame::{Frame, FrameError};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use xtask::peer::{ClientEvent, Connect, LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};
use xtask::{paths, tshark};

/// How long Linux may take for anything; under emulation on a busy machine a second is little.
const LIMIT: Duration = Duration::from_mins(1);
const PORT: u16 = 7500;
/// Linux's number for a consumer's reject.
const CONSUMER_DEFINED: i32 = 28;
/// Linux's number for nobody listening.
const INVALID_SERVICE_ID: i32 = 8;

struct Bench {
    // In the order in which they go down.
    linux: LinuxPeer,
    ndk: ndk::Adapter,
    machine: Machine,
    _port: DgramPort,
}

#[test]
fn linux_sees_what_the_consumer_decides() -> Result<()> {
    let dir = paths::run_dir("linux-test")?;
    let pcap_path = dir.join("run.pcap");
    let pcap = Arc::new(Pcap::create(&pcap_path)?);
    let bench = boot(&dir, &pcap)?;

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

    let Bench {
        linux,
        ndk,
        machine,
        _port,
    } = bench;
    drop(linux);
    drop(ndk);
    machine.stop();
    pcap.flush()?;
    step("tshark and the ICRC on all of that", || judge(&pcap_path))?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn step(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("  {name}");
    body().with_context(|| name.to_owned())
}

fn boot(dir: &Path, pcap: &Arc<Pcap>) -> Result<Bench> {
    let sys = image_from_env().map_err(anyhow::Error::msg)?;
    let machine = Machine::start(MachineConfig::new(sys))?;
    machine.hub().tap(pcap.clone());
    let port = DgramPort::attach(
        machine.hub(),
        "linux",
        &dir.join("host.sock"),
        &dir.join("guest.sock"),
    )?;
    let neighbours = [NIC_IPV4.into(), NIC_IPV6.into()].map(|ip| Neighbour { ip, mac: NIC_MAC });
    let linux = LinuxPeer::boot(
        &PeerFiles::prepared()?,
        &PeerConfig::new(Wire::in_dir(dir), neighbours.into()),
    )?;
    let ndk = machine
        .open_ndk(VERSION_2_0)
        .map_err(|status| anyhow::anyhow!("NDK does not open: {status:#x}"))?;
    Ok(Bench {
        linux,
        ndk,
        machine,
        _port: port,
    })
}

impl Bench {
    fn listen(&self, address: SocketAddr) -> Result<Incoming> {
        Incoming::listen(&self.ndk, address)
            .map_err(|status| anyhow::anyhow!("NdkListen failed: {status:#x}"))
    }
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
            let linux = bench.linux.start_connect(&request(target))?;
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
    let linux = bench.linux.start_connect(&Connect {
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
    let event = only(bench.linux.connect(&request(v4(PORT + 1)))?)?;
    assert_rejected(&event, INVALID_SERVICE_ID, &[])
}

fn implicit_reject(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let linux = bench.linux.start_connect(&request(v4(PORT)))?;
    next(&incoming)?.close();
    assert_rejected(&only(linux.events()?)?, CONSUMER_DEFINED, &[])
}

fn slow_consumer(bench: &Bench) -> Result<()> {
    let incoming = bench.listen(v4(PORT))?;
    let linux = bench.linux.start_connect(&request(v4(PORT)))?;
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
    let linux = bench.linux.start_connect(&Connect {
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
            bench.linux.start_connect(&Connect {
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

/// What others say of the capture: nothing is malformed, each REJ is what was asked for, and every ICRC is right.
fn judge(pcap: &Path) -> Result<()> {
    tshark::assert_clean(pcap)?;
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
    check_icrcs(pcap)
}

fn check_icrcs(pcap: &Path) -> Result<()> {
    let bytes = std::fs::read(pcap)?;
    let (mut at, mut checked) = (24, 0);
    while let Some(header) = bytes.get(at..at + 16) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let frame = bytes
            .get(at + 16..at + 16 + length)
            .context("the capture is cut off")?;
        match Frame::parse(frame) {
            Ok(_) => checked += 1,
            Err(FrameError::NotRoce(_)) => {}
            Err(error) => bail!("frame at byte {at}: {error:?}"),
        }
        at += 16 + length;
    }
    ensure!(checked >= 60, "only {checked} RoCEv2 frames");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
