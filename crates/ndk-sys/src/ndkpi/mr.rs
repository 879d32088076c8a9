//! Memory regions and memory windows (ndkpi.h).

use crate::{
    BOOLEAN, MDL, NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS,
};
use core::ffi::c_void;

functions! {
    /// Registers the pages of an MDL chain with `NDK_MR_FLAG_…` access (ndkpi.h).
    fn NDK_FN_REGISTER_MR(
        pNdkMr: *mut NDK_MR,
        Mdl: *mut MDL,
        Length: usize,
        Flags: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Undoes [`NDK_FN_REGISTER_MR`] (ndkpi.h).
    fn NDK_FN_DEREGISTER_MR(
        pNdkMr: *mut NDK_MR,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Prepares the region for fast registration of up to so many pages (ndkpi.h).
    fn NDK_FN_INITIALIZE_FAST_REGISTER_MR(
        pNdkMr: *mut NDK_MR,
        AdapterPageCount: u32,
        RemoteAccess: BOOLEAN,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// The token that a peer uses (ndkpi.h).
    fn NDK_FN_GET_REMOTE_TOKEN_FROM_MR(pNdkMr: *mut NDK_MR) -> u32;

    /// The token for [`crate::NDK_SGE`] (ndkpi.h).
    fn NDK_FN_GET_LOCAL_TOKEN_FROM_MR(pNdkMr: *mut NDK_MR) -> u32;

    /// The token that a peer uses (ndkpi.h).
    fn NDK_FN_GET_REMOTE_TOKEN_FROM_MW(pNdkMw: *mut NDK_MW) -> u32;
}

layouts! {
    /// Functions of a memory region (ndkpi.h).
    pub struct NDK_MR_DISPATCH: 0x38 {
        NdkCloseMr @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkRegisterMr @ 0x10: Option<NDK_FN_REGISTER_MR>,
        NdkDeregisterMr @ 0x18: Option<NDK_FN_DEREGISTER_MR>,
        NdkInitializeFastRegisterMr @ 0x20: Option<NDK_FN_INITIALIZE_FAST_REGISTER_MR>,
        NdkGetRemoteTokenFromMr @ 0x28: Option<NDK_FN_GET_REMOTE_TOKEN_FROM_MR>,
        NdkGetLocalTokenFromMr @ 0x30: Option<NDK_FN_GET_LOCAL_TOKEN_FROM_MR>,
    }

    /// A memory region as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_MR: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_MR_DISPATCH,
    }

    /// Functions of a memory window (ndkpi.h).
    pub struct NDK_MW_DISPATCH: 0x18 {
        NdkCloseMw @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkGetRemoteTokenFromMw @ 0x10: Option<NDK_FN_GET_REMOTE_TOKEN_FROM_MW>,
    }

    /// A memory window as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_MW: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_MW_DISPATCH,
    }
}
