//! The rules of `NdkControlCqInterruptModeration`.

use ndk_sys::{NTSTATUS, STATUS_INVALID_PARAMETER_MIX};

/// An interval or a count without limit (`MAXULONG`).
const UNLIMITED: u32 = u32::MAX;

/// As the device takes it, see `docs/`, "`CqCreate`".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moderation {
    /// Microseconds; 0: none.
    pub us: u16,
    /// Completions; 0xFFFF: only the time counts.
    pub count: u16,
}

/// What the consumer's `interval` (microseconds) and `count` mean for a queue of `depth`.
///
/// An interval is rounded down to 65,535 µs, and so is one without limit: a completion is never held back longer.
///
/// # Errors
///
/// `STATUS_INVALID_PARAMETER_MIX` if neither has a limit: no completion would ever be announced.
pub fn moderation(interval: u32, count: u32, depth: u32) -> Result<Moderation, NTSTATUS> {
    let endless = count == UNLIMITED || count > depth;
    if interval == UNLIMITED && endless {
        return Err(STATUS_INVALID_PARAMETER_MIX);
    }
    if interval == 0 || count <= 1 {
        return Ok(Moderation::default());
    }
    let us = u16::try_from(interval).unwrap_or(u16::MAX);
    let count = if endless {
        u16::MAX
    } else {
        // Sooner than asked for, if there is no other way.
        u16::try_from(count).unwrap_or(u16::MAX).min(u16::MAX - 1)
    };
    Ok(Moderation { us, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off() {
        for (interval, count) in [
            (0, 0),
            (0, 100),
            (0, UNLIMITED),
            (100, 0),
            (100, 1),
            (UNLIMITED, 0),
            (UNLIMITED, 1),
        ] {
            assert_eq!(
                moderation(interval, count, 64),
                Ok(Moderation::default()),
                "{interval} {count}"
            );
        }
    }

    #[test]
    fn both_limits() {
        let limits = |us, count| Ok(Moderation { us, count });
        assert_eq!(moderation(20, 16, 64), limits(20, 16));
        assert_eq!(moderation(20, 64, 64), limits(20, 64));
        assert_eq!(moderation(1_000_000, 2, 64), limits(u16::MAX, 2), "rounded down");
        assert_eq!(moderation(20, 100_000, 200_000), limits(20, u16::MAX - 1));
    }

    #[test]
    fn one_limit() {
        assert_eq!(
            moderation(20, UNLIMITED, 64),
            Ok(Moderation {
                us: 20,
                count: u16::MAX
            })
        );
        assert_eq!(
            moderation(20, 65, 64),
            moderation(20, UNLIMITED, 64),
            "more than fit"
        );
        assert_eq!(
            moderation(UNLIMITED, 64, 64),
            Ok(Moderation {
                us: u16::MAX,
                count: 64
            })
        );
    }

    #[test]
    fn no_limit() {
        assert_eq!(
            moderation(UNLIMITED, UNLIMITED, 64),
            Err(STATUS_INVALID_PARAMETER_MIX)
        );
        assert_eq!(moderation(UNLIMITED, 65, 64), Err(STATUS_INVALID_PARAMETER_MIX));
    }
}
