//! Receives: net buffer lists that a miniport lends to the bench, and gets back.

use super::adapter::{Miniport, State};
use super::nbl;
use super::send::{check_dispatch_flag, check_no_lock};
use super::{frame, handles, rss};
use crate::cpu::irql::{self, DISPATCH_LEVEL, Irql, RaisedIrql};
use crate::cpu::vp;
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_RETURN_FLAGS_DISPATCH_LEVEL,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::mem::offset_of;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

exports! {
    /// Receives.
    pub static EXPORTS: "ndis.sys" = {
        NdisMIndicateReceiveNetBufferLists = function(ndis_m_indicate_receive_net_buffer_lists, at_most(DISPATCH_LEVEL));
    }
}

/// Frames that are kept for whoever looks at them later; older ones are forgotten.
const KEPT: usize = 1 << 14;
/// Bytes of an Ethernet header, and of a VLAN tag that was not taken out.
const HEADER: usize = 14;
const TAG: usize = 4;
/// How long the lists of a batch are kept when they come back later.
const A_WHILE: Duration = Duration::from_millis(1);
/// How long lists that are held back stay with their holder when the miniport pauses.
const AT_PAUSE: Duration = Duration::from_millis(20);

/// A frame that was indicated.
#[derive(Clone, Debug)]
pub struct Received {
    /// The frame.
    pub data: Vec<u8>,
    /// `NetBufferListInfo`.
    pub info: [u64; 24],
    /// `NblFlags`.
    pub nbl_flags: u32,
    /// `NDIS_RECEIVE_FLAGS_*` of the call.
    pub flags: u32,
    /// Processor on which it was indicated.
    pub processor: usize,
    /// IRQL at which it was indicated.
    pub irql: Irql,
}

/// When lists go back to the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returns {
    /// Some inside the indication, the others soon after, at PASSIVE and at DISPATCH, in another order.
    #[default]
    Mixed,
    /// Inside the indication.
    Inside,
    /// Not until [`Receives::set_returns`] says otherwise, or the miniport pauses.
    Held,
}

/// A list that the bench has from the driver.
struct Lent {
    data: Vec<u8>,
    info: [u64; 24],
}

/// Who gets the frames.
pub type Sink = Arc<dyn Fn(&Received) + Send + Sync>;

/// The lists that the bench has from a miniport, and the frames that came.
#[derive(Default)]
pub struct Receives {
    lent: Mutex<BTreeMap<usize, Lent>>,
    queue: Mutex<Queue>,
    work: Condvar,
    frames: Mutex<Frames>,
    arrived: Condvar,
    sink: Mutex<Option<Sink>>,
}

#[derive(Default)]
struct Queue {
    returns: Returns,
    /// Lists that go back later.
    later: Vec<(Instant, usize)>,
    held: Vec<usize>,
    batches: usize,
    running: bool,
    stopping: bool,
}

#[derive(Default)]
struct Frames {
    kept: VecDeque<Received>,
    count: u64,
}

impl Receives {
    /// Sets when lists go back; those that are held go back soon.
    pub fn set_returns(&self, returns: Returns) {
        let mut queue = self.queue.lock();
        queue.returns = returns;
        release(&mut queue, Duration::ZERO);
        self.work.notify_all();
    }

    /// How many lists the bench has from the driver.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.lent.lock().len()
    }

    /// Frames indicated so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.frames.lock().count
    }

    /// Takes the frames that have come.
    #[must_use]
    pub fn take(&self) -> Vec<Received> {
        self.frames.lock().kept.drain(..).collect()
    }

    /// Waits until `count` frames that `wanted` accepts have come, and takes those; all others stay. `None` after `limit`.
    #[must_use]
    pub fn wait_for(
        &self,
        count: usize,
        limit: Duration,
        wanted: impl Fn(&Received) -> bool,
    ) -> Option<Vec<Received>> {
        let deadline = Instant::now() + limit;
        let mut frames = self.frames.lock();
        while frames.kept.iter().filter(|frame| wanted(frame)).count() < count {
            if self.arrived.wait_until(&mut frames, deadline).timed_out() {
                return None;
            }
        }
        let (taken, left) = frames.kept.drain(..).partition(|frame| wanted(frame));
        frames.kept = left;
        Some(Vec::from(taken))
    }

    /// Who gets the frames besides.
    pub(super) fn set_sink(&self, sink: Option<Sink>) {
        *self.sink.lock() = sink;
    }

    pub(super) fn has_lent(&self, list: usize) -> bool {
        self.lent.lock().contains_key(&list)
    }

    /// The miniport pauses: what is held goes back, but not at once; what comes from now on is not held.
    pub(super) fn begin_pause(&self) {
        release(&mut self.queue.lock(), AT_PAUSE);
        self.work.notify_all();
    }

    /// The pause has completed: all lists must be back.
    pub(super) fn check_none_lent(&self) {
        let lent = self.outstanding();
        if lent != 0 {
            broken(
                Rule::NdisPauseWithReceives,
                format!("the pause has completed, and {lent} indicated lists have not been returned"),
                "Complete a pause when MiniportReturnNetBufferLists has got all lists back.",
            )
        }
    }

    /// Ends the thread that returns lists.
    pub(super) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopping = true;
        self.work.notify_all();
    }

    /// A frame has come; those that do not pass the filter go no further.
    fn keep(&self, received: Received, passes: bool) {
        let sink = self.sink.lock().clone();
        if let Some(sink) = sink.filter(|_| passes) {
            sink(&received);
        }
        let mut frames = self.frames.lock();
        frames.count += 1;
        if !passes {
            return;
        }
        if frames.kept.len() == KEPT {
            frames.kept.pop_front();
        }
        frames.kept.push_back(received);
        drop(frames);
        self.arrived.notify_all();
    }
}

fn release(queue: &mut Queue, after: Duration) {
    let due = Instant::now() + after;
    let held = std::mem::take(&mut queue.held);
    queue.later.extend(held.into_iter().map(|list| (due, list)));
}

fn broken(rule: Rule, what: impl Into<String>, advice: &str) -> ! {
    Violation::new(rule, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice(advice)
        .stop()
}

fn bad_list(what: &str) -> ! {
    broken(
        Rule::NdisReceiveList,
        format!("an indicated net buffer list is wrong: {what}"),
        "Status is NDIS_STATUS_SUCCESS, SourceHandle the adapter's handle; one net buffer with the frame in its MDL chain.",
    )
}

impl Miniport {
    /// What the driver has indicated, and has lent.
    #[must_use]
    pub fn receives(&self) -> &Receives {
        &self.receives
    }

    /// Indications come only while the adapter runs, or is about to, at full power.
    fn check_may_indicate(&self) {
        let state = self.state();
        let may = matches!(state, State::Running | State::Restarting | State::Pausing);
        if !may || self.is_asleep() {
            broken(
                Rule::NdisReceiveState,
                format!(
                    "frames were indicated while the adapter is {state:?}{}",
                    if self.is_asleep() { " and in low power" } else { "" }
                ),
                "Indicate frames between restart and pause, at full power.",
            )
        }
    }

    /// Checks a list that is indicated; returns its frame.
    fn check_list(self: &Arc<Self>, list: usize, flags: u32) -> Received {
        if self.receives.has_lent(list) || !nbl::pool::has_list(self, list) {
            broken(
                Rule::NdisReceiveList,
                format!("net buffer list {list:#x} was indicated, and is not the driver's to indicate"),
                "Indicate lists of the adapter's pools, and none that has not been returned.",
            )
        }
        let value: NET_BUFFER_LIST = memory::read(list);
        if value.Status != NDIS_STATUS_SUCCESS {
            bad_list(&format!("its status is {:#x}", value.Status))
        }
        if value.SourceHandle as u64 != self.handle.load(std::sync::atomic::Ordering::Acquire) {
            bad_list("its SourceHandle is not the adapter's")
        }
        let buffers: Vec<usize> = nbl::buffers(list).collect();
        let [buffer] = buffers[..] else {
            bad_list(&format!("it has {} net buffers", buffers.len()))
        };
        let data = match nbl::contents(buffer) {
            Ok(data) => data,
            Err(what) => bad_list(&what),
        };
        let mtu = self
            .attributes
            .lock()
            .general
            .as_ref()
            .map_or(0, |general| general.mtu as usize);
        if data.len() < HEADER || data.len() > mtu + HEADER + TAG {
            bad_list(&format!(
                "its frame has {} bytes, and the MTU is {mtu}",
                data.len()
            ))
        }
        Received {
            data,
            info: value.NetBufferListInfo.map(|value| value as u64),
            nbl_flags: value.NblFlags,
            flags,
            processor: vp::current().index(),
            irql: irql::current(),
        }
    }

    /// Takes a list that is indicated: checks it, and hands its frame on.
    fn take(self: &Arc<Self>, list: usize, flags: u32) {
        let received = self.check_list(list, flags);
        frame::check_verdicts(&received.data, &received.info);
        rss::check(self, &received);
        let lent = Lent {
            data: received.data.clone(),
            info: received.info,
        };
        self.receives.lent.lock().insert(list, lent);
        let passes = self.passes(&received);
        self.receives.keep(received, passes);
    }

    /// The list is as it was when it was lent.
    fn check_unchanged(&self, list: usize) {
        let Some(lent) = self.receives.lent.lock().remove(&list) else {
            return;
        };
        let info = memory::read::<[u64; 24]>(list + offset_of!(NET_BUFFER_LIST, NetBufferListInfo));
        let data = nbl::buffers(list)
            .next()
            .and_then(|buffer| nbl::contents(buffer).ok());
        if info != lent.info || data.as_ref() != Some(&lent.data) {
            broken(
                Rule::NdisReceiveChanged,
                format!("net buffer list {list:#x} was changed while it was indicated"),
                "Leave a list and its data alone until it is returned; never give its memory to the device before.",
            )
        }
    }

    /// Gives lists back, in one chain, at the current IRQL.
    fn return_lists(&self, lists: &[usize]) {
        let Some(handler) = self.registration.handlers.ReturnNetBufferListsHandler else {
            return;
        };
        let mut next = 0_usize;
        for &list in lists {
            self.check_unchanged(list);
            memory::write(list + offset_of!(NET_BUFFER_LIST, Next), next);
            next = list;
        }
        let at_dispatch = irql::current() == DISPATCH_LEVEL;
        let flags = if at_dispatch {
            NDIS_RETURN_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        if next != 0 {
            self.handler(
                "MiniportReturnNetBufferLists",
                handler as usize,
                &[next as u64, flags.into()],
            );
        }
    }

    /// Has lists returned: some of them now.
    fn give_back(self: &Arc<Self>, lists: Vec<usize>) {
        let mut queue = self.receives.queue.lock();
        queue.batches += 1;
        let inside = match queue.returns {
            Returns::Inside => true,
            Returns::Mixed => queue.batches.is_multiple_of(3),
            Returns::Held => false,
        };
        if inside {
            drop(queue);
            self.return_lists(&lists);
            return;
        }
        if queue.returns == Returns::Held && self.state() != State::Pausing {
            queue.held.extend(lists);
        } else {
            let due = Instant::now() + A_WHILE;
            queue.later.extend(lists.into_iter().map(|list| (due, list)));
        }
        if !queue.running {
            queue.running = true;
            let this = Arc::downgrade(self);
            let started = thread::Builder::new()
                .name("ndis-return".into())
                .spawn(move || return_later(&this));
            assert!(started.is_ok(), "the machine has room for a thread");
        }
        drop(queue);
        self.receives.work.notify_all();
    }
}

/// The thread that returns lists some time after they were indicated.
fn return_later(miniport: &Weak<Miniport>) {
    let mut turn = 0_usize;
    while let Some(miniport) = miniport.upgrade() {
        let mut queue = miniport.receives.queue.lock();
        let due = queue.later.iter().map(|one| one.0).min();
        let now = Instant::now();
        match due {
            _ if queue.stopping => return,
            Some(due) if due <= now => {
                let (ready, later) = queue.later.drain(..).partition(|one| one.0 <= now);
                queue.later = later;
                drop(queue);
                let ready: Vec<(Instant, usize)> = ready;
                let lists: Vec<usize> = ready.into_iter().map(|one| one.1).collect();
                turn += 1;
                let raised = turn
                    .is_multiple_of(2)
                    .then(|| RaisedIrql::at_least(DISPATCH_LEVEL));
                miniport.return_lists(&lists);
                drop(raised);
            }
            Some(due) => {
                miniport.receives.work.wait_until(&mut queue, due);
            }
            None => {
                // Not for ever, so that the adapter can go.
                miniport
                    .receives
                    .work
                    .wait_for(&mut queue, Duration::from_millis(100));
            }
        }
    }
}

extern "win64" fn ndis_m_indicate_receive_net_buffer_lists(
    handle: u64,
    first: usize,
    port: u32,
    count: u32,
    flags: u32,
) {
    const CALL: &str = "NdisMIndicateReceiveNetBufferLists";
    let miniport = handles::get::<Miniport>(handle);
    check_dispatch_flag(CALL, flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL != 0);
    check_no_lock(CALL);
    miniport.check_may_indicate();
    if let Some(meter) = miniport.meter.get() {
        meter.indicated(&miniport, first, flags);
        return;
    }
    let lists: Vec<usize> = nbl::lists(first).collect();
    if lists.len() != count as usize || count == 0 || port != 0 {
        broken(
            Rule::NdisReceiveList,
            format!(
                "{count} net buffer lists were indicated on port {port}, and the chain has {}",
                lists.len()
            ),
            "Count the lists of the chain; the default port is 0.",
        )
    }
    let resources = flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0;
    for &list in &lists {
        miniport.take(list, flags);
    }
    if resources {
        // The driver has them back when this returns.
        for &list in &lists {
            miniport.check_unchanged(list);
        }
    } else {
        miniport.give_back(lists);
    }
}
