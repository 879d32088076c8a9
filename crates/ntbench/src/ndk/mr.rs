//! `NDK_MR` and `NDK_MW` as a consumer has them.

use super::handle::{Handle, closable};
use super::memory::Memory;
use super::objects::{self, Fixed};
use super::rules::broken;
use super::started::Started;
use super::{requests, trace};
use crate::verifier::Rule;
use ndk_sys::NTSTATUS;
use parking_lot::Mutex;
use std::sync::Arc;

/// A memory region. Dropping it closes it, and waits for that at PASSIVE unless a window depends on it.
pub struct Mr {
    pub(super) handle: Handle,
    /// The tokens that it had: local, remote.
    tokens: Mutex<[Option<u32>; 2]>,
}

closable!(Mr);

/// A memory window. Dropping it closes it, and waits for that at PASSIVE.
pub struct Mw {
    pub(super) handle: Handle,
}

closable!(Mw);

/// Reads a token.
fn token(fixed: &Fixed, name: &'static str) -> u32 {
    let token = objects::invoke(fixed, name, &[], String::new);
    let token = u32::try_from(token & u64::from(u32::MAX)).unwrap_or(0);
    trace::add(trace::What::Return(None), name, || {
        (fixed.label(), format!("{token:#010x}"))
    });
    token
}

impl Mr {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        Self {
            handle: Handle::new(fixed, "NdkCloseMr"),
            tokens: Mutex::default(),
        }
    }

    /// From now on it may have other tokens.
    pub(super) fn forget_tokens(&self) {
        *self.tokens.lock() = [None; 2];
    }

    /// `NdkRegisterMr` for the first `length` bytes of `memory`, with `NDK_MR_FLAG_…`.
    ///
    /// # Errors
    /// The status.
    pub fn register(&self, memory: &Memory, length: usize, flags: u32) -> Result<(), NTSTATUS> {
        let result = self.start_register(memory, length, flags).wait();
        check_mdls(memory, "NdkRegisterMr");
        result
    }

    /// As [`Mr::register`], without the wait.
    pub fn start_register(&self, memory: &Memory, length: usize, flags: u32) -> Started<()> {
        self.start_register_mdl(memory.mdl(), length, flags)
    }

    /// As [`Mr::start_register`], with any MDL.
    pub fn start_register_mdl(&self, mdl: usize, length: usize, flags: u32) -> Started<()> {
        self.forget_tokens();
        let arguments = [mdl as u64, length as u64, flags.into()];
        let detail = || format!("{length} bytes, flags {flags:#x}");
        requests::start_request(&self.handle.fixed, "NdkRegisterMr", &arguments, detail)
    }

    /// `NdkDeregisterMr`.
    ///
    /// # Errors
    /// The status.
    pub fn deregister(&self) -> Result<(), NTSTATUS> {
        self.start_deregister().wait()
    }

    /// As [`Mr::deregister`], without the wait.
    pub fn start_deregister(&self) -> Started<()> {
        self.forget_tokens();
        requests::start_request(&self.handle.fixed, "NdkDeregisterMr", &[], String::new)
    }

    /// `NdkInitializeFastRegisterMr`.
    ///
    /// # Errors
    /// The status.
    pub fn initialize_fast_register(&self, pages: u32, remote_access: bool) -> Result<(), NTSTATUS> {
        self.start_initialize_fast_register(pages, remote_access).wait()
    }

    /// As [`Mr::initialize_fast_register`], without the wait.
    pub fn start_initialize_fast_register(&self, pages: u32, remote_access: bool) -> Started<()> {
        self.forget_tokens();
        let arguments = [pages.into(), remote_access.into()];
        let detail = || format!("{pages} pages, remote access {remote_access}");
        requests::start_request(
            &self.handle.fixed,
            "NdkInitializeFastRegisterMr",
            &arguments,
            detail,
        )
    }

    /// `NdkGetLocalTokenFromMr`.
    #[must_use]
    pub fn local_token(&self) -> u32 {
        self.token(0, "NdkGetLocalTokenFromMr")
    }

    /// `NdkGetRemoteTokenFromMr`.
    #[must_use]
    pub fn remote_token(&self) -> u32 {
        self.token(1, "NdkGetRemoteTokenFromMr")
    }

    fn token(&self, which: usize, name: &'static str) -> u32 {
        let now = token(&self.handle.fixed, name);
        let before = self.tokens.lock()[which].replace(now);
        if before.is_some_and(|before| before != now) {
            broken(
                Rule::NdkToken,
                format!(
                    "{name} of {} changed without a registration",
                    self.handle.fixed.label()
                ),
                "Give a region new tokens only when it is registered.",
            )
        }
        now
    }
}

impl Mw {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        Self {
            handle: Handle::new(fixed, "NdkCloseMw"),
        }
    }

    /// `NdkGetRemoteTokenFromMw`.
    #[must_use]
    pub fn remote_token(&self) -> u32 {
        token(&self.handle.fixed, "NdkGetRemoteTokenFromMw")
    }
}

/// A provider has had the MDLs of `memory`.
pub(super) fn check_mdls(memory: &Memory, call: &str) {
    if !memory.is_described_as_before() {
        broken(
            Rule::NdkMdlChanged,
            format!("{call} has changed the MDLs that it was given"),
            "Neither map the pages of a consumer's MDL nor write to it.",
        )
    }
}
