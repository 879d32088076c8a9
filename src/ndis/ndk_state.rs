//! Whether NDK is enabled.
//!
//! What is wanted comes from `OID_NDK_SET_STATE`, `*NetworkDirect` and the device's health. A worker brings the state
//! there and tells NDIS, whose answer to a disable comes only when all NDK adapters are closed; while it waits, the last
//! wish wins.

use core::sync::atomic::{AtomicBool, Ordering};

use ndk_sys::{
    NDIS_STATUS, NDIS_STATUS_INVALID_DATA, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NET_PNP_EVENT_CODE, NetEventNDKDisable, NetEventNDKEnable,
};

use super::adapter::Adapter;
use super::interrupt::Work;
use crate::os::irql::Passive;
use crate::os::oid::OidRequest;
use crate::os::{event_log, miniport};

/// The only request of the NDK worker.
const WORK_CHANGE: u32 = 1;

/// Wanted and actual state.
pub struct NdkState {
    wanted: AtomicBool,
    /// What NDIS was told last.
    enabled: AtomicBool,
}

impl NdkState {
    /// Disabled, and nobody wants anything else.
    pub const fn new() -> Self {
        Self {
            wanted: AtomicBool::new(false),
            enabled: AtomicBool::new(false),
        }
    }

    /// The state that initialisation reports in the NDK attributes.
    pub fn start(&self, enabled: bool) {
        self.wanted.store(enabled, Ordering::Release);
        self.enabled.store(enabled, Ordering::Release);
    }
}

impl Adapter {
    /// `OID_NDK_SET_STATE`: takes note and leaves the rest to the worker, since NDIS must not be called from here.
    pub(super) fn set_ndk_state(&self, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        if self.provider().is_none() {
            return NDIS_STATUS_NOT_SUPPORTED;
        }
        if request.room() != size_of::<u8>() {
            return NDIS_STATUS_INVALID_DATA;
        }
        match request.input::<u8>() {
            Ok(wanted) => {
                self.ndk_state.wanted.store(wanted != 0, Ordering::Release);
                self.update_ndk_state();
                NDIS_STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Has the state looked at again. At most `DISPATCH_LEVEL`.
    pub(super) fn update_ndk_state(&self) {
        if let Some(worker) = self.ndk_worker.get() {
            worker.request(WORK_CHANGE);
        }
    }

    fn is_ndk_wanted(&self) -> bool {
        self.ndk_state.wanted.load(Ordering::Acquire)
            && !self.closing.load(Ordering::Acquire)
            && self.config.network_direct
            && self.is_working()
    }

    /// The NDK worker's function.
    pub(super) fn change_ndk_state(&self, passive: &Passive, _bits: u32) {
        let (Some(nic), Some(provider)) = (self.nic(), self.provider()) else {
            return;
        };
        let enabled = || self.ndk_state.enabled.load(Ordering::Acquire);
        if enabled() && (nic.is_stale() || !self.is_ndk_wanted()) {
            provider.set_enabled(false);
            // Returns when all NDK adapters are closed.
            self.tell_ndis(passive, NetEventNDKDisable);
            self.ndk_state.enabled.store(false, Ordering::Release);
        }
        if nic.is_stale() && self.is_working() && !enabled() && !provider.has_open_adapters() {
            nic.set_stale(false);
            self.start_cm_again(passive);
        }
        if !enabled() && !nic.is_stale() && self.is_ndk_wanted() {
            provider.set_enabled(true);
            self.tell_ndis(passive, NetEventNDKEnable);
            self.ndk_state.enabled.store(true, Ordering::Release);
        }
    }

    /// After a restart of the device, for consumers to come.
    fn start_cm_again(&self, passive: &Passive) {
        let Some(nic) = self.nic() else { return };
        if let Err(error) = nic.start_cm(passive) {
            wdk::println!("vrnic: the CM service does not start again: {error:?}");
            event_log::write(
                ndk_sys::EVENT_NDIS_HARDWARE_FAILURE,
                "the CM service does not start again",
                0,
            );
        }
        self.request_work(Work::ADDRESSES);
    }

    fn tell_ndis(&self, passive: &Passive, event: NET_PNP_EVENT_CODE) {
        if let Err(status) = miniport::net_pnp_event(passive, self.handle, event) {
            event_log::write(
                ndk_sys::EVENT_NDIS_DRIVER_FAILURE,
                "NDIS refuses an NDK state change",
                status.cast_unsigned(),
            );
        }
    }

    /// Lets no NDK adapter be opened any more, and has those that are open closed.
    pub(super) fn shut_ndk_down(&self, passive: &Passive) {
        let Some(provider) = self.provider() else { return };
        provider.set_enabled(false);
        if provider.has_open_adapters() {
            self.update_ndk_state();
        }
        if let Some(worker) = self.ndk_worker.get() {
            worker.drain(passive);
        }
        debug_assert!(!provider.has_open_adapters(), "halted with open NDK adapters");
    }
}
