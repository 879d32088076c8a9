//! `NDK_SRQ` as a consumer has it.

use super::guarded::Guarded;
use super::handle::{Handle, closable};
use super::memory::{self, Sge};
use super::objects::Fixed;
use super::started::Started;
use super::{requests, work};
use ndk_sys::NTSTATUS;
use std::sync::Arc;

/// A shared receive queue. Dropping it closes it, and waits for that at PASSIVE unless QPs use it.
pub struct Srq {
    pub(super) handle: Handle,
}

closable!(Srq);

impl Srq {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        Self {
            handle: Handle::new(fixed, "NdkCloseSrq"),
        }
    }

    /// `NdkModifySrq`: depth 0 keeps the depth, threshold 0 keeps the threshold as it is.
    ///
    /// # Errors
    /// The status.
    pub fn modify(&self, depth: u32, threshold: u32) -> Result<(), NTSTATUS> {
        self.start_modify(depth, threshold).wait()
    }

    /// As [`Srq::modify`], without the wait.
    pub fn start_modify(&self, depth: u32, threshold: u32) -> Started<()> {
        if threshold != 0 {
            work::srq_modified(self.handle.fixed.id);
        }
        let arguments = [depth.into(), threshold.into()];
        let detail = || format!("depth {depth}, threshold {threshold}");
        requests::start_request(&self.handle.fixed, "NdkModifySrq", &arguments, detail)
    }

    /// `NdkSrqReceive`.
    #[must_use]
    pub fn receive(&self, context: u64, sges: &[Sge]) -> NTSTATUS {
        let list = Guarded::of(&memory::encode(sges));
        let arguments = [context, list_address(&list, sges), sges.len() as u64];
        work::post(&self.handle.fixed, "NdkSrqReceive", &arguments)
    }

    /// Receives whose completion has not been taken.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        work::outstanding(self.handle.fixed.id)
    }
}

/// The address of a list of elements: NULL if there are none.
pub(super) fn list_address(list: &Guarded, sges: &[Sge]) -> u64 {
    if sges.is_empty() { 0 } else { list.address() as u64 }
}
