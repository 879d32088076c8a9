//! `NDK_MW`: a memory window, which work requests bind to a part of a region.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::device_object::{self, Callback, DeviceObject, DevicePart};
use super::key::Key;
use super::mr::Mr;
use super::object::{self, Common, Object, ObjectRef};
use super::pd::Pd;
use crate::nic::Nic;
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};
use ndk_sys::{NDK_MW, NDK_MW_DISPATCH, NTSTATUS, NdkObjectTypeMw};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::{ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, KeyAlloc};
use zerocopy::IntoBytes;

/// A memory window.
#[repr(C)]
pub struct Mw {
    public: NDK_MW,
    common: Common,
    device: DevicePart<Self>,
    key: Key,
    /// The region that it was bound to last, which cannot end before the window does.
    region: SpinLock<Option<ObjectRef<Mr>>>,
    pd: ObjectRef<Pd>,
}

impl Pooled for Mw {
    const TAG: Tag = Tag::new(*b"VrMw");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Mw {
    fn common(&self) -> &Common {
        &self.common
    }

    fn finish(mw: PoolBox<Self>) {
        device_object::finish(mw);
    }
}

impl DeviceObject for Mw {
    fn nic(&self) -> &PoolArc<Nic> {
        self.pd.nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        Some((Opcode::FREE_KEY, self.device.number()?))
    }

    fn created(&self, number: u32) -> Result<(), NTSTATUS> {
        self.key.set(number);
        Ok(())
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Mw {}
// SAFETY: as above.
unsafe impl Send for Mw {}

impl Mw {
    fn new(pd: ObjectRef<Pd>) -> Result<ObjectRef<Self>, OutOfMemory> {
        ObjectRef::new(Self {
            public: NDK_MW {
                Header: object::header(pd.adapter().version(), NdkObjectTypeMw),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            device: DevicePart::new()?,
            key: Key::new(),
            region: SpinLock::new(None),
            pd,
        })
    }

    /// `NdkCreateMw`.
    ///
    /// # Safety
    /// `out` is null or valid.
    pub unsafe fn create(pd: &ObjectRef<Pd>, callback: Callback, out: *mut *mut NDK_MW) -> NTSTATUS {
        let input = KeyAlloc {
            pdn: pd.number().into(),
            max_pages: 0.into(),
            access: (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE).into(),
            reserved: 0.into(),
        };
        match Self::new(pd.clone()) {
            // SAFETY: as ours (caller).
            Ok(mw) => unsafe {
                device_object::create(mw, Opcode::ALLOC_MW, input.as_bytes(), &[], callback, out)
            },
            Err(error) => error.into(),
        }
    }

    /// The key now: of the last bind that was posted.
    pub fn key(&self) -> u32 {
        self.key.get()
    }

    /// A bind to `region` is posted: the key that it gives the window. The region stays until the next bind, or the end of
    /// the window. The consumer does not post two at a time.
    pub fn bind(&self, region: &ObjectRef<Mr>) -> u32 {
        let before = self.region.lock().replace(region.clone());
        drop(before); // After unlocking: it may be the last reference.
        self.key.renew()
    }
}

static DISPATCH: NDK_MW_DISPATCH = NDK_MW_DISPATCH {
    NdkCloseMw: Some(object::close::<Mw>),
    NdkQueryExtension: Some(object::query_extension),
    NdkGetRemoteTokenFromMw: Some(get_remote_token),
};

unsafe extern "system" fn get_remote_token(mw: *mut NDK_MW) -> u32 {
    // SAFETY: the consumer passes an open window.
    let mw: &Mw = unsafe { object::borrow(mw) };
    mw.key()
}
