//! The kernel that drivers are loaded into. There is one at a time in a process.

use crate::cpu::{call, fault, irql, thread, vp};
use crate::nt::debug::Echo;
use crate::nt::driver::Driver;
use crate::nt::{debug, device, event_log, registry, timer, work};
use crate::pe::file::LoadError;
use crate::symbols::{self, StackTrace};
use crate::verifier::faults;
use crate::verifier::limits::{self, Limits};
use crate::verifier::pool::{self, Placement};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Once;

/// How to boot.
#[derive(Clone, Debug)]
pub struct Config {
    /// Virtual processors, at least one.
    pub processors: usize,
    /// Whether the drivers' debug output goes to stderr as well.
    pub echo_debug: bool,
    /// How pool allocations are placed.
    pub pool: Placement,
    /// Time limits.
    pub limits: Limits,
    /// Resource faults: each distinct call stack fails once, except those given here. `None` turns them off.
    pub fault_injection: Option<BTreeSet<String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            processors: 2,
            echo_debug: true,
            pool: Placement::default(),
            limits: Limits::default(),
            fault_injection: None,
        }
    }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A booted kernel; booting another waits until this one is dropped.
pub struct Kernel {
    _timers: timer::Timers,
    _processors: vp::Processors,
    _one: MutexGuard<'static, ()>,
}

static INSTALL_HOOK: Once = Once::new();

/// A panic of the bench below driver code cannot unwind through the driver: it ends the process, with the driver's stack.
fn install_panic_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        if thread::with(|thread| thread.depth.get()) > 0 {
            eprintln!(
                "the bench itself failed, called by the driver:\n{}",
                symbols::render(&StackTrace::capture())
            );
            std::process::abort();
        }
    }));
}

impl Kernel {
    /// Boots a kernel.
    #[must_use]
    pub fn boot(config: &Config) -> Self {
        let one = ONE_AT_A_TIME.lock();
        fault::prepare_thread();
        INSTALL_HOOK.call_once(install_panic_hook);
        symbols::set_fast(config.pool == Placement::Fast);
        debug::clear_log();
        debug::set_echo(if config.echo_debug {
            Echo::Stderr
        } else {
            Echo::None
        });
        device::clear();
        event_log::clear();
        registry::clear();
        pool::set_placement(config.pool);
        limits::set(config.limits);
        faults::configure(
            config.fault_injection.is_some(),
            config.fault_injection.clone().unwrap_or_default(),
        );
        Self {
            _timers: timer::Timers::start(),
            _processors: vp::Processors::start(config.processors),
            _one: one,
        }
    }

    /// Loads an image as the driver of a service; `DriverEntry` has not run yet.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, path: &Path, service: &str) -> Result<Driver, LoadError> {
        Driver::load(path, service)
    }

    /// Runs `body` on the current thread at `irql` on processor `vp`.
    ///
    /// # Panics
    /// When the thread is above PASSIVE level already.
    pub fn run_at<R>(&self, irql: irql::Irql, vp: usize, body: impl FnOnce() -> R) -> R {
        assert!(
            irql::current() == irql::PASSIVE_LEVEL,
            "run_at starts from PASSIVE_LEVEL"
        );
        thread::with(|thread| thread.vp.set(vp));
        let raised = irql::RaisedIrql::at_least(irql);
        let result = body();
        drop(raised);
        result
    }

    /// Calls a driver function: see [`call::call`].
    #[expect(clippy::must_use_candidate, reason = "many driver functions return nothing")]
    pub fn call(&self, target: usize, arguments: &[u64]) -> u64 {
        call::call(target, arguments)
    }

    /// Waits until no DPC and no work item is queued or running. Timers that are set stay set.
    pub fn settle(&self) {
        work::flush();
        for vp in vp::all() {
            vp.flush_dpcs();
        }
    }

    /// What drivers have printed.
    #[must_use]
    pub fn debug_log(&self) -> Vec<String> {
        debug::log()
    }
}
