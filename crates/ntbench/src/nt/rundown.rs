//! Cache-aware rundown protection. On Windows each processor has a counter of its own; here it is the plain
//! `EX_RUNDOWN_REF` of `sync`, which is as fast as the bench needs.

use super::pool;
use super::sync::{
    ex_acquire_rundown_protection_ex, ex_initialize_rundown_protection, ex_release_rundown_protection_ex,
    ex_rundown_completed, ex_wait_for_rundown_protection_release,
};
use crate::exports;
use crate::verifier::pool::{PoolKind, Request};

exports! {
    /// Cache-aware rundown protection.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ExAllocateCacheAwareRundownProtection = function(ex_allocate_cache_aware_rundown_protection, at_most(DISPATCH_LEVEL));
        ExFreeCacheAwareRundownProtection = function(ex_free_cache_aware_rundown_protection, at_most(DISPATCH_LEVEL));
        ExSizeOfRundownProtectionCacheAware = function(ex_size_of_rundown_protection_cache_aware, any());
        ExInitializeRundownProtectionCacheAware = function(ex_initialize_rundown_protection_cache_aware, any());
        ExReInitializeRundownProtectionCacheAware = function(ex_initialize_rundown_protection, any());
        ExAcquireRundownProtectionCacheAware = function(ex_acquire_rundown_protection_cache_aware, any());
        ExAcquireRundownProtectionCacheAwareEx = function(ex_acquire_rundown_protection_ex, any());
        ExReleaseRundownProtectionCacheAware = function(ex_release_rundown_protection_cache_aware, any());
        ExReleaseRundownProtectionCacheAwareEx = function(ex_release_rundown_protection_ex, any());
        ExWaitForRundownProtectionReleaseCacheAware = function(ex_wait_for_rundown_protection_release, at_most(APC_LEVEL));
        ExRundownCompletedCacheAware = function(ex_rundown_completed, any());
    }
}

/// Bytes of the opaque `EX_RUNDOWN_REF_CACHE_AWARE`.
const SIZE: usize = 64;

extern "win64" fn ex_allocate_cache_aware_rundown_protection(_pool_type: u32, tag: u32) -> usize {
    let reference = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: SIZE,
        tag,
        zeroed: true,
        alignment: 0,
    });
    if reference != 0 {
        ex_initialize_rundown_protection(reference);
    }
    reference
}

extern "win64" fn ex_free_cache_aware_rundown_protection(reference: usize) {
    pool::free(reference, None);
}

extern "win64" fn ex_size_of_rundown_protection_cache_aware() -> usize {
    SIZE
}

extern "win64" fn ex_initialize_rundown_protection_cache_aware(reference: usize, _size: usize) {
    ex_initialize_rundown_protection(reference);
}

extern "win64" fn ex_acquire_rundown_protection_cache_aware(reference: usize) -> u8 {
    ex_acquire_rundown_protection_ex(reference, 1)
}

extern "win64" fn ex_release_rundown_protection_cache_aware(reference: usize) {
    ex_release_rundown_protection_ex(reference, 1);
}
