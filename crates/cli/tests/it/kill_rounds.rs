//! What tests that kill servers again and again share: how often, from which moments, and how a failure is repeated.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::vault_process::number_from_environment;

/// How often one is killed.
pub(crate) fn rounds() -> u64 {
    // 5 with the 100 of ./scripts/test, 200 with the 1000 of --long.
    match number_from_environment("FNOX_TEST_ROUNDS").unwrap_or(60) {
        few @ 0..1000 => (few / 20).max(3),
        many => many / 5,
    }
}

/// What the moments of a run follow from; `FNOX_TEST_SEED` repeats one.
pub(crate) fn seed() -> u64 {
    number_from_environment("FNOX_TEST_SEED")
        .unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 32)
}

/// Says on which seed and in which round a test failed.
pub(crate) struct Trace {
    pub(crate) seed: u64,
    pub(crate) round: u64,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "FNOX_TEST_SEED={} failed in round {}",
                self.seed, self.round
            );
        }
    }
}
