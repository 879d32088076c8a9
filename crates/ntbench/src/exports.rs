//! What the bench exports to drivers: one table per module, each entry with the IRQL rule of its documentation.
//!
//! ```ignore
//! exports! {
//!     /// Events.
//!     pub static EVENT_EXPORTS: "ntoskrnl.exe" = {
//!         KeSetEvent = function(ke_set_event, at_most(DISPATCH_LEVEL));
//!         KfRaiseIrql = function(kf_raise_irql, at_most(HIGH_LEVEL).changing());
//!         __chkstk = direct(chkstk);
//!         NtBuildNumber = data(NT_BUILD_NUMBER);
//!     }
//! }
//! ```
//! The functions are `extern "win64"`, with at most [`MAX_ARGUMENTS`] integer or pointer arguments. A table becomes
//! visible to drivers when it is listed in `tables`.
#![expect(
    unsafe_code,
    reason = "the raw pointers in a table are addresses of functions and statics"
)]

use crate::cpu::irql::{HIGH_LEVEL, Irql, PASSIVE_LEVEL};

/// Arguments that the import thunk carries over from the driver's stack: four in registers, fourteen on the stack.
pub const MAX_ARGUMENTS: usize = 18;

/// The IRQLs at which an export may be called, as its documentation states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqlRule {
    /// Lowest IRQL at which the call is allowed.
    pub min: Irql,
    /// Highest IRQL at which the call is allowed.
    pub max: Irql,
    /// Whether the call itself changes the IRQL; for all others the verifier checks that it is the same afterwards.
    pub changes: bool,
}

impl IrqlRule {
    /// The call itself changes the IRQL.
    #[must_use]
    pub const fn changing(self) -> Self {
        Self {
            changes: true,
            ..self
        }
    }
}

/// `IRQL <= max`
#[must_use]
pub const fn at_most(max: Irql) -> IrqlRule {
    IrqlRule {
        min: PASSIVE_LEVEL,
        max,
        changes: false,
    }
}

/// `IRQL == only`
#[must_use]
pub const fn exactly(only: Irql) -> IrqlRule {
    IrqlRule {
        min: only,
        max: only,
        changes: false,
    }
}

/// `IRQL >= min`
#[must_use]
pub const fn at_least(min: Irql) -> IrqlRule {
    IrqlRule {
        min,
        max: HIGH_LEVEL,
        changes: false,
    }
}

/// `min <= IRQL <= max`
#[must_use]
pub const fn between(min: Irql, max: Irql) -> IrqlRule {
    IrqlRule {
        min,
        max,
        changes: false,
    }
}

/// Any IRQL.
#[must_use]
pub const fn any() -> IrqlRule {
    at_most(HIGH_LEVEL)
}

/// How an import is bound.
#[derive(Clone, Copy, Debug)]
pub enum Binding {
    /// A Win64 function that runs on the host's stack, called through a checking thunk.
    Function(*const ()),
    /// A Win64 function that runs where it is called, without thunk or checks (for instance a stack probe).
    Direct(*const ()),
    /// A variable whose address the driver gets.
    Data(*const ()),
}

/// One emulated export.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// Name of the module as import directories spell it, in lower case.
    pub module: &'static str,
    /// Name of the export.
    pub name: &'static str,
    /// Where it may be called.
    pub irql: IrqlRule,
    /// What it is bound to.
    pub binding: Binding,
}

// SAFETY: an `Export` is constant data; its pointer is an address that nobody writes through.
unsafe impl Sync for Export {}
// SAFETY: as for `Sync`.
unsafe impl Send for Export {}

/// Declares a table of exports: see the module's documentation.
#[macro_export]
macro_rules! exports {
    (
        $(#[$attribute:meta])*
        $visibility:vis static $table:ident: $module:literal = {
            $($name:ident = $kind:ident($target:expr $(, $rule:expr)?);)*
        }
    ) => {
        $(#[$attribute])*
        $visibility static $table: &[$crate::exports::Export] = {
            #[allow(unused_imports, clippy::allow_attributes, reason = "not every table uses every rule")]
            use $crate::{cpu::irql::*, exports::{any, at_least, at_most, between, exactly}};
            &[$($crate::exports::Export {
                module: $module,
                name: stringify!($name),
                irql: $crate::exports!(@rule $($rule)?),
                binding: $crate::exports!(@binding $kind $target),
            },)*]
        };
    };
    (@rule) => { $crate::exports::any() };
    (@rule $rule:expr) => { $rule };
    (@binding function $target:expr) => { $crate::exports::Binding::Function($target as *const ()) };
    (@binding direct $target:expr) => { $crate::exports::Binding::Direct($target as *const ()) };
    (@binding data $target:expr) => { $crate::exports::Binding::Data((&raw const $target).cast()) };
}

/// All tables that drivers can import from.
fn tables() -> impl Iterator<Item = &'static [Export]> {
    let tables = [
        crate::nt::EXPORTS,
        crate::pci::dma::TABLE,
        crate::ndis::EXPORTS,
        crate::netio::EXPORTS,
        crate::wsk::EXPORTS,
    ];
    tables.into_iter().flatten().copied()
}

/// All exports, in table order.
pub fn all() -> impl Iterator<Item = &'static Export> {
    tables().flatten()
}

/// Finds an export. Module names compare without regard to case; `hal.dll` is an alias of `ntoskrnl.exe` since
/// Windows 10 2004 and both name the same exports here.
#[must_use]
pub fn find(module: &str, name: &str) -> Option<&'static Export> {
    let module = if module.eq_ignore_ascii_case("hal.dll") {
        "ntoskrnl.exe"
    } else {
        module
    };
    all().find(|export| export.name == name && export.module.eq_ignore_ascii_case(module))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_modules_are_lower_case() {
        let mut seen = HashSet::new();
        for export in all() {
            assert_eq!(export.module, export.module.to_lowercase());
            assert!(
                seen.insert((export.module, export.name)),
                "{} is declared twice",
                export.name
            );
            assert!(export.irql.min <= export.irql.max, "{}", export.name);
        }
    }

    #[test]
    fn consumers_are_linked_with_what_there_is() {
        let libraries = [
            (
                "ntoskrnl.exe",
                include_str!("../../../consumers/imports/ntoskrnl.def"),
            ),
            ("netio.sys", include_str!("../../../consumers/imports/netio.def")),
        ];
        for (module, definition) in libraries {
            assert!(definition.contains(&format!("LIBRARY {module}")));
            let names = definition.lines().filter_map(|line| line.strip_prefix("    "));
            for name in names.map(|name| name.trim_end_matches(" DATA")) {
                assert!(find(module, name).is_some(), "{module}!{name}");
            }
        }
    }

    #[test]
    fn lookup_ignores_the_case_of_modules_only() {
        assert!(find("NTOSKRNL.exe", "DbgPrint").is_some());
        assert!(find("hal.dll", "KeGetCurrentIrql").is_some());
        assert!(find("ntoskrnl.exe", "dbgprint").is_none());
        assert!(find("ndis.sys", "DbgPrint").is_none());
    }
}
