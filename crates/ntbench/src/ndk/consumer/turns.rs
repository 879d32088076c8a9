//! One after another: what NDKPI lets a consumer call for a queue only while no other such call is running ("NDKPI Completion
//! Handling Requirements", "NDKPI Work Request Posting Requirements"). Providers rely on it, and take no locks.

use super::super::objects::{Fixed, Id};
use super::super::rules::broken;
use crate::cpu::thread;
use crate::verifier::Rule;
use parking_lot::Mutex;

/// Calls that exclude each other for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Taking completions, and arming.
    Completions,
    Moderation,
    /// Posts to the receive queue, or to a shared one.
    Receives,
    /// Posts to the initiator queue.
    Requests,
}

fn lane(name: &str) -> Option<Lane> {
    Some(match name {
        "NdkGetCqResults" | "NdkGetCqResultsEx" | "NdkArmCq" => Lane::Completions,
        "NdkControlCqInterruptModeration" => Lane::Moderation,
        "NdkReceive" | "NdkSrqReceive" => Lane::Receives,
        "NdkSend"
        | "NdkSendAndInvalidate"
        | "NdkRead"
        | "NdkWrite"
        | "NdkBind"
        | "NdkFastRegister"
        | "NdkInvalidate" => Lane::Requests,
        // NdkFlush among them, which may be called at any time.
        _ => return None,
    })
}

/// A call that is running.
#[derive(Clone, Copy)]
struct Running {
    object: Id,
    lane: Lane,
    name: &'static str,
    thread: usize,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());

/// The call, until it is dropped.
pub(super) struct Turn(Running);

/// Takes the turn for a call; stops if another thread has it. `None` for calls that may overlap.
pub(super) fn take(object: &Fixed, name: &'static str) -> Option<Turn> {
    let mine = Running {
        object: object.id,
        lane: lane(name)?,
        name,
        thread: thread::kernel_stack(),
    };
    let mut running = RUNNING.lock();
    let excluded = |other: &&Running| (other.object, other.lane) == (mine.object, mine.lane);
    let other = running
        .iter()
        .find(|other| excluded(other) && other.thread != mine.thread)
        .map(|other| other.name);
    running.push(mine);
    drop(running);
    if let Some(other) = other {
        broken(
            Rule::NdkConsumerOverlap,
            format!(
                "{name} of {} was called while {other} was running on another thread",
                object.label()
            ),
            "Take the completions of a queue in one place, and post to a queue under a lock or from one thread.",
        )
    }
    Some(Turn(mine))
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = RUNNING.lock();
        let Running {
            object, lane, thread, ..
        } = self.0;
        let mine = |other: &Running| (other.object, other.lane, other.thread) == (object, lane, thread);
        // The innermost of this thread.
        if let Some(at) = running.iter().rposition(mine) {
            running.swap_remove(at);
        }
    }
}
