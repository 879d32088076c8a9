//! `NDK_PD`: a protection domain, parent of regions, windows, shared receive queues and queue pairs.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::adapter::Adapter;
use super::device_object::{self, Callback, DeviceObject, DevicePart};
use super::mr::Mr;
use super::mw::Mw;
use super::object::{self, Common, Object, ObjectRef};
use super::request::Creation;
use super::{qp_create, srq};
use crate::nic::Nic;
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::ptr::NonNull;
use ndk_sys::{
    BOOLEAN, FALSE, NDK_ADAPTER, NDK_FN_CREATE_COMPLETION, NDK_MR, NDK_MW, NDK_PD, NDK_PD_DISPATCH, NTSTATUS,
    NdkObjectTypePd, STATUS_INVALID_PARAMETER,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::PRIVILEGED_KEY;

/// A protection domain.
#[repr(C)]
pub struct Pd {
    public: NDK_PD,
    common: Common,
    device: DevicePart<Self>,
    adapter: ObjectRef<Adapter>,
}

impl Pooled for Pd {
    const TAG: Tag = Tag::new(*b"VrPd");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Pd {
    fn common(&self) -> &Common {
        &self.common
    }

    fn finish(pd: PoolBox<Self>) {
        device_object::finish(pd);
    }
}

impl DeviceObject for Pd {
    fn nic(&self) -> &PoolArc<Nic> {
        self.adapter.provider().nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        Some((Opcode::FREE_PD, self.device.number()?))
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Pd {}
// SAFETY: as above.
unsafe impl Send for Pd {}

impl Pd {
    fn new(adapter: ObjectRef<Adapter>) -> Result<ObjectRef<Self>, OutOfMemory> {
        ObjectRef::new(Self {
            public: NDK_PD {
                Header: object::header(adapter.version(), NdkObjectTypePd),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            device: DevicePart::new()?,
            adapter,
        })
    }

    /// The adapter that it belongs to.
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        &self.adapter
    }

    /// Its number, for the device.
    pub fn number(&self) -> u32 {
        debug_assert!(self.device.number().is_some(), "consumers get it when it has one");
        self.device.number().unwrap_or(0)
    }
}

static DISPATCH: NDK_PD_DISPATCH = NDK_PD_DISPATCH {
    NdkClosePd: Some(object::close::<Pd>),
    NdkQueryExtension: Some(object::query_extension),
    NdkCreateMr: Some(create_mr),
    NdkCreateMw: Some(create_mw),
    NdkCreateSrq: Some(srq::create),
    NdkCreateQp: Some(qp_create::create_qp),
    NdkCreateQpWithSrq: Some(qp_create::create_qp_with_srq),
    NdkGetPrivilegedMemoryRegionToken: Some(get_privileged_memory_region_token),
};

/// `NdkCreatePd`.
pub unsafe extern "system" fn create(
    adapter: *mut NDK_ADAPTER,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    context: *mut c_void,
    out: *mut *mut NDK_PD,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    let pd = match Pd::new(ObjectRef::clone(&adapter)) {
        Ok(pd) => pd,
        Err(error) => return error.into(),
    };
    let callback = Callback {
        function: completion,
        context,
    };
    // SAFETY: the consumer's variable.
    unsafe { device_object::create(pd, Opcode::ALLOC_PD, &[], &[], callback, out) }
}

/// `NdkCreateMr`: the device learns of it when it is registered or initialised, so that this never pends.
unsafe extern "system" fn create_mr(
    pd: *mut NDK_PD,
    fast_register: BOOLEAN,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    context: *mut c_void,
    out: *mut *mut NDK_MR,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open protection domain.
    let pd = unsafe { object::reference::<Pd, _>(pd) };
    let (Some(out), Some(completion)) = (NonNull::new(out), completion) else {
        return STATUS_INVALID_PARAMETER;
    };
    match Mr::new(ObjectRef::clone(&pd), fast_register != FALSE) {
        // SAFETY: the consumer's variable.
        Ok(mr) => unsafe { Creation::new(mr, completion, context).inline(Ok(()), out) },
        Err(error) => error.into(),
    }
}

/// `NdkCreateMw`.
unsafe extern "system" fn create_mw(
    pd: *mut NDK_PD,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    context: *mut c_void,
    out: *mut *mut NDK_MW,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open protection domain.
    let pd = unsafe { object::reference::<Pd, _>(pd) };
    let callback = Callback {
        function: completion,
        context,
    };
    // SAFETY: the consumer's variable.
    unsafe { Mw::create(&pd, callback, out) }
}

unsafe extern "system" fn get_privileged_memory_region_token(_pd: *mut NDK_PD, token: *mut u32) {
    // SAFETY: the consumer's variable, or null.
    if let Some(token) = unsafe { token.as_mut() } {
        *token = PRIVILEGED_KEY;
    }
}
