//! What all NDK objects share: object types and header, completions, flags, work completions (ndkpi.h).
//!
//! Unless it says otherwise, every NDKPI function and callback may be called at IRQL <= `DISPATCH_LEVEL`. One
//! that returns `STATUS_PENDING` calls its completion callback exactly once, possibly before it returns; with any
//! other result it does not call it.

use crate::{GUID, NDK_LOGICAL_ADDRESS, NDK_VERSION, NTSTATUS};
use core::ffi::c_void;

enums! {
    /// The kind of an NDK object (ndkpi.h).
    enum NDK_OBJECT_TYPE {
        NdkObjectTypeUndefined = 0,
        NdkObjectTypeAdapter = 1,
        NdkObjectTypeQp = 2,
        NdkObjectTypeCq = 3,
        NdkObjectTypeMr = 4,
        NdkObjectTypeMw = 5,
        NdkObjectTypePd = 6,
        NdkObjectTypeSharedEndpoint = 7,
        NdkObjectTypeConnector = 8,
        NdkObjectTypeListener = 9,
        NdkObjectTypeSrq = 10,
        NdkObjectTypeMax = 11,
    }

    /// What a work request was, in [`crate::NDK_RESULT_EX`] (ndkpi.h).
    enum NDK_OPERATION_TYPE {
        NdkOperationTypeReceive = 1,
        NdkOperationTypeReceiveAndInvalidate = 32769,
        NdkOperationTypeSend = 2,
        NdkOperationTypeFastRegister = 4,
        NdkOperationTypeBind = 8,
        NdkOperationTypeInvalidate = 16,
        NdkOperationTypeRead = 32,
        NdkOperationTypeWrite = 64,
    }
}

constants! {
    /// Access to a memory region that `NdkRegisterMr` grants; remote write contains local write (ndkpi.h).
    u32 {
        NDK_MR_FLAG_ALLOW_LOCAL_READ = 0,
        NDK_MR_FLAG_ALLOW_LOCAL_WRITE = 1,
        NDK_MR_FLAG_ALLOW_REMOTE_READ = 2,
        NDK_MR_FLAG_ALLOW_REMOTE_WRITE = 5,
        NDK_MR_FLAG_RDMA_READ_SINK = 8,
    }

    /// Work request flags; remote write contains local write (ndkpi.h).
    u32 {
        NDK_OP_FLAG_SILENT_SUCCESS = 1,
        NDK_OP_FLAG_READ_FENCE = 2,
        NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT = 4,
        NDK_OP_FLAG_ALLOW_REMOTE_READ = 8,
        NDK_OP_FLAG_ALLOW_LOCAL_WRITE = 0x10,
        NDK_OP_FLAG_ALLOW_REMOTE_WRITE = 0x30,
        NDK_OP_FLAG_INLINE = 0x40,
        NDK_OP_FLAG_RDMA_READ_SINK = 0x80,
        NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE = 0x100,
        NDK_OP_FLAG_DEFER = 0x200,
    }

    /// What `NdkArmCq` arms a completion queue for (ndkpi.h).
    u32 {
        NDK_CQ_NOTIFY_ERRORS = 0,
        NDK_CQ_NOTIFY_ANY = 1,
        NDK_CQ_NOTIFY_SOLICITED = 2,
    }
}

functions! {
    /// Says that a close has finished: nothing of the object is used afterwards (ndkpi.h).
    fn NDK_FN_CLOSE_COMPLETION(Context: *mut c_void);

    /// Says how a pended request ended (ndkpi.h).
    fn NDK_FN_REQUEST_COMPLETION(Context: *mut c_void, Status: NTSTATUS);

    /// Hands over the object of a pended creation, or says why there is none (ndkpi.h).
    fn NDK_FN_CREATE_COMPLETION(Context: *mut c_void, Status: NTSTATUS, pNdkObject: *mut NDK_OBJECT_HEADER);

    /// Closes an object: `STATUS_SUCCESS` or `STATUS_PENDING`, never a failure (ndkpi.h).
    fn NDK_FN_CLOSE_OBJECT(
        pNdkObject: *mut NDK_OBJECT_HEADER,
        CloseCompletion: Option<NDK_FN_CLOSE_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Asks for an extension interface by GUID; `STATUS_NOT_SUPPORTED` if there is none (ndkpi.h).
    fn NDK_FN_QUERY_EXTENSION_INTERFACE(
        pNdkObject: *mut NDK_OBJECT_HEADER,
        ExtensionInterfaceID: *mut GUID,
        ExtensionInterfaceVersion: NDK_VERSION,
        pExtensionInterface: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS;
}

layouts! {
    /// Storage of the object's user: zeroed at creation, then left alone until close (ndkpi.h).
    pub struct NDK_OBJECT_HEADER_RESERVED_BLOCK: 0x20 {
        rf @ 0x0: [*mut c_void; 4],
    }

    /// Start of every NDK object (ndkpi.h).
    pub struct NDK_OBJECT_HEADER: 0x28 {
        Version @ 0x0: NDK_VERSION,
        ObjectType @ 0x4: NDK_OBJECT_TYPE,
        NdkReserved @ 0x8: NDK_OBJECT_HEADER_RESERVED_BLOCK,
    }

    /// A piece of registered memory, by virtual or (with the privileged token) logical address (ndkpi.h).
    pub struct NDK_SGE: 0x10 {
        u_ @ 0x0: NDK_SGE_u_,
        Length @ 0x8: u32,
        MemoryRegionToken @ 0xc: u32,
    }

    /// Anonymous union in [`NDK_SGE`].
    pub union NDK_SGE_u_: 0x8 {
        VirtualAddress @ 0x0: *mut c_void,
        LogicalAddress @ 0x0: NDK_LOGICAL_ADDRESS,
    }

    /// Adapter page addresses of a buffer, as `NdkBuildLAM` returns them (ndkpi.h).
    pub struct NDK_LOGICAL_ADDRESS_MAPPING: 0x18 {
        AdapterContext @ 0x0: *mut c_void,
        AdapterPageCount @ 0x8: u32,
        AdapterPageArray @ 0x10: [NDK_LOGICAL_ADDRESS; 1],
    }

    /// The dispatch table of an extension (ndkpi.h).
    pub struct NDK_EXTENSION_INTERFACE: 0x8 {
        Dispatch @ 0x0: *const c_void,
    }

    /// A work completion (ndkpi.h).
    pub struct NDK_RESULT: 0x18 {
        Status @ 0x0: NTSTATUS,
        BytesTransferred @ 0x4: u32,
        QPContext @ 0x8: *mut c_void,
        RequestContext @ 0x10: *mut c_void,
    }

    /// A work completion with its operation type (NDKPI 1.2) and the provider's own error code
    /// (NDKPI 2.1; padding before) (ndkpi.h).
    pub struct NDK_RESULT_EX: 0x28 {
        Status @ 0x0: NTSTATUS,
        BytesTransferred @ 0x4: u32,
        QPContext @ 0x8: *mut c_void,
        RequestContext @ 0x10: *mut c_void,
        Type @ 0x18: NDK_OPERATION_TYPE,
        ProviderErrorCode @ 0x1c: u32,
        TypeSpecificCompletionOutput @ 0x20: usize,
    }
}
