//! Checksums that Linux looks at: its counters, frames whose checksums are wrong, and frames whose checksums are left to the NIC.

use super::Bench;
use crate::support::{LIMIT, LINUX_IPV4, LINUX_IPV6};
use anyhow::{Context, Result, ensure};
use ndk_sys::{
    Ieee8021QNetBufferListInfo, NDIS_NET_BUFFER_LIST_8021Q_INFO, NDIS_STATUS_SUCCESS,
    TcpIpChecksumNetBufferListInfo,
};
use ntbench::ndis::frame::{self, Headers, TCP, UDP};
use ntbench::ndis::packet::{Layout, SendList};
use ntbench::ndis::protocol;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};
use xtask::peer::LinuxPeer;

/// The port (or identification) that these frames come from, and nothing else.
pub const PORT: u16 = 666;
/// Nobody listens there: Linux counts what comes, and answers.
const NOBODY: u16 = 9;
/// The priority that some frames have.
pub const PRIORITY: u32 = 5;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The guest's counters of IP, ICMP, TCP and UDP, by protocol and name.
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    pub fn of(linux: &LinuxPeer) -> Result<Self> {
        let printed = linux.run("cat /proc/net/snmp /proc/net/netstat /proc/net/snmp6", LIMIT)?;
        let mut counters = BTreeMap::new();
        let mut names = Vec::new();
        for line in &printed.lines {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or_default();
            let words: Vec<&str> = words.collect();
            if !first.ends_with(':') {
                // One counter of IPv6 on a line.
                let value = words.first().and_then(|value| value.parse().ok());
                counters.insert(first.to_owned(), value.unwrap_or(0));
            } else if words.iter().all(|word| word.parse::<i64>().is_ok()) {
                let values = words.iter().map(|word| word.parse().unwrap_or(0));
                counters.extend(std::mem::take(&mut names).into_iter().zip(values));
            } else {
                names = words.iter().map(|word| format!("{first}{word}")).collect();
            }
        }
        let this = Self(counters);
        ensure!(
            this.wrong().len() >= 6,
            "Linux counts no wrong checksums: {:?}",
            this.0
        );
        Ok(this)
    }

    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The counters of wrong checksums.
    fn wrong(&self) -> BTreeMap<&str, u64> {
        let wrong = self.0.iter().filter(|(name, _)| name.ends_with("CsumErrors"));
        wrong.map(|(name, value)| (name.as_str(), *value)).collect()
    }

    /// Linux has found no wrong checksum since `before`.
    pub fn ensure_no_error_since(&self, before: &Self) -> Result<()> {
        let (now, then) = (self.wrong(), before.wrong());
        ensure!(
            now == then,
            "Linux has counted wrong checksums: {now:?}, before: {then:?}"
        );
        Ok(())
    }
}

/// The guest's Ethernet device computes and checks none: feature bits 0 and 1 of virtio's network devices (`VIRTIO_NET_F_CSUM`,
/// `VIRTIO_NET_F_GUEST_CSUM`), without which its driver has nothing to switch off.
pub fn ensure_unaided(linux: &LinuxPeer) -> Result<()> {
    let features = linux.run("cat /sys/class/net/eth0/device/features", LIMIT)?;
    let bits = features.lines.first().context("the device has no features")?;
    ensure!(
        bits.starts_with("00") && bits.contains('1'),
        "its features are {bits}"
    );
    Ok(())
}

/// A frame with a wrong checksum, and the counter of Linux's that notices.
pub struct Damaged {
    v6: bool,
    protocol: u8,
    /// The checksum of the IP header instead of that of what follows.
    header: bool,
    counter: &'static str,
}

impl Damaged {
    const fn new(v6: bool, protocol: u8, header: bool, counter: &'static str) -> Self {
        Self {
            v6,
            protocol,
            header,
            counter,
        }
    }
}

/// One of each.
pub const DAMAGED: [Damaged; 7] = [
    Damaged::new(false, UDP, true, "IpExt:InCsumErrors"),
    Damaged::new(false, TCP, false, "Tcp:InCsumErrors"),
    Damaged::new(false, UDP, false, "Udp:InCsumErrors"),
    Damaged::new(false, ICMP, false, "Icmp:InCsumErrors"),
    Damaged::new(true, TCP, false, "Tcp:InCsumErrors"),
    Damaged::new(true, UDP, false, "Udp6InCsumErrors"),
    Damaged::new(true, ICMPV6, false, "Icmp6InCsumErrors"),
];

/// Frames with wrong checksums leave as they are, and Linux notices each: so it would have noticed others.
pub fn damaged_are_counted(bench: &Bench<'_>) -> Result<()> {
    for damaged in &DAMAGED {
        let mut frame = packet(bench, damaged.v6, damaged.protocol, 301)?;
        let headers = Headers::of(&frame).context("it is no IP packet")?;
        let at = match damaged.protocol {
            _ if damaged.header => headers.ip + 10,
            TCP => headers.transport + 16,
            UDP => headers.transport + 6,
            _ => headers.transport + 2,
        };
        frame[at] ^= 0x21;
        let before = Counters::of(bench.linux)?;
        send(bench, &[plain(frame)])?;
        let expected = before.get(damaged.counter) + 1;
        let mut wrong = before.wrong();
        wrong.insert(damaged.counter, expected);
        let now = await_counter(bench.linux, damaged.counter, expected)?;
        ensure!(
            now.wrong() == wrong,
            "Linux counts {:?}, and not {wrong:?}",
            now.wrong()
        );
    }
    Ok(())
}

/// Frames whose checksums are left to the NIC, of many lengths: Linux takes each. Some have a priority tag.
pub fn left_are_computed(bench: &Bench<'_>) -> Result<()> {
    let longest = usize::from(bench.variant.mtu) - 60;
    let lengths = [0, 1, 2, 3, 63, 64, 65, 511, 1400, longest - 1, longest];
    for (v6, protocol, counter) in [
        (false, TCP, "Tcp:OutRsts"),
        (false, UDP, "Udp:NoPorts"),
        (true, TCP, "Tcp:OutRsts"),
        (true, UDP, "Udp6NoPorts"),
    ] {
        let before = Counters::of(bench.linux)?;
        let mut lists = Vec::new();
        for (turn, &length) in lengths.iter().enumerate() {
            let mut frame = packet(bench, v6, protocol, length)?;
            let headers = Headers::of(&frame).context("it is no IP packet")?;
            let left = frame::Left {
                ip4: true,
                transport: true,
                large: false,
            };
            frame::seed_checksums(&mut frame, left);
            let tcp = protocol == TCP;
            let info = protocol::checksums(&headers, !v6, tcp, !tcp);
            let mut list = plain(frame);
            list.layout = Layout::varied(turn);
            list.info.push((TcpIpChecksumNetBufferListInfo, info));
            if turn.is_multiple_of(2) {
                list.info.push((Ieee8021QNetBufferListInfo, priority()));
            }
            lists.push(list);
        }
        send(bench, &lists)?;
        let expected = before.get(counter) + lengths.len() as u64;
        let now = await_counter(bench.linux, counter, expected)?;
        ensure!(
            now.get(counter) == expected,
            "{counter} is {}, not {expected}",
            now.get(counter)
        );
        now.ensure_no_error_since(&before)?;
    }
    Ok(())
}

/// Out-of-band data for [`PRIORITY`] and no VLAN.
fn priority() -> u64 {
    let mut info = NDIS_NET_BUFFER_LIST_8021Q_INFO::zeroed();
    info.set_UserPriority(PRIORITY.into());
    info.Value as u64
}

fn plain(frame: Vec<u8>) -> SendList {
    SendList {
        frames: vec![frame],
        ..SendList::default()
    }
}

/// Sends lists through the driver.
fn send(bench: &Bench<'_>, lists: &[SendList]) -> Result<()> {
    let numbers = bench.miniport.send_lists(lists);
    let sent = bench
        .miniport
        .wait_sent(&numbers, LIMIT)
        .context("not all lists have come back")?;
    ensure!(
        sent.iter().all(|sent| sent.status == NDIS_STATUS_SUCCESS),
        "not all frames are sent: {sent:?}"
    );
    Ok(())
}

/// The guest's counters when the one with that name has reached `value`.
fn await_counter(linux: &LinuxPeer, name: &str, value: u64) -> Result<Counters> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let counters = Counters::of(linux)?;
        let now = counters.get(name);
        if now >= value {
            return Ok(counters);
        }
        ensure!(
            Instant::now() < deadline,
            "Linux's {name} is {now}, and not {value}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A packet to Linux with right checksums of IP, TCP and UDP, and that many bytes of payload.
fn packet(bench: &Bench<'_>, v6: bool, protocol: u8, payload: usize) -> Result<Vec<u8>> {
    let mut body = match protocol {
        TCP => {
            let mut header = [PORT.to_be_bytes(), NOBODY.to_be_bytes()].concat();
            // Sequence, acknowledged, 20 bytes of header, ACK, window, checksum, urgent.
            header.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
            header
        }
        UDP => {
            let length = u16::try_from(payload + 8)?.to_be_bytes();
            let header = [PORT.to_be_bytes(), NOBODY.to_be_bytes(), length, [0, 0]];
            header.concat()
        }
        // An echo request.
        _ => {
            let kind = if v6 { 128 } else { 8 };
            [[kind, 0], [0, 0], PORT.to_be_bytes(), [0, 1]].concat()
        }
    };
    body.extend((0..payload).map(|at| at.to_le_bytes()[0]));
    let setup = bench.variant.setup();
    let to = [0x52, 0x54, 0, 0x77, 0, 2];
    let length = u16::try_from(body.len())?;
    let ours = setup.addresses[usize::from(v6)].0;
    let mut frame = match ours {
        IpAddr::V4(ours) => {
            let total = (length + 20).to_be_bytes();
            let header = [
                0x45, 0, total[0], total[1], 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0,
            ];
            let addresses = [ours.octets(), LINUX_IPV4.octets()].concat();
            [&to[..], &setup.nic.mac, &[8, 0], &header, &addresses].concat()
        }
        IpAddr::V6(ours) => {
            let length = length.to_be_bytes();
            let header = [0x60, 0, 0, 0, length[0], length[1], protocol, 64];
            let addresses = [ours.octets(), LINUX_IPV6.octets()].concat();
            [&to[..], &setup.nic.mac, &[0x86, 0xDD], &header, &addresses].concat()
        }
    };
    frame.extend(body);
    frame::fill_checksums(&mut frame);
    Ok(frame)
}
