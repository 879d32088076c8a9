//! The one function of ndis.sys with a variable number of arguments (ndis.h).

use crate::NDIS_HANDLE;

/// Prototype of `NdisWriteErrorLogEntry`.
#[cfg(windows)]
pub type PFN_NdisWriteErrorLogEntry =
    unsafe extern "C" fn(NdisAdapterHandle: NDIS_HANDLE, ErrorCode: u32, NumberOfErrorValues: u32, ...);
/// Prototype of `NdisWriteErrorLogEntry`.
#[cfg(not(windows))]
pub type PFN_NdisWriteErrorLogEntry =
    unsafe extern "win64" fn(NdisAdapterHandle: NDIS_HANDLE, ErrorCode: u32, NumberOfErrorValues: u32, ...);

#[cfg(windows)]
#[link(name = "ndis")]
unsafe extern "C" {
    /// Writes an `NDIS_ERROR_CODE_…` and as many 32-bit values to the system log. IRQL <= `DISPATCH_LEVEL`.
    pub fn NdisWriteErrorLogEntry(
        NdisAdapterHandle: NDIS_HANDLE,
        ErrorCode: u32,
        NumberOfErrorValues: u32,
        ...
    );
}
