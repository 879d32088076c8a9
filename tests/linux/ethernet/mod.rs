//! Ordinary IP traffic with Linux through the driver's Ethernet queues, while RDMA runs between the same two: ping, and iperf3 both ways,
//! over IPv4 and IPv6, with and without offloads, with an MTU of 1500 and of 9000.
//!
//! The IP stack of our side is bound to the miniport as TCPIP is on Windows. Linux knows no neighbour beforehand: it asks.

mod capture;
mod checksums;
mod stream;

use crate::support::{LIMIT, LINUX_IPV4, LINUX_IPV6, step};
use anyhow::{Context, Result, anyhow, ensure};
use checksums::Counters;
use ntbench::apps::iperf;
use ntbench::machine::{AdapterSetup, Machine, MachineConfig, image_from_env};
use ntbench::ndis::Miniport;
use ntbench::ndis::adapter::Keyword;
use ntbench::ndk::{self, VERSION_2_0};
use ntbench::wire::{DgramPort, HostStack, Pcap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use xtask::paths;
use xtask::peer::{LinuxPeer, PeerConfig, PeerFiles, Wire};

/// Bytes that iperf3 carries each way.
const BYTES: u64 = 1 << 20;
/// How often each size is pinged.
const PINGS: usize = 2;

/// An adapter of the test.
#[derive(Clone, Copy)]
struct Variant {
    number: u8,
    mtu: u16,
    offloads: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant::new(0, 1500, true),
    Variant::new(1, 1500, false),
    Variant::new(2, 9000, true),
    Variant::new(3, 9000, false),
];

/// The keywords that switch offloads off.
const OFFLOADS: [&str; 8] = [
    "*IPChecksumOffloadIPv4",
    "*TCPChecksumOffloadIPv4",
    "*TCPChecksumOffloadIPv6",
    "*UDPChecksumOffloadIPv4",
    "*UDPChecksumOffloadIPv6",
    "*LsoV2IPv4",
    "*LsoV2IPv6",
    "*RSS",
];

impl Variant {
    const fn new(number: u8, mtu: u16, offloads: bool) -> Self {
        Self {
            number,
            mtu,
            offloads,
        }
    }

    fn setup(self) -> AdapterSetup {
        let mut setup = AdapterSetup::numbered(self.number);
        setup.nic.mtu = self.mtu;
        let mut set = |name: &str, value: u16| {
            setup
                .keywords
                .insert(name.into(), Keyword::Text(value.to_string()));
        };
        set("*JumboPacket", self.mtu + 14);
        if !self.offloads {
            for name in OFFLOADS {
                set(name, 0);
            }
        }
        setup
    }

    fn station(self) -> [u8; 6] {
        self.setup().nic.mac
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.offloads { "with" } else { "without" };
        write!(f, "MTU {}, {with} offloads", self.mtu)
    }
}

/// An adapter, and Linux.
struct Bench<'a> {
    variant: Variant,
    linux: &'a LinuxPeer,
    miniport: &'a Miniport,
    host: &'a HostStack,
    ndk: &'a ndk::Adapter,
}

/// Judges with Linux: ping, iperf3, IPv6, IP fragments, Ethernet MTU 1500, Ethernet MTU 9000, with offloads, without offloads, checksums, IP while RDMA runs
#[test]
fn linux_pings_us_and_iperf3_runs_both_ways() -> Result<()> {
    let dir = paths::run_dir("linux-ethernet")?;
    let pcap = Arc::new(Pcap::create(&dir.join("run.pcap"))?);
    let image = image_from_env().map_err(anyhow::Error::msg)?;
    let adapters = VARIANTS.map(Variant::setup).into();
    let machine = Machine::start(MachineConfig::with_adapters(image, adapters))?;
    machine.hub().tap(pcap.clone());
    let wire = Wire::in_dir(&dir);
    let port = DgramPort::attach(machine.hub(), "linux", &wire.host, &wire.guest)?;
    let config = PeerConfig {
        mtu: 9000,
        ..PeerConfig::new(wire, Vec::new())
    };
    let linux = LinuxPeer::boot(&PeerFiles::prepared()?, &config)?;
    step("Linux computes and checks all checksums by itself", || {
        checksums::ensure_unaided(&linux)
    })?;
    for (at, variant) in VARIANTS.into_iter().enumerate() {
        let ndk = machine
            .open_ndk_on(at, VERSION_2_0)
            .map_err(|status| anyhow!("NDK does not open: {status:#x}"))?;
        let bench = Bench {
            variant,
            linux: &linux,
            miniport: machine.adapters()[at].miniport(),
            host: &machine.hosts()[at],
            ndk: &ndk,
        };
        step(&variant.to_string(), || bench.try_all())?;
    }
    step("ping to nobody", || {
        let answered = pings_answered(&linux, "10.77.0.99", &[56], 1)?;
        ensure!(answered == [0], "{answered:?} answers");
        Ok(())
    })?;

    drop(linux);
    machine.stop();
    drop(port);
    pcap.flush()?;
    step("tshark on all of that", || capture::judge(&dir.join("run.pcap")))?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

impl Bench<'_> {
    fn try_all(&self) -> Result<()> {
        self.linux.set_mtu(self.variant.mtu)?;
        self.check_offers()?;
        let before = Counters::of(self.linux)?;
        let large = self.miniport.sends().large();
        let addresses = self.variant.setup().addresses;
        for ((ours, _), theirs) in addresses.into_iter().zip([LINUX_IPV4.into(), LINUX_IPV6.into()]) {
            stream::during(self.linux, self.ndk, (ours, theirs), |pings| {
                pings.during(&format!("ping to {ours}"), || self.ping(ours))?;
                for (direction, option) in [("from", ""), ("to", "-R")] {
                    pings.during(&format!("iperf3 {direction} Linux, with {ours}"), || {
                        self.run_iperf3(ours, option)
                    })?;
                }
                Ok(())
            })?;
        }
        let large = self.miniport.sends().large() - large;
        ensure!(
            (large != 0) == self.variant.offloads,
            "{large} large sends were made"
        );
        Counters::of(self.linux)?.ensure_no_error_since(&before)?;
        step("checksums that are wrong on purpose", || {
            checksums::damaged_are_counted(self)
        })?;
        if self.variant.offloads {
            step("checksums that are left to the NIC", || {
                checksums::left_are_computed(self)
            })?;
        }
        Ok(())
    }

    /// The adapter offers what it was told to offer.
    fn check_offers(&self) -> Result<()> {
        let offers = self
            .miniport
            .attributes()
            .offload
            .context("no attributes")?
            .current;
        let (four, six) = (&offers.Checksum.IPv4Transmit, &offers.Checksum.IPv6Transmit);
        let offered = [
            four.IpChecksum(),
            four.TcpChecksum(),
            four.UdpChecksum(),
            six.TcpChecksum(),
            six.UdpChecksum(),
            offers.LsoV2.IPv4.MaxOffLoadSize.into(),
            offers.LsoV2.IPv6.MaxOffLoadSize.into(),
        ];
        ensure!(
            offered.iter().all(|&one| (one != 0) == self.variant.offloads),
            "the adapter offers {offered:?}"
        );
        Ok(())
    }

    /// Small ones, the largest that fit a frame, and over IPv4 larger ones: our stack has no fragments of IPv6.
    fn ping(&self, target: IpAddr) -> Result<()> {
        let mtu = usize::from(self.variant.mtu);
        let sizes = match target {
            IpAddr::V4(_) => vec![56, 1001, mtu - 28, 2 * mtu + 101],
            IpAddr::V6(_) => vec![56, 1001, mtu - 48],
        };
        let answered = pings_answered(self.linux, &target.to_string(), &sizes, PINGS)?;
        ensure!(
            answered.iter().all(|&answered| answered == PINGS),
            "of {PINGS} pings of {sizes:?} bytes each, {answered:?} are answered"
        );
        Ok(())
    }

    /// One test against our server: both sides must have counted the same.
    fn run_iperf3(&self, ours: IpAddr, options: &str) -> Result<()> {
        let mut listener = self.host.listen(iperf::PORT)?;
        let command = format!("iperf3 -c {ours} {options} -n {BYTES} -J --connect-timeout 20000");
        let running = self.linux.start(&command)?;
        let carried = iperf::serve(&mut listener, LIMIT);
        let finished = running.finish(LIMIT)?;
        let printed = finished.lines.join("\n");
        let carried = carried.with_context(|| format!("our side of `{command}`, which printed {printed}"))?;
        ensure!(finished.code == 0, "`{command}` fails: {printed}");
        ensure!(carried >= BYTES, "our side has counted {carried} bytes");
        let count = |sum: &str| {
            let (_, sum) = printed.split_once(&format!("\"{sum}\":"))?;
            let (_, bytes) = sum.split_once("\"bytes\":")?;
            let end = bytes.find([',', '\n', '}'])?;
            bytes[..end].trim().parse::<u64>().ok()
        };
        let (sent, received) = (count("sum_sent"), count("sum_received"));
        ensure!(
            [sent, received]
                .iter()
                .all(|bytes| bytes.is_some_and(|bytes| bytes >= BYTES)),
            "iperf3 counts {sent:?} and {received:?} bytes: {printed}"
        );
        Ok(())
    }
}

/// How many pings of each size are answered. One after another: the socket of each program gets the answers to all programs, and has
/// room for few that are larger than its own.
fn pings_answered(linux: &LinuxPeer, target: &str, sizes: &[usize], count: usize) -> Result<Vec<usize>> {
    let pings = sizes
        .iter()
        .flat_map(|size| std::iter::repeat_n(format!("ping -c 1 -W 5 -s {size} {target};"), count));
    let finished = linux.run(&pings.collect::<String>(), LIMIT)?;
    let answers = |size: &usize| {
        let start = format!("{} bytes from", size + 8);
        finished
            .lines
            .iter()
            .filter(|line| line.starts_with(&start))
            .count()
    };
    Ok(sizes.iter().map(answers).collect())
}
