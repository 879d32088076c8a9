//! A doorbell of an object, found once.
#![expect(unsafe_code, reason = "points into the doorbell BAR")]

use core::ptr::{NonNull, from_ref};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

use vrnic_abi::doorbell::SLEEP;
use vrnic_abi::regs::KICK;

use crate::nic::Nic;
use crate::os::pool::PoolArc;

/// What a doorbell rings that has not been set yet.
static NOWHERE: AtomicU32 = AtomicU32::new(0);

/// A doorbell word. Ringing costs a store, a barrier and a load.
pub struct Doorbell {
    /// Into the BAR that `nic` has mapped, or [`NOWHERE`].
    word: AtomicPtr<AtomicU32>,
    sleep: NonNull<AtomicU32>,
    nic: PoolArc<Nic>,
}

// SAFETY: both addresses are those of atomic words, which are valid as long as the NIC, or for ever.
unsafe impl Send for Doorbell {}
// SAFETY: as above.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// The doorbell of an object that has no number yet: ringing it does nothing.
    #[must_use]
    pub fn unset(nic: &PoolArc<Nic>) -> Self {
        Self {
            word: AtomicPtr::new(from_ref(&NOWHERE).cast_mut()),
            sleep: NonNull::from(nic.device().doorbells.word(SLEEP)),
            nic: nic.clone(),
        }
    }

    /// From now on it is the word at `offset` of the BAR.
    ///
    /// # Panics
    ///
    /// If there is no such word: `offset` is made of a number that has been checked.
    pub fn set(&self, offset: u64) {
        let word = from_ref(self.nic.device().doorbells.word(offset));
        self.word.store(word.cast_mut(), Ordering::Release);
    }

    /// From now on ringing does nothing, as before [`Doorbell::set`].
    pub fn clear(&self) {
        self.word.store(from_ref(&NOWHERE).cast_mut(), Ordering::Release);
    }

    #[inline]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: a word of the BAR that `nic` keeps mapped, or a static one.
        unsafe { &*self.word.load(Ordering::Relaxed) }
    }

    /// Stores `value`, after every earlier store; the device sees it when it looks.
    #[inline]
    pub fn store(&self, value: u32) {
        self.word().store(value, Ordering::Release);
    }

    /// Stores `value` and wakes the device if it sleeps (see [`vrnic_abi::doorbell`]).
    #[inline]
    pub fn ring(&self, value: u32) {
        self.store(value);
        self.wake();
    }

    /// As [`Doorbell::ring`], but only if that does not take the doorbell back: somebody else may be ringing it.
    pub fn ring_forward(&self, value: u32) {
        let _newer = self
            .word()
            .fetch_update(Ordering::Release, Ordering::Relaxed, |now| {
                (value.wrapping_sub(now).cast_signed() > 0).then_some(value)
            });
        self.wake();
    }

    #[inline]
    fn wake(&self) {
        // The device sets SLEEP, then looks at the doorbells once more: with a full barrier on both sides one of the two
        // sees the other's store.
        fence(Ordering::SeqCst);
        // SAFETY: the word of the BAR that `nic` keeps mapped.
        if unsafe { self.sleep.as_ref() }.load(Ordering::Relaxed) != 0 {
            self.kick();
        }
    }

    #[cold]
    fn kick(&self) {
        self.nic.device().registers.write::<KICK>(1);
    }
}
