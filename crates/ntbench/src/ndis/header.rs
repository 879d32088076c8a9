//! The header that every versioned NDIS structure begins with, as NDIS checks it.

use super::handles::BUGCODE_NDIS_DRIVER;
use crate::cpu::thread;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::NDIS_OBJECT_HEADER;

/// What NDIS expects of a structure that a driver passes.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The structure's name, for the report.
    pub name: &'static str,
    /// Object type.
    pub kind: u8,
    /// Lowest revision that is accepted.
    pub revision: u8,
    /// Fewest bytes: those of that revision.
    pub size: u16,
}

/// Reads and checks the header at `address`; a violation if it is not what NDIS expects.
pub fn check(address: usize, expected: Expected) {
    let header: NDIS_OBJECT_HEADER = memory::read(address);
    if header.Type == expected.kind && header.Revision >= expected.revision && header.Size >= expected.size {
        return;
    }
    let call = thread::current_import().map_or("an NDIS function", |call| call.export.name);
    let Expected {
        name,
        kind,
        revision,
        size,
    } = expected;
    Violation::new(
        Rule::NdisObjectHeader,
        BugCheck::new(
            BUGCODE_NDIS_DRIVER,
            [
                0x2,
                address as u64,
                u64::from(header.Type),
                u64::from(header.Revision),
            ],
        ),
        format!("the {name} of {call} has a wrong header"),
    )
    .detail(format!(
        "type {:#x}, revision {}, size {}",
        header.Type, header.Revision, header.Size
    ))
    .detail(format!(
        "expected type {kind:#x}, revision {revision} or later, size {size} or more"
    ))
    .advice(format!(
        "Set Header.Type, Header.Revision and Header.Size to the NDIS constants of {name}."
    ))
    .stop()
}

/// A header for a structure that the bench hands to a driver.
#[must_use]
pub fn make<T>(kind: u8, revision: u8) -> NDIS_OBJECT_HEADER {
    NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: u16::try_from(size_of::<T>()).unwrap_or(u16::MAX),
    }
}
