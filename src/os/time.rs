//! Time since boot, and waiting for it to pass.
#![expect(unsafe_code, reason = "asks the kernel for the time")]

use core::ops::Add;
use core::time::Duration;

use wdk_sys::LARGE_INTEGER;
use wdk_sys::ntddk::{KeDelayExecutionThread, KeQueryPerformanceCounter};

use super::irql::Passive;

/// Windows counts time in units of 100 ns.
const UNITS_PER_SECOND: u64 = 10_000_000;

/// A moment, in units of 100 ns since boot, with the resolution of the performance counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Now. Any IRQL.
    #[must_use]
    pub fn now() -> Self {
        let mut frequency = LARGE_INTEGER::default();
        // SAFETY: the argument is a place for the frequency.
        let counter = unsafe { KeQueryPerformanceCounter(&raw mut frequency) };
        // SAFETY: the 64-bit member covers the whole union.
        let counter = unsafe { counter.QuadPart }.cast_unsigned();
        // SAFETY: as above.
        let frequency = unsafe { frequency.QuadPart }.cast_unsigned().max(1);
        // In two parts, so that the product cannot overflow.
        let whole = (counter / frequency).wrapping_mul(UNITS_PER_SECOND);
        Self(whole + (counter % frequency) * UNITS_PER_SECOND / frequency)
    }

    /// Units of 100 ns since boot.
    #[must_use]
    pub const fn hundred_ns(self) -> u64 {
        self.0
    }

    /// The moment `duration` earlier, or boot.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(hundred_ns(duration).cast_unsigned()))
    }

    /// Time from `earlier` to `self`, zero if it is the other way around.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        let units = self.0.saturating_sub(earlier.0);
        Duration::new(units / UNITS_PER_SECOND, (units % UNITS_PER_SECOND) as u32 * 100)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(hundred_ns(duration).cast_unsigned()))
    }
}

/// `duration` in units of 100 ns, as the wait functions take it (at least one unit, at most some centuries).
pub(super) fn hundred_ns(duration: Duration) -> i64 {
    let units = duration
        .as_secs()
        .saturating_mul(UNITS_PER_SECOND)
        .saturating_add(u64::from(duration.subsec_nanos() / 100));
    units.clamp(1, i64::MAX as u64 / 2).cast_signed()
}

/// Lets other threads run for about `duration`.
pub fn sleep(passive: &Passive, duration: Duration) {
    passive.check();
    // A negative time is relative to now.
    let mut interval = LARGE_INTEGER {
        QuadPart: -hundred_ns(duration),
    };
    // SAFETY: at PASSIVE_LEVEL, kernel mode (0), not alertable, and a time that outlives the call.
    let _ = unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) };
}

/// The processor's time stamp counter: hard to predict, of no defined unit. Any IRQL.
#[must_use]
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Windows lets the kernel use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
