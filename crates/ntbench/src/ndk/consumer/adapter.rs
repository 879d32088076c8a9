//! NDK adapters that consumer drivers open and close, as WSK hands them out.

use super::super::objects::{self, Client, Fixed};
use super::super::rules::broken;
use super::super::{adapter, completion_limit};
use crate::ndis::{self, Miniport};
use crate::symbols::StackTrace;
use crate::verifier::Rule;
use ndk_sys::{NDK_VERSION, NTSTATUS, STATUS_NOT_FOUND};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

/// An open adapter.
struct Open {
    fixed: Arc<Fixed>,
    miniport: Arc<Miniport>,
    /// The WSK client that opened it.
    client: u64,
    opened: StackTrace,
}

static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());
static CLOSED: Condvar = Condvar::new();

/// Opens the adapter of an interface for a client, at PASSIVE; returns the address of the `NDK_ADAPTER`.
///
/// # Errors
/// `STATUS_NOT_FOUND` if there is no such interface; what the provider's handler returned.
pub fn open(client: u64, version: NDK_VERSION, interface_index: u32) -> Result<usize, NTSTATUS> {
    let all = ndis::adapter::all();
    let miniport = all
        .into_iter()
        .find(|one| one.interface_index() == interface_index);
    let miniport = miniport.ok_or(STATUS_NOT_FOUND)?;
    let fixed = adapter::open(Client::Driver, &miniport, version)?;
    let address = fixed.address;
    OPEN.lock().push(Open {
        fixed,
        miniport,
        client,
        opened: StackTrace::track(),
    });
    Ok(address)
}

/// Closes an adapter, at PASSIVE: returns when everything below it is gone.
pub fn close(client: u64, address: usize) {
    let found = {
        let open = OPEN.lock();
        let mine = |one: &&Open| one.client == client && one.fixed.address == address;
        let one = open.iter().find(mine);
        one.map(|one| (Arc::clone(&one.fixed), Arc::clone(&one.miniport)))
            .filter(|(fixed, _)| objects::is_open(fixed.id))
    };
    let Some((fixed, miniport)) = found else {
        broken(
            Rule::NdkConsumerObject,
            format!(
                "WskCloseNdkAdapter was called for {address:#x}, which is no adapter that this client has open"
            ),
            "Close each adapter once, with the client that opened it.",
        )
    };
    // Another thread may be closing the rest. What is left would keep the provider from ever ending the close.
    let deadline = Instant::now() + completion_limit();
    if let Some(left) = objects::wait_for_closes(fixed.id, deadline) {
        broken(
            Rule::NdkConsumerAdapterObjects,
            format!("WskCloseNdkAdapter was called, and {left} is open"),
            "Close everything that you have created or that was delivered to you: the close of the adapter waits for it.",
        )
    }
    adapter::call_close_handler(&miniport, &fixed);
    OPEN.lock().retain(|one| one.fixed.id != fixed.id);
    CLOSED.notify_all();
}

/// Waits until a client has no adapter open, at PASSIVE. At the deadline it returns one of those that are: how it is called,
/// and who opened it.
#[must_use]
pub fn left_open(client: u64, deadline: Instant) -> Option<(String, StackTrace)> {
    let mut open = OPEN.lock();
    loop {
        let one = open.iter().find(|one| one.client == client)?;
        let name = format!(
            "{} of interface {}",
            one.fixed.label(),
            one.miniport.interface_index()
        );
        let opened = one.opened.clone();
        if CLOSED.wait_until(&mut open, deadline).timed_out() {
            return Some((name, opened));
        }
    }
}
