//! Sleeping, waking up and being reset: the device is stopped and started again under an adapter that lives on.
//!
//! Lists that were to be sent are completed; buffers that NDIS has keep their memory. What the user and NDIS have set is set
//! again. Objects of NDK consumers do not survive: NDK is disabled until all of them are closed.

use core::sync::atomic::Ordering;

use ndk_sys::{
    NDIS_DEVICE_POWER_STATE, NDIS_STATUS, NDIS_STATUS_ADAPTER_REMOVED, NDIS_STATUS_HARD_ERRORS,
    NDIS_STATUS_SUCCESS, NdisDeviceStateD0,
};

use super::adapter::Adapter;
use super::ethernet::{Closed, Ethernet};
use super::interrupt::Work;
use crate::nic::health::Reason;
use crate::nic::{Health, Nic};
use crate::os::event_log;
use crate::os::irql::Passive;
use crate::os::pool::PoolArc;

impl Adapter {
    /// Whether a reset by NDIS would help.
    pub(super) fn needs_reset(&self) -> bool {
        !self.asleep.load(Ordering::Acquire)
            && !self.transition.load(Ordering::Acquire)
            && self.nic().is_some_and(|nic| nic.health() == Health::Dead)
    }

    /// `OID_PNP_SET_POWER`: NDIS has paused the adapter.
    pub(super) fn set_power(&self, passive: &Passive, state: NDIS_DEVICE_POWER_STATE) -> NDIS_STATUS {
        let Some((nic, ethernet)) = self.parts() else {
            return NDIS_STATUS_HARD_ERRORS;
        };
        let sleep = state != NdisDeviceStateD0;
        if self.asleep.load(Ordering::Acquire) == sleep {
            return NDIS_STATUS_SUCCESS;
        }
        self.begin_transition(passive);
        if sleep {
            ethernet.close(Closed::ASLEEP, false);
            self.asleep.store(true, Ordering::Release);
            // The transition ends when the adapter wakes up.
            self.stop_device(passive, nic, Reason::Asleep, Closed::ASLEEP);
            return NDIS_STATUS_SUCCESS;
        }
        self.asleep.store(false, Ordering::Release);
        self.start_device(
            passive,
            nic,
            ethernet,
            Closed::ASLEEP | Closed::DEAD | Closed::RESET,
        )
    }

    /// `MiniportResetEx`. A device that works keeps its RDMA connections: only Ethernet begins anew.
    pub(super) fn reset(&self, passive: &Passive) -> NDIS_STATUS {
        let Some((nic, ethernet)) = self.parts() else {
            return NDIS_STATUS_HARD_ERRORS;
        };
        if self.asleep.load(Ordering::Acquire) {
            return NDIS_STATUS_SUCCESS;
        }
        self.begin_transition(passive);
        if self.is_working() && Self::reset_ethernet(passive, nic, ethernet) {
            self.end_transition(nic);
            return NDIS_STATUS_SUCCESS;
        }
        if nic.health() == Health::Removed {
            self.end_transition(nic);
            return NDIS_STATUS_ADAPTER_REMOVED;
        }
        self.stop_device(passive, nic, Reason::Stopped, Closed::RESET);
        self.start_device(passive, nic, ethernet, Closed::DEAD | Closed::RESET)
    }

    /// An Ethernet queue is in error: all of them begin anew.
    pub(super) fn repair_ethernet(&self, passive: &Passive) {
        let Some((nic, ethernet)) = self.parts() else {
            return;
        };
        if self.transition.load(Ordering::Acquire) || !self.is_working() {
            return;
        }
        event_log::write(
            ndk_sys::EVENT_NDIS_HARDWARE_FAILURE,
            "an Ethernet queue is in error, and starts again",
            0,
        );
        if !Self::reset_ethernet(passive, nic, ethernet) {
            nic.fail(Reason::Refused, 0);
            self.notice_health();
        }
    }

    fn parts(&self) -> Option<(&PoolArc<Nic>, &Ethernet)> {
        self.nic().zip(self.ethernet.get())
    }

    fn reset_ethernet(passive: &Passive, nic: &Nic, ethernet: &Ethernet) -> bool {
        ethernet.stop(passive, nic, Closed::RESET).is_ok()
            && ethernet.start(passive, nic, Closed::RESET).is_ok()
    }

    /// From now on the device's failures are ours. What the worker has been asked for is done before.
    fn begin_transition(&self, passive: &Passive) {
        self.transition.store(true, Ordering::Release);
        if let Some(worker) = self.worker.get() {
            worker.drain(passive);
        }
    }

    fn end_transition(&self, nic: &Nic) {
        self.reported_health
            .store(Health::Working as u8, Ordering::Release);
        self.transition.store(false, Ordering::Release);
        // Before anybody sends: the link was down while the device did not work.
        self.indicate_link();
        self.request_work(Work::ADDRESSES);
        self.update_ndk_state();
        if nic.health() != Health::Working {
            self.notice_health();
        }
    }

    /// Stops the device, and ends what anybody waits for.
    fn stop_device(&self, passive: &Passive, nic: &Nic, reason: Reason, why: Closed) {
        self.carry_statistics(passive);
        nic.fail(reason, 0);
        self.end_frames(passive, why);
        if let Some(provider) = self.provider() {
            provider.set_enabled(false);
            provider.on_device_failed();
        }
        nic.set_stale(true);
        self.update_ndk_state();
    }

    fn start_device(&self, passive: &Passive, nic: &Nic, ethernet: &Ethernet, why: Closed) -> NDIS_STATUS {
        let started = nic
            .restart(passive)
            .map_err(|error| wdk::println!("vrnic: the device does not start again: {error:?}"))
            .and_then(|()| {
                ethernet.start(passive, nic, why).map_err(|error| {
                    wdk::println!("vrnic: Ethernet does not start again: {error:?}");
                    nic.fail(Reason::Stopped, 0);
                })
            });
        self.place_queues(ethernet);
        self.end_transition(nic);
        match started {
            Ok(()) => NDIS_STATUS_SUCCESS,
            Err(()) => NDIS_STATUS_HARD_ERRORS,
        }
    }
}
