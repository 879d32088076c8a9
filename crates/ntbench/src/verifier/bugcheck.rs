//! Bug check codes, as Windows and Driver Verifier number them.

use std::fmt;

/// A bug check: code and four parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugCheck {
    /// The stop code.
    pub code: u32,
    /// The parameters.
    pub parameters: [u64; 4],
}

/// `DRIVER_VERIFIER_DETECTED_VIOLATION`; parameter 1 says which.
pub const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xC4;

impl BugCheck {
    /// A bug check with its parameters.
    #[must_use]
    pub const fn new(code: u32, parameters: [u64; 4]) -> Self {
        Self { code, parameters }
    }

    /// Driver Verifier's 0xC4 with the violation's number and up to three parameters.
    #[must_use]
    pub const fn verifier(violation: u64, parameters: [u64; 3]) -> Self {
        Self::new(
            DRIVER_VERIFIER_DETECTED_VIOLATION,
            [violation, parameters[0], parameters[1], parameters[2]],
        )
    }

    /// Microsoft's name of the code.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.code {
            0x0A => "IRQL_NOT_LESS_OR_EQUAL",
            0x1E => "KMODE_EXCEPTION_NOT_HANDLED",
            0x50 => "PAGE_FAULT_IN_NONPAGED_AREA",
            0x7E => "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
            0x7F => "UNEXPECTED_KERNEL_MODE_TRAP",
            0xB8 => "ATTEMPTED_SWITCH_FROM_DPC",
            0xBE => "ATTEMPTED_WRITE_TO_READONLY_MEMORY",
            0xC1 => "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
            0xC2 => "BAD_POOL_CALLER",
            0xC4 => "DRIVER_VERIFIER_DETECTED_VIOLATION",
            0xC7 => "TIMER_OR_DPC_INVALID",
            0xC8 => "IRQL_UNEXPECTED_VALUE",
            0xC9 => "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
            0xCC => "PAGE_FAULT_IN_FREED_SPECIAL_POOL",
            0xCD => "PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
            0xCE => "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
            0xD1 => "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
            0xD5 => "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
            0xD6 => "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
            0xE6 => "DRIVER_VERIFIER_DMA_VIOLATION",
            0xFC => "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
            0x133 => "DPC_WATCHDOG_VIOLATION",
            0x139 => "KERNEL_SECURITY_CHECK_FAILURE",
            _ => "bug check of the driver",
        }
    }
}

impl fmt::Display for BugCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p1, p2, p3, p4] = self.parameters;
        write!(
            f,
            "{:#x} {} ({p1:#x}, {p2:#x}, {p3:#x}, {p4:#x})",
            self.code,
            self.name()
        )
    }
}
