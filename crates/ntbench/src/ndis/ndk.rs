//! NDK adapters as NDIS hands them to consumers: open and close through the provider's handlers, and the two events that
//! turn NDK on and off.

use super::adapter::{HANDLER_LIMIT, Miniport};
use super::header::{self, Expected};
use super::{handles, status_of};
use crate::cpu::call::call;
use crate::exports;
use crate::memory;
use crate::nt::work;
use crate::verifier::{BugCheck, Rule, Violation, watchdog};
use ndk_sys::{
    NDIS_OPEN_NDK_ADAPTER_PARAMETERS, NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, NDK_VERSION, NET_PNP_EVENT_NOTIFICATION,
    NetEventNDKDisable, NetEventNDKEnable,
};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering;

exports! {
    /// Network plug and play events.
    pub static EXPORTS: "ndis.sys" = {
        NdisMNetPnPEvent = function(ndis_m_net_pnp_event, exactly(PASSIVE_LEVEL));
    }
}

/// `NET_PNP_EVENT_NOTIFICATION` has the default object type (ndis.h).
const NOTIFICATION_TYPE: u8 = ndk_sys::NDIS_OBJECT_TYPE_DEFAULT;

/// What a consumer does when NDK goes away: it closes its adapters.
pub type CloseHook = Arc<dyn Fn() + Send + Sync>;

/// The NDK adapters that consumers have open on one miniport.
#[derive(Default)]
pub struct OpenAdapters {
    open: Mutex<Vec<u64>>,
    closed: Condvar,
    hooks: Mutex<Vec<CloseHook>>,
    events: Mutex<Vec<i32>>,
}

impl OpenAdapters {
    /// Has `hook` called when NDK is disabled or the adapter is removed.
    pub fn on_disable(&self, hook: CloseHook) {
        self.hooks.lock().push(hook);
    }

    /// The events that the driver has raised: `NetEventNDKEnable` (13), `NetEventNDKDisable` (14).
    #[must_use]
    pub fn events(&self) -> Vec<i32> {
        self.events.lock().clone()
    }

    /// Asks the consumers to close, and waits until they have.
    pub(super) fn close_all(&self) {
        let hooks = self.hooks.lock().clone();
        for hook in hooks {
            hook();
        }
        let mut open = self.open.lock();
        while !open.is_empty() {
            if self.closed.wait_for(&mut open, HANDLER_LIMIT).timed_out() {
                watchdog::hung("consumers closing their NDK adapters", HANDLER_LIMIT)
            }
        }
    }
}

impl Miniport {
    /// Opens an NDK adapter for a consumer, at PASSIVE: `OPEN_NDK_ADAPTER_HANDLER`. Returns the address of the
    /// `NDK_ADAPTER`.
    ///
    /// # Errors
    /// What the handler returned; `NDIS_STATUS_NOT_SUPPORTED` if the driver is no NDK provider.
    pub fn open_ndk_adapter(&self, version: NDK_VERSION) -> Result<u64, NDIS_STATUS> {
        let handler = (*self.registration.ndk.lock()).and_then(|ndk| ndk.OpenNDKAdapterHandler);
        let Some(handler) = handler else {
            return Err(NDIS_STATUS_NOT_SUPPORTED);
        };
        let parameters = NDIS_OPEN_NDK_ADAPTER_PARAMETERS { Version: version };
        let mut adapter = 0_u64;
        let arguments = [
            (&raw const parameters).addr() as u64,
            (&raw mut adapter).addr() as u64,
        ];
        let status = status_of(self.handler("OpenNDKAdapterHandler", handler as usize, &arguments));
        // The driver has written it behind the compiler's back.
        let adapter: u64 = memory::read((&raw const adapter).addr());
        if status != NDIS_STATUS_SUCCESS {
            return Err(status);
        }
        if adapter == 0 {
            Violation::new(
                Rule::NdkObjectHeader,
                BugCheck::verifier(0x91, [0, 0, 0]),
                "OpenNDKAdapterHandler succeeded without an adapter",
            )
            .advice("Store the NDK_ADAPTER through the out parameter before returning NDIS_STATUS_SUCCESS.")
            .stop()
        }
        self.ndk.open.lock().push(adapter);
        Ok(adapter)
    }

    /// Closes an NDK adapter, at PASSIVE: blocks until everything below it is gone.
    pub fn close_ndk_adapter(&self, adapter: u64) {
        let handler = (*self.registration.ndk.lock()).and_then(|ndk| ndk.CloseNDKAdapterHandler);
        if let Some(handler) = handler {
            let _limit = watchdog::limit("CloseNDKAdapterHandler", HANDLER_LIMIT);
            let _ = call(handler as usize, &[self.context.load(Ordering::Acquire), adapter]);
        }
        self.ndk.open.lock().retain(|&other| other != adapter);
        self.ndk.closed.notify_all();
    }
}

extern "win64" fn ndis_m_net_pnp_event(handle: u64, notification: usize) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        notification,
        Expected {
            name: "NET_PNP_EVENT_NOTIFICATION",
            kind: NOTIFICATION_TYPE,
            revision: 1,
            size: NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
        },
    );
    let value: NET_PNP_EVENT_NOTIFICATION = memory::read(notification);
    let event = value.NetPnPEvent.NetEvent;
    if super::oid::in_request() {
        Violation::new(
            Rule::NdisNetPnPEventInOid,
            BugCheck::verifier(0x91, [u64::from(event.cast_unsigned()), 0, 0]),
            "NdisMNetPnPEvent was called from inside an OID request handler",
        )
        .advice("Return from OID_NDK_SET_STATE first and raise the event from a work item: it waits for consumers that may need the OID path.")
        .stop()
    }
    miniport.ndk.events.lock().push(event);
    if event == NetEventNDKDisable {
        // The consumers take as long as they need.
        work::parked(|| miniport.ndk.close_all());
    } else if event != NetEventNDKEnable {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    NDIS_STATUS_SUCCESS
}
