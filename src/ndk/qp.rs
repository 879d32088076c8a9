//! Queue pairs: until they are there, what connectors need of them.
#![expect(unsafe_code, reason = "stub")]
use super::adapter::Adapter;
use super::connector::Connector;
use super::object::{Common, Object, ObjectRef};
use crate::nic::{Payload, Request, Submitted};
use crate::os::pool::{PoolBox, Pooled, Tag};
use ndk_sys::{NDK_QP, NTSTATUS};
use vrnic_abi::resource::QpModify;

/// Events.
pub enum QpEvent {
    /// a
    Fatal,
    /// b
    LastWqe,
    /// c
    CommEst,
}
#[repr(C)]
pub struct Qp {
    public: NDK_QP,
    common: Common,
    adapter: ObjectRef<Adapter>,
}
impl Pooled for Qp {
    const TAG: Tag = Tag::new(*b"VrQp");
}
// SAFETY: stub
unsafe impl Object for Qp {
    fn common(&self) -> &Common {
        &self.common
    }
}
// SAFETY: stub
unsafe impl Sync for Qp {}
// SAFETY: stub
unsafe impl Send for Qp {}
impl Qp {
    pub fn number(&self) -> u32 {
        0
    }
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        &self.adapter
    }
    pub fn has_srq(&self) -> bool {
        false
    }
    pub fn begin_connect(&self, _c: &ObjectRef<Connector>) -> Result<(), NTSTATUS> {
        Ok(())
    }
    pub fn end_connect(&self) {}
    pub fn set_connected(&self, _c: bool) {}
    pub fn modify<T: Payload>(&self, request: PoolBox<Request<T>>, _m: &QpModify) -> Submitted<T> {
        Submitted::Done(request, Err(crate::nic::command::CommandError::Dead))
    }
    pub fn flush<T: Payload>(&self, request: PoolBox<Request<T>>) -> Submitted<T> {
        Submitted::Done(request, Err(crate::nic::command::CommandError::Dead))
    }
}
