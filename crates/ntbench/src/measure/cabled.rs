//! Two adapters, joined by a cable.

use crate::Config;
use crate::machine::{AdapterSetup, Machine, MachineConfig, StartError};
use crate::ndk::{self, Pair, PairOptions, VERSION_2_0, pair};
use crate::verifier::pool::Placement;
use ndk_sys::NTSTATUS;
use parking_lot::{Mutex, MutexGuard};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use vrnic_device::{Engine, Nic};

/// Drives devices that have no engine of their own, as long as nobody holds the gate.
struct Pump {
    gate: Arc<Mutex<()>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    fn start(nics: Vec<Arc<Nic>>) -> Self {
        let (gate, stop) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let (its_gate, its_stop) = (Arc::clone(&gate), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !its_stop.load(Ordering::Relaxed) {
                let open = its_gate.lock();
                for nic in &nics {
                    nic.poll();
                }
                MutexGuard::unlock_fair(open);
                thread::yield_now();
            }
        });
        Self {
            gate,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Its panic has been printed by then.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// See the module. The verifier's special pool is off, and calls are not traced.
pub struct Cabled {
    // In the order in which they go down.
    /// The first adapter.
    pub client: ndk::Adapter,
    /// The second one.
    pub server: ndk::Adapter,
    machine: Machine,
    pump: Option<Pump>,
}

/// Nothing drives the devices but who has this.
pub struct Still<'a> {
    _closed: Option<MutexGuard<'a, ()>>,
    nics: &'a [Arc<Nic>],
}

impl Still<'_> {
    /// The devices: the client's and the server's.
    #[must_use]
    pub fn nics(&self) -> &[Arc<Nic>] {
        self.nics
    }

    /// Drives the devices until there is nothing to do.
    pub fn settle(&self) {
        while self.nics.iter().fold(false, |worked, nic| nic.poll() | worked) {}
    }
}

impl Cabled {
    /// Starts the machine. With [`Engine::Host`] a thread drives the devices, except while there is a [`Still`].
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// When NDK cannot be opened.
    pub fn start(sys: &Path, engine: Engine) -> Result<Self, StartError> {
        Self::start_with(sys, engine, |_, _| {})
    }

    /// As [`Cabled::start`], with adapters that `change` has changed.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// When NDK cannot be opened.
    pub fn start_with(
        sys: &Path,
        engine: Engine,
        change: impl Fn(usize, &mut AdapterSetup),
    ) -> Result<Self, StartError> {
        let mut adapters = vec![AdapterSetup::numbered(0), AdapterSetup::numbered(1)];
        for (index, setup) in adapters.iter_mut().enumerate() {
            setup.nic.engine = engine;
            change(index, setup);
        }
        let config = MachineConfig {
            kernel: Config {
                echo_debug: false,
                pool: Placement::Fast,
                ..Config::default()
            },
            cable: true,
            ..MachineConfig::with_adapters(sys, adapters)
        };
        let machine = Machine::start(config)?;
        let pump = (engine == Engine::Host).then(|| Pump::start(machine.nics().to_vec()));
        ndk::trace::set_enabled(false);
        let open = |index| {
            let opened = machine.open_ndk_on(index, VERSION_2_0);
            opened.expect("the provider opens an adapter")
        };
        Ok(Self {
            client: open(0),
            server: open(1),
            machine,
            pump,
        })
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The client's address.
    #[must_use]
    pub fn client_address() -> SocketAddr {
        SocketAddr::new(numbered_address(0), 0)
    }

    /// The server's address, with a port that has not been used.
    #[must_use]
    pub fn server_address() -> SocketAddr {
        static PORT: AtomicU16 = AtomicU16::new(20_000);
        SocketAddr::new(numbered_address(1), PORT.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection between the adapters.
    ///
    /// # Errors
    /// The status of what failed.
    pub fn pair(&self, options: &PairOptions) -> Result<Pair, NTSTATUS> {
        pair::connect(
            &self.client,
            &self.server,
            Self::client_address(),
            Self::server_address(),
            options,
        )
    }

    /// Stops driving the devices until the result is dropped.
    #[must_use]
    pub fn still(&self) -> Still<'_> {
        Still {
            _closed: self.pump.as_ref().map(|pump| pump.gate.lock()),
            nics: self.machine.nics(),
        }
    }
}

fn numbered_address(number: u8) -> IpAddr {
    AdapterSetup::numbered(number).addresses[0].0
}
