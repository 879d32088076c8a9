//! Arming of a CQ: when its consumer may be notified, and when it must be.

use ndk_sys::{NDK_CQ_NOTIFY_ANY, NDK_CQ_NOTIFY_ERRORS, NDK_CQ_NOTIFY_SOLICITED};
use std::time::{Duration, Instant};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A notification while another one runs.
    Overlap,
    /// A notification that no arming allows.
    NotArmed,
    /// A notification for solicited completions, and there was none.
    NotSolicited,
    /// An armed queue has had a completion for too long.
    Lost,
}

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact that changes on its own"
)]
#[derive(Debug, Default)]
pub(super) struct Arming {
    /// Armings that may still be followed by a notification of their own. Two that are merged are counted twice: the first
    /// may have been satisfied before the second, and its notification be on its way.
    armings: u32,
    /// Whether all of those were for solicited completions.
    only_solicited: bool,
    /// What it is armed for, if it must notify.
    armed: Option<u32>,
    /// Arming is being called.
    calling: Option<u32>,
    /// A notification has come during that call.
    came: bool,
    running: bool,
    /// The queue was seen empty while it was armed.
    empty: bool,
    /// Until when a notification must come.
    due: Option<Instant>,
    /// Whether a solicited receive may have been among the completions since it was armed.
    solicited: bool,
    /// A notification that was asked for solicited completions has come, and the queue was not seen empty since.
    unexplained: bool,
    /// How long notifications may be held back; `None` for ever.
    moderation: Option<Duration>,
    /// It has failed: nothing is expected of it any more.
    dead: bool,
}

/// What two armings come to.
fn merge(first: u32, second: u32) -> u32 {
    match (first, second) {
        (NDK_CQ_NOTIFY_ANY, _) | (_, NDK_CQ_NOTIFY_ANY) => NDK_CQ_NOTIFY_ANY,
        (NDK_CQ_NOTIFY_SOLICITED, _) | (_, NDK_CQ_NOTIFY_SOLICITED) => NDK_CQ_NOTIFY_SOLICITED,
        _ => NDK_CQ_NOTIFY_ERRORS,
    }
}

impl Arming {
    pub(super) fn new() -> Self {
        Self {
            moderation: Some(Duration::ZERO),
            ..Self::default()
        }
    }

    /// The consumer calls `NdkArmCq`.
    pub(super) fn begin_arm(&mut self, kind: u32) {
        let solicited = kind == NDK_CQ_NOTIFY_SOLICITED;
        self.only_solicited = solicited && (self.armings == 0 || self.only_solicited);
        self.armings += 1;
        self.calling = Some(kind);
        self.came = false;
        if self.armed.is_none() && !self.unexplained {
            self.solicited = false;
        }
    }

    /// The call has returned.
    pub(super) fn end_arm(&mut self) {
        let Some(kind) = self.calling.take() else { return };
        if self.came {
            // That may have been for this arming, or for the one before: another one may come, and need not.
            return;
        }
        let merged = self.armed.map_or(kind, |before| merge(before, kind));
        if self.armed != Some(merged) {
            self.empty = false;
            self.due = None;
        }
        self.armed = Some(merged);
    }

    /// The consumer is notified.
    pub(super) fn begin_notification(&mut self, failed: bool) -> Result<(), Wrong> {
        if self.running {
            return Err(Wrong::Overlap);
        }
        self.armings = self.armings.checked_sub(1).ok_or(Wrong::NotArmed)?;
        self.armed = None;
        self.came = true;
        self.running = true;
        self.due = None;
        self.dead |= failed;
        self.unexplained = self.only_solicited && !failed && !self.solicited;
        Ok(())
    }

    /// The callback has returned.
    pub(super) fn end_notification(&mut self) {
        self.running = false;
    }

    /// A completion was taken. `solicited`: a receive, or an error.
    pub(super) fn taken(&mut self, solicited: bool, now: Instant, limit: Duration) {
        self.solicited |= solicited;
        if solicited {
            self.unexplained = false;
        }
        // A completion of a request that is none of these need not notify. Which receives are solicited is not known here.
        let wanted = self.armed == Some(NDK_CQ_NOTIFY_ANY);
        if wanted
            && self.empty
            && !self.dead
            && let Some(moderation) = self.moderation
        {
            self.due.get_or_insert(now + limit + moderation);
        }
    }

    /// The queue was seen empty.
    pub(super) fn drained(&mut self) -> Result<(), Wrong> {
        self.empty = self.armed.is_some();
        if std::mem::take(&mut self.unexplained) {
            return Err(Wrong::NotSolicited);
        }
        Ok(())
    }

    /// Looks whether a notification is overdue.
    pub(super) fn check(&self, now: Instant) -> Result<(), Wrong> {
        if self.due.is_some_and(|due| due < now) && !self.dead {
            return Err(Wrong::Lost);
        }
        Ok(())
    }

    /// Until when a notification must come, if one must.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// `NdkControlCqInterruptModeration` has succeeded.
    pub(super) fn moderate(&mut self, microseconds: u32, count: u32) {
        self.moderation = match (microseconds, count) {
            (0, _) | (_, 0 | 1) => Some(Duration::ZERO),
            (u32::MAX, _) => None,
            (microseconds, _) => Some(Duration::from_micros(microseconds.into())),
        };
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn armed(kind: u32) -> Arming {
        let mut arming = Arming::new();
        arming.begin_arm(kind);
        arming.end_arm();
        arming
    }

    #[test]
    fn one_notification_for_each_arming() {
        let mut arming = Arming::new();
        assert_eq!(arming.begin_notification(false), Err(Wrong::NotArmed));
        arming.begin_arm(NDK_CQ_NOTIFY_ANY);
        arming.end_arm();
        arming.begin_arm(NDK_CQ_NOTIFY_ERRORS);
        arming.end_arm();
        assert_eq!(arming.begin_notification(false), Ok(()));
        assert_eq!(arming.begin_notification(false), Err(Wrong::Overlap));
        arming.end_notification();
        assert_eq!(
            arming.begin_notification(false),
            Ok(()),
            "they need not be merged"
        );
        arming.end_notification();
        assert_eq!(arming.begin_notification(false), Err(Wrong::NotArmed));
    }

    #[test]
    fn a_notification_may_come_while_arming_is_called() {
        let mut arming = armed(NDK_CQ_NOTIFY_ANY);
        arming.begin_arm(NDK_CQ_NOTIFY_ANY);
        assert_eq!(arming.begin_notification(false), Ok(()), "for the first");
        arming.end_notification();
        assert_eq!(arming.begin_notification(false), Ok(()), "for the second");
        arming.end_notification();
        arming.end_arm();
        assert_eq!(arming.check(Instant::now()), Ok(()));
    }

    #[test]
    fn what_comes_after_the_queue_was_empty_must_notify() {
        let mut arming = armed(NDK_CQ_NOTIFY_ANY);
        let now = Instant::now();
        arming.taken(false, now, LIMIT);
        assert_eq!(arming.due(), None, "it may have been there before");
        assert_eq!(arming.drained(), Ok(()));
        arming.taken(false, now, LIMIT);
        assert_eq!(arming.check(now), Ok(()));
        assert_eq!(arming.check(now + 2 * LIMIT), Err(Wrong::Lost));
        let mut held = armed(NDK_CQ_NOTIFY_ANY);
        held.moderate(u32::MAX, 8);
        assert_eq!(held.drained(), Ok(()));
        held.taken(false, now, LIMIT);
        assert_eq!(held.due(), None, "moderation by count may hold it for ever");
    }

    #[test]
    fn solicited_notifications_have_a_reason() {
        let mut arming = armed(NDK_CQ_NOTIFY_SOLICITED);
        assert_eq!(arming.begin_notification(false), Ok(()));
        arming.end_notification();
        arming.taken(false, Instant::now(), LIMIT);
        assert_eq!(arming.drained(), Err(Wrong::NotSolicited));
        let mut arming = armed(NDK_CQ_NOTIFY_SOLICITED);
        assert_eq!(arming.begin_notification(false), Ok(()));
        arming.taken(true, Instant::now(), LIMIT);
        assert_eq!(arming.drained(), Ok(()));
    }
}
