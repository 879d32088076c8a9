//! Keys of regions and windows: an index that the device gives, and a variant, which changes with every bind of a window, so
//! that a key of an earlier use does not work any more.

use core::sync::atomic::{AtomicU32, Ordering};
use vrnic_abi::resource::KEY_VARIANT_MASK;

/// No key: its index is never given.
const NONE: u32 = 0;

/// The key of an object, as its consumer sees it.
#[derive(Debug, Default)]
pub struct Key(AtomicU32);

impl Key {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(NONE))
    }

    /// The key now; 0 if there is none.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// The key, if there is one.
    #[must_use]
    pub fn some(&self) -> Option<u32> {
        Some(self.get()).filter(|key| *key != NONE)
    }

    /// The device has given `key`.
    pub fn set(&self, key: u32) {
        self.0.store(key, Ordering::Relaxed);
    }

    /// The device has taken it back.
    pub fn clear(&self) {
        self.set(NONE);
    }

    /// The key of a new use, which replaces the one before. One caller at a time.
    pub fn renew(&self) -> u32 {
        let old = self.get();
        let key = old & !KEY_VARIANT_MASK | old.wrapping_add(1) & KEY_VARIANT_MASK;
        self.set(key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_goes_round_and_the_index_stays() {
        let key = Key::new();
        assert_eq!(key.some(), None);
        key.set(0x1234_56FE);
        assert_eq!(key.renew(), 0x1234_56FF);
        assert_eq!(key.renew(), 0x1234_5600);
        assert_eq!(key.get(), 0x1234_5600);
        key.clear();
        assert_eq!(key.some(), None);
    }
}
