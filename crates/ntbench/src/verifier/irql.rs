//! IRQL rules.

use super::{BugCheck, Rule, Violation};
use crate::cpu::irql::{APC_LEVEL, DEVICE_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, Irql, PASSIVE_LEVEL};
use crate::exports::Export;
use crate::symbols;

/// Name of a level as documents write it.
#[must_use]
pub fn name(irql: Irql) -> String {
    match irql {
        PASSIVE_LEVEL => "PASSIVE_LEVEL".to_owned(),
        APC_LEVEL => "APC_LEVEL".to_owned(),
        DISPATCH_LEVEL => "DISPATCH_LEVEL".to_owned(),
        DEVICE_LEVEL => "DIRQL".to_owned(),
        HIGH_LEVEL => "HIGH_LEVEL".to_owned(),
        other => format!("IRQL {other}"),
    }
}

/// An export was called at an IRQL that its documentation does not allow.
pub fn wrong_irql_for_call(export: &Export, irql: Irql) -> ! {
    let rule = export.irql;
    let allowed = match (rule.min, rule.max) {
        (min, max) if min == max => format!("only at {}", name(min)),
        (PASSIVE_LEVEL, max) => format!("at {} or below", name(max)),
        (min, HIGH_LEVEL) => format!("at {} or above", name(min)),
        (min, max) => format!("from {} to {}", name(min), name(max)),
    };
    let advice = if irql > rule.max {
        format!(
            "call {} from a work item or thread, or before raising the IRQL",
            export.name
        )
    } else {
        format!(
            "raise the IRQL before calling {}, or use the variant for lower levels",
            export.name
        )
    };
    Violation::new(
        Rule::IrqlExport,
        BugCheck::verifier(0xE5, [u64::from(irql), u64::from(rule.max), 0]),
        format!(
            "{}!{} called at {}, it may be called {allowed}",
            export.module,
            export.name,
            name(irql)
        ),
    )
    .advice(advice)
    .stop()
}

/// An export of the bench came back at another IRQL. Callbacks that it made are checked themselves: it is a bug of the
/// bench.
///
/// # Panics
/// Always.
pub fn changed_by_export(export: &Export, before: Irql, after: Irql) -> ! {
    panic!(
        "{} was entered at {} and left at {}",
        export.name,
        name(before),
        name(after)
    )
}

/// A callback returned at another IRQL than it was called at.
pub fn changed_by_callback(target: usize, before: Irql, after: Irql) -> ! {
    Violation::new(
        Rule::IrqlReturn,
        BugCheck::new(0xC8, [u64::from(before), u64::from(after), target as u64, 0]),
        format!(
            "{} was called at {} and returned at {}",
            symbols::describe(target),
            name(before),
            name(after)
        ),
    )
    .advice("lower the IRQL (release the spin lock) on every way out of the function")
    .stop()
}

/// A callback returned and still holds a spin lock.
pub fn lock_kept_by_callback(target: usize) -> ! {
    Violation::new(
        Rule::SpinLock,
        BugCheck::verifier(0x0004_0009, [target as u64, 0, 0]),
        format!(
            "{} returned with another number of held spin locks than it was called with",
            symbols::describe(target)
        ),
    )
    .advice("release every spin lock before the function returns")
    .stop()
}
