//! Timers and work items of miniport drivers.

use super::adapter::Miniport;
use super::handles;
use super::header::{self, Expected};
use super::resources::Kind;
use crate::cpu::call::call;
use crate::cpu::irql;
use crate::cpu::vp::{self, Dpc};
use crate::exports;
use crate::memory;
use crate::nt::{clock, timer, work};
use crate::verifier::{BugCheck, Rule, Violation, limits};
use ndk_sys::{
    BOOLEAN, NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_TIMER_CHARACTERISTICS,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

exports! {
    /// Timers and work items.
    pub static EXPORTS: "ndis.sys" = {
        NdisAllocateTimerObject = function(ndis_allocate_timer_object, at_most(DISPATCH_LEVEL));
        NdisSetTimerObject = function(ndis_set_timer_object, at_most(DISPATCH_LEVEL));
        NdisCancelTimerObject = function(ndis_cancel_timer_object, at_most(DISPATCH_LEVEL));
        NdisFreeTimerObject = function(ndis_free_timer_object, at_most(DISPATCH_LEVEL));
        NdisAllocateIoWorkItem = function(ndis_allocate_io_work_item, at_most(DISPATCH_LEVEL));
        NdisQueueIoWorkItem = function(ndis_queue_io_work_item, at_most(DISPATCH_LEVEL));
        NdisFreeIoWorkItem = function(ndis_free_io_work_item, at_most(DISPATCH_LEVEL));
    }
}

/// A timer object.
struct Timer {
    miniport: Arc<Miniport>,
    function: usize,
    context: u64,
    /// Whether it was last set with a period.
    periodic: AtomicBool,
}

/// A work item.
struct WorkItem {
    miniport: Arc<Miniport>,
    queued: AtomicBool,
}

fn busy(rule: Rule, what: &str, advice: &str) -> ! {
    Violation::new(rule, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice(advice)
        .stop()
}

extern "win64" fn ndis_allocate_timer_object(
    handle: u64,
    characteristics: usize,
    timer_out: usize,
) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        characteristics,
        Expected {
            name: "NDIS_TIMER_CHARACTERISTICS",
            kind: NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
            revision: 1,
            size: NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
        },
    );
    let value: NDIS_TIMER_CHARACTERISTICS = memory::read(characteristics);
    let Some(function) = value.TimerFunction else {
        return NDIS_STATUS_RESOURCES;
    };
    if crate::verifier::faults::allocation_fails() {
        return NDIS_STATUS_RESOURCES;
    }
    let timer = Timer {
        miniport: Arc::clone(&miniport),
        function: function as usize,
        context: value.FunctionContext as u64,
        periodic: AtomicBool::new(false),
    };
    let own = handles::open(Arc::new(timer));
    miniport.ledger.take(Kind::Timer, own, 0);
    memory::write(timer_out, own);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_set_timer_object(handle: u64, due: i64, period_ms: u32, context: u64) -> BOOLEAN {
    let object = handles::get::<Timer>(handle);
    let context = if context == 0 { object.context } else { context };
    let period = (period_ms != 0).then(|| Duration::from_millis(period_ms.into()));
    object.periodic.store(period.is_some(), Ordering::Release);
    let processor = vp::current();
    let action = move || {
        let object = Arc::clone(&object);
        let run = move || {
            limits::dpc(object.function, || {
                let _ = call(object.function, &[0, context, 0, 0]);
            });
        };
        processor.queue_dpc(
            Dpc {
                key: key(handle),
                run: Box::new(run),
            },
            false,
        );
    };
    BOOLEAN::from(timer::schedule(
        key(handle),
        clock::due(due),
        period,
        Arc::new(action),
    ))
}

/// Timers and their DPCs are known by the handle, which no other object has.
fn key(handle: u64) -> usize {
    usize::try_from(handle).unwrap_or(usize::MAX)
}

extern "win64" fn ndis_cancel_timer_object(handle: u64) -> BOOLEAN {
    let periodic = handles::get::<Timer>(handle).periodic.load(Ordering::Acquire);
    if periodic && irql::current() != irql::PASSIVE_LEVEL {
        busy(
            Rule::PeriodicTimer,
            "NdisCancelTimerObject was called above PASSIVE_LEVEL for a periodic timer",
            "Cancel periodic timers at PASSIVE_LEVEL: the call waits for the timer's function.",
        )
    }
    let cancelled = timer::cancel(key(handle));
    if periodic {
        // What KeFlushQueuedDpcs does there: afterwards the function does not run.
        for processor in vp::all() {
            processor.flush_dpcs();
        }
    }
    BOOLEAN::from(cancelled)
}

extern "win64" fn ndis_free_timer_object(handle: u64) {
    let key = key(handle);
    let queued = vp::all()
        .iter()
        .any(|processor| processor.has_dpc_in(&(key..key + 1)).is_some());
    if timer::is_set(key) || queued {
        busy(
            Rule::NdisTimerFreed,
            "a timer was freed while it was set, or its function was about to run",
            "Cancel a timer with NdisCancelTimerObject, and wait for its function, before you free it.",
        )
    }
    let timer = handles::close::<Timer>(handle);
    timer.miniport.ledger.give_back(Kind::Timer, handle);
}

extern "win64" fn ndis_allocate_io_work_item(handle: u64) -> u64 {
    let miniport = handles::get::<Miniport>(handle);
    if crate::verifier::faults::allocation_fails() {
        return 0;
    }
    let item = WorkItem {
        miniport: Arc::clone(&miniport),
        queued: AtomicBool::new(false),
    };
    let own = handles::open(Arc::new(item));
    miniport.ledger.take(Kind::WorkItem, own, 0);
    own
}

extern "win64" fn ndis_queue_io_work_item(handle: u64, routine: usize, context: u64) {
    let item = handles::get::<WorkItem>(handle);
    if item.queued.swap(true, Ordering::AcqRel) {
        busy(
            Rule::NdisWorkItemQueued,
            "a work item was queued while it was queued already",
            "Queue a work item again only from its routine or after that has begun.",
        )
    }
    work::queue(move || {
        // From here on the driver may queue or free it.
        item.queued.store(false, Ordering::Release);
        let _ = call(routine, &[context, handle]);
    });
}

extern "win64" fn ndis_free_io_work_item(handle: u64) {
    let item = handles::close::<WorkItem>(handle);
    if item.queued.load(Ordering::Acquire) {
        busy(
            Rule::NdisWorkItemFreed,
            "a work item was freed while it was queued",
            "Free a work item in its routine, or when you know that it is not queued.",
        )
    }
    item.miniport.ledger.give_back(Kind::WorkItem, handle);
}
