//! The NIC's port.

use std::io;
use std::sync::Arc;

use roce_wire::eth::MacAddr;
use vrnic_device::{Nic, Wire};

use super::host::HostStack;
use super::hub::Hub;

/// A NIC without a driver on the wire, and the IP stack of its host, which shares the port.
pub struct Plugged {
    /// The NIC: it gets every frame of the port.
    pub nic: Arc<Nic>,
    /// The stack, without addresses yet.
    pub host: Arc<HostStack>,
}

/// Plugs in the NIC with the station `mac` that `make` makes with the wire that it is given. The port is gone when both the NIC and the
/// host's stack are.
///
/// # Errors
/// Those of `make`; a thread cannot be started.
pub fn plug_in(
    hub: &Hub,
    name: &str,
    mac: [u8; 6],
    make: impl FnOnce(Arc<dyn Wire>) -> io::Result<Arc<Nic>>,
) -> io::Result<Plugged> {
    let port = Arc::new(hub.port(name));
    let nic = make(Arc::clone(&port) as Arc<dyn Wire>)?;
    let host = Arc::new(HostStack::start(
        MacAddr(mac),
        Arc::clone(&port) as Arc<dyn Wire>,
    )?);
    // Weak, because they own the port.
    let receivers = (Arc::downgrade(&nic), Arc::downgrade(&host));
    port.connect(Arc::new(move |frame| {
        if let Some(nic) = receivers.0.upgrade() {
            nic.receive(frame);
        }
        if let Some(host) = receivers.1.upgrade() {
            host.receive(frame);
        }
    }));
    Ok(Plugged { nic, host })
}

/// As [`plug_in`], for a NIC whose host sends and receives through it.
///
/// # Errors
/// Those of `make`.
pub fn plug_in_alone(
    hub: &Hub,
    name: &str,
    make: impl FnOnce(Arc<dyn Wire>) -> io::Result<Arc<Nic>>,
) -> io::Result<Arc<Nic>> {
    let port = Arc::new(hub.port(name));
    let nic = make(Arc::clone(&port) as Arc<dyn Wire>)?;
    let receiver = Arc::downgrade(&nic);
    port.connect(Arc::new(move |frame| {
        if let Some(nic) = receiver.upgrade() {
            nic.receive(frame);
        }
    }));
    Ok(nic)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use vrnic_device::{DmaFault, HostMemory, Interrupts, NicConfig};

    use super::super::hub::HubConfig;
    use super::super::peer::{Damage, Peer, PeerConfig};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A host that has enabled nothing yet.
    struct Off;

    impl HostMemory for Off {
        fn read(&self, addr: u64, _: &mut [u8]) -> Result<(), DmaFault> {
            Err(DmaFault { addr })
        }

        fn write(&self, addr: u64, _: &[u8]) -> Result<(), DmaFault> {
            Err(DmaFault { addr })
        }

        fn store_release_u8(&self, addr: u64, _: u8) -> Result<(), DmaFault> {
            Err(DmaFault { addr })
        }

        fn store_release_u32(&self, addr: u64, _: u32) -> Result<(), DmaFault> {
            Err(DmaFault { addr })
        }

        fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
            Err(DmaFault { addr })
        }
    }

    impl Interrupts for Off {
        fn raise(&self, _: u16) {}
    }

    #[test]
    fn frames_reach_the_nic_until_it_is_gone() {
        const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        let Plugged { nic, host } = plug_in(&hub, "nic", MAC, |wire| {
            Nic::new(NicConfig::new(MAC), Arc::new(Off), Arc::new(Off), wire)
        })
        .expect("the configuration is good");
        let target = Ipv4Addr::new(10, 0, 0, 1).into();
        let config = PeerConfig {
            name: "peer".into(),
            mac: MacAddr([2, 0, 0, 0, 0, 2]),
            addresses: vec![Ipv4Addr::new(10, 0, 0, 2).into()],
        };
        let peer = Peer::attach(&hub, config);
        peer.add_neighbour(target, MacAddr(MAC));
        let attempt = peer.attempt((target, 445).into(), b"").expect("there is a way");
        peer.send_damaged(&attempt, Damage::Icrc).expect("there is a way");
        assert!(hub.settle(PATIENCE));
        assert_eq!(hub.statistics().delivered, 1);
        drop((nic, host));
        peer.send(&attempt).expect("there is a way");
        assert!(hub.settle(PATIENCE));
        assert_eq!(hub.statistics().delivered, 1, "its port is gone");
    }
}
