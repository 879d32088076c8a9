//! Calls that have been made and may still pend.

use super::objects::Fixed;
use super::requests::{self, Completion};
use ndk_sys::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};
use std::fmt;
use std::sync::Arc;

/// Makes what the caller gets of the object that was created; nothing was created by a plain request.
type Wrap<T> = Box<dyn FnOnce(Option<Arc<Fixed>>) -> T + Send>;

/// A call that may still pend. Dropping it forgets the result: an object that comes then is never closed.
#[must_use = "the call may still be pending"]
pub struct Started<T> {
    status: NTSTATUS,
    outcome: Outcome<T>,
}

enum Outcome<T> {
    Now(Result<T, NTSTATUS>),
    Later { context: u64, wrap: Wrap<T> },
}

impl<T> Started<T> {
    pub(super) fn now(status: NTSTATUS, result: Result<T, NTSTATUS>) -> Self {
        Self {
            status,
            outcome: Outcome::Now(result),
        }
    }

    pub(super) fn later(context: u64, wrap: impl FnOnce(Option<Arc<Fixed>>) -> T + Send + 'static) -> Self {
        Self {
            status: STATUS_PENDING,
            outcome: Outcome::Later {
                context,
                wrap: Box::new(wrap),
            },
        }
    }

    /// What the function returned.
    #[must_use]
    pub fn status(&self) -> NTSTATUS {
        self.status
    }

    /// Whether it has completed, and its callback has returned.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.outcome {
            Outcome::Now(_) => true,
            Outcome::Later { context, .. } => requests::is_complete(*context),
        }
    }

    /// Waits for the completion at PASSIVE; it is a violation if it does not come within the limit for it
    /// (`Limits::ndk_completion`). What has completed inline may be taken at any IRQL.
    ///
    /// # Errors
    /// The status.
    pub fn wait(self) -> Result<T, NTSTATUS> {
        match self.outcome {
            Outcome::Now(result) => result,
            Outcome::Later { context, wrap } => match requests::wait(context) {
                Some(Completion {
                    status: STATUS_SUCCESS,
                    created,
                }) => Ok(wrap(created)),
                Some(Completion { status, .. }) => Err(status),
                None => Err(STATUS_PENDING),
            },
        }
    }
}

impl Started<()> {
    /// As [`Started::wait`], as a status.
    #[must_use]
    pub fn wait_status(self) -> NTSTATUS {
        self.wait().err().unwrap_or(STATUS_SUCCESS)
    }
}

impl<T> fmt::Debug for Started<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("status", &super::trace::status_name(self.status))
            .field("complete", &self.is_complete())
            .finish_non_exhaustive()
    }
}
