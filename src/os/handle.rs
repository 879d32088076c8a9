//! NDIS's handle of an adapter.
#![expect(unsafe_code, reason = "vouches for a handle of NDIS")]

use ndk_sys::NDIS_HANDLE;

/// The handle that NDIS passed to `MiniportInitializeEx`, valid until `MiniportHaltEx` returns.
#[derive(Clone, Copy)]
pub struct AdapterHandle(NDIS_HANDLE);

// SAFETY: NDIS takes the handle on any processor.
unsafe impl Send for AdapterHandle {}
// SAFETY: as above.
unsafe impl Sync for AdapterHandle {}

impl AdapterHandle {
    /// Wraps the handle.
    ///
    /// # Safety
    ///
    /// It is that of an adapter, and is not used after the adapter's halt (or failed initialisation).
    #[must_use]
    pub const unsafe fn new(handle: NDIS_HANDLE) -> Self {
        Self(handle)
    }

    /// For calling NDIS.
    #[must_use]
    pub const fn raw(self) -> NDIS_HANDLE {
        self.0
    }
}
