//! When a completion queue calls its consumer back (NDKPI, Completion Handling).
//!
//! One callback for each arm; arms merge until one is satisfied; callbacks of a queue never overlap, and one that becomes
//! due while another runs comes after it. An error of the queue is told once, to whatever arm there is or comes next. All
//! of that is one word, so that arming, events and returning callbacks need no lock.

use core::sync::atomic::{AtomicU32, Ordering};

use ndk_sys::{
    NDK_CQ_NOTIFY_ERRORS, NDK_CQ_NOTIFY_SOLICITED, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INTERNAL_ERROR,
    STATUS_SUCCESS,
};
use vrnic_abi::doorbell::ArmKind;

/// What `NdkArmCq` asks for; a type that NDKPI does not have counts as any completion, which loses nothing.
#[must_use]
pub const fn kind_of(notify: u32) -> ArmKind {
    match notify {
        NDK_CQ_NOTIFY_ERRORS => ArmKind::ERRORS,
        NDK_CQ_NOTIFY_SOLICITED => ArmKind::SOLICITED,
        _ => ArmKind::ANY,
    }
}

/// Why a completion queue cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A completion did not fit.
    Overrun,
    /// Anything else.
    Internal,
}

/// What the device is to be told of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceArm {
    /// What it waits for.
    pub kind: ArmKind,
    /// Tells it apart from arms that have fired.
    pub sequence: u32,
}

/// What `NdkArmCq` leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    /// Nothing: merged with what there is, or the queue's failure has been told.
    Merged,
    /// The device must know.
    Device(DeviceArm),
    /// The queue has failed and its consumer does not know yet: [`Arming::tell`] is to be called soon, from elsewhere.
    Failed,
}

const ARMED: u32 = 3;
const SEQUENCE_SHIFT: u32 = 2;
const SEQUENCE: u32 = 3 << SEQUENCE_SHIFT;
const RUNNING: u32 = 1 << 4;
const DUE: u32 = 1 << 5;
const OVERRUN: u32 = 1 << 6;
const INTERNAL: u32 = 1 << 7;
const FAILED: u32 = OVERRUN | INTERNAL;
const TOLD: u32 = 1 << 8;

/// The state of one queue's arms and callbacks.
#[derive(Debug, Default)]
pub struct Arming(AtomicU32);

impl Arming {
    /// Not armed.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Applies `step` at once; what it returned.
    fn change<R>(&self, step: impl Fn(u32) -> (u32, R)) -> R {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let (next, result) = step(state);
            match self
                .0
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return result,
                Err(now) => state = now,
            }
        }
    }

    /// Whether the queue has failed.
    pub fn has_failed(&self) -> bool {
        self.0.load(Ordering::Acquire) & FAILED != 0
    }

    /// `NdkArmCq`.
    pub fn arm(&self, kind: ArmKind) -> Armed {
        self.change(|state| arm(state, kind))
    }

    /// The device says that the queue is due: what to call the consumer back with now, if anything.
    pub fn fire(&self) -> Option<NTSTATUS> {
        self.change(fire)
    }

    /// The queue has failed: what to call the consumer back with now, if anything. Only the first failure counts.
    pub fn fail(&self, failure: Failure) -> Option<NTSTATUS> {
        self.change(|state| fail(state, failure))
    }

    /// After [`Armed::Failed`]: what to call the consumer back with now, if anything.
    pub fn tell(&self) -> Option<NTSTATUS> {
        self.change(tell)
    }

    /// The callback has returned: what to call the consumer back with next, if anything.
    pub fn returned(&self) -> Option<NTSTATUS> {
        self.change(returned)
    }
}

/// ANY absorbs all, SOLICITED absorbs ERRORS: the numbers are in that order.
const fn merge(armed: u32, kind: ArmKind) -> u32 {
    if kind.0 > armed { kind.0 } else { armed }
}
const _: () = assert!(ArmKind::NONE.0 == 0 && ArmKind::ERRORS.0 < ArmKind::SOLICITED.0);
const _: () = assert!(ArmKind::SOLICITED.0 < ArmKind::ANY.0 && ArmKind::ANY.0 == ARMED);

const fn status_of(state: u32) -> NTSTATUS {
    match state & FAILED {
        0 => STATUS_SUCCESS,
        OVERRUN => STATUS_BUFFER_OVERFLOW,
        _ => STATUS_INTERNAL_ERROR,
    }
}

fn arm(state: u32, kind: ArmKind) -> (u32, Armed) {
    // A callback that is still to come satisfies this arm, too.
    if state & (TOLD | DUE) != 0 {
        return (state, Armed::Merged);
    }
    let merged = merge(state & ARMED, kind);
    let next = state & !ARMED | merged;
    if state & FAILED != 0 {
        (next, Armed::Failed)
    } else if next == state || merged == ArmKind::ERRORS.0 {
        (next, Armed::Merged)
    } else {
        let arm = DeviceArm {
            kind: ArmKind(merged),
            sequence: (state & SEQUENCE) >> SEQUENCE_SHIFT,
        };
        (next, Armed::Device(arm))
    }
}

fn fire(state: u32) -> (u32, Option<NTSTATUS>) {
    // Nothing waits for a completion: an event for an arm that a failure has ended.
    if state & ARMED <= ArmKind::ERRORS.0 || state & FAILED != 0 {
        return (state, None);
    }
    let sequence = (state + (1 << SEQUENCE_SHIFT)) & SEQUENCE;
    call(state & !SEQUENCE | sequence)
}

fn fail(state: u32, failure: Failure) -> (u32, Option<NTSTATUS>) {
    if state & FAILED != 0 {
        return (state, None);
    }
    let bit = match failure {
        Failure::Overrun => OVERRUN,
        Failure::Internal => INTERNAL,
    };
    tell(state | bit)
}

fn tell(state: u32) -> (u32, Option<NTSTATUS>) {
    if state & FAILED == 0 || state & TOLD != 0 {
        (state, None)
    } else if state & DUE != 0 {
        // The callback that is still to come tells it.
        (state | TOLD, None)
    } else if state & ARMED == 0 {
        (state, None)
    } else {
        call(state | TOLD)
    }
}

/// The arm is satisfied: calls back now, or after the callback that runs.
fn call(state: u32) -> (u32, Option<NTSTATUS>) {
    let state = state & !ARMED;
    if state & RUNNING != 0 {
        (state | DUE, None)
    } else {
        (state | RUNNING, Some(status_of(state)))
    }
}

fn returned(state: u32) -> (u32, Option<NTSTATUS>) {
    if state & DUE != 0 {
        (state & !DUE, Some(status_of(state)))
    } else {
        (state & !RUNNING, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_sys::NDK_CQ_NOTIFY_ANY;
    use proptest::prelude::*;

    const fn device(kind: ArmKind, sequence: u32) -> Armed {
        Armed::Device(DeviceArm { kind, sequence })
    }

    #[test]
    fn types() {
        assert_eq!(kind_of(NDK_CQ_NOTIFY_ERRORS), ArmKind::ERRORS);
        assert_eq!(kind_of(NDK_CQ_NOTIFY_ANY), ArmKind::ANY);
        assert_eq!(kind_of(NDK_CQ_NOTIFY_SOLICITED), ArmKind::SOLICITED);
        assert_eq!(kind_of(99), ArmKind::ANY);
    }

    #[test]
    fn the_merge_table() {
        use ArmKind as K;
        for (first, second, merged) in [
            (K::ANY, K::ANY, K::ANY),
            (K::ANY, K::ERRORS, K::ANY),
            (K::ANY, K::SOLICITED, K::ANY),
            (K::ERRORS, K::ANY, K::ANY),
            (K::SOLICITED, K::ANY, K::ANY),
            (K::ERRORS, K::ERRORS, K::ERRORS),
            (K::ERRORS, K::SOLICITED, K::SOLICITED),
            (K::SOLICITED, K::ERRORS, K::SOLICITED),
            (K::SOLICITED, K::SOLICITED, K::SOLICITED),
        ] {
            assert_eq!(merge(merge(0, first), second), merged.0, "{first:?} {second:?}");
        }
    }

    #[test]
    fn one_callback_for_each_arm() {
        let arming = Arming::new();
        assert_eq!(arming.fire(), None, "not armed");
        assert_eq!(arming.arm(ArmKind::SOLICITED), device(ArmKind::SOLICITED, 0));
        assert_eq!(arming.arm(ArmKind::SOLICITED), Armed::Merged);
        assert_eq!(arming.arm(ArmKind::ANY), device(ArmKind::ANY, 0), "widened");
        assert_eq!(arming.fire(), Some(STATUS_SUCCESS));
        assert_eq!(arming.fire(), None);
        assert_eq!(arming.returned(), None);
        assert_eq!(
            arming.arm(ArmKind::ANY),
            device(ArmKind::ANY, 1),
            "the next number"
        );
    }

    #[test]
    fn callbacks_do_not_overlap() {
        let arming = Arming::new();
        arming.arm(ArmKind::ANY);
        assert_eq!(arming.fire(), Some(STATUS_SUCCESS));
        // Inside the callback:
        assert_eq!(arming.arm(ArmKind::ANY), device(ArmKind::ANY, 1));
        assert_eq!(arming.fire(), None, "later");
        assert_eq!(arming.arm(ArmKind::ANY), Armed::Merged, "with the one that comes");
        assert_eq!(arming.returned(), Some(STATUS_SUCCESS));
        assert_eq!(arming.returned(), None);
        assert_eq!(arming.arm(ArmKind::ANY), device(ArmKind::ANY, 2));
    }

    #[test]
    fn errors_only() {
        let arming = Arming::new();
        assert_eq!(arming.arm(ArmKind::ERRORS), Armed::Merged);
        assert_eq!(arming.fire(), None, "a completion is none of its business");
        assert_eq!(arming.fail(Failure::Overrun), Some(STATUS_BUFFER_OVERFLOW));
        assert_eq!(arming.fail(Failure::Internal), None);
        assert_eq!(arming.arm(ArmKind::ANY), Armed::Merged, "it has been told");
        assert_eq!(arming.returned(), None);
        assert_eq!(arming.tell(), None);
    }

    #[test]
    fn a_failure_waits_for_an_arm() {
        let arming = Arming::new();
        assert_eq!(arming.fail(Failure::Internal), None);
        assert!(arming.has_failed());
        assert_eq!(arming.tell(), None);
        assert_eq!(arming.arm(ArmKind::SOLICITED), Armed::Failed);
        assert_eq!(arming.fire(), None);
        assert_eq!(arming.tell(), Some(STATUS_INTERNAL_ERROR));
        assert_eq!(arming.returned(), None);
        assert_eq!(arming.tell(), None, "once");
    }

    #[test]
    fn a_failure_takes_over_a_callback_that_is_due() {
        let arming = Arming::new();
        arming.arm(ArmKind::ANY);
        assert_eq!(arming.fire(), Some(STATUS_SUCCESS));
        arming.arm(ArmKind::ANY);
        assert_eq!(arming.fire(), None);
        assert_eq!(arming.fail(Failure::Overrun), None);
        assert_eq!(arming.returned(), Some(STATUS_BUFFER_OVERFLOW));
        assert_eq!(arming.returned(), None);
    }

    proptest! {
        /// Never more callbacks than arms, never two at a time, a failure told at most once, and every arm that the
        /// device has fired for is answered.
        #[test]
        fn callbacks_follow_arms(steps in proptest::collection::vec(0u8..7, 1..200)) {
            let arming = Arming::new();
            let (mut arms, mut callbacks, mut errors) = (0u32, 0u32, 0u32);
            let mut running = false;
            let mut fired = false;
            for step in steps {
                let call = match step {
                    0..=2 => {
                        arms += 1;
                        let kind = [ArmKind::ERRORS, ArmKind::SOLICITED, ArmKind::ANY][usize::from(step)];
                        arming.arm(kind);
                        None
                    }
                    3 => {
                        let before = arming.0.load(Ordering::Relaxed);
                        let call = arming.fire();
                        fired |= before & ARMED > 1 && before & FAILED == 0;
                        call
                    }
                    4 if running => {
                        running = false;
                        arming.returned()
                    }
                    5 => arming.fail(Failure::Internal),
                    6 => arming.tell(),
                    _ => None,
                };
                if let Some(status) = call {
                    prop_assert!(!running, "two at a time");
                    running = true;
                    fired = false;
                    callbacks += 1;
                    errors += u32::from(status != STATUS_SUCCESS);
                }
                prop_assert!(callbacks <= arms && errors <= 1);
            }
            prop_assert!(running || !fired, "a callback that is due has been forgotten");
        }
    }
}
