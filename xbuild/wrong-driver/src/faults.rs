//! The faults, by the name of the service that asks for them.

use wdk_sys::{DRIVER_OBJECT, NTSTATUS, STATUS_SUCCESS};

/// What a fault does in `DriverEntry`, and what that returns.
pub type Fault = fn(*mut DRIVER_OBJECT) -> NTSTATUS;

/// All faults. `none` breaks no rule: the negative control of the negative controls.
pub const FAULTS: &[(&str, Fault)] = &[("none", none)];

/// Loads, and can be unloaded by a bench that does not ask for an unload routine.
fn none(_driver: *mut DRIVER_OBJECT) -> NTSTATUS {
    STATUS_SUCCESS
}
