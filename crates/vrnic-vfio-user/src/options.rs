//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use roce_wire::eth::MacAddr;

/// What to serve.
#[derive(Debug)]
pub struct Options {
    /// The socket of the first NIC.
    pub socket: Option<PathBuf>,
    /// The first NIC's Ethernet address.
    pub mac: [u8; 6],
    /// More NICs.
    pub nic: Vec<NicOptions>,
    /// What the switch is connected to.
    pub wire: Vec<WireOptions>,
    /// Where everything that crosses the switch is recorded.
    pub pcap: Option<PathBuf>,
}

/// The command line.
#[must_use]
pub fn command() -> Command {
    Command::new("vrnic-vfio-user")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves emulated RDMA NICs to QEMU over vfio-user")
        .after_help("All NICs and wires of one process are on one Ethernet switch.")
        .args([
            Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .required_unless_present("nic")
                .value_parser(value_parser!(PathBuf))
                .help("The socket of the first NIC, to which QEMU connects"),
            Arg::new("mac")
                .long("mac")
                .default_value("52:54:00:77:00:09")
                .value_parser(parse_mac)
                .help("The first NIC's Ethernet address"),
            Arg::new("nic")
                .long("nic")
                .action(ArgAction::Append)
                .value_parser(value_parser!(NicOptions))
                .help("One more NIC: socket=PATH[,mac=MAC][,mtu=BYTES][,pcap=FILE]"),
            Arg::new("wire")
                .long("wire")
                .action(ArgAction::Append)
                .value_parser(value_parser!(WireOptions))
                .help(
                    "What the switch is connected to: dgram:LOCAL,REMOTE (QEMU's -netdev dgram with unix \
                     sockets), listen:PATH or connect:PATH (-netdev stream), tap:NAME",
                ),
            Arg::new("pcap")
                .long("pcap")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Record everything that crosses the switch"),
        ])
}

impl From<&ArgMatches> for Options {
    fn from(matches: &ArgMatches) -> Self {
        Self {
            socket: matches.get_one("socket").cloned(),
            mac: matches.get_one("mac").copied().unwrap_or_default(),
            nic: matches.get_many("nic").unwrap_or_default().cloned().collect(),
            wire: matches.get_many("wire").unwrap_or_default().cloned().collect(),
            pcap: matches.get_one("pcap").cloned(),
        }
    }
}

/// A NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicOptions {
    /// Where QEMU connects.
    pub socket: PathBuf,
    /// Its address; by default the first NIC's with the last byte counted up.
    pub mac: Option<[u8; 6]>,
    /// Largest Ethernet payload.
    pub mtu: Option<u16>,
    /// Where what crosses its port is recorded.
    pub pcap: Option<PathBuf>,
}

impl FromStr for NicOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut socket = None;
        let mut nic = Self {
            socket: PathBuf::new(),
            mac: None,
            mtu: None,
            pcap: None,
        };
        for option in text.split(',') {
            match option.split_once('=') {
                Some(("socket", path)) => socket = Some(path.into()),
                Some(("mac", mac)) => nic.mac = Some(parse_mac(mac)?),
                Some(("mtu", mtu)) => {
                    nic.mtu = Some(mtu.parse().map_err(|_| format!("{mtu} is no MTU"))?);
                }
                Some(("pcap", path)) => nic.pcap = Some(path.into()),
                _ => return Err(format!("`{option}` is none of socket=, mac=, mtu=, pcap=")),
            }
        }
        nic.socket = socket.ok_or("socket=PATH is missing")?;
        Ok(nic)
    }
}

/// What the switch is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireOptions {
    /// Unix datagrams: our socket, and the other end's.
    Dgram(PathBuf, PathBuf),
    /// A Unix stream: we listen.
    Listen(PathBuf),
    /// A Unix stream: we connect.
    Connect(PathBuf),
    /// A TAP interface.
    Tap(String),
}

impl FromStr for WireOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text
            .split_once(':')
            .filter(|(_, rest)| !rest.is_empty())
            .ok_or("a wire is dgram:LOCAL,REMOTE, listen:PATH, connect:PATH or tap:NAME")?;
        match kind {
            "dgram" => {
                let (local, remote) = rest
                    .split_once(',')
                    .ok_or("dgram: needs two paths, LOCAL,REMOTE")?;
                Ok(Self::Dgram(local.into(), remote.into()))
            }
            "listen" => Ok(Self::Listen(rest.into())),
            "connect" => Ok(Self::Connect(rest.into())),
            "tap" => Ok(Self::Tap(rest.into())),
            _ => Err(format!("there is no wire of the kind `{kind}`")),
        }
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let parts: Vec<u8> = text
        .split([':', '-'])
        .map(|part| u8::from_str_radix(part, 16))
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{text} is no Ethernet address"))?;
    let mac: [u8; 6] = parts
        .try_into()
        .map_err(|_| format!("{text} is no Ethernet address"))?;
    if MacAddr(mac).is_multicast() {
        return Err(format!("{text} is a multicast address"));
    }
    Ok(mac)
}

impl Options {
    /// All NICs, with their addresses.
    #[must_use]
    pub fn nics(&self) -> Vec<NicOptions> {
        let first = self.socket.iter().map(|socket| NicOptions {
            socket: socket.clone(),
            mac: None,
            mtu: None,
            pcap: None,
        });
        let number = |(nic, count): (NicOptions, u8)| {
            let mut mac = self.mac;
            mac[5] = mac[5].wrapping_add(count);
            NicOptions {
                mac: nic.mac.or(Some(mac)),
                ..nic
            }
        };
        first
            .chain(self.nic.iter().cloned())
            .zip(0..)
            .map(number)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, String> {
        let words = std::iter::once(&"vrnic-vfio-user").chain(arguments);
        let matches = command().try_get_matches_from(words);
        matches
            .map(|matches| Options::from(&matches))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nics_are_numbered() {
        let options = options(&[
            "--socket",
            "a",
            "--nic",
            "socket=b,mtu=1500",
            "--nic",
            "socket=c,mac=02-00-00-00-00-01,pcap=p",
        ])
        .expect("good");
        let nics = options.nics();
        assert_eq!(nics[0].mac, Some([0x52, 0x54, 0, 0x77, 0, 9]));
        assert_eq!(
            (nics[1].mac, nics[1].mtu),
            (Some([0x52, 0x54, 0, 0x77, 0, 10]), Some(1500))
        );
        assert_eq!(nics[2].mac, Some([2, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn wires_are_read() {
        let options = options(&["--socket", "a", "--wire", "dgram:x,y", "--wire", "tap:t0"]).expect("good");
        assert_eq!(
            options.wire,
            [
                WireOptions::Dgram("x".into(), "y".into()),
                WireOptions::Tap("t0".to_owned())
            ]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, part) in [
            (&[][..], "--socket"),
            (&["--nic", "mac=02:00:00:00:00:01"], "socket=PATH is missing"),
            (&["--nic", "socket=a,speed=1"], "`speed=1`"),
            (&["--socket", "a", "--mac", "01:00:00:00:00:01"], "multicast"),
            (&["--socket", "a", "--mac", "1:2"], "no Ethernet address"),
            (&["--socket", "a", "--wire", "udp:x"], "kind `udp`"),
            (&["--socket", "a", "--wire", "dgram:x"], "two paths"),
            (&["--socket", "a", "--wire", "tap:"], "a wire is"),
        ] {
            let error = options(arguments).expect_err("a mistake");
            assert!(error.contains(part), "{error}");
        }
    }
}
