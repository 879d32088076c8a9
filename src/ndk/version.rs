//! Which NDKPI version an adapter is opened with, and which one it then reports.

use ndk_sys::NDK_VERSION;

/// The highest version of each major that this provider speaks. A consumer of major 1 sees 1.2, one of major 2 sees 2.0.
/// 2.1 is not offered: its connector functions (`NdkCompleteConnectEx`, `NdkAcceptEx`) are laid out, not implemented.
pub const SUPPORTED: [NDK_VERSION; 2] = [
    NDK_VERSION { Major: 1, Minor: 2 },
    NDK_VERSION { Major: 2, Minor: 0 },
];

/// The version that `NDK_ADAPTER_INFO` carries in the NDIS attributes.
pub const HIGHEST: NDK_VERSION = SUPPORTED[1];

/// The version that every object of an adapter reports which is opened with `requested`: the highest minor of the same
/// major. `None` (`NDIS_STATUS_BAD_VERSION`) if the major is unknown or the minor higher (`OPEN_NDK_ADAPTER_HANDLER`).
#[must_use]
pub fn negotiate(requested: NDK_VERSION) -> Option<NDK_VERSION> {
    SUPPORTED
        .into_iter()
        .find(|ours| ours.Major == requested.Major && requested.Minor <= ours.Minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(major: u16, minor: u16) -> Option<(u16, u16)> {
        negotiate(NDK_VERSION {
            Major: major,
            Minor: minor,
        })
        .map(|v| (v.Major, v.Minor))
    }

    #[test]
    fn the_highest_minor_of_the_requested_major() {
        for minor in 0..=2 {
            assert_eq!(ask(1, minor), Some((1, 2)));
        }
        assert_eq!(ask(2, 0), Some((2, 0)));
    }

    #[test]
    fn anything_else_is_a_bad_version() {
        for (major, minor) in [(0, 0), (1, 3), (2, 1), (3, 0), (u16::MAX, u16::MAX)] {
            assert_eq!(ask(major, minor), None, "{major}.{minor}");
        }
    }
}
