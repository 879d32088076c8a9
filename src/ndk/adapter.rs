//! `NDK_ADAPTER`: one consumer's opening of the NIC, parent of all its objects.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::connector::Connector;
use super::lam;
use super::listener::Listener;
use super::object::{self, Common, Object, ObjectRef};
use super::pd;
use super::provider::Provider;
use super::{cq, shared_endpoint};
use crate::os::event::Event;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::ptr::NonNull;
use ndk_sys::{
    NDK_ADAPTER, NDK_ADAPTER_DISPATCH, NDK_ADAPTER_INFO, NDK_CONNECTOR, NDK_FN_CONNECT_EVENT_CALLBACK,
    NDK_FN_CREATE_COMPLETION, NDK_LISTENER, NDK_VERSION, NTSTATUS, NdkObjectTypeAdapter,
    STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

/// An open NDK adapter.
#[repr(C)]
pub struct Adapter {
    public: NDK_ADAPTER,
    common: Common,
    info: NDK_ADAPTER_INFO,
    /// Valid until the last adapter is closed, which the miniport's halt waits for.
    provider: NonNull<Provider>,
    /// Set when the last object below it is gone. An adapter has no close callback: its close waits for this.
    gone: Event,
    /// Held while `gone` is set, so that the close can tell that nobody touches the adapter any more.
    gone_lock: SpinLock<()>,
}

impl Pooled for Adapter {
    const TAG: Tag = Tag::new(*b"VrAd");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Adapter {
    fn common(&self) -> &Common {
        &self.common
    }

    /// Leaves the memory to [`Adapter::close`].
    fn finish(adapter: PoolBox<Self>) {
        let adapter = adapter.into_raw();
        // SAFETY: `close` frees the adapter only after it has got the lock that is held here.
        let adapter = unsafe { adapter.as_ref() };
        let _leaving = adapter.gone_lock.lock();
        adapter.gone.set();
    }
}

// SAFETY: the public part and `info` are only read after creation; the provider is `Sync`.
unsafe impl Sync for Adapter {}
// SAFETY: as above.
unsafe impl Send for Adapter {}

impl Adapter {
    /// Opens an adapter that reports `info`, version included.
    pub fn open(provider: &Provider, info: NDK_ADAPTER_INFO) -> Result<NonNull<NDK_ADAPTER>, OutOfMemory> {
        let adapter = ObjectRef::new(Self {
            public: NDK_ADAPTER {
                Header: object::header(info.Version, NdkObjectTypeAdapter),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            info,
            provider: NonNull::from(provider),
            gone: Event::new()?,
            gone_lock: SpinLock::new(()),
        })?;
        Ok(adapter.into_consumer_non_null())
    }

    /// Closes it: returns when every callback of every object below it has returned (`CLOSE_NDK_ADAPTER_HANDLER`).
    ///
    /// # Safety
    /// `adapter` came from [`Adapter::open`] and is closed once.
    pub unsafe fn close(adapter: NonNull<NDK_ADAPTER>, passive: &Passive) {
        // SAFETY: the consumer's reference (caller).
        let reference = unsafe { ObjectRef::<Self>::from_consumer(adapter.as_ptr()) };
        reference.common.stop();
        drop(reference);
        // SAFETY: `finish` does not free the adapter; only the end of this function does.
        let adapter = unsafe { PoolBox::<Self>::from_raw(adapter.cast()) };
        adapter.gone.wait_forever(passive);
        drop(adapter.gone_lock.lock());
    }

    /// The provider that it belongs to.
    pub fn provider(&self) -> &Provider {
        // SAFETY: the provider outlives its adapters (field).
        unsafe { self.provider.as_ref() }
    }

    /// What this consumer was told about the NIC.
    pub fn info(&self) -> &NDK_ADAPTER_INFO {
        &self.info
    }

    /// The version that this adapter and its objects report.
    pub fn version(&self) -> NDK_VERSION {
        self.info.Version
    }
}

static DISPATCH: NDK_ADAPTER_DISPATCH = NDK_ADAPTER_DISPATCH {
    NdkQueryExtension: Some(object::query_extension),
    NdkQueryAdapterInfo: Some(query_adapter_info),
    NdkCreateCq: Some(cq::create),
    NdkCreatePd: Some(pd::create),
    NdkCreateSharedEndpoint: Some(shared_endpoint::create),
    NdkCreateConnector: Some(create_connector),
    NdkCreateListener: Some(create_listener),
    NdkBuildLAM: Some(lam::build),
    NdkReleaseLAM: Some(lam::release),
};

/// Bytes of `NDK_ADAPTER_INFO`, as `NdkQueryAdapterInfo` counts them.
const INFO_SIZE: u32 = 0x68;
static_assertions::const_assert_eq!(size_of::<NDK_ADAPTER_INFO>(), INFO_SIZE as usize);

unsafe extern "system" fn query_adapter_info(
    adapter: *mut NDK_ADAPTER,
    info: *mut NDK_ADAPTER_INFO,
    size: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter: &Adapter = unsafe { object::borrow(adapter) };
    // SAFETY: the consumer's variable, or null.
    let Some(size) = (unsafe { size.as_mut() }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let room = core::mem::replace(size, INFO_SIZE);
    match NonNull::new(info) {
        Some(info) if room >= INFO_SIZE => {
            // SAFETY: the consumer's buffer of at least `INFO_SIZE` bytes.
            unsafe { info.write(adapter.info) };
            STATUS_SUCCESS
        }
        _ => STATUS_BUFFER_TOO_SMALL,
    }
}

unsafe extern "system" fn create_connector(
    adapter: *mut NDK_ADAPTER,
    _completion: Option<NDK_FN_CREATE_COMPLETION>,
    _context: *mut c_void,
    connector: *mut *mut NDK_CONNECTOR,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    // SAFETY: the consumer's variable.
    unsafe { store_created(Connector::new(ObjectRef::clone(&adapter)), connector) }
}

unsafe extern "system" fn create_listener(
    adapter: *mut NDK_ADAPTER,
    connect_event: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    connect_event_context: *mut c_void,
    _completion: Option<NDK_FN_CREATE_COMPLETION>,
    _context: *mut c_void,
    listener: *mut *mut NDK_LISTENER,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    let Some(connect_event) = connect_event else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: the consumer's variable.
    unsafe {
        store_created(
            Listener::new(ObjectRef::clone(&adapter), connect_event, connect_event_context),
            listener,
        )
    }
}

/// Inline success of a creation: the object goes out through the out parameter, and there is no callback.
///
/// # Safety
/// `out` is null or valid, and `P` is the public structure of `T`.
unsafe fn store_created<T: Object, P>(
    object: Result<ObjectRef<T>, OutOfMemory>,
    out: *mut *mut P,
) -> NTSTATUS {
    let Some(out) = NonNull::new(out) else {
        return STATUS_INVALID_PARAMETER;
    };
    match object {
        Ok(object) => {
            // SAFETY: valid (caller).
            unsafe { out.write(object.into_consumer()) };
            STATUS_SUCCESS
        }
        Err(OutOfMemory) => STATUS_INSUFFICIENT_RESOURCES,
    }
}
