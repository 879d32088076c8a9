//! What the device's events, the clock and NETIO lead to.

use core::sync::atomic::Ordering;
use core::time::Duration;

use super::adapter::Adapter;
use super::ethernet::ServedQueues;
use crate::nic::NicEvent;
use crate::nic::health::Reason;
use crate::os::event_log;
use crate::os::interrupt::{InterruptTarget, Throttle};
use crate::os::irql::Passive;
use crate::os::netio::{self, AddressTarget};
use crate::os::pool::PoolVec;
use crate::os::timer::TimerTarget;

/// The message of the command queue.
const COMMAND_MESSAGE: u32 = vrnic_abi::pci::COMMAND_VECTOR as u32;
/// Events, and requests that have ended, that one DPC serves before others have their turn.
const BUDGET: usize = 64;

/// Period of the clock.
pub const TICK: Duration = Duration::from_millis(10);
/// Ticks between looks at the device: tenths of a second.
const TICKS_PER_CHECK: u32 = 10;

bitflags::bitflags! {
    /// What the adapter's worker is asked to do at PASSIVE.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Work: u32 {
        /// The addresses of the interface may have changed.
        const ADDRESSES = 1 << 0;
        /// The device's health may have changed.
        const HEALTH = 1 << 1;
        /// The link may have changed.
        const LINK = 1 << 2;
        /// Direct OID requests wait.
        const OIDS = 1 << 3;
        /// The CM service has stopped.
        const RESTART_CM = 1 << 4;
        /// A pause may be over.
        const PAUSE = 1 << 5;
        /// An Ethernet queue is in error.
        const ETHERNET = 1 << 6;
    }
}

impl InterruptTarget for Adapter {
    fn on_message(&self, message: u32, throttle: &mut Throttle) -> bool {
        let Some(nic) = self.nic() else { return false };
        let more_commands = message == COMMAND_MESSAGE && nic.serve_commands(BUDGET);
        let more_events = nic.serve_events(message, BUDGET, |event| self.on_event(&event));
        if let Some(ethernet) = self.ethernet.get()
            && ethernet.serve(message, throttle) == ServedQueues::Garbage
        {
            nic.fail(Reason::BadFrame, message);
        }
        self.notice_health();
        self.look_at_pause();
        more_commands || more_events
    }
}

impl TimerTarget for Adapter {
    fn on_timer(&self) {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        if let Some(nic) = self.nic() {
            if tick.is_multiple_of(TICKS_PER_CHECK) {
                nic.check();
            }
            nic.tick(BUDGET);
            if let Some(ethernet) = self.ethernet.get()
                && ethernet.is_stuck(self.patience)
                && self.is_working()
            {
                nic.fail(Reason::TransmitStuck, self.patience);
            }
        }
        if let Some(provider) = self.provider() {
            provider.on_timer();
        }
        self.notice_health();
        self.look_at_pause();
    }
}

impl AddressTarget for Adapter {
    fn on_address_change(&self) {
        self.request_work(Work::ADDRESSES);
    }
}

impl Adapter {
    fn on_event(&self, event: &NicEvent) {
        match event {
            NicEvent::Receive(received) => {
                if let Some(provider) = self.provider() {
                    provider.on_cm_receive(received);
                }
            }
            NicEvent::ReceiveStopped => self.request_work(Work::RESTART_CM),
            NicEvent::Link => self.request_work(Work::LINK),
            NicEvent::Fatal => {
                if let Some(nic) = self.nic() {
                    nic.check();
                }
            }
            NicEvent::Object(event) => {
                if let Some(provider) = self.provider() {
                    provider.on_object_event(*event);
                }
            }
            NicEvent::Ethernet(number) => {
                if let Some(ethernet) = self.ethernet.get() {
                    ethernet.on_event(*number);
                }
            }
            NicEvent::EthernetError(_) => self.request_work(Work::ETHERNET),
            NicEvent::Unexpected(kind) => wdk::println!("vrnic: event {kind:?} makes no sense, ignored"),
        }
    }

    /// The worker's function.
    pub fn work(&self, passive: &Passive, bits: u32) {
        let work = Work::from_bits_truncate(bits);
        if work.contains(Work::HEALTH) {
            self.report_health(passive);
        }
        if work.contains(Work::ETHERNET) {
            self.repair_ethernet(passive);
        }
        if work.contains(Work::PAUSE) {
            self.finish_pause(passive);
        }
        if work.contains(Work::RESTART_CM) {
            self.restart_cm(passive);
        }
        if work.intersects(Work::LINK | Work::HEALTH | Work::RESTART_CM) {
            self.indicate_link();
        }
        if work.contains(Work::ADDRESSES) {
            self.refresh_addresses(passive);
        }
        if work.contains(Work::OIDS) {
            self.serve_pending_oids(passive);
        }
    }

    fn restart_cm(&self, passive: &Passive) {
        let Some(nic) = self.nic() else { return };
        if let Err(error) = nic.restart_cm(passive) {
            wdk::println!("vrnic: the CM service does not start again: {error:?}");
            event_log::write(
                ndk_sys::EVENT_NDIS_HARDWARE_FAILURE,
                "the CM service does not start again",
                0,
            );
        }
        nic.check();
        self.notice_health();
    }

    /// Brings the GID table, and then the provider, to the addresses that the interface has.
    pub fn refresh_addresses(&self, passive: &Passive) {
        let (Some(nic), Some(provider)) = (self.nic(), self.provider()) else {
            return;
        };
        let wanted = match netio::addresses(passive, self.luid) {
            Ok(wanted) => wanted,
            Err(status) => return log_address_failure("addresses could not be read", status.cast_unsigned()),
        };
        // The table may have changed in part: the provider gets what it is now.
        if nic.set_addresses(passive, &wanted).is_err() {
            log_address_failure("addresses could not be set", 0);
        }
        let table = nic.addresses();
        let mut addresses = PoolVec::new();
        for address in table.iter() {
            if addresses.push(address).is_err() {
                return log_address_failure("no memory for addresses", 0);
            }
        }
        provider.set_addresses(passive, &addresses);
    }
}

fn log_address_failure(text: &str, detail: u32) {
    event_log::write(ndk_sys::EVENT_NDIS_DRIVER_FAILURE, text, detail);
}
