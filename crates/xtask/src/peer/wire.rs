//! The Ethernet cable to the guest: two Unix datagram sockets, one datagram per frame (no FCS).
//!
//! Whoever holds the host's end must read it all the time: the kernel queues about ten datagrams, and when the queue is
//! full QEMU waits, with the whole guest. An end that was bound and closed again is an unplugged cable: frames are lost.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The longest path of a Unix socket (`sun_path`, with its NUL, is 108 bytes).
const MAX_PATH: usize = 107;

/// The names of the two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// QEMU's end: it binds it. Send frames for the guest here.
    pub guest: PathBuf,
    /// The other end, bound by whoever is on the wire with the guest, before the guest boots. Frames from the guest come here.
    pub host: PathBuf,
}

impl Wire {
    /// A wire with its two sockets in `dir`: `guest.sock` and `host.sock`.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            guest: dir.join("guest.sock"),
            host: dir.join("host.sock"),
        }
    }

    /// Binds the host's end.
    ///
    /// # Errors
    /// When the folder is not there or the path is too long for a socket.
    pub fn bind_host(&self) -> Result<UnixDatagram> {
        self.check_lengths()?;
        let _ = fs::remove_file(&self.host);
        UnixDatagram::bind(&self.host).with_context(|| format!("cannot bind {}", self.host.display()))
    }

    /// Leaves the cable unplugged: the guest boots, and what it sends is lost.
    ///
    /// # Errors
    /// As [`Wire::bind_host`].
    pub fn unplug_host(&self) -> Result<()> {
        self.bind_host().map(drop)
    }

    /// What must be so before QEMU starts.
    pub(super) fn check_before_boot(&self) -> Result<()> {
        self.check_lengths()?;
        if !self.host.exists() {
            bail!(
                "nobody is on the wire: bind {} before booting the guest",
                self.host.display()
            );
        }
        // A socket that an earlier QEMU left would keep this one from binding.
        let _ = fs::remove_file(&self.guest);
        Ok(())
    }

    fn check_lengths(&self) -> Result<()> {
        for path in [&self.guest, &self.host] {
            if path.as_os_str().len() > MAX_PATH {
                bail!(
                    "{} is too long for a Unix socket (at most {MAX_PATH} bytes): use a shorter folder",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// The `-netdev` argument for QEMU.
    pub(super) fn netdev(&self) -> String {
        let escape = |path: &Path| path.to_string_lossy().replace(',', ",,");
        format!(
            "dgram,id=wire,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            escape(&self.guest),
            escape(&self.host)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_without_anybody_on_the_wire_is_refused() {
        let error = Wire::in_dir(Path::new("/no/such"))
            .check_before_boot()
            .expect_err("nobody is there");
        assert!(error.to_string().contains("nobody is on the wire"));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let error = Wire::in_dir(Path::new(&"x".repeat(100)))
            .bind_host()
            .expect_err("too long");
        assert!(error.to_string().contains("too long"));
    }
}
