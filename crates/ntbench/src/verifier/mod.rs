//! The verifier: what is checked while a driver runs, and how a violation is reported.
//!
//! A violation ends the process with [`EXIT_CODE`], as a bug check ends Windows: after one broken rule nothing that
//! follows means anything.

pub mod bugcheck;
pub mod faults;
pub mod irql;
pub mod limits;
pub mod locks;
pub mod pool;
pub mod report;
pub mod rules;
pub mod watchdog;

pub use bugcheck::BugCheck;
pub use report::{EXIT_CODE, Violation, on_stop};
pub use rules::Rule;
