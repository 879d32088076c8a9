//! A port whose station is the host's network stack: a TAP interface.
#![expect(unsafe_code, reason = "the ioctl that names the interface")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::hub::{Hub, PortHandle};

/// More than any frame.
const MAX_FRAME: usize = 64 * 1024;

/// How long the reader waits before it looks whether it is to end, in milliseconds.
const LOOK: i32 = 200;

/// The port. Dropping it removes the interface, unless it is one that was made to stay (`ip tuntap add`).
pub struct TapPort {
    stopping: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl TapPort {
    /// Makes the interface, or takes over one that was made for this user. It still has to be brought up and given an address.
    ///
    /// # Errors
    /// There is no TUN driver, the user may not (the error says what to do), or the name is too long.
    pub fn attach(hub: &Hub, name: &str) -> io::Result<Self> {
        let device = open(name).map_err(|error| explain(&error, name))?;
        let writer = device.try_clone()?;
        // A full queue of the interface or one that is down loses frames, as a cable would.
        let receiver = move |frame: &[u8]| drop((&mut &writer).write(frame));
        let port = hub.attach(name, Arc::new(receiver));
        let stopping = Arc::new(AtomicBool::new(false));
        let reader = thread::Builder::new().name("wire-from-tap".into()).spawn({
            let stopping = Arc::clone(&stopping);
            move || read(device, &port, &stopping)
        })?;
        Ok(Self {
            stopping,
            reader: Some(reader),
        })
    }
}

impl Drop for TapPort {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(reader) = self.reader.take() {
            // A panic of that thread has been printed already.
            let _ = reader.join();
        }
    }
}

/// Opens the TUN driver without waiting, and asks for the interface.
fn open(name: &str) -> io::Result<File> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: all fields may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = flags.try_into().map_err(io::Error::other)?;
    // SAFETY: the request is an `ifreq` with a NUL-terminated name, which lives until the call returns.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(device)
}

fn explain(error: &io::Error, name: &str) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{error}. A TAP interface needs CAP_NET_ADMIN: run as root, or make one for your user first: \
             sudo ip tuntap add dev {name} mode tap user $USER && sudo ip link set {name} up"
        ),
        io::ErrorKind::NotFound => {
            format!(
                "{error}. The kernel has no TUN driver: sudo modprobe tun (in a container, give it /dev/net/tun)"
            )
        }
        io::ErrorKind::InvalidInput => format!("{error}. An interface name has 1 to 15 bytes"),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), advice)
}

fn read(mut device: File, port: &PortHandle, stopping: &AtomicBool) {
    let mut buffer = vec![0; MAX_FRAME];
    while !stopping.load(Ordering::Acquire) {
        match device.read(&mut buffer) {
            Ok(length) => port.transmit(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&device),
            // The interface is down (EIO) or was interrupted.
            Err(_) => wait(&device),
        }
    }
}

/// Waits until there is a frame, but not long.
fn wait(device: &File) {
    let mut ready = libc::pollfd {
        fd: device.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry that lives until the call returns.
    let result = unsafe { libc::poll(&raw mut ready, 1, LOOK) };
    if result > 0 && ready.revents & libc::POLLIN == 0 {
        // The interface is gone or in error, which would not wait.
        thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubConfig;

    #[test]
    fn frames_of_the_host_come_in_or_it_is_said_what_is_missing() {
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        let name = format!("vrn{}", std::process::id());
        match TapPort::attach(&hub, &name) {
            Ok(port) => {
                assert!(std::path::Path::new("/sys/class/net").join(&name).exists());
                drop(port);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("CAP_NET_ADMIN") || text.contains("modprobe tun"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_no_interface_can_have_is_refused() {
        let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
        assert!(TapPort::attach(&hub, "a-name-with-16-by").is_err());
    }
}
