//! What the device says about itself, checked.

use vrnic_abi::info::DeviceInfo;

/// A value in [`DeviceInfo`] that no device of this interface can have; the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Implausible(pub &'static str);

/// Checks what the driver will compute with: counts are capped by the doorbell BAR, logarithms by what a shift can take.
///
/// # Errors
///
/// The first field that is out of range.
pub fn check(info: &DeviceInfo) -> Result<(), Implausible> {
    use vrnic_abi::doorbell::{MAX_EQS, MAX_ETH_QUEUES, MAX_OBJECTS};
    let counts = [
        ("max_qps", info.max_qps.get(), MAX_OBJECTS),
        ("max_cqs", info.max_cqs.get(), MAX_OBJECTS),
        ("max_srqs", info.max_srqs.get(), MAX_OBJECTS),
        ("max_eqs", info.max_eqs.get(), MAX_EQS),
        ("max_eth_queues", info.max_eth_queues.get().into(), MAX_ETH_QUEUES),
        ("max_cq_log2", info.max_cq_log2.into(), MAX_LOG2),
        ("max_rq_log2", info.max_rq_log2.into(), MAX_LOG2),
        ("max_sq_log2", info.max_sq_log2.into(), MAX_LOG2),
        (
            "gid_entries",
            info.gid_entries.get().into(),
            vrnic_abi::cm::GID_ENTRIES.into(),
        ),
    ];
    match counts.iter().find(|(_, value, most)| value > most) {
        Some((field, ..)) => Err(Implausible(field)),
        // Without an event queue the driver learns of nothing.
        None if info.max_eqs.get() == 0 => Err(Implausible("max_eqs")),
        None => Ok(()),
    }
}

/// Largest logarithm of a queue size.
const MAX_LOG2: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn counts_are_capped() {
        let mut info = DeviceInfo::new_zeroed();
        assert_eq!(check(&info), Err(Implausible("max_eqs")));
        info.max_eqs = 4.into();
        assert_eq!(check(&info), Ok(()));
        info.max_cq_log2 = 25;
        assert_eq!(check(&info), Err(Implausible("max_cq_log2")));
        info.max_cq_log2 = 24;
        info.max_qps = 0x1_0001.into();
        assert_eq!(check(&info), Err(Implausible("max_qps")));
    }
}
