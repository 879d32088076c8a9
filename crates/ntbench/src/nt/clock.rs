//! The clock: the one place that reads time, in the units of Windows, and the waits that depend on it.

use crate::exports;
use crate::memory;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

exports! {
    /// Clocks and counters.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeQueryPerformanceCounter = function(ke_query_performance_counter, any());
        KeQueryInterruptTime = function(ke_query_interrupt_time, any());
        KeQueryInterruptTimePrecise = function(ke_query_interrupt_time_precise, any());
        KeQueryUnbiasedInterruptTime = function(ke_query_interrupt_time, any());
        KeQueryUnbiasedInterruptTimePrecise = function(ke_query_interrupt_time_precise, any());
        KeQuerySystemTimePrecise = function(ke_query_system_time_precise, any());
        KeQueryTimeIncrement = function(ke_query_time_increment, any());
        KeQueryTickCount = function(ke_query_tick_count, any());
    }
}

/// Units of 100 ns from 1601 to 1970.
const UNIX_EPOCH_IN_NT_TIME: u64 = 116_444_736_000_000_000;
/// Ticks of `KeQueryPerformanceCounter` per second, the rate of current Windows.
const PERFORMANCE_FREQUENCY: u64 = 10_000_000;
/// A clock tick of 15.625 ms in units of 100 ns.
const TIME_INCREMENT: u32 = 156_250;

static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);

fn units(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() / 100).unwrap_or(u64::MAX)
}

/// Time since the bench started, in units of 100 ns.
#[must_use]
pub fn interrupt_time() -> u64 {
    // Never 0, so that drivers that keep 0 for "never" are not confused by the bench's early start.
    units(BOOT.elapsed()) + 1
}

/// System time in units of 100 ns since 1601.
#[must_use]
pub fn system_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH_IN_NT_TIME + units(since)
}

/// When a Windows due time is reached: negative is relative, positive is system time, both in units of 100 ns.
#[must_use]
pub fn due(time: i64) -> Instant {
    let delay = if time <= 0 {
        time.unsigned_abs()
    } else {
        time.unsigned_abs().saturating_sub(system_time())
    };
    // Far enough for "never", near enough for the platform's clock.
    let delay = delay.min(100 * 365 * 24 * 3600 * PERFORMANCE_FREQUENCY);
    Instant::now() + Duration::from_nanos(delay * 100)
}

/// Reads a `LARGE_INTEGER *` timeout: `None` for a NULL pointer, which waits for ever.
#[must_use]
pub fn read_timeout(address: usize) -> Option<i64> {
    (address != 0).then(|| memory::read(address))
}

extern "win64" fn ke_query_performance_counter(frequency: usize) -> u64 {
    if frequency != 0 {
        memory::write(frequency, PERFORMANCE_FREQUENCY);
    }
    interrupt_time()
}

extern "win64" fn ke_query_interrupt_time() -> u64 {
    interrupt_time()
}

extern "win64" fn ke_query_interrupt_time_precise(counter: usize) -> u64 {
    let now = interrupt_time();
    if counter != 0 {
        memory::write(counter, now);
    }
    now
}

extern "win64" fn ke_query_system_time_precise(time: usize) {
    memory::write(time, system_time());
}

extern "win64" fn ke_query_time_increment() -> u32 {
    TIME_INCREMENT
}

extern "win64" fn ke_query_tick_count(count: usize) {
    memory::write(count, interrupt_time() / u64::from(TIME_INCREMENT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_are_relative_or_absolute() {
        let now = Instant::now();
        assert!(due(-10_000_000) >= now + Duration::from_secs(1));
        assert!(due(0) <= Instant::now() + Duration::from_millis(1));
        let absolute = (system_time() + 20_000_000).cast_signed();
        let left = due(absolute).saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(1) && left < Duration::from_secs(3));
        assert!(due(1) <= Instant::now(), "a time long past is due at once");
        let _ = due(i64::MIN);
    }
}
