//! `NDK_QP` as a consumer has it.

use super::guarded::Guarded;
use super::handle::{Handle, closable};
use super::memory::{self, Sge};
use super::mr::{Mr, Mw};
use super::objects::Fixed;
use super::srq::list_address;
use super::work;
use ndk_sys::NTSTATUS;
use std::sync::Arc;

/// A queue pair. Dropping it closes it, and waits for that at PASSIVE unless a connector uses it.
///
/// `context` of each post is what its completion brings back; it may be anything. `flags` are `NDK_OP_FLAG_…`.
pub struct Qp {
    pub(super) handle: Handle,
}

closable!(Qp);

/// What `NdkFastRegister` registers.
#[derive(Clone, Copy, Debug)]
pub struct FastRegistration<'a> {
    /// Logical addresses of the pages.
    pub pages: &'a [u64],
    /// Where the memory starts in the first page.
    pub offset: u32,
    /// Bytes.
    pub length: u64,
    /// The virtual address that the region gets.
    pub base: u64,
}

impl Qp {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        Self {
            handle: Handle::new(fixed, "NdkCloseQp"),
        }
    }

    fn post(&self, name: &'static str, arguments: &[u64]) -> NTSTATUS {
        work::post(&self.handle.fixed, name, arguments)
    }

    /// `NdkSend`.
    #[must_use]
    pub fn send(&self, context: u64, sges: &[Sge], flags: u32) -> NTSTATUS {
        let list = Guarded::of(&memory::encode(sges));
        let arguments = [
            context,
            list_address(&list, sges),
            sges.len() as u64,
            flags.into(),
        ];
        self.post("NdkSend", &arguments)
    }

    /// `NdkSendAndInvalidate`; `token` is a remote token that the peer has given.
    #[must_use]
    pub fn send_and_invalidate(&self, context: u64, sges: &[Sge], flags: u32, token: u32) -> NTSTATUS {
        let list = Guarded::of(&memory::encode(sges));
        let arguments = [
            context,
            list_address(&list, sges),
            sges.len() as u64,
            flags.into(),
            token.into(),
        ];
        self.post("NdkSendAndInvalidate", &arguments)
    }

    /// `NdkReceive`.
    #[must_use]
    pub fn receive(&self, context: u64, sges: &[Sge]) -> NTSTATUS {
        let list = Guarded::of(&memory::encode(sges));
        self.post(
            "NdkReceive",
            &[context, list_address(&list, sges), sges.len() as u64],
        )
    }

    /// `NdkRead`.
    #[must_use]
    pub fn read(&self, context: u64, sges: &[Sge], remote_address: u64, token: u32, flags: u32) -> NTSTATUS {
        self.transfer("NdkRead", context, sges, remote_address, token, flags)
    }

    /// `NdkWrite`.
    #[must_use]
    pub fn write(&self, context: u64, sges: &[Sge], remote_address: u64, token: u32, flags: u32) -> NTSTATUS {
        self.transfer("NdkWrite", context, sges, remote_address, token, flags)
    }

    fn transfer(
        &self,
        name: &'static str,
        context: u64,
        sges: &[Sge],
        remote_address: u64,
        token: u32,
        flags: u32,
    ) -> NTSTATUS {
        let list = Guarded::of(&memory::encode(sges));
        let arguments = [
            context,
            list_address(&list, sges),
            sges.len() as u64,
            remote_address,
            token.into(),
            flags.into(),
        ];
        self.post(name, &arguments)
    }

    /// `NdkBind`: makes `length` bytes from `address` in the region accessible through the window.
    #[must_use]
    pub fn bind(&self, context: u64, mr: &Mr, mw: &Mw, address: u64, length: u64, flags: u32) -> NTSTATUS {
        let arguments = [
            context,
            mr.address() as u64,
            mw.address() as u64,
            address,
            length,
            flags.into(),
        ];
        self.post("NdkBind", &arguments)
    }

    /// `NdkFastRegister`.
    ///
    /// # Panics
    /// With more than 512 pages.
    #[must_use]
    pub fn fast_register(
        &self,
        context: u64,
        mr: &Mr,
        registration: &FastRegistration<'_>,
        flags: u32,
    ) -> NTSTATUS {
        let FastRegistration {
            pages,
            offset,
            length,
            base,
        } = *registration;
        let list: Vec<u8> = pages.iter().flat_map(|page| page.to_ne_bytes()).collect();
        let list = Guarded::of(&list);
        mr.forget_tokens();
        let arguments = [
            context,
            mr.address() as u64,
            pages.len() as u64,
            list.address() as u64,
            offset.into(),
            length,
            base,
            flags.into(),
        ];
        self.post("NdkFastRegister", &arguments)
    }

    /// `NdkInvalidate` of a region that was registered fast.
    #[must_use]
    pub fn invalidate(&self, context: u64, mr: &Mr, flags: u32) -> NTSTATUS {
        self.post("NdkInvalidate", &[context, mr.address() as u64, flags.into()])
    }

    /// `NdkInvalidate` of a window.
    #[must_use]
    pub fn invalidate_window(&self, context: u64, mw: &Mw, flags: u32) -> NTSTATUS {
        self.post("NdkInvalidate", &[context, mw.address() as u64, flags.into()])
    }

    /// Any posting function, with the arguments after the object, the request context first.
    #[must_use]
    pub fn post_raw(&self, name: &'static str, arguments: &[u64]) -> NTSTATUS {
        self.post(name, arguments)
    }

    /// `NdkFlush`.
    pub fn flush(&self) {
        work::flush(&self.handle.fixed);
    }

    /// Requests whose completion has not been taken; silent ones may have succeeded.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        work::outstanding(self.handle.fixed.id)
    }
}
