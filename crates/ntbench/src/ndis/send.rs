//! Sends: net buffer lists that the bench hands to a miniport, each of which must come back exactly once, as it was, with a
//! status.

use super::adapter::{Miniport, State};
use super::departures::{self, Departures};
use super::packet::{NO_STATUS, Owned, SendList};
use super::{handles, nbl};
use crate::cpu::irql::{self, DISPATCH_LEVEL};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation, limits};
use ndk_sys::{
    NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL, NDIS_SEND_FLAGS_DISPATCH_LEVEL, NDIS_STATUS,
    NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE, NET_BUFFER_LIST,
    TcpLargeSendNetBufferListInfo,
};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

exports! {
    /// Sends.
    pub static EXPORTS: "ndis.sys" = {
        NdisMSendNetBufferListsComplete = function(ndis_m_send_net_buffer_lists_complete, at_most(DISPATCH_LEVEL));
    }
}

/// How many lists that came back are watched for a while: nobody may use them any more.
const WATCHED: usize = 64;

/// A list that came back.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its status.
    pub status: NDIS_STATUS,
    /// Its `NetBufferListInfo`.
    pub info: [u64; 24],
}

/// A list that the driver has.
struct Pending {
    owned: Owned,
    number: u64,
    keep: bool,
    large: bool,
    /// Whether it was sent to an adapter that was running. One that is pausing, or paused, turns sends away, soon and not by the end
    /// of the pause.
    while_running: bool,
    /// Fingerprints of its frames on the wire.
    expected: Vec<u64>,
    since: Instant,
}

/// The lists that a miniport has, and those that came back.
#[derive(Default)]
pub struct Sends {
    /// Held while lists are handed down; a pause begins when nobody has it.
    gate: RwLock<()>,
    with_driver: Mutex<BTreeMap<usize, Pending>>,
    returned: Mutex<Returned>,
    changed: Condvar,
    watched: Mutex<VecDeque<Owned>>,
}

#[derive(Default)]
struct Returned {
    next: u64,
    kept: BTreeMap<u64, Sent>,
    /// Frames of lists that were completed with success.
    frames: u64,
    /// Large sends among those lists.
    large: u64,
}

impl Sends {
    /// Reports lists that the driver still has where it must not have any.
    pub(super) fn check_all_returned(&self, handler: &str) {
        let left = self.with_driver.lock();
        let left = left.values().filter(|one| one.while_running).count();
        if left != 0 {
            lost(&format!(
                "{handler} has completed, and {left} net buffer lists have not come back"
            ))
        }
    }

    /// Reports a list that the driver has had for too long.
    pub(super) fn check_overdue(&self) {
        let limit = limits::get().send;
        let oldest = self.with_driver.lock().values().map(|one| one.since).min();
        if oldest.is_some_and(|since| since.elapsed() > limit) {
            lost(&format!(
                "a net buffer list that was sent has not come back within {limit:?}"
            ))
        }
    }

    /// Runs `begin` while no list is being handed down.
    pub(super) fn between(&self, begin: impl FnOnce()) {
        let _nobody_else = self.gate.write();
        begin();
    }

    /// Frames that were sent with success.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.returned.lock().frames
    }

    /// Large sends that were done with success.
    #[must_use]
    pub fn large(&self) -> u64 {
        self.returned.lock().large
    }

    /// How many lists the driver has.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.with_driver.lock().len()
    }
}

fn lost(what: &str) -> ! {
    Violation::new(Rule::NdisSendLost, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice(
            "Complete every list with NdisMSendNetBufferListsComplete, before the pause completes and also when the \
             device does not answer.",
        )
        .stop()
}

fn broken(rule: Rule, list: usize, what: impl Into<String>, advice: &str) -> ! {
    Violation::new(rule, BugCheck::verifier(0x91, [list as u64, 0, 0]), what)
        .advice(advice)
        .stop()
}

impl Miniport {
    /// Sends frames in one call, one list each, at the current IRQL, and waits until all have come back: their statuses, or `None`
    /// after `limit`.
    pub fn send(&self, frames: &[&[u8]], limit: Duration) -> Option<Vec<NDIS_STATUS>> {
        let list = |frame: &&[u8]| SendList {
            frames: vec![frame.to_vec()],
            ..SendList::default()
        };
        let numbers = self.send_lists(&frames.iter().map(list).collect::<Vec<_>>());
        let sent = self.wait_sent(&numbers, limit)?;
        Some(sent.into_iter().map(|sent| sent.status).collect())
    }

    /// Hands a chain of lists to the driver, at the current IRQL: by what [`Miniport::wait_sent`] knows them.
    pub fn send_lists(&self, lists: &[SendList]) -> Vec<u64> {
        self.hand_down(lists, true)
    }

    /// As [`Miniport::send_lists`], when nobody wants to know how they ended.
    pub fn send_and_forget(&self, lists: &[SendList]) {
        self.hand_down(lists, false);
    }

    fn hand_down(&self, lists: &[SendList], keep: bool) -> Vec<u64> {
        let Some(handler) = self.registration.handlers.SendNetBufferListsHandler else {
            return Vec::new();
        };
        self.sends.check_overdue();
        // Also while a pause is waiting: whoever has it may wait for a processor that this thread has.
        let _handing_down = self.sends.gate.read_recursive();
        let while_running = self.state() == State::Running;
        let numbers: Vec<u64> = {
            let mut returned = self.sends.returned.lock();
            let first = returned.next;
            returned.next += lists.len() as u64;
            (first..returned.next).collect()
        };
        let mut next = 0;
        for (list, &number) in lists.iter().zip(&numbers).rev() {
            let watched = self.config.departures.is_some();
            let pending = Pending {
                owned: Owned::new(list),
                number,
                keep,
                while_running,
                expected: if watched {
                    departures::expected(list)
                } else {
                    Vec::new()
                },
                large: list
                    .info
                    .iter()
                    .any(|one| one.0 == TcpLargeSendNetBufferListInfo && one.1 != 0),
                since: Instant::now(),
            };
            next = self.sends.own(pending, next);
        }
        let at_dispatch = irql::current() == DISPATCH_LEVEL;
        let flags = if at_dispatch {
            NDIS_SEND_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        if next != 0 {
            self.handler(
                "MiniportSendNetBufferLists",
                handler as usize,
                &[next as u64, 0, flags.into()],
            );
        }
        numbers
    }

    /// How the lists ended, in their order; `None` if one has not come back after `limit`.
    pub fn wait_sent(&self, numbers: &[u64], limit: Duration) -> Option<Vec<Sent>> {
        let deadline = Instant::now() + limit;
        let mut returned = self.sends.returned.lock();
        while !numbers.iter().all(|number| returned.kept.contains_key(number)) {
            if self.sends.changed.wait_until(&mut returned, deadline).timed_out() {
                return None;
            }
        }
        numbers
            .iter()
            .map(|number| returned.kept.remove(number))
            .collect()
    }

    /// `MiniportCancelSend`: the lists whose `NetBufferListCancelId` is `id` shall come back soon.
    pub fn cancel_sends(&self, id: u64) {
        if let Some(handler) = self.registration.handlers.CancelSendHandler {
            self.handler("MiniportCancelSend", handler as usize, &[id]);
        }
    }

    /// What NDIS has sent and has back.
    #[must_use]
    pub fn sends(&self) -> &Sends {
        &self.sends
    }
}

impl Sends {
    /// Links a list to the next one of its chain; returns its address.
    fn own(&self, mut pending: Pending, next: usize) -> usize {
        pending.owned.link(next);
        let address = pending.owned.address();
        self.with_driver.lock().insert(address, pending);
        address
    }

    /// Takes a list back; returns the next one of the chain.
    fn give_back(&self, address: usize, departures: Option<&Departures>) -> usize {
        let Some(pending) = self.with_driver.lock().remove(&address) else {
            broken(
                Rule::NdisSendReturned,
                address,
                format!("net buffer list {address:#x} was completed, and the driver does not have it"),
                "Complete each list once, and only lists that MiniportSendNetBufferLists got.",
            )
        };
        let list: NET_BUFFER_LIST = memory::read(address);
        check_status(address, list.Status);
        if pending.large && list.Status == NDIS_STATUS_SUCCESS {
            check_large_send(address);
        }
        if let Some(departures) = departures.filter(|_| list.Status == NDIS_STATUS_SUCCESS) {
            check_departed(address, &pending.expected, departures);
        }
        if let Some(changed) = pending.owned.changed() {
            broken(
                Rule::NdisSendChanged,
                address,
                format!("a net buffer list came back changed: {changed}"),
                "Give lists back with the data, offsets and MDL chains with which they came.",
            )
        }
        self.keep(&pending, &list);
        self.watch(pending.owned);
        list.Next as usize
    }

    fn keep(&self, pending: &Pending, list: &NET_BUFFER_LIST) {
        let mut returned = self.returned.lock();
        if list.Status == NDIS_STATUS_SUCCESS {
            returned.frames += pending.owned.frames() as u64;
            returned.large += u64::from(pending.large);
        }
        if pending.keep {
            let sent = Sent {
                status: list.Status,
                info: list.NetBufferListInfo.map(|value| value as u64),
            };
            returned.kept.insert(pending.number, sent);
        }
        drop(returned);
        self.changed.notify_all();
    }

    /// Whoever uses the list from now on is found out.
    fn watch(&self, owned: Owned) {
        owned.poison();
        let mut watched = self.watched.lock();
        watched.push_back(owned);
        let last = (watched.len() > WATCHED).then(|| watched.pop_front()).flatten();
        drop(watched);
        last.iter().for_each(check_poison);
    }

    /// No list that came back was written to.
    pub(super) fn check_watched(&self) {
        let watched = std::mem::take(&mut *self.watched.lock());
        watched.iter().for_each(check_poison);
    }
}

fn check_poison(owned: &Owned) {
    if !owned.is_poisoned() {
        broken(
            Rule::NdisListTouched,
            owned.address(),
            "a net buffer list was written to after it was completed",
            "Do not touch a list, or its net buffers, after NdisMSendNetBufferListsComplete.",
        )
    }
}

fn check_status(list: usize, status: NDIS_STATUS) {
    if status == NO_STATUS || status == NDIS_STATUS_PENDING {
        broken(
            Rule::NdisSendStatus,
            list,
            format!("a net buffer list was completed with the status {status:#x}, which says nothing"),
            "Set NET_BUFFER_LIST.Status before you complete a list.",
        )
    }
}

/// What was sent with success has left.
fn check_departed(list: usize, expected: &[u64], departures: &Departures) {
    let missing = expected.iter().filter(|&&print| !departures.take(print)).count();
    if missing != 0 {
        broken(
            Rule::NdisSendOnWire,
            list,
            format!(
                "a net buffer list was completed with success, and {missing} of its {} frames have not left like that",
                expected.len()
            ),
            "Complete with success what the device has sent: whole, in segments if it is a large send, with the checksums that were \
             left to it.",
        )
    }
}

/// What a miniport leaves in the list of a large send: `LsoV2TransmitComplete`, with its type and nothing else.
fn check_large_send(list: usize) {
    let info = nbl::info(list, TcpLargeSendNetBufferListInfo) & 0xFFFF_FFFF;
    if info != u64::from(NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE) << 30 {
        broken(
            Rule::NdisLargeSendInfo,
            list,
            format!("a large send was completed with {info:#x} as its out-of-band data"),
            "Set LsoV2TransmitComplete: Type is NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE, Reserved is zero.",
        )
    }
}

/// A flag that promises DISPATCH level is true.
pub(super) fn check_dispatch_flag(call: &str, promised: bool) {
    let level = irql::current();
    if promised && level != DISPATCH_LEVEL {
        Violation::new(
            Rule::NdisDispatchFlag,
            BugCheck::verifier(0x91, [u64::from(level), 0, 0]),
            format!("{call} was told that the IRQL is DISPATCH_LEVEL, and it is {level}"),
        )
        .advice("Pass the flag only where the IRQL is known to be DISPATCH_LEVEL.")
        .stop()
    }
}

/// NDIS is not called with spin locks held.
pub(super) fn check_no_lock(call: &str) {
    if crate::cpu::thread::with(|thread| thread.locks_held.get()) != 0 {
        Violation::new(
            Rule::NdisLockHeld,
            BugCheck::verifier(0x91, [0, 0, 0]),
            format!("{call} was called with a spin lock held"),
        )
        .advice("Release spin locks before you complete or indicate: NDIS may call the driver back at once.")
        .stop()
    }
}

extern "win64" fn ndis_m_send_net_buffer_lists_complete(handle: u64, list: usize, flags: u32) {
    const CALL: &str = "NdisMSendNetBufferListsComplete";
    let miniport = handles::get::<Miniport>(handle);
    check_dispatch_flag(CALL, flags & NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL != 0);
    check_no_lock(CALL);
    if let Some(meter) = miniport.meter.get() {
        meter.completed(list);
        return;
    }
    let mut next = list;
    while next != 0 {
        next = miniport
            .sends
            .give_back(next, miniport.config.departures.as_deref());
    }
}
