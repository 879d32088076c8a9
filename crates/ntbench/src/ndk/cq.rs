//! `NDK_CQ` as a consumer has it.

use super::adapter::Adapter;
use super::callbacks::{self, CQ_NOTIFICATION};
use super::guarded::Guarded;
use super::handle::{Handle, closable};
use super::kind::Kind;
use super::objects::{self, Fixed};
use super::rules::broken;
use super::started::Started;
use super::{completion_limit, events, ok, requests, work};
use crate::cpu::irql;
use crate::memory;
use crate::verifier::Rule;
use ndk_sys::{
    GROUP_AFFINITY, NDK_CQ_NOTIFY_ANY, NDK_CQ_NOTIFY_ERRORS, NDK_CQ_NOTIFY_SOLICITED, NDK_OPERATION_TYPE,
    NDK_RESULT, NDK_RESULT_EX, NTSTATUS, STATUS_SUCCESS,
};
use parking_lot::{Condvar, Mutex};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a CQ is armed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Only that it fails.
    Errors,
    /// The next completion.
    Any,
    /// The next receive of a solicited send, or an error.
    Solicited,
}

impl Notify {
    const fn code(self) -> u32 {
        match self {
            Self::Errors => NDK_CQ_NOTIFY_ERRORS,
            Self::Any => NDK_CQ_NOTIFY_ANY,
            Self::Solicited => NDK_CQ_NOTIFY_SOLICITED,
        }
    }
}

/// A completion, as `NdkGetCqResults` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkResult {
    /// How the request ended.
    pub status: NTSTATUS,
    /// Bytes received; means nothing for other requests.
    pub bytes: u32,
    /// The context of the QP.
    pub qp_context: u64,
    /// The context of the request.
    pub context: u64,
}

/// A completion, as `NdkGetCqResultsEx` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkResultEx {
    /// How the request ended.
    pub status: NTSTATUS,
    /// Bytes received; means nothing for other requests.
    pub bytes: u32,
    /// The context of the QP.
    pub qp_context: u64,
    /// The context of the request.
    pub context: u64,
    /// What it was.
    pub operation: NDK_OPERATION_TYPE,
    /// The provider's own code.
    pub provider_error: u32,
    /// The token that was invalidated, if the operation is `NdkOperationTypeReceiveAndInvalidate`.
    pub token: u64,
}

impl WorkResult {
    fn read(at: usize) -> Self {
        let result: NDK_RESULT = memory::read(at);
        Self {
            status: result.Status,
            bytes: result.BytesTransferred,
            qp_context: result.QPContext.addr() as u64,
            context: result.RequestContext.addr() as u64,
        }
    }
}

impl WorkResultEx {
    fn read(at: usize) -> Self {
        let result: NDK_RESULT_EX = memory::read(at);
        let WorkResult {
            status,
            bytes,
            qp_context,
            context,
        } = WorkResult::read(at);
        Self {
            status,
            bytes,
            qp_context,
            context,
            operation: result.Type,
            provider_error: result.ProviderErrorCode,
            token: result.TypeSpecificCompletionOutput as u64,
        }
    }
}

/// Results that fit the buffer of one call.
const AT_ONCE: usize = memory::PAGE_SIZE / size_of::<NDK_RESULT_EX>();

/// The functions of a CQ that its notification callback may call, too. A consumer never calls two of them at a time for
/// one CQ.
#[derive(Clone)]
pub struct CqFunctions {
    fixed: Arc<Fixed>,
}

impl CqFunctions {
    /// `NdkArmCq`.
    pub fn arm(&self, kind: Notify) {
        work::arm(&self.fixed, kind.code());
    }

    /// `NdkGetCqResults` with room for `count` results, at most about a hundred.
    #[must_use]
    pub fn results(&self, count: usize) -> Vec<WorkResult> {
        self.take(
            false,
            count.min(AT_ONCE),
            size_of::<NDK_RESULT>(),
            WorkResult::read,
        )
    }

    /// `NdkGetCqResultsEx` with room for `count` results, at most about a hundred.
    #[must_use]
    pub fn results_ex(&self, count: usize) -> Vec<WorkResultEx> {
        self.take(
            true,
            count.min(AT_ONCE),
            size_of::<NDK_RESULT_EX>(),
            WorkResultEx::read,
        )
    }

    fn take<T>(&self, extended: bool, room: usize, size: usize, read: impl Fn(usize) -> T) -> Vec<T> {
        let buffer = Guarded::filled(room * size, 0xEE);
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let count = work::results(&self.fixed, extended, buffer.address(), room) as usize;
        let untouched = &buffer.bytes()[count * size..];
        if !buffer.is_intact() || untouched.iter().any(|&byte| byte != 0xEE) {
            broken(
                Rule::NdkResultCount,
                format!(
                    "{} stored something beside the {count} results that it returned",
                    self.fixed.label()
                ),
                "Write the results that you count, and nothing else.",
            )
        }
        (0..count)
            .map(|index| read(buffer.address() + index * size))
            .collect()
    }

    /// `NdkControlCqInterruptModeration`.
    #[must_use]
    pub fn moderate(&self, microseconds: u32, count: u32) -> NTSTATUS {
        let arguments = [microseconds.into(), count.into()];
        let detail = || format!("{microseconds} µs, {count} completions");
        let status = objects::invoke_now(&self.fixed, "NdkControlCqInterruptModeration", &arguments, detail);
        if status == STATUS_SUCCESS {
            work::moderate(self.fixed.id, microseconds, count);
        }
        status
    }

    /// `NdkResizeCq`.
    ///
    /// # Errors
    /// The status.
    pub fn resize(&self, depth: u32) -> Result<(), NTSTATUS> {
        self.start_resize(depth).wait()
    }

    /// As [`CqFunctions::resize`], without the wait.
    pub fn start_resize(&self, depth: u32) -> Started<()> {
        requests::start_request(&self.fixed, "NdkResizeCq", &[depth.into()], || {
            format!("depth {depth}")
        })
    }
}

/// How often a CQ has notified.
#[derive(Default)]
struct Notifications {
    count: Mutex<u64>,
    changed: Condvar,
}

/// A completion queue. Dropping it closes it, and waits for that at PASSIVE unless QPs use it.
pub struct Cq {
    pub(super) handle: Handle,
    functions: CqFunctions,
    notifications: Arc<Notifications>,
    /// How often it had notified when [`Cq::wait_for`] has armed it last.
    armed: Mutex<Option<u64>>,
}

closable!(Cq);

impl Deref for Cq {
    type Target = CqFunctions;

    fn deref(&self) -> &CqFunctions {
        &self.functions
    }
}

impl Adapter {
    /// `NdkCreateCq`. `notification` runs for each notification, at the provider's IRQL (at most DISPATCH).
    ///
    /// # Errors
    /// The status.
    pub fn create_cq(
        &self,
        depth: u32,
        notification: impl Fn(&CqFunctions, NTSTATUS) + Send + Sync + 'static,
    ) -> Result<Cq, NTSTATUS> {
        self.start_create_cq(depth, None, notification).wait()
    }

    /// As [`Adapter::create_cq`], for consumers who wait ([`Cq::wait_for`]) or poll.
    ///
    /// # Errors
    /// The status.
    pub fn create_silent_cq(&self, depth: u32) -> Result<Cq, NTSTATUS> {
        self.create_cq(depth, |_, _| {})
    }

    /// As [`Adapter::create_cq`], without the wait, and with the processors of group 0 that should notify.
    pub fn start_create_cq(
        &self,
        depth: u32,
        affinity: Option<u64>,
        notification: impl Fn(&CqFunctions, NTSTATUS) + Send + Sync + 'static,
    ) -> Started<Cq> {
        let notifications = Arc::new(Notifications::default());
        let counted = Arc::clone(&notifications);
        let handler = move |fixed: &Arc<Fixed>, status| {
            let cq = CqFunctions {
                fixed: Arc::clone(fixed),
            };
            notification(&cq, status);
            *counted.count.lock() += 1;
            counted.changed.notify_all();
        };
        let event = events::register(CQ_NOTIFICATION, Arc::new(handler));
        let group = affinity.map(|mask| {
            let mut bytes = [0; size_of::<GROUP_AFFINITY>()];
            bytes[..8].copy_from_slice(&mask.to_ne_bytes());
            Guarded::of(&bytes)
        });
        let group = group.as_ref().map_or(0, Guarded::address) as u64;
        let arguments = [depth.into(), callbacks::address_of(CQ_NOTIFICATION), event, group];
        self.start_create(Kind::Cq, "NdkCreateCq", &arguments, move |fixed| {
            events::attach(event, fixed.id);
            Cq {
                functions: CqFunctions {
                    fixed: Arc::clone(&fixed),
                },
                handle: Handle::new(fixed, "NdkCloseCq"),
                notifications,
                armed: Mutex::default(),
            }
        })
    }
}

impl Cq {
    /// How often it has notified, and the callback has returned.
    #[must_use]
    pub fn notifications(&self) -> u64 {
        *self.notifications.count.lock()
    }

    /// Waits until it has notified more than `seen` times; false when that takes longer than `limit`.
    #[must_use]
    pub fn wait_for_notification(&self, seen: u64, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut count = self.notifications.count.lock();
        while *count <= seen {
            if self
                .notifications
                .changed
                .wait_until(&mut count, deadline)
                .timed_out()
            {
                return *count > seen;
            }
        }
        true
    }

    /// Takes `count` completions as a consumer does that sleeps in between: polls, arms for any, polls again, waits for the
    /// notification. Returns fewer when `limit` is over. PASSIVE.
    ///
    /// # Panics
    /// Above PASSIVE.
    #[must_use]
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<WorkResultEx> {
        assert!(
            irql::current() == irql::PASSIVE_LEVEL,
            "completions are waited for at PASSIVE_LEVEL"
        );
        let deadline = Instant::now() + limit;
        let mut all = Vec::new();
        loop {
            self.take_up_to(count, &mut all);
            if all.len() >= count {
                return all;
            }
            let seen = self.arm_once();
            self.take_up_to(count, &mut all);
            if all.len() >= count {
                return all;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.wait_for_notification(seen, left) {
                self.take_up_to(count, &mut all);
                self.insist_on_notification(seen);
                return all;
            }
        }
    }

    /// Arms it for any completion, unless it is armed from the last time. How often it had notified before.
    fn arm_once(&self) -> u64 {
        let mut armed = self.armed.lock();
        let seen = self.notifications();
        if *armed != Some(seen) {
            *armed = Some(seen);
            self.arm(Notify::Any);
        }
        seen
    }

    fn take_up_to(&self, count: usize, all: &mut Vec<WorkResultEx>) {
        while all.len() < count {
            let more = self.results_ex(count - all.len());
            if more.is_empty() {
                return;
            }
            all.extend(more);
        }
    }

    /// If the queue has had a completion since it was armed, a notification must come.
    fn insist_on_notification(&self, seen: u64) {
        let Some(due) = work::overdue(self.id()) else {
            return;
        };
        let left = due.saturating_duration_since(Instant::now());
        if !self.wait_for_notification(seen, left.min(2 * completion_limit())) {
            // Reports it, unless the notification has come meanwhile.
            let _ = self.results(1);
        }
    }
}

/// A status as a result, for tests that only want to know that a completion was good.
///
/// # Errors
/// The status, if it is not `STATUS_SUCCESS`.
pub fn good(result: &WorkResultEx) -> Result<(), NTSTATUS> {
    ok(result.status)
}
