//! `--app`: the bench's own consumers, which speak the protocols of Linux's tools.

use crate::apps::echo::{self, Exchange};
use crate::apps::perftest::{self, Test, Verb};
use crate::apps::{AppError, Result, iperf, node, rping, until_served};
use crate::machine::Machine;
use crate::ndk::trace::status_name;
use crate::ndk::{Adapter, Connector, Incoming, VERSION_2_0};
use ndk_sys::STATUS_SUCCESS;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// `NAME[:KEY=VALUE,…]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppOption {
    name: Name,
    /// The local address; the first IPv4 address of the first adapter by default.
    at: Option<IpAddr>,
    /// The server's address.
    peer: Option<IpAddr>,
    port: u16,
    /// Pings, messages or requests.
    count: u32,
    /// Bytes of each.
    size: usize,
    /// Private data of a reject.
    data: String,
    /// What perftest's server calls itself.
    version: String,
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Reject,
    Ignore,
    Rping { server: bool },
    Ucmatose { server: bool },
    Perftest { server: bool, verb: Verb },
    Iperf3,
}

/// All names, in the order in which errors list them.
const NAMES: &[(&str, Name)] = &[
    ("reject", Name::Reject),
    ("ignore", Name::Ignore),
    ("rping-server", Name::Rping { server: true }),
    ("rping-client", Name::Rping { server: false }),
    ("ucmatose-server", Name::Ucmatose { server: true }),
    ("ucmatose-client", Name::Ucmatose { server: false }),
    ("ib_send_bw-server", perftest(true, Verb::Send)),
    ("ib_send_bw-client", perftest(false, Verb::Send)),
    ("ib_read_bw-server", perftest(true, Verb::Read)),
    ("ib_read_bw-client", perftest(false, Verb::Read)),
    ("ib_write_bw-server", perftest(true, Verb::Write)),
    ("ib_write_bw-client", perftest(false, Verb::Write)),
    ("iperf3-server", Name::Iperf3),
];

const fn perftest(server: bool, verb: Verb) -> Name {
    Name::Perftest { server, verb }
}

impl Name {
    fn text(self) -> &'static str {
        let found = NAMES.iter().find(|(_, name)| *name == self);
        found.map_or("", |(text, _)| text)
    }

    const fn is_client(self) -> bool {
        matches!(
            self,
            Self::Rping { server: false }
                | Self::Ucmatose { server: false }
                | Self::Perftest { server: false, .. }
        )
    }
}

impl FromStr for AppOption {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let found = NAMES.iter().find(|(text, _)| *text == name);
        let &(_, name) = found.ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(text, _)| *text).collect();
            format!("`{name}` is none of {}", names.join(", "))
        })?;
        let mut app = Self {
            name,
            at: None,
            peer: None,
            port: 7500,
            count: 10,
            size: 5000,
            data: String::new(),
            version: String::new(),
        };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or(format!("`{option}` is not KEY=VALUE"))?;
            let bad = || format!("`{value}` is no {key}");
            match key {
                "at" => app.at = Some(value.parse().map_err(|_| bad())?),
                "peer" => app.peer = Some(value.parse().map_err(|_| bad())?),
                "port" => app.port = value.parse().map_err(|_| bad())?,
                "count" => app.count = value.parse().map_err(|_| bad())?,
                "size" => app.size = value.parse().map_err(|_| bad())?,
                "data" => value.clone_into(&mut app.data),
                "version" => value.clone_into(&mut app.version),
                _ => {
                    return Err(format!(
                        "`{key}` is none of at, peer, port, count, size, data, version"
                    ));
                }
            }
        }
        if name.is_client() != app.peer.is_some() {
            return Err("a client needs peer=ADDRESS, and a server none".into());
        }
        Ok(app)
    }
}

impl AppOption {
    /// Runs it at the first adapter, to its end.
    ///
    /// # Errors
    /// Something fails, or the other end does not behave like its tool.
    pub(super) fn run(&self, machine: &Machine) -> Result<()> {
        if self.name == Name::Iperf3 {
            return self.serve_iperf3(machine);
        }
        let ndk = machine
            .open_ndk(VERSION_2_0)
            .map_err(|status| AppError::Call("OpenNDKAdapterHandler", status_name(status)))?;
        match self.peer {
            Some(peer) => self.connect(machine, &ndk, SocketAddr::new(peer, self.port)),
            None => self.serve(machine, &ndk),
        }
    }

    /// As errors and lines name it.
    pub(super) fn name(&self) -> &'static str {
        self.name.text()
    }

    /// Tells whoever has started this that the other end may come.
    fn say_listening(&self) {
        println!("{}: listening on port {}", self.name(), self.port);
    }

    fn at(&self, machine: &Machine, port: u16) -> SocketAddr {
        let first = || {
            machine
                .hosts()
                .first()?
                .addresses()
                .into_iter()
                .find(IpAddr::is_ipv4)
        };
        SocketAddr::new(
            self.at.or_else(first).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            port,
        )
    }

    fn serve(&self, machine: &Machine, ndk: &Adapter) -> Result<()> {
        let incoming = Incoming::listen(ndk, self.at(machine, self.port))
            .map_err(|status| AppError::Call("NdkListen", status_name(status)))?;
        self.say_listening();
        match self.name {
            Name::Reject => {
                let status = next(&incoming)?.reject(self.data.as_bytes());
                if status != STATUS_SUCCESS {
                    return Err(AppError::Call("NdkReject", status_name(status)));
                }
                Ok(())
            }
            Name::Ignore => {
                next(&incoming)?.close();
                Ok(())
            }
            Name::Rping { .. } => rping::serve(ndk, next(&incoming)?, self.count as usize).map(drop),
            Name::Ucmatose { .. } => echo::serve(ndk, next(&incoming)?, self.exchange()),
            Name::Perftest { verb, .. } => perftest::serve(ndk, &incoming, self.test(verb)),
            Name::Iperf3 => unreachable!("it is no consumer"),
        }
    }

    fn connect(&self, machine: &Machine, ndk: &Adapter, target: SocketAddr) -> Result<()> {
        let source = self.at(machine, 0);
        until_served(node::LIMIT, || match self.name {
            Name::Ucmatose { .. } => echo::run(ndk, source, target, self.exchange()),
            Name::Perftest { verb, .. } => perftest::run(ndk, source, target, self.test(verb), &self.version),
            _ => rping::ping(ndk, source, target, self.count as usize, self.size),
        })
    }

    fn serve_iperf3(&self, machine: &Machine) -> Result<()> {
        let host = machine.hosts().first().ok_or(AppError::Silence("an adapter"))?;
        let mut listener = host
            .listen(self.port)
            .map_err(|error| AppError::Call("listen", error.to_string()))?;
        self.say_listening();
        let carried = iperf::serve(&mut listener, node::LIMIT)?;
        println!("{}: {carried} bytes", self.name());
        Ok(())
    }

    const fn exchange(&self) -> Exchange {
        Exchange {
            count: self.count,
            size: self.size,
        }
    }

    const fn test(&self, verb: Verb) -> Test {
        Test {
            verb,
            latency: false,
            iterations: self.count,
            size: self.size,
            linger: Duration::ZERO,
        }
    }
}

fn next(incoming: &Incoming) -> Result<Connector> {
    incoming
        .next_within(node::LIMIT)
        .ok_or(AppError::Silence("a connection"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(text: &str) -> std::result::Result<AppOption, String> {
        text.parse()
    }

    #[test]
    fn apps_are_read() {
        let server = app("rping-server").expect("well formed");
        assert_eq!((server.name, server.port), (Name::Rping { server: true }, 7500));
        let client = app("ib_send_bw-client:peer=fd77::2,at=fd77::9,port=7600,count=3,size=64,version=6.06")
            .expect("well formed");
        assert_eq!(client.peer, "fd77::2".parse().ok());
        assert_eq!(client.at, "fd77::9".parse().ok());
        assert_eq!((client.port, client.count, client.size), (7600, 3, 64));
        assert_eq!(client.version, "6.06");
        let reject = app("reject:data=not today").expect("well formed");
        assert_eq!(reject.data, "not today");
    }

    #[test]
    fn bad_apps_are_refused() {
        for bad in [
            "",
            "nothing",
            "rping-client",
            "rping-server:peer=10.0.0.1",
            "rping-server:port=x",
            "rping-server:speed=9",
            "reject:data",
        ] {
            assert!(app(bad).is_err(), "{bad}");
        }
    }
}
