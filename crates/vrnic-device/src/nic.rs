//! The NIC as its host sees it.

use std::io;
use std::panic;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use vrnic_abi::info::Statistics;
use vrnic_abi::pci;

use crate::config::{Engine, NicConfig};
use crate::device::Device;
use crate::doorbells::DoorbellMemory;
use crate::engine::{self, Signal};
use crate::faults::Faults;
use crate::host::{HostMemory, Interrupts, Wire};
use crate::msix::MsixTable;
use crate::tap::Tap;

/// A NIC: a PCI function with an Ethernet port.
///
/// All methods may be called from any thread. There is one lock; every method takes it once and calls [`HostMemory`],
/// [`Interrupts`] and [`Wire`] under it, which must not call back. (The engine's wake-up flag has a lock of its own, inside
/// of it, under which nothing is called.)
pub struct Nic {
    shared: Arc<Shared>,
    faults: Faults,
    engine: Option<JoinHandle<()>>,
}

/// What the engine thread shares with the handle.
pub(crate) struct Shared {
    device: Mutex<Device>,
    doorbells: Arc<DoorbellMemory>,
    signal: Arc<Signal>,
}

impl Shared {
    pub fn device(&self) -> MutexGuard<'_, Device> {
        // A panic under the lock is a bug of ours or of the host; the state is still memory safe, and a device that
        // answers is easier to diagnose than one that takes every thread down.
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl Nic {
    /// Makes a NIC after power-on, and starts its engine thread, if it is to have one, which ends with it.
    ///
    /// # Errors
    /// `InvalidInput` if the configuration makes no sense; what the system says if memory or thread cannot be had.
    pub fn new(
        config: NicConfig,
        memory: Arc<dyn HostMemory>,
        interrupts: Arc<dyn Interrupts>,
        wire: Arc<dyn Wire>,
    ) -> io::Result<Arc<Self>> {
        config.check()?;
        let driver = config.engine;
        let doorbells = Arc::new(DoorbellMemory::new()?);
        let signal = Arc::new(Signal::default());
        let device = Device::new(
            config,
            memory,
            interrupts,
            wire,
            Arc::clone(&doorbells),
            Arc::clone(&signal),
        );
        let shared = Arc::new(Shared {
            device: Mutex::new(device),
            doorbells,
            signal,
        });
        let engine = match driver {
            Engine::Thread => Some(engine::start(Arc::clone(&shared))?),
            Engine::Host => None,
        };
        Ok(Arc::new(Self {
            faults: Faults::new(Arc::clone(&shared)),
            shared,
            engine,
        }))
    }

    /// Reads PCI configuration space: any length. All ones when the NIC has been removed.
    pub fn config_read(&self, offset: u16, data: &mut [u8]) {
        let device = self.shared.device();
        if device.is_present() {
            device.config_space.read(offset, data);
        } else {
            data.fill(u8::MAX);
        }
    }

    /// Writes PCI configuration space: any length.
    pub fn config_write(&self, offset: u16, data: &[u8]) {
        let mut device = self.shared.device();
        if !device.is_present() {
            return;
        }
        if device.config_space.write(offset, data) {
            device.function_reset();
        }
        device.configuration_changed();
    }

    /// Does what a PCI bus driver does, for a host without one: memory decoding, bus mastering and MSI-X on, all vectors
    /// unmasked.
    pub fn enable_function(&self) {
        let mut device = self.shared.device();
        device.config_space.enable();
        device.msix.unmask_all();
        device.configuration_changed();
    }

    /// Reads from a BAR. BAR0 and BAR4 know aligned accesses of 4 bytes only; what cannot be read is all ones.
    pub fn bar_read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        let device = self.shared.device();
        let reachable = device.is_present() && device.config_space.memory_enabled();
        if reachable && bar == pci::DOORBELL_BAR {
            return self.shared.doorbells.read(offset, data);
        }
        match (
            register(bar, offset, data.len()),
            <&mut [u8; 4]>::try_from(&mut *data),
        ) {
            (Some(offset), Ok(word)) if reachable => {
                let value = if bar == pci::MSIX_BAR {
                    device.msix.read(offset)
                } else {
                    device.read_register(offset)
                };
                *word = value.to_le_bytes();
            }
            _ => data.fill(u8::MAX),
        }
    }

    /// Writes to a BAR. BAR0 and BAR4 know aligned accesses of 4 bytes only; others do nothing. A write to `CMDQ_DOORBELL`
    /// returns when the commands have been fetched, and completed unless they are held.
    pub fn bar_write(&self, bar: u8, offset: u64, data: &[u8]) {
        let mut device = self.shared.device();
        if !device.is_present() || !device.config_space.memory_enabled() {
            return;
        }
        if bar == pci::DOORBELL_BAR {
            return self.shared.doorbells.write(offset, data);
        }
        let (Some(offset), Ok(word)) = (register(bar, offset, data.len()), <[u8; 4]>::try_from(data)) else {
            return;
        };
        let value = u32::from_le_bytes(word);
        if bar == pci::MSIX_BAR {
            device.msix.write(offset, value);
            device.send_pending_interrupts();
        } else {
            device.write_register(offset, value);
        }
    }

    /// The memory behind BAR2.
    #[must_use]
    pub fn doorbells(&self) -> &DoorbellMemory {
        &self.shared.doorbells
    }

    /// A frame has come over the wire: any bytes, from the destination address to the last byte before the frame check
    /// sequence.
    pub fn receive(&self, frame: &[u8]) {
        self.shared.device().receive(frame);
    }

    /// Looks at doorbells and timers and does some of what there is to do; true if there was something. A host that is the engine
    /// ([`Engine::Host`]) calls it all the time; with an engine thread there is no need to.
    #[expect(
        clippy::must_use_candidate,
        reason = "a caller that polls anyway has no use for it"
    )]
    pub fn poll(&self) -> bool {
        self.shared.device().poll()
    }

    /// Makes the engine look at the wire, if it sleeps. May be called under another NIC's lock.
    pub fn wake(&self) {
        // A sender puts a frame into the wire and then looks whether we sleep; we say that we sleep and then look at the wire.
        fence(Ordering::SeqCst);
        if self.shared.signal.sleeps() {
            self.shared.signal.wake();
        }
    }

    /// Listens at the port from now on, or no more.
    pub fn set_tap(&self, tap: Option<Arc<dyn Tap>>) {
        self.shared.device().tap = tap;
    }

    /// Plugs the cable in or out.
    pub fn set_link(&self, up: bool) {
        self.shared.device().set_link(up);
    }

    /// The link has another speed from now on, in Mbit/s.
    pub fn set_link_speed(&self, mbps: u32) {
        self.shared.device().set_link_speed(mbps);
    }

    /// Function level reset. The configuration space is as after power-on: a host without a bus driver calls
    /// [`Self::enable_function`] again.
    pub fn reset(&self) {
        self.shared.device().function_reset();
    }

    /// Surprise removal: registers read all ones, DMA, interrupts and frames stop. There is no way back.
    pub fn remove(&self) {
        self.shared.device().remove();
    }

    /// The MSI-X vectors as software has programmed them.
    #[must_use]
    pub fn msix(&self) -> MsixTable {
        self.shared.device().msix.vectors()
    }

    /// Fault injection.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The counters, as `QUERY_STATS` returns them.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.device().statistics()
    }
}

/// The offset of an access to a BAR of 32-bit registers, if it is one that such a BAR knows.
fn register(bar: u8, offset: u64, length: usize) -> Option<u32> {
    let size = match bar {
        pci::REGISTER_BAR => pci::REGISTER_BAR_SIZE,
        pci::MSIX_BAR => pci::MSIX_BAR_SIZE,
        _ => return None,
    };
    if length != 4 || !offset.is_multiple_of(4) || offset >= size {
        return None;
    }
    u32::try_from(offset).ok()
}

impl Drop for Nic {
    fn drop(&mut self) {
        self.shared.signal().stop();
        let ended = self.engine.take().map_or(Ok(()), JoinHandle::join);
        if let (Err(panic), false) = (ended, thread::panicking()) {
            panic::resume_unwind(panic);
        }
    }
}
