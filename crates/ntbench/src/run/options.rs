//! The values of the options of `ntbench run`.

use crate::machine::{AdapterSetup, Device};
use crate::nt::registry::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// `ifindex=12,ip=10.0.0.1/24,…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterOption {
    interface_index: u32,
    addresses: Vec<(IpAddr, u8)>,
    mac: Option<[u8; 6]>,
    mtu: Option<u16>,
    device: Device,
}

/// `PATH` or `SERVICE=PATH`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOption {
    /// Name of the service; the file's name by default.
    pub service: String,
    /// The image.
    pub path: PathBuf,
}

/// `NAME=VALUE` or `SERVICE/NAME=VALUE`; a number is a `REG_DWORD`, everything else a `REG_SZ`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    service: Option<String>,
    /// Name of the registry value.
    pub name: String,
    /// The registry value.
    pub value: Value,
}

impl FromStr for AdapterOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut interface_index, mut addresses, mut mac, mut mtu) = (None, Vec::new(), None, None);
        let mut device = Device::Own;
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or(format!("`{part}` is not KEY=VALUE"))?;
            let bad = || format!("`{value}` is no {key}");
            match key {
                "ifindex" => {
                    let index = value
                        .parse()
                        .ok()
                        .filter(|&index: &u32| index != 0 && index < 1 << 24);
                    interface_index = Some(index.ok_or_else(bad)?);
                }
                "ip" => addresses.push(parse_address(value).ok_or_else(bad)?),
                "mac" => mac = Some(parse_mac(value).ok_or_else(bad)?),
                "mtu" => mtu = Some(value.parse().map_err(|_| bad())?),
                "vfio" => device = Device::Vfio(value.to_owned()),
                "vfio-user" if !value.is_empty() => device = Device::VfioUser(value.into()),
                _ => {
                    return Err(format!(
                        "`{key}` is none of ifindex, ip, mac, mtu, vfio, vfio-user"
                    ));
                }
            }
        }
        if addresses.is_empty() {
            return Err("an adapter needs an address: ip=10.0.0.1/24".into());
        }
        if matches!(device, Device::VfioUser(_)) && (mac.is_some() || mtu.is_some()) {
            return Err(
                "mac and mtu are those of the device's process: vrnic-vfio-user --nic socket=…,mac=…,mtu=…"
                    .into(),
            );
        }
        Ok(Self {
            interface_index: interface_index.ok_or("an adapter needs its interface index: ifindex=12")?,
            addresses,
            mac,
            mtu,
            device,
        })
    }
}

/// `address/prefix`
fn parse_address(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= bits).then_some((address, prefix))
}

/// Six bytes in hexadecimal, of a unicast address.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    let mac: [u8; 6] = bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?;
    (mac[0] & 1 == 0).then_some(mac)
}

impl AdapterOption {
    /// Without `mac`, the station is made from the interface index.
    fn setup(&self) -> AdapterSetup {
        let [_, high, middle, low] = self.interface_index.to_be_bytes();
        let mac = self.mac.unwrap_or([0x52, 0x54, 0x00, high, middle, low]);
        let mut setup = AdapterSetup::new(self.interface_index, mac, self.addresses.clone());
        if let Some(mtu) = self.mtu {
            setup.nic.mtu = mtu;
        }
        setup.device = self.device.clone();
        setup
    }
}

/// What the machine has to have for these adapters.
///
/// # Errors
/// When two have something that only one can have.
pub(super) fn setups(adapters: &[AdapterOption]) -> Result<Vec<AdapterSetup>, String> {
    let (mut indexes, mut addresses, mut stations) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut sockets = BTreeSet::new();
    let setups: Vec<AdapterSetup> = adapters.iter().map(AdapterOption::setup).collect();
    for setup in &setups {
        if !indexes.insert(setup.interface_index) {
            return Err(format!(
                "two adapters have the interface index {}",
                setup.interface_index
            ));
        }
        if !stations.insert(setup.nic.mac) {
            return Err("two adapters have the same station address: give one another mac".into());
        }
        for (address, _) in &setup.addresses {
            if !addresses.insert(*address) {
                return Err(format!("two adapters have the address {address}"));
            }
        }
        if let Device::VfioUser(socket) = &setup.device
            && !sockets.insert(socket)
        {
            return Err(format!("two adapters have the device at {}", socket.display()));
        }
    }
    Ok(setups)
}

impl FromStr for ConsumerOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, path) = if let Some((service, path)) = text.split_once('=') {
            (service.to_owned(), PathBuf::from(path))
        } else {
            let path = PathBuf::from(text);
            let stem = path.file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), path)
        };
        if service.is_empty() || service.contains(['\\', '/']) {
            return Err(format!("`{service}` is no name of a service"));
        }
        Ok(Self { service, path })
    }
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
        let (service, name) = match name.split_once('/') {
            Some((service, name)) => (Some(service.to_owned()), name),
            None => (None, name),
        };
        if name.is_empty() {
            return Err("the value has no name".into());
        }
        let number = value.strip_prefix("0x").map_or_else(
            || value.parse().ok(),
            |digits| u32::from_str_radix(digits, 16).ok(),
        );
        Ok(Self {
            service,
            name: name.to_owned(),
            value: number.map_or_else(|| Value::Sz(value.to_owned()), Value::Dword),
        })
    }
}

impl Parameter {
    /// Whether a service gets it.
    pub(super) fn is_for(&self, service: &str) -> bool {
        self.service
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(service))
    }
}

/// Checks that services have different names, and that parameters are for one of them.
///
/// # Errors
/// What is wrong.
pub(super) fn check(consumers: &[ConsumerOption], parameters: &[Parameter]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for consumer in consumers {
        if !names.insert(consumer.service.to_lowercase()) {
            return Err(format!(
                "two consumers are called {}: name one by SERVICE=PATH",
                consumer.service
            ));
        }
    }
    let stray = parameters.iter().find(|parameter| {
        !consumers
            .iter()
            .any(|consumer| parameter.is_for(&consumer.service))
    });
    match stray {
        Some(parameter) => Err(format!(
            "--param {} is for no consumer that is loaded",
            parameter.name
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(text: &str) -> Result<AdapterOption, String> {
        text.parse()
    }

    #[test]
    fn adapters_are_read() {
        let option = adapter("ifindex=12,ip=10.0.0.1/24,ip=fd00::1/64,mtu=4200").expect("well formed");
        let setup = option.setup();
        assert_eq!((setup.interface_index, setup.nic.mtu), (12, 4200));
        assert_eq!(setup.nic.mac, [0x52, 0x54, 0, 0, 0, 12]);
        let v6: IpAddr = "fd00::1".parse().expect("an address");
        assert_eq!(setup.addresses, [([10, 0, 0, 1].into(), 24), (v6, 64)]);
        let option = adapter("ifindex=12,ip=10.0.0.1/24,mac=02:00:00:00:00:fe").expect("well formed");
        assert_eq!(option.setup().nic.mac, [2, 0, 0, 0, 0, 0xFE]);
        let option = adapter("ifindex=12,ip=10.0.0.1/24,vfio=0000:01:00.0").expect("well formed");
        assert_eq!(option.setup().device, Device::Vfio("0000:01:00.0".into()));
        let option = adapter("ifindex=12,ip=10.0.0.1/24,vfio-user=/run/nic.sock").expect("well formed");
        assert_eq!(option.setup().device, Device::VfioUser("/run/nic.sock".into()));
    }

    #[test]
    fn bad_adapters_are_refused() {
        for bad in [
            "",
            "ifindex=12",
            "ip=10.0.0.1/24",
            "ifindex=0,ip=10.0.0.1/24",
            "ifindex=12,ip=10.0.0.1",
            "ifindex=12,ip=10.0.0.1/33",
            "ifindex=12,ip=10.0.0.1/24,mac=01:00:00:00:00:01",
            "ifindex=12,ip=10.0.0.1/24,mac=02:00",
            "ifindex=12,ip=10.0.0.1/24,speed=9",
            "ifindex=12,ip=10.0.0.1/24,vfio-user=",
            "ifindex=12,ip=10.0.0.1/24,vfio-user=s,mac=02:00:00:00:00:01",
        ] {
            assert!(adapter(bad).is_err(), "{bad}");
        }
        let [one, two, three] = [
            "ifindex=12,ip=10.0.0.1/24",
            "ifindex=12,ip=10.0.0.2/24",
            "ifindex=13,ip=10.0.0.1/24",
        ]
        .map(|text| adapter(text).expect("well formed"));
        assert!(setups(&[one.clone(), two]).is_err(), "the same index");
        assert!(setups(&[one, three]).is_err(), "the same address");
        let [one, two] = [
            "ifindex=12,ip=10.0.0.1/24,vfio-user=s",
            "ifindex=13,ip=10.0.0.2/24,vfio-user=s",
        ]
        .map(|text| adapter(text).expect("well formed"));
        assert!(setups(&[one, two]).is_err(), "the same device");
    }

    #[test]
    fn consumers_and_parameters_go_together() {
        let consumer = |text: &str| text.parse::<ConsumerOption>().expect("well formed");
        let parameter = |text: &str| text.parse::<Parameter>().expect("well formed");
        let (one, two) = (consumer("dir/pingpong.sys"), consumer("client=dir/pingpong.sys"));
        assert_eq!(
            (one.service.as_str(), two.service.as_str()),
            ("pingpong", "client")
        );
        let both = [one.clone(), two];
        let (all, mine) = (parameter("Port=0x1BD"), parameter("CLIENT/Role=client"));
        assert_eq!(all.value, Value::Dword(445));
        assert_eq!(mine.value, Value::Sz("client".into()));
        assert!(all.is_for("pingpong") && mine.is_for("client") && !mine.is_for("pingpong"));
        assert!(check(&both, &[all, mine.clone()]).is_ok());
        assert!(check(&[one.clone(), one.clone()], &[]).is_err(), "the same name");
        assert!(check(&[one], &[mine]).is_err(), "for nobody");
        for bad in ["", "Port", "=3", "x/=3"] {
            assert!(bad.parse::<Parameter>().is_err(), "{bad}");
        }
    }
}
