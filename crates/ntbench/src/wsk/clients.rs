//! The clients that are registered, and their captured provider NPIs.

use crate::cpu::thread;
use crate::ndk::consumer;
use crate::symbols::{self, StackTrace};
use crate::verifier::{BugCheck, Rule, Violation, limits};
use parking_lot::Mutex;
use std::time::Instant;

/// A client.
struct Client {
    /// Address of its `WSK_REGISTRATION`.
    registration: usize,
    /// The `WSK_CLIENT` that a captured NPI has: opaque to drivers.
    handle: u64,
    /// Captures that were not released.
    captured: usize,
    /// Version that it asked for.
    version: u16,
    /// Base of the image that registered it.
    image: usize,
    registered: StackTrace,
}

#[derive(Default)]
struct Clients {
    all: Vec<Client>,
    last: u64,
}

static CLIENTS: Mutex<Option<Clients>> = Mutex::new(None);

/// Handles are numbers that no mapping can have as an address.
const FIRST_HANDLE: u64 = 0xDEAD_5753_0000_0000;
const HANDLE_STRIDE: u64 = 0x10;

fn with<R>(access: impl FnOnce(&mut Clients) -> R) -> R {
    access(CLIENTS.lock().get_or_insert_default())
}

/// Stops because of a misuse of WSK.
pub(super) fn broken(rule: Rule, what: impl Into<String>, advice: &str) -> ! {
    Violation::new(rule, BugCheck::verifier(0x91, [rule as u64, 0, 0]), what)
        .advice(advice)
        .stop()
}

fn unknown(call: &str, registration: usize) -> ! {
    broken(
        Rule::WskRegistration,
        format!("{call} was called for {registration:#x}, which is no registration"),
        "Call WskRegister first, and do not use the WSK_REGISTRATION after WskDeregister.",
    )
}

/// Registers the client whose `WSK_REGISTRATION` is there.
pub(super) fn register(registration: usize, version: u16) {
    let image = thread::caller_address().and_then(symbols::find);
    let image = image.map_or(0, |module| module.base);
    let known = with(|clients| {
        if clients.all.iter().any(|one| one.registration == registration) {
            return true;
        }
        clients.last += 1;
        clients.all.push(Client {
            registration,
            handle: FIRST_HANDLE + clients.last * HANDLE_STRIDE,
            captured: 0,
            version,
            image,
            registered: StackTrace::track(),
        });
        false
    });
    if known {
        broken(
            Rule::WskRegistration,
            format!("WskRegister was called twice for the registration {registration:#x}"),
            "Deregister before you register again.",
        )
    }
}

/// The version that a client asked for.
pub(super) fn version(call: &str, registration: usize) -> u16 {
    let found = with(|clients| {
        let client = clients.all.iter().find(|one| one.registration == registration)?;
        Some(client.version)
    });
    found.unwrap_or_else(|| unknown(call, registration))
}

/// Captures the provider NPI for a client; returns its `WSK_CLIENT`.
pub(super) fn capture(registration: usize) -> u64 {
    let found = with(|clients| {
        let mut all = clients.all.iter_mut();
        let client = all.find(|one| one.registration == registration)?;
        client.captured += 1;
        Some(client.handle)
    });
    found.unwrap_or_else(|| unknown("WskCaptureProviderNPI", registration))
}

/// Releases a capture.
pub(super) fn release(registration: usize) {
    const CALL: &str = "WskReleaseProviderNPI";
    let found = with(|clients| {
        let client = clients.all.iter().find(|one| one.registration == registration)?;
        Some((client.handle, client.captured))
    });
    let (handle, captured) = found.unwrap_or_else(|| unknown(CALL, registration));
    if captured == 0 {
        broken(
            Rule::WskRegistration,
            format!("{CALL} was called, and the provider NPI is not captured"),
            "Release once for each WskCaptureProviderNPI that has succeeded.",
        )
    }
    if captured == 1 {
        wait_for_adapters(handle);
    }
    with(|clients| {
        let mut all = clients.all.iter_mut();
        if let Some(client) = all.find(|one| one.registration == registration) {
            client.captured -= 1;
        }
    });
}

/// The last capture is released: as on Windows, the call waits until the adapters are closed, which other threads may be doing;
/// but not for ever.
fn wait_for_adapters(handle: u64) {
    let deadline = Instant::now() + limits::get().ndk_completion;
    let Some((adapter, opened)) = consumer::adapter::left_open(handle, deadline) else {
        return;
    };
    Violation::new(
        Rule::WskAdapterOpen,
        BugCheck::verifier(0x91, [Rule::WskAdapterOpen as u64, handle, 0]),
        format!("WskReleaseProviderNPI was called, and {adapter} stays open"),
    )
    .stack("opened by", opened)
    .advice("Close every NDK adapter with WskCloseNdkAdapter before you release the provider NPI.")
    .stop()
}

/// Removes a client.
pub(super) fn deregister(registration: usize) {
    const CALL: &str = "WskDeregister";
    let captured = with(|clients| {
        let at = clients
            .all
            .iter()
            .position(|one| one.registration == registration)?;
        let captured = clients.all[at].captured;
        if captured == 0 {
            clients.all.swap_remove(at);
        }
        Some(captured)
    });
    if captured.unwrap_or_else(|| unknown(CALL, registration)) != 0 {
        broken(
            Rule::WskRegistration,
            format!("{CALL} was called while the provider NPI is captured: it would wait for ever"),
            "Release the provider NPI for each capture, then deregister.",
        )
    }
}

/// Stops unless that is a `WSK_CLIENT` with a captured NPI.
pub(super) fn check(call: &str, handle: u64) {
    let captured = with(|clients| {
        let client = clients.all.iter().find(|one| one.handle == handle);
        client.is_some_and(|client| client.captured != 0)
    });
    if !captured {
        broken(
            Rule::WskRegistration,
            format!("{call} was called with {handle:#x}, which is no captured WSK_CLIENT"),
            "Pass the Client of the WSK_PROVIDER_NPI, and only until you release it.",
        )
    }
}

/// Reports a client that a driver, whose image was at `image`, has left behind.
pub fn check_unloaded(image: usize) {
    let left = with(|clients| {
        let client = clients.all.iter().find(|one| one.image == image)?;
        Some((client.handle, client.registered.clone()))
    });
    if let Some((handle, registered)) = left {
        let adapter = consumer::adapter::left_open(handle, Instant::now());
        let holding = adapter.map_or(String::new(), |(adapter, _)| format!(", with {adapter} open"));
        Violation::new(
            Rule::WskLeak,
            BugCheck::new(0xCE, [image as u64, handle, 0, 0]),
            format!("the driver was unloaded while it is registered with WSK{holding}"),
        )
        .stack("registered by", registered)
        .advice(
            "Close NDK adapters, release the provider NPI and call WskDeregister before the driver unloads.",
        )
        .stop()
    }
}
