//! Power: the adapter is paused, put to sleep and woken as NDIS does it.

use super::adapter::{Adapter, Miniport, State};
use ndk_sys::{
    NDIS_DEVICE_POWER_STATE, NDIS_STATUS, NDIS_STATUS_SUCCESS, NdisDeviceStateD0, OID_PNP_QUERY_POWER,
    OID_PNP_SET_POWER,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the adapter is in a low power state.
#[derive(Default)]
pub(super) struct Power {
    asleep: AtomicBool,
}

impl Miniport {
    /// Whether the adapter is in a low power state.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.power.asleep.load(Ordering::Acquire)
    }

    fn set_power(&self, state: NDIS_DEVICE_POWER_STATE) -> Result<(), NDIS_STATUS> {
        match self.oid_set(OID_PNP_SET_POWER, &state.to_ne_bytes()).status {
            NDIS_STATUS_SUCCESS => Ok(()),
            status => Err(status),
        }
    }
}

impl Adapter {
    /// The system goes to sleep: the driver is asked (`OID_PNP_QUERY_POWER`), paused, and put into the device state `state`.
    ///
    /// # Errors
    /// The status of a request that failed: the driver may refuse the first, and must not refuse the second.
    pub fn suspend(&self, state: NDIS_DEVICE_POWER_STATE) -> Result<(), NDIS_STATUS> {
        let miniport = self.miniport();
        let asked = miniport.oid_query_with(OID_PNP_QUERY_POWER, state.to_ne_bytes().to_vec());
        if asked.status != NDIS_STATUS_SUCCESS {
            return Err(asked.status);
        }
        if miniport.state() == State::Running {
            self.pause();
        }
        miniport.set_power(state)?;
        miniport.power.asleep.store(true, Ordering::Release);
        Ok(())
    }

    /// The system wakes: the driver is put into D0, and restarted.
    ///
    /// # Errors
    /// The status of the request, or of the restart.
    pub fn resume(&self) -> Result<(), NDIS_STATUS> {
        self.miniport().power.asleep.store(false, Ordering::Release);
        self.miniport().set_power(NdisDeviceStateD0)?;
        self.restart()
    }
}
