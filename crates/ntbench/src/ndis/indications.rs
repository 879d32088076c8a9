//! What a miniport indicates: link state and other status, and network plug and play events.

use super::adapter::Miniport;
use super::handles;
use super::header::{self, Expected};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_LINK_STATE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OBJECT_TYPE_STATUS_INDICATION,
    NDIS_SIZEOF_LINK_STATE_REVISION_1, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
    NDIS_SIZEOF_STATUS_INDICATION_REVISION_1, NDIS_STATUS, NDIS_STATUS_INDICATION, NDIS_STATUS_LINK_STATE,
    NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
};
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

exports! {
    /// Indications.
    pub static EXPORTS: "ndis.sys" = {
        NdisMIndicateStatusEx = function(ndis_m_indicate_status_ex, at_most(DISPATCH_LEVEL));
        NdisMPauseComplete = function(ndis_m_pause_complete, at_most(DISPATCH_LEVEL));
        NdisMRestartComplete = function(ndis_m_restart_complete, at_most(DISPATCH_LEVEL));
        NdisMResetComplete = function(ndis_m_reset_complete, at_most(DISPATCH_LEVEL));
    }
}

/// A status indication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indication {
    /// `NDIS_STATUS_*`.
    pub code: NDIS_STATUS,
    /// The status buffer.
    pub data: Vec<u8>,
    /// When.
    pub time: Instant,
}

/// The link as the driver last reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// `MediaConnectState*`: 1 is connected.
    pub connect_state: i32,
    /// Transmit speed in bit/s.
    pub speed: u64,
}

/// All indications of an adapter.
#[derive(Default)]
pub struct Indications {
    list: Mutex<Vec<Indication>>,
    changed: Condvar,
}

impl Indications {
    /// What was indicated so far.
    #[must_use]
    pub fn all(&self) -> Vec<Indication> {
        self.list.lock().clone()
    }

    /// The link as last indicated, once there is such an indication that `wanted` accepts, within `limit`.
    #[must_use]
    pub fn wait_for_link(&self, limit: Duration, wanted: impl Fn(LinkState) -> bool) -> Option<LinkState> {
        let deadline = Instant::now() + limit;
        let mut list = self.list.lock();
        loop {
            let mut links = list.iter().rev().filter(|one| one.code == NDIS_STATUS_LINK_STATE);
            if let Some(link) = links.find_map(link_state).filter(|&link| wanted(link)) {
                return Some(link);
            }
            if self.changed.wait_until(&mut list, deadline).timed_out() {
                return None;
            }
        }
    }
}

fn link_state(indication: &Indication) -> Option<LinkState> {
    (indication.data.len() >= size_of::<NDIS_LINK_STATE>()).then(|| {
        let state: NDIS_LINK_STATE = memory::read(indication.data.as_ptr().addr());
        LinkState {
            connect_state: state.MediaConnectState,
            speed: state.XmitLinkSpeed,
        }
    })
}

/// The status buffer has the structure that its code demands.
fn check_buffer(code: NDIS_STATUS, at: usize, length: usize) {
    let expected = match code {
        NDIS_STATUS_LINK_STATE => Expected {
            name: "NDIS_LINK_STATE",
            kind: NDIS_OBJECT_TYPE_DEFAULT,
            revision: 1,
            size: NDIS_SIZEOF_LINK_STATE_REVISION_1,
        },
        NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG => Expected {
            name: "NDIS_OFFLOAD",
            kind: NDIS_OBJECT_TYPE_OFFLOAD,
            revision: 1,
            size: NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
        },
        _ => return,
    };
    if length < usize::from(expected.size) {
        Violation::new(
            Rule::NdisStatusBuffer,
            BugCheck::verifier(0x91, [u64::from(code.cast_unsigned()), length as u64, 0]),
            format!(
                "the status {code:#x} was indicated with {length} bytes, and {} has {}",
                expected.name, expected.size
            ),
        )
        .advice("Set StatusBuffer and StatusBufferSize to the structure of the status code.")
        .stop()
    }
    header::check(at, expected);
}

extern "win64" fn ndis_m_indicate_status_ex(handle: u64, indication: usize) {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        indication,
        Expected {
            name: "NDIS_STATUS_INDICATION",
            kind: NDIS_OBJECT_TYPE_STATUS_INDICATION,
            revision: 1,
            size: NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
        },
    );
    let value: NDIS_STATUS_INDICATION = memory::read(indication);
    let data = memory::read_bytes(value.StatusBuffer as usize, value.StatusBufferSize as usize);
    check_buffer(value.StatusCode, value.StatusBuffer as usize, data.len());
    miniport.indications.list.lock().push(Indication {
        code: value.StatusCode,
        data,
        time: Instant::now(),
    });
    miniport.indications.changed.notify_all();
}

extern "win64" fn ndis_m_pause_complete(handle: u64) {
    let miniport = handles::get::<Miniport>(handle);
    // From here on nothing may be indicated.
    miniport.set_paused();
    miniport
        .pended
        .complete("NdisMPauseComplete", ndk_sys::NDIS_STATUS_SUCCESS);
}

extern "win64" fn ndis_m_restart_complete(handle: u64, status: NDIS_STATUS) {
    handles::get::<Miniport>(handle)
        .pended
        .complete("NdisMRestartComplete", status);
}

extern "win64" fn ndis_m_reset_complete(handle: u64, status: NDIS_STATUS, _addressing_reset: u8) {
    handles::get::<Miniport>(handle)
        .pended
        .complete("NdisMResetComplete", status);
}
