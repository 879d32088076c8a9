//! What becomes of an adapter whose device fails.
//!
//! The NIC layer has ended all commands by the time that this notices. NDIS and the user are told, and NDK is disabled:
//! its consumers close their adapters, which needs no device.

use core::sync::atomic::Ordering;
use core::time::Duration;

use super::adapter::Adapter;
use super::attributes;
use super::ethernet::Closed;
use super::interrupt::Work;
use crate::nic::Health;
use crate::os::irql::Passive;
use crate::os::time::{Instant, sleep};
use crate::os::{event_log, miniport};

/// Longest time that the device takes to be silenced.
const SILENCE: Duration = Duration::from_secs(3);

impl Adapter {
    /// Asks for a report if the device's health has got worse. At most `DISPATCH_LEVEL`.
    pub fn notice_health(&self) {
        let Some(nic) = self.nic() else { return };
        if self.closing.load(Ordering::Acquire) || self.transition.load(Ordering::Acquire) {
            return; // The device is being stopped by us.
        }
        let health = nic.health() as u8;
        if self.reported_health.swap(health, Ordering::AcqRel) != health {
            self.request_work(Work::HEALTH);
        }
    }

    /// Whether the device works.
    pub fn is_working(&self) -> bool {
        self.nic().is_some_and(|nic| nic.health() == Health::Working)
    }

    /// Writes the reason to the event log, ends what NDIS and consumers wait for, and disables NDK.
    pub(super) fn report_health(&self, passive: &Passive) {
        if self.transition.load(Ordering::Acquire) {
            return; // It ends by itself.
        }
        let Some((reason, detail)) = self.nic().and_then(|nic| nic.diagnosis()) else {
            return;
        };
        event_log::write(ndk_sys::EVENT_NDIS_HARDWARE_FAILURE, reason.text(), detail);
        self.end_frames(passive, Closed::DEAD);
        if let Some(provider) = self.provider() {
            provider.on_device_failed();
        }
        self.update_ndk_state();
    }

    /// Ends what is in flight at a device that has failed, once it touches no memory any more.
    pub(super) fn end_frames(&self, passive: &Passive, why: Closed) {
        let (Some(nic), Some(ethernet)) = (self.nic(), self.ethernet.get()) else {
            return;
        };
        // Whoever found it is silencing it, which is bounded.
        let deadline = Instant::now() + SILENCE;
        while !nic.is_silent() && Instant::now() < deadline {
            sleep(passive, Duration::from_millis(1));
        }
        ethernet.clear(why, false);
    }

    /// Tells NDIS, and the provider, how the link is.
    pub(super) fn indicate_link(&self) {
        let Some(nic) = self.nic() else { return };
        if let Some(provider) = self.provider() {
            provider.on_link_change();
        }
        let link = nic.link();
        let up = link.up && self.is_working();
        if let Some(ethernet) = self.ethernet.get() {
            if up {
                ethernet.open(Closed::DISCONNECTED);
            } else {
                ethernet.close(Closed::DISCONNECTED, false);
            }
        }
        let mut state = attributes::link_state(link, self.is_working());
        miniport::indicate_link_state(self.handle, &mut state);
    }
}
