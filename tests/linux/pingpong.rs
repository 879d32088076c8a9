//! `ibv_rc_pingpong` of libibverbs, either side as server.
//!
//! The program knows no connection manager: both sides tell each other over TCP where their queue pair is (number, first PSN and GID,
//! as text), connect it by themselves, and send one buffer back and forth. NDK has no such way, so that our side is a NIC of its
//! own on the wire, which the test drives by bytes, with the host's TCP stack beside it.

use crate::rig::MAILBOX;
use crate::side::{ALL_ACCESS, Cq, Qp, Request, Side};
use crate::support::{Bench, LINUX_IPV4, LINUX_IPV6, step};
use crate::tools::with_guest;
use anyhow::{Context, Result, anyhow, bail, ensure};
use ntbench::apps::AppError;
use ntbench::wire::nic::{self, Plugged};
use ntbench::wire::{HostStack, Hub};
use roce_wire::gid::Gid;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use vrnic_abi::cqe::{Cqe, WorkStatus};
use vrnic_abi::wqe::WorkOpcode;
use vrnic_device::NicConfig;
use xtask::peer::guest::Finished;

const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x77, 0x00, 0x30];
const IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 48);
const IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x30);
const PORT: u16 = 18515;
/// How long our side waits for anything: less than the guest, so that it is our side that tells what is missing.
const PATIENCE: Duration = Duration::from_secs(40);
/// Bytes of the buffer: several packets of any MTU.
const SIZE: usize = 12_000;
/// The program looks at the first byte of each page of the last message, with `-c`.
const PAGE: usize = 4096;
/// First PSN of our side: the 24-bit numbers wrap soon.
const OUR_PSN: u32 = 0xFF_FFF0;

/// Both families, both roles, and what the program says when the data is wrong.
pub fn both_ways(bench: &Bench, mtu: u16) -> Result<()> {
    let mut station = Station::plug_in(bench.machine.hub(), mtu)?;
    for (name, family) in [("IPv4", &V4), ("IPv6", &V6)] {
        step(&format!("ibv_rc_pingpong from Linux, {name}"), || {
            station.serve(bench, family, 20)
        })?;
        step(&format!("ibv_rc_pingpong to Linux, {name}"), || {
            let finished = station.ask(bench, family, 20, ping)?;
            ensure!(!finds_fault(&finished), "it prints {:#?}", finished.lines);
            Ok(())
        })?;
    }
    step("ibv_rc_pingpong to Linux, with wrong data", || {
        let finished = station.ask(bench, &V4, 2, |_| vec![0xEE; SIZE])?;
        ensure!(finds_fault(&finished), "it prints {:#?}", finished.lines);
        Ok(())
    })
}

/// The addresses of the RDMA traffic; the program's server does not listen on IPv6, so that TCP always takes IPv4.
pub struct Family {
    gid_index: u16,
    ours: IpAddr,
    theirs: IpAddr,
}

pub const V4: Family = Family {
    gid_index: 0,
    ours: IpAddr::V4(IPV4),
    theirs: IpAddr::V4(LINUX_IPV4),
};
pub const V6: Family = Family {
    gid_index: 1,
    ours: IpAddr::V6(IPV6),
    theirs: IpAddr::V6(LINUX_IPV6),
};

fn finds_fault(finished: &Finished) -> bool {
    finished.lines.iter().any(|line| line.starts_with("invalid data"))
}

/// Data of a message that differs from all others, and has the zeros that the program looks for.
pub fn ping(number: usize) -> Vec<u8> {
    let byte = |at: usize| match at % PAGE {
        0 => 0,
        _ => (at.wrapping_mul(31) ^ number).to_le_bytes()[0],
    };
    (0..SIZE).map(byte).collect()
}

/// Where a queue pair is: what the programs tell each other.
struct Place {
    qpn: u32,
    psn: u32,
    gid: [u8; 16],
}

impl Place {
    /// LID, queue pair number, PSN and GID in hexadecimal, and a zero byte.
    fn to_bytes(&self) -> Vec<u8> {
        let gid = u128::from_be_bytes(self.gid);
        format!("0000:{:06x}:{:06x}:{gid:032x}\0", self.qpn, self.psn).into_bytes()
    }

    fn read(stream: &mut impl Read) -> Result<Self> {
        let mut text = [0; 52];
        stream.read_exact(&mut text).context("where it is")?;
        let text = std::str::from_utf8(&text)?.trim_end_matches('\0');
        let place = || {
            let [_lid, qpn, psn, gid] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
            Some(Self {
                qpn: u32::from_str_radix(qpn, 16).ok()?,
                psn: u32::from_str_radix(psn, 16).ok()?,
                gid: u128::from_str_radix(gid, 16).ok()?.to_be_bytes(),
            })
        };
        place().with_context(|| format!("it says {text:?}"))
    }
}

/// A NIC on the wire, and its host's TCP.
pub struct Station {
    side: Side,
    host: Arc<HostStack>,
    mtu_log2: u8,
    buffer: u64,
    key: u32,
}

/// A connected queue pair with its completion queues.
struct Queues {
    qp: Qp,
    sends: Cq,
    receives: Cq,
}

impl Queues {
    fn place(&self, family: &Family) -> Place {
        Place {
            qpn: self.qp.qpn,
            psn: OUR_PSN,
            gid: Gid::from(family.ours).0,
        }
    }
}

impl Station {
    /// Plugs the NIC in.
    pub fn plug_in(hub: &Hub, mtu: u16) -> Result<Self> {
        let mut side = None;
        let Plugged { nic: _, host } = nic::plug_in(hub, "pingpong", MAC, |wire| {
            let config = NicConfig {
                mtu,
                ..NicConfig::new(MAC)
            };
            let side = side.insert(Side::on_wire(config, IPV4.into(), wire));
            Ok(Arc::clone(&side.rig.nic))
        })?;
        let mut side = side.context("no NIC was made")?;
        side.rig.set_gid(V6.gid_index, IPV6.into(), 0);
        ensure!(host.add_address(IPV4.into(), 24) && host.add_address(IPV6.into(), 64));
        let buffer = side.memory(SIZE);
        let key = side.register(buffer, SIZE, ALL_ACCESS);
        Ok(Self {
            side,
            host,
            mtu_log2: if mtu > 4200 { 12 } else { 10 },
            buffer,
            key,
        })
    }

    /// The program's options that are about the queue pairs.
    fn command(&self, bench: &Bench, family: &Family, count: usize) -> Result<String> {
        let gid_index = bench.linux().gid_index(family.theirs)?;
        let mtu = 1 << self.mtu_log2;
        Ok(format!(
            "ibv_rc_pingpong -c -g {gid_index} -m {mtu} -s {SIZE} -n {count} -r 16 -p {PORT}"
        ))
    }

    /// We are the server: each message of the client must be our answer to the one before.
    pub fn serve(&mut self, bench: &Bench, family: &Family, count: usize) -> Result<()> {
        let mut listener = self.host.listen(PORT)?;
        let command = format!("{} {IPV4}", self.command(bench, family, count)?);
        let (finished, ()) = with_guest(bench, &command, || {
            app(|| {
                let mut stream = listener.accept(PATIENCE)?;
                let theirs = Place::read(&mut stream)?;
                let mut queues = self.queues()?;
                // Connected before the client is told, because it begins at once.
                self.connect(&queues, family, &theirs)?;
                self.post_receive(&mut queues);
                stream.write_all(&queues.place(family).to_bytes())?;
                read_done(&mut stream)?;
                // What the program's memory has in the beginning, but for the zeros.
                let mut expected: Vec<u8> = (0..SIZE)
                    .map(|at| if at % PAGE == 0 { 0 } else { 0x7B })
                    .collect();
                for number in 0..count {
                    self.receive(&mut queues, &expected)
                        .with_context(|| format!("message {number}"))?;
                    expected = ping(number);
                    if number + 1 < count {
                        self.post_receive(&mut queues);
                    }
                    self.send(&mut queues, &expected)?;
                    // The client's program ends with the last message: its acknowledgement may be lost.
                    if number + 1 < count {
                        self.sent(&mut queues)?;
                    }
                }
                Ok(())
            })
        })?;
        expect_iterations(&finished, count)
    }

    /// We are the client: the server sends each message back. Returns what it prints.
    pub fn ask(
        &mut self,
        bench: &Bench,
        family: &Family,
        count: usize,
        data: impl Fn(usize) -> Vec<u8>,
    ) -> Result<Finished> {
        let command = self.command(bench, family, count)?;
        let (finished, ()) = with_guest(bench, &command, || {
            app(|| {
                let mut stream = self.call(SocketAddr::from((LINUX_IPV4, PORT)))?;
                let mut queues = self.queues()?;
                stream.write_all(&queues.place(family).to_bytes())?;
                let theirs = Place::read(&mut stream)?;
                stream.write_all(b"done\0")?;
                self.connect(&queues, family, &theirs)?;
                for number in 0..count {
                    let data = data(number);
                    self.post_receive(&mut queues);
                    self.send(&mut queues, &data)?;
                    self.receive(&mut queues, &data)
                        .with_context(|| format!("message {number}"))?;
                    if number + 1 < count {
                        self.sent(&mut queues)?;
                    }
                }
                Ok(())
            })
        })?;
        expect_iterations(&finished, count)?;
        Ok(finished)
    }

    /// Connects to a server that may not listen yet.
    fn call(&self, target: SocketAddr) -> Result<ntbench::wire::host::TcpStream> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.host.connect(target, Duration::from_secs(10)) {
                Ok(stream) => return Ok(stream),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn queues(&mut self) -> Result<Queues> {
        let (sends, receives) = (self.side.cq(5), self.side.cq(5));
        let mut attributes = self.side.qp_attributes(&sends);
        attributes.recv_cqn = receives.number.into();
        let qp = self.side.qp_with(&attributes);
        ensure!(qp.qpn > 1, "the queue pair is number {}", qp.qpn);
        Ok(Queues { qp, sends, receives })
    }

    fn connect(&mut self, queues: &Queues, family: &Family, theirs: &Place) -> Result<()> {
        ensure!(
            theirs.gid == Gid::from(family.theirs).0,
            "its GID is {:02x?}",
            theirs.gid
        );
        let station = self
            .host
            .resolve(family.ours, family.theirs, PATIENCE)
            .context("Linux does not answer ARP or neighbour discovery")?;
        let mut modify = Side::to_rts(&self.side, theirs.qpn);
        modify.path_mtu_log2 = self.mtu_log2;
        modify.rq_psn = theirs.psn.into();
        modify.sq_psn = OUR_PSN.into();
        modify.dst_mac = station.0;
        modify.dst_gid = theirs.gid;
        modify.gid_index = family.gid_index.into();
        self.side
            .modify(&queues.qp, &modify)
            .map_err(|error| anyhow!("MODIFY_QP (mailbox at {MAILBOX:#x}): {error:?}"))
    }

    fn element(&self) -> (u64, u32, u32) {
        (self.buffer, u32::try_from(SIZE).expect("it is short"), self.key)
    }

    fn post_receive(&self, queues: &mut Queues) {
        self.side.receive(&mut queues.qp, &[self.element()]);
        self.side.rig.kick();
    }

    fn send(&self, queues: &mut Queues, data: &[u8]) -> Result<()> {
        ensure!(data.len() == SIZE);
        self.side.rig.host.poke(self.buffer, data);
        let request = Request::new(WorkOpcode::SEND, &[], &[self.element()]);
        self.side.send(&mut queues.qp, &request);
        // The device's thread may sleep.
        self.side.rig.kick();
        Ok(())
    }

    fn sent(&self, queues: &mut Queues) -> Result<()> {
        self.completion(&mut queues.sends).context("a send").map(|_| ())
    }

    fn receive(&self, queues: &mut Queues, expected: &[u8]) -> Result<()> {
        let cqe = self.completion(&mut queues.receives).context("a receive")?;
        ensure!(cqe.byte_len.get() as usize == SIZE, "{} bytes come", cqe.byte_len);
        let data = self.side.rig.host.peek(self.buffer, SIZE);
        let wrong = data.iter().zip(expected).position(|(is, should)| is != should);
        ensure!(wrong.is_none(), "byte {wrong:?} is wrong");
        Ok(())
    }

    fn completion(&self, cq: &mut Cq) -> Result<Cqe> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(cqe) = self.side.poll_cq(cq) {
                self.side.consumed(cq);
                ensure!(
                    WorkStatus(cqe.status) == WorkStatus::OK,
                    "it completes with {cqe:?}"
                );
                return Ok(cqe);
            }
            if Instant::now() > deadline {
                bail!("no completion");
            }
            thread::sleep(Duration::from_micros(100));
        }
    }
}

/// The client's last word over TCP.
fn read_done(stream: &mut impl Read) -> Result<()> {
    let mut done = [0; 5];
    stream.read_exact(&mut done).context("the client's last word")?;
    ensure!(&done == b"done\0", "it says {done:?}");
    Ok(())
}

/// The error of our side as an application's.
fn app<T>(body: impl FnOnce() -> Result<T>) -> ntbench::apps::Result<T> {
    body().map_err(|error| AppError::Nonsense(format!("{error:#}")))
}

fn expect_iterations(finished: &Finished, count: usize) -> Result<()> {
    let expected = format!("{count} iters in ");
    let found = finished.lines.iter().any(|line| line.starts_with(&expected));
    ensure!(found, "it prints {:#?}", finished.lines);
    Ok(())
}
