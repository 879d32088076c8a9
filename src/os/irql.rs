//! The interrupt request level (IRQL) as a type.
#![expect(unsafe_code, reason = "asks the kernel for the IRQL")]

use core::marker::PhantomData;

/// The IRQL at which threads run and may wait.
const PASSIVE_LEVEL: u8 = 0;
/// The IRQL of DPCs.
const DISPATCH_LEVEL: u8 = 2;

// Declared here and not taken from `wdk_sys`: the function is exported and documented, but some editions of the
// headers give the x64 compiler an inline version only, which bindings cannot name.
#[link(name = "ntoskrnl")]
unsafe extern "system" {
    /// The IRQL of the current processor (wdm.h). Any IRQL.
    safe fn KeGetCurrentIrql() -> u8;
    /// Raises the IRQL; the old one (wdm.h). At most `new`.
    fn KfRaiseIrql(new: u8) -> u8;
    /// Goes back (wdm.h).
    fn KeLowerIrql(old: u8);
}

/// Proof that the code runs at `PASSIVE_LEVEL`, where it may wait. It cannot leave the thread that made it, and code
/// that raises the IRQL (a [`crate::os::lock::SpinLock`] guard) must not use one that it still has: debug builds
/// check that at each wait.
pub struct Passive(PhantomData<*const ()>);

impl Passive {
    /// A token if the processor is at `PASSIVE_LEVEL` now.
    #[must_use]
    pub fn current() -> Option<Self> {
        (KeGetCurrentIrql() == PASSIVE_LEVEL).then_some(Self(PhantomData))
    }

    /// A token without asking, for the first line of a function that Windows calls at `PASSIVE_LEVEL` only.
    ///
    /// # Safety
    ///
    /// The processor is at `PASSIVE_LEVEL`, by the documentation of the callback.
    #[must_use]
    pub unsafe fn assume() -> Self {
        let token = Self(PhantomData);
        token.check();
        token
    }

    /// Debug builds stop here when the token outlived the IRQL that it stands for.
    #[expect(clippy::unused_self, reason = "the token is what is checked")]
    pub(super) fn check(&self) {
        debug_assert!(
            KeGetCurrentIrql() == PASSIVE_LEVEL,
            "PASSIVE token used at a raised IRQL"
        );
    }
}

/// `DISPATCH_LEVEL` while it lives, for functions that must be called at exactly that.
pub struct AtDispatch {
    old: u8,
    /// The IRQL belongs to the processor.
    not_send: PhantomData<*const ()>,
}

impl AtDispatch {
    /// Raises to `DISPATCH_LEVEL`. At most there.
    #[must_use]
    pub fn raise() -> Self {
        // SAFETY: at most DISPATCH_LEVEL; dropping goes back.
        let old = unsafe { KfRaiseIrql(DISPATCH_LEVEL) };
        Self {
            old,
            not_send: PhantomData,
        }
    }
}

impl Drop for AtDispatch {
    fn drop(&mut self) {
        // SAFETY: the IRQL before `raise`.
        unsafe { KeLowerIrql(self.old) };
    }
}
