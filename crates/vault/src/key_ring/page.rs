//! One key in a page of its own.
//!
//! Locked pages are not written to swap space. Locks of pages do not nest (mlock(2)): two keys in one page
//! would unlock each other, so each has its own. A system that allows no lock is no error; the vault's health
//! tells it.

use fnox_core::seal::SealingKey;
use zeroize::Zeroizing;

/// As large as the largest page of the systems that fnox runs on (Apple silicon: 16 KiB).
#[repr(align(16384))]
struct Aligned(SealingKey);

/// A key, overwritten before its page is unlocked.
pub struct KeyPage {
    key: Box<Aligned>,
    lock: Option<region::LockGuard>,
}

impl KeyPage {
    /// Moves a key into a page of its own.
    #[must_use]
    pub fn new(key: SealingKey) -> Self {
        let key = Box::new(Aligned(key));
        let lock = region::lock(std::ptr::from_ref(key.as_ref()), size_of::<SealingKey>()).ok();
        Self { key, lock }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SealingKey {
        &self.key.0
    }

    /// Whether the system keeps the page out of its swap space.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for KeyPage {
    fn drop(&mut self) {
        // The old key is overwritten where it lies, then the page is unlocked, then freed.
        self.key.0 = SealingKey::new(String::new(), Zeroizing::new([0; 32]));
        self.lock = None;
    }
}

impl std::fmt::Debug for KeyPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyPage")
            .field("key", self.key())
            .field("is_locked", &self.is_locked())
            .finish()
    }
}
