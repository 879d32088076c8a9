//! NICs, the guest that has them, and a second guest with soft-RoCE on their wire: what the demo and `tests/qemu` start from.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Qemu;
use super::guest::{NicGuest, NicGuestConfig, NicGuestFiles, NicServer, Payload};
use crate::peer::{LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};

/// How long the server may take for anything; under emulation on a busy machine a second is little.
const LIMIT: Duration = Duration::from_mins(2);

/// The largest payload that the NICs and the peer's wire carry: RoCE packets of 4096 bytes fit.
const MTU: u16 = 9000;

/// What to start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folder for sockets, logs and images; it is there.
    pub dir: PathBuf,
    /// How many NICs: the first is 52:54:00:77:00:09, and each other has the number that follows.
    pub nics: usize,
    /// The program `vrnic-vfio-user`.
    pub server: PathBuf,
    /// The bench for the guest, if it has one; then there is an IOMMU.
    pub payload: Option<Payload>,
    /// Where to capture the wire.
    pub pcap: Option<PathBuf>,
    /// The QEMU for the NICs' guest.
    pub qemu: Qemu,
    /// What the peer boots from.
    pub peer: PeerFiles,
}

/// The NICs, ready for guests.
#[derive(Debug)]
pub struct Rig {
    /// The process that serves the NICs.
    pub server: NicServer,
    /// What their guest boots from.
    pub files: NicGuestFiles,
    setup: Setup,
    sockets: Vec<PathBuf>,
}

impl Rig {
    /// Starts the server.
    ///
    /// # Errors
    /// It does not start, or a guest's image cannot be made.
    pub fn start(setup: Setup) -> Result<Self> {
        let dir = &setup.dir;
        let sockets: Vec<PathBuf> = (0..setup.nics)
            .map(|nic| dir.join(format!("nic{nic}.sock")))
            .collect();
        let wire = wire(&setup)?;
        let mut arguments = vec![
            "--wire".to_owned(),
            format!("dgram:{},{}", wire.host.display(), wire.guest.display()),
        ];
        for socket in &sockets {
            arguments.extend(["--nic".to_owned(), format!("socket={}", socket.display())]);
        }
        if let Some(pcap) = &setup.pcap {
            arguments.extend(["--pcap".to_owned(), pcap.display().to_string()]);
        }
        let arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        let server = NicServer::start(&setup.server, &arguments, setup.nics, &dir.join("server.log"))?;
        let files = NicGuestFiles::prepare(setup.qemu.clone(), &setup.peer, setup.payload.as_ref(), dir)?;
        Ok(Self {
            server,
            files,
            setup,
            sockets,
        })
    }

    /// Boots the guest with all NICs.
    ///
    /// # Errors
    /// It does not boot.
    pub fn boot(&self) -> Result<NicGuest> {
        NicGuest::boot(&self.files, &self.config())
    }

    /// Boots the guest with all NICs, which are given to VFIO, and the peer at the same time: the NICs' PCI addresses come with them.
    ///
    /// # Errors
    /// One of the two does not boot, or the guest does not see all NICs.
    pub fn boot_with_peer(&self, neighbours: Vec<Neighbour>) -> Result<(NicGuest, Vec<String>, LinuxPeer)> {
        let (guest, peer) = std::thread::scope(|scope| {
            let peer = scope.spawn(|| self.boot_peer(neighbours));
            let guest = self.boot();
            (guest, peer.join())
        });
        let (guest, peer) = (guest?, peer.map_err(|_| anyhow::anyhow!("a panic"))??);
        let nics = guest.nics()?;
        ensure!(nics.len() == self.setup.nics, "the guest has the NICs {nics:?}");
        for nic in &nics {
            guest.bind_to_vfio(nic)?;
        }
        Ok((guest, nics, peer))
    }

    fn boot_peer(&self, neighbours: Vec<Neighbour>) -> Result<LinuxPeer> {
        let config = PeerConfig {
            mtu: MTU,
            ..PeerConfig::new(wire(&self.setup)?, neighbours)
        };
        LinuxPeer::boot(&self.setup.peer, &config)
    }

    /// The wire that the NICs are on, for a peer of another kind.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn wire(&self) -> Result<Wire> {
        wire(&self.setup)
    }

    /// How [`Rig::boot`] makes the guest.
    #[must_use]
    pub fn config(&self) -> NicGuestConfig {
        NicGuestConfig {
            sockets: self.sockets.clone(),
            shared: true,
            iommu: self.setup.payload.is_some(),
            dir: self.setup.dir.clone(),
        }
    }

    /// Waits until the server has said something that often.
    ///
    /// # Errors
    /// It has not within two minutes.
    pub fn wait_said(&self, what: &str, times: usize) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while self.server.said().matches(what).count() < times {
            ensure!(
                Instant::now() < end,
                "the server did not say `{what}` within {LIMIT:?}: {}",
                self.server.said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends the server, and removes the folder of a run that went well.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn finish(self) -> Result<()> {
        drop(self.server);
        let dir = self.setup.dir;
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }
}

/// The wire to the peer, in a folder of its own: the peer's console goes there too.
fn wire(setup: &Setup) -> Result<Wire> {
    let dir = setup.dir.join("peer");
    fs::create_dir_all(&dir)?;
    Ok(Wire::in_dir(&dir))
}
