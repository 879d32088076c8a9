//! `NDK_SHARED_ENDPOINT`: a local address and port for many outgoing connections.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::adapter::Adapter;
use super::connector::{read_address, store_address};
use super::endpoints::Owner;
use super::object::{self, Common, Object, ObjectRef};
use crate::os::pool::{Pooled, Tag};
use core::ffi::c_void;
use core::net::SocketAddr;
use core::ptr::NonNull;
use ndk_sys::{
    NDK_ADAPTER, NDK_FN_CREATE_COMPLETION, NDK_SHARED_ENDPOINT, NDK_SHARED_ENDPOINT_DISPATCH, NTSTATUS,
    NdkObjectTypeSharedEndpoint, SOCKADDR, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

/// A shared endpoint. It stays bound until it and every connector that uses it are closed.
#[repr(C)]
pub struct SharedEndpoint {
    public: NDK_SHARED_ENDPOINT,
    common: Common,
    adapter: ObjectRef<Adapter>,
    local: SocketAddr,
}

impl Pooled for SharedEndpoint {
    const TAG: Tag = Tag::new(*b"VrSe");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for SharedEndpoint {
    fn common(&self) -> &Common {
        &self.common
    }

    /// The last connector is closed: the address and port are free again.
    fn retire(&self) {
        self.adapter.provider().unbind(self.local);
    }
}

// SAFETY: the public part is only read after creation.
unsafe impl Sync for SharedEndpoint {}
// SAFETY: as above.
unsafe impl Send for SharedEndpoint {}

impl SharedEndpoint {
    /// `NdkCreateSharedEndpoint`; port 0 chooses one.
    ///
    /// # Errors
    /// `STATUS_INVALID_ADDRESS` for an address that is not the adapter's, `STATUS_SHARING_VIOLATION` if the port is taken,
    /// `STATUS_TOO_MANY_ADDRESSES` if none is left, `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(adapter: ObjectRef<Adapter>, local: SocketAddr) -> Result<ObjectRef<Self>, NTSTATUS> {
        let provider = adapter.clone();
        let local = provider.provider().bind(local, Owner::Shared)?;
        let endpoint = ObjectRef::new(Self {
            public: NDK_SHARED_ENDPOINT {
                Header: object::header(adapter.version(), NdkObjectTypeSharedEndpoint),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            adapter,
            local,
        });
        endpoint.map_err(|out_of_memory| {
            provider.provider().unbind(local);
            out_of_memory.into()
        })
    }

    /// Its address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The adapter that it belongs to.
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        &self.adapter
    }
}

static DISPATCH: NDK_SHARED_ENDPOINT_DISPATCH = NDK_SHARED_ENDPOINT_DISPATCH {
    NdkCloseSharedEndpoint: Some(object::close::<SharedEndpoint>),
    NdkQueryExtension: Some(object::query_extension),
    NdkGetLocalAddress: Some(get_local_address),
};

unsafe extern "system" fn get_local_address(
    endpoint: *mut NDK_SHARED_ENDPOINT,
    address: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open shared endpoint.
    let endpoint: &SharedEndpoint = unsafe { object::borrow(endpoint) };
    let index = endpoint.adapter.provider().interface_index();
    // SAFETY: the consumer's buffer and its length.
    unsafe { store_address(endpoint.local, index, address, length) }
}

/// `NdkCreateSharedEndpoint`. It answers at once.
pub unsafe extern "system" fn create(
    adapter: *mut NDK_ADAPTER,
    local: *const SOCKADDR,
    length: u32,
    _completion: Option<NDK_FN_CREATE_COMPLETION>,
    _context: *mut c_void,
    endpoint: *mut *mut NDK_SHARED_ENDPOINT,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    let Some(endpoint) = NonNull::new(endpoint) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: the consumer's `SOCKADDR` of `length` bytes, or null.
    let created = unsafe { read_address(local, length, adapter.provider().interface_index()) }
        .and_then(|local| SharedEndpoint::new(ObjectRef::clone(&adapter), local));
    match created {
        Ok(created) => {
            // SAFETY: the consumer's variable.
            unsafe { endpoint.write(created.into_consumer()) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}
