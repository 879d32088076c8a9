//! The rules of `NdkModifySrq`.

use ndk_sys::{NTSTATUS, STATUS_INVALID_PARAMETER};

/// What is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The depth from now on.
    pub depth: u32,
    /// The ring is too small for it.
    pub grows: bool,
    /// The new threshold, which is armed; `None`: threshold and arming stay as they are.
    pub threshold: Option<u32>,
}

impl Change {
    /// Whether the device must know.
    #[must_use]
    pub const fn needs_device(&self) -> bool {
        self.grows || self.threshold.is_some()
    }
}

/// What `depth` and `threshold` mean for a queue of depth `now` on a ring of `entries`; 0 keeps what there is.
///
/// # Errors
///
/// `STATUS_INVALID_PARAMETER`: deeper than `limit`, or a threshold that the queue is always below.
pub const fn plan(
    now: u32,
    entries: u32,
    limit: u32,
    depth: u32,
    threshold: u32,
) -> Result<Change, NTSTATUS> {
    let depth = if depth == 0 { now } else { depth };
    if depth > limit || threshold > depth {
        return Err(STATUS_INVALID_PARAMETER);
    }
    Ok(Change {
        depth,
        grows: depth > entries,
        threshold: if threshold == 0 { None } else { Some(threshold) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps() {
        let change = plan(100, 128, 1000, 0, 0).expect("allowed");
        assert_eq!((change.depth, change.grows, change.threshold), (100, false, None));
        assert!(!change.needs_device());
    }

    #[test]
    fn growing() {
        assert_eq!(
            plan(100, 128, 1000, 128, 0).map(|c| (c.depth, c.grows)),
            Ok((128, false))
        );
        assert_eq!(
            plan(100, 128, 1000, 129, 0).map(|c| (c.depth, c.grows)),
            Ok((129, true))
        );
        assert_eq!(
            plan(10, 128, 1000, 100, 0).map(|c| c.grows),
            Ok(false),
            "it has been deeper"
        );
        assert_eq!(
            plan(100, 128, 1000, 10, 0).map(|c| (c.depth, c.grows)),
            Ok((10, false))
        );
        assert_eq!(plan(100, 128, 1000, 1001, 0), Err(STATUS_INVALID_PARAMETER));
    }

    #[test]
    fn thresholds() {
        assert_eq!(plan(100, 128, 1000, 0, 100).map(|c| c.threshold), Ok(Some(100)));
        assert_eq!(plan(100, 128, 1000, 0, 101), Err(STATUS_INVALID_PARAMETER));
        assert_eq!(plan(100, 128, 1000, 50, 51), Err(STATUS_INVALID_PARAMETER));
        assert!(plan(100, 128, 1000, 200, 150).is_ok_and(|c| c.grows && c.needs_device()));
    }
}
