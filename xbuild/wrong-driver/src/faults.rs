//! The faults, by the name of the service that asks for them: each has the name of the rule that it breaks, perhaps with a
//! variant behind a hyphen.

mod consumer;
mod irql;
mod locks;
mod machine;
mod objects;
pub use objects::keep_workers_busy;
mod pool;
mod time;

use core::sync::atomic::{AtomicUsize, Ordering};

use wdk_sys::{NTSTATUS, PCUNICODE_STRING};

use crate::{miniport, service};

/// What `DriverEntry` got.
#[derive(Clone, Copy)]
pub struct Load {
    /// The `DRIVER_OBJECT`.
    pub driver: *mut core::ffi::c_void,
    /// The registry path.
    pub registry_path: PCUNICODE_STRING,
}

/// When a fault happens.
pub enum When {
    /// In `DriverEntry`, or in what that sets up.
    Now(fn(&Load)),
    /// While the driver works as a miniport and NDK provider: see [`is`].
    Later,
}

/// A fault.
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// When it happens.
    pub when: When,
}

/// All faults, in groups. Two break no rule: the negative controls of the negative controls.
const FAULTS: &[&[Fault]] = &[
    &[
        Fault {
            name: "none",
            when: When::Now(|_| {}),
        },
        Fault {
            name: "none-miniport",
            when: When::Later,
        },
    ],
    machine::FAULTS,
    irql::FAULTS,
    locks::FAULTS,
    pool::FAULTS,
    objects::FAULTS,
    time::FAULTS,
    consumer::FAULTS,
    miniport::FAULTS,
];

static CURRENT: AtomicUsize = AtomicUsize::new(0);

fn all() -> impl Iterator<Item = &'static Fault> {
    FAULTS.iter().copied().flatten()
}

/// Whether this fault was asked for.
pub fn is(name: &str) -> bool {
    all()
        .nth(CURRENT.load(Ordering::Relaxed))
        .is_some_and(|fault| fault.name == name)
}

/// Finds the fault that the name of the service asks for, and lets it happen. `None` if there is none of that name.
pub fn happen(name: &[u16], load: &Load) -> Option<NTSTATUS> {
    let index = all().position(|fault| service::is(name, fault.name))?;
    CURRENT.store(index, Ordering::Relaxed);
    match all().nth(index)?.when {
        When::Now(fault) => {
            fault(load);
            Some(wdk_sys::STATUS_SUCCESS)
        }
        When::Later => Some(miniport::register(load)),
    }
}

/// Declares a group of faults that happen at once.
macro_rules! faults {
    ($($name:literal => $fault:expr,)*) => {
        /// The group's faults.
        pub const FAULTS: &[$crate::faults::Fault] =
            &[$($crate::faults::Fault { name: $name, when: $crate::faults::When::Now($fault) },)*];
    };
}
pub(crate) use faults;
