//! NDK consumers that speak the protocols of Linux's RDMA tools, so that those can judge the provider: on the wire they are
//! what the tools expect at their other end.
//!
//! | module | other end |
//! |---|---|
//! | [`node`] | what all of them are made of: queues, a region, a connection |
//! | [`rping`] | `rping` of librdmacm, either side |
//! | [`echo`] | `ucmatose` of librdmacm, either side |
//! | [`perftest`] | `ib_send_bw`, `ib_write_lat` … of perftest with `-R`, either side |
//! | [`iperf`] | `iperf3`'s client; over TCP, so no NDK consumer |

pub mod echo;
pub mod iperf;
pub mod node;
pub mod perftest;
pub mod rping;

use crate::ndk::trace::status_name;
use ndk_sys::{NTSTATUS, STATUS_CONNECTION_REFUSED};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why an application gives up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppError {
    /// A function of the provider failed.
    #[error("{0} failed with {1}")]
    Call(&'static str, String),
    /// A work request failed.
    #[error("a {0} completed with {1}")]
    Work(&'static str, String),
    /// Nothing happened for too long.
    #[error("nothing came in time while waiting for {0}")]
    Silence(&'static str),
    /// The other end sent something that makes no sense.
    #[error("the other end sent {0}")]
    Nonsense(String),
}

/// The result of an application.
pub type Result<T> = std::result::Result<T, AppError>;

/// Names the function of a status.
fn call<T>(name: &'static str, result: std::result::Result<T, NTSTATUS>) -> Result<T> {
    result.map_err(|status| AppError::Call(name, status_name(status)))
}

/// The status that a post returns.
fn posted(name: &'static str, status: NTSTATUS) -> Result<()> {
    call(
        name,
        if status == ndk_sys::STATUS_SUCCESS {
            Ok(())
        } else {
            Err(status)
        },
    )
}

/// Runs a client again as long as the server refuses it, because it does not listen yet.
///
/// # Errors
/// That of the last time.
pub fn until_served(limit: Duration, mut client: impl FnMut() -> Result<()>) -> Result<()> {
    let refused = Err(AppError::Call(
        "NdkConnect",
        status_name(STATUS_CONNECTION_REFUSED),
    ));
    let deadline = Instant::now() + limit;
    loop {
        let result = client();
        if result != refused || Instant::now() > deadline {
            return result;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
