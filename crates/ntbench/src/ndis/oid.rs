//! OID requests, regular and direct.

use super::adapter::Miniport;
use super::header;
use super::{handles, status_of};
use crate::cpu::irql::{DISPATCH_LEVEL, RaisedIrql};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation, limits};
use ndk_sys::{
    NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1, NDIS_REQUEST_TYPE,
    NDIS_STATUS, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
    NdisRequestQueryInformation, NdisRequestSetInformation, OID_GEN_STATISTICS, OID_NDK_SET_STATE,
    OID_NDK_STATISTICS,
};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::BTreeMap;

exports! {
    /// Completion of OID requests.
    pub static EXPORTS: "ndis.sys" = {
        NdisMOidRequestComplete = function(ndis_m_oid_request_complete, at_most(DISPATCH_LEVEL));
        NdisMDirectOidRequestComplete = function(ndis_m_direct_oid_request_complete, at_most(DISPATCH_LEVEL));
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: NDIS_STATUS,
    /// The information buffer afterwards, as long as the driver says that it has written (query).
    pub data: Vec<u8>,
    /// Bytes that the driver would have needed.
    pub needed: u32,
}

thread_local! {
    /// Whether this thread is inside the driver's OID request handler.
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Requests that are pending, by address, and how they ended.
static PENDING: Mutex<BTreeMap<usize, Option<NDIS_STATUS>>> = Mutex::new(BTreeMap::new());
static COMPLETED: Condvar = Condvar::new();
/// NDIS sends regular requests to a miniport one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whether the current thread is inside the handler of a request.
pub(super) fn in_request() -> bool {
    IN_HANDLER.get()
}

/// Where the reserved counters are in `NDIS_NDK_STATISTICS_INFO`: from the sixth to the twenty-fifth behind the header.
const RESERVED_COUNTERS: std::ops::Range<usize> = 8 + 5 * 8..8 + 25 * 8;

fn check_reserved_counters(statistics: &[u8]) {
    let reserved = statistics.get(RESERVED_COUNTERS);
    if reserved.is_some_and(|counters| counters.iter().any(|&byte| byte != 0)) {
        Violation::new(
            Rule::NdkReservedCounters,
            BugCheck::verifier(0x91, [u64::from(OID_NDK_STATISTICS), 0, 0]),
            "the answer to OID_NDK_STATISTICS has a reserved counter that is not zero",
        )
        .advice("Leave the reserved members of NDIS_NDK_PERFORMANCE_COUNTERS zero.")
        .stop()
    }
}

impl Miniport {
    /// A regular query with room for `room` bytes, at PASSIVE.
    pub fn oid_query(&self, oid: NDIS_OID, room: usize) -> Answer {
        self.oid_query_with(oid, vec![0; room])
    }

    /// As [`Miniport::oid_query`]; `data` is what the buffer holds before.
    pub fn oid_query_with(&self, oid: NDIS_OID, data: Vec<u8>) -> Answer {
        let _one = ONE_AT_A_TIME.lock();
        let handler = self
            .registration
            .handlers
            .OidRequestHandler
            .map_or(0, |handler| handler as usize);
        let passed = self.passed();
        let answer = self.request(
            "MiniportOidRequest",
            handler,
            NdisRequestQueryInformation,
            oid,
            data,
        );
        if oid == OID_GEN_STATISTICS {
            self.check_statistics(passed, &answer);
        }
        answer
    }

    /// A regular set, at PASSIVE.
    pub fn oid_set(&self, oid: NDIS_OID, data: &[u8]) -> Answer {
        let _one = ONE_AT_A_TIME.lock();
        let handler = self
            .registration
            .handlers
            .OidRequestHandler
            .map_or(0, |handler| handler as usize);
        let answer = self.request(
            "MiniportOidRequest",
            handler,
            NdisRequestSetInformation,
            oid,
            data.to_vec(),
        );
        if answer.status == NDIS_STATUS_SUCCESS {
            self.note_filter(oid, data);
        }
        answer
    }

    /// A direct query, at DISPATCH. `data` is what the buffer holds before.
    pub fn direct_oid_query(&self, oid: NDIS_OID, data: Vec<u8>) -> Answer {
        let Some(handler) = self.registration.handlers.DirectOidRequestHandler else {
            return Answer {
                status: NDIS_STATUS_NOT_SUPPORTED,
                data: Vec::new(),
                needed: 0,
            };
        };
        let answer = self.request(
            "MiniportDirectOidRequest",
            handler as usize,
            NdisRequestQueryInformation,
            oid,
            data,
        );
        if oid == OID_NDK_STATISTICS && answer.status == NDIS_STATUS_SUCCESS {
            check_reserved_counters(&answer.data);
        }
        answer
    }

    fn request(
        &self,
        name: &'static str,
        handler: usize,
        kind: NDIS_REQUEST_TYPE,
        oid: NDIS_OID,
        mut data: Vec<u8>,
    ) -> Answer {
        let mut request = Box::new(NDIS_OID_REQUEST::zeroed());
        request.Header =
            header::make::<NDIS_OID_REQUEST>(NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1);
        request.RequestType = kind;
        let mut query = ndk_sys::NDIS_OID_REQUEST_QUERY::zeroed();
        query.Oid = oid;
        query.InformationBuffer = data.as_mut_ptr().cast();
        query.InformationBufferLength = u32::try_from(data.len()).unwrap_or(u32::MAX);
        request.DATA.QUERY_INFORMATION = query;
        let at = (&raw mut *request).addr();
        let status = self.deliver(name, handler, oid, at);
        let request: NDIS_OID_REQUEST = memory::read(at);
        // The set and query members have the same layout.
        let at = (&raw const request.DATA).addr();
        let query: ndk_sys::NDIS_OID_REQUEST_QUERY = memory::read(at);
        let written = if kind == NdisRequestQueryInformation {
            query.BytesWritten as usize
        } else {
            0
        };
        if written > data.len() {
            Violation::new(
                Rule::NdisOidBytesWritten,
                BugCheck::verifier(0x91, [oid.into(), written as u64, data.len() as u64]),
                format!(
                    "the answer to OID {oid:#x} claims {written} bytes in a buffer of {}",
                    data.len()
                ),
            )
            .advice("Set BytesWritten to what was written, and BytesNeeded where the buffer is too short.")
            .stop()
        }
        data.truncate(written);
        Answer {
            status,
            data,
            needed: query.BytesNeeded,
        }
    }

    fn deliver(&self, name: &'static str, handler: usize, oid: NDIS_OID, at: usize) -> NDIS_STATUS {
        PENDING.lock().insert(at, None);
        let direct = name == "MiniportDirectOidRequest";
        let raised = direct.then(|| RaisedIrql::at_least(DISPATCH_LEVEL));
        IN_HANDLER.set(!direct);
        let status = status_of(self.handler(name, handler, &[at as u64]));
        IN_HANDLER.set(false);
        drop(raised);
        let ended = if status == NDIS_STATUS_PENDING {
            wait_for(at, oid)
        } else {
            status
        };
        let completion = PENDING.lock().remove(&at).flatten();
        if status != NDIS_STATUS_PENDING && completion.is_some() {
            completion_violation(
                oid,
                "was completed although its handler did not return NDIS_STATUS_PENDING",
            )
        }
        ended
    }
}

fn wait_for(at: usize, oid: NDIS_OID) -> NDIS_STATUS {
    if oid == OID_NDK_SET_STATE {
        completion_violation(
            oid,
            "returned NDIS_STATUS_PENDING, which OID_NDK_SET_STATE never may",
        )
    }
    let limit = limits::get().oid;
    let mut pending = PENDING.lock();
    loop {
        if let Some(Some(status)) = pending.get(&at) {
            return *status;
        }
        if COMPLETED.wait_for(&mut pending, limit).timed_out() {
            drop(pending);
            Violation::new(
                Rule::NdisTimedOidComplete,
                BugCheck::verifier(0x92001, [oid.into(), at as u64, 0]),
                format!("OID request {oid:#x} was not completed within {limit:?}"),
            )
            .advice("Complete a request that has pended, also when the device does not answer.")
            .stop()
        }
    }
}

fn complete(request: usize, status: NDIS_STATUS) {
    let mut pending = PENDING.lock();
    let Some(slot @ None) = pending.get_mut(&request) else {
        drop(pending);
        completion_violation(0, "was completed twice, or is none")
    };
    *slot = Some(status);
    COMPLETED.notify_all();
}

fn completion_violation(oid: NDIS_OID, what: &str) -> ! {
    Violation::new(Rule::NdisOidComplete, BugCheck::verifier(0x91001, [oid.into(), 0, 0]), format!("OID request {oid:#x} {what}"))
        .advice("Complete a request exactly once: by the handler's return value, or, after NDIS_STATUS_PENDING, with NdisMOidRequestComplete.")
        .stop()
}

extern "win64" fn ndis_m_oid_request_complete(handle: u64, request: usize, status: NDIS_STATUS) {
    drop(handles::get::<Miniport>(handle));
    complete(request, status);
}

extern "win64" fn ndis_m_direct_oid_request_complete(handle: u64, request: usize, status: NDIS_STATUS) {
    drop(handles::get::<Miniport>(handle));
    complete(request, status);
}
