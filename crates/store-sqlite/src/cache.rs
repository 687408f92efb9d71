//! Sealed secrets in memory, so that asking for a busy one needs no disk and no other thread.
//!
//! Only the writer tells the cache what changed, before it answers; a reader that fetched something from the
//! disk may only add it if nothing changed meanwhile. What is cached is sealed, as on the disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fnox_core::VaultName;
use fnox_vault::store::{SecretRecord, StoredSecret};

use crate::writer::Observer;

/// The newest versions, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    inner: Mutex<Inner>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    secrets: HashMap<VaultName, Cached>,
    bytes: usize,
    generation: u64,
}

/// A secret, and its record apart: both are handed out without copying.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) secret: Arc<StoredSecret>,
    pub(crate) record: Arc<SecretRecord>,
}

impl From<StoredSecret> for Cached {
    fn from(secret: StoredSecret) -> Self {
        Self {
            record: Arc::new(secret.record.clone()),
            secret: Arc::new(secret),
        }
    }
}

impl Cache {
    /// An empty cache of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            inner: Mutex::default(),
            limit,
        }
    }

    /// A secret, if it is here.
    pub(crate) fn find(&self, name: &VaultName) -> Option<Cached> {
        self.inner().secrets.get(name).cloned()
    }

    /// What to give to [`Self::add`] with what is read from now on.
    pub(crate) fn generation(&self) -> u64 {
        self.inner().generation
    }

    /// Adds what was read from the disk, unless something was changed since.
    pub(crate) fn add(&self, generation: u64, found: &Cached) {
        let mut inner = self.inner();
        if inner.generation == generation {
            inner.put(found.clone(), self.limit);
        }
    }

    /// Drops secrets that were changed.
    pub(crate) fn forget(&self, names: &[VaultName]) {
        if names.is_empty() {
            return;
        }
        let mut inner = self.inner();
        inner.generation += 1;
        for name in names {
            inner.drop_one(name);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Arc<Cache> {
    fn batch_ended(&self, touched: &[VaultName], _was_stored: bool) {
        self.forget(touched);
    }
}

impl Inner {
    fn put(&mut self, cached: Cached, limit: usize) {
        let size = size(&cached);
        self.drop_one(&cached.record.name.clone());
        if size > limit {
            return;
        }
        while self.bytes + size > limit {
            // Any will do: one that is asked for comes back.
            let Some(victim) = self.secrets.keys().next().cloned() else {
                break;
            };
            self.drop_one(&victim);
        }
        self.bytes += size;
        self.secrets.insert(cached.record.name.clone(), cached);
    }

    fn drop_one(&mut self, name: &VaultName) {
        if let Some(old) = self.secrets.remove(name) {
            self.bytes -= size(&old);
        }
    }
}

fn size(cached: &Cached) -> usize {
    let record = &cached.record;
    let tags: usize = record
        .tags
        .iter()
        .map(|(key, value)| key.len() + value.len() + 64)
        .sum();
    let texts = record.name.as_str().len() + record.description.as_ref().map_or(0, String::len);
    OVERHEAD + cached.secret.sealed.ciphertext.len() + 2 * (tags + texts)
}

/// Roughly what an entry takes besides its value and its texts.
const OVERHEAD: usize = 768;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fnox_core::seal::{Algorithm, Sealed};
    use fnox_vault_wire::SecretId;
    use fnox_vault_wire::methods::SecretKind;
    use jiff::Timestamp;

    use super::*;

    fn secret(name: &str, size: usize) -> Cached {
        Cached::from(StoredSecret {
            record: SecretRecord {
                id: SecretId::generate(),
                name: VaultName::parse(name).unwrap(),
                kind: SecretKind::Opaque,
                description: None,
                tags: BTreeMap::new(),
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
                version: 1,
                algorithm: Algorithm::Aes256Gcm,
            },
            key_id: "k".to_owned(),
            sealed_kind: SecretKind::Opaque,
            sealed: Sealed {
                nonce: vec![0; 12],
                ciphertext: vec![0; size],
            },
        })
    }

    #[test]
    fn holds_no_more_bytes_than_it_may() {
        let cache = Cache::new(100_000);
        for number in 0..100 {
            cache.add(0, &secret(&format!("s{number}"), 10_000));
        }
        let inner = cache.inner();
        assert!(inner.bytes <= 100_000);
        assert_eq!(inner.secrets.len(), 9);
        drop(inner);
        cache.add(0, &secret("large", 200_000));
        assert!(cache.find(&VaultName::parse("large").unwrap()).is_none());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_added_after_it() {
        let cache = Cache::new(100_000);
        let before = cache.generation();
        let name = VaultName::parse("a").unwrap();
        cache.forget(std::slice::from_ref(&name));
        cache.add(before, &secret("a", 1));
        assert!(cache.find(&name).is_none());
        cache.add(cache.generation(), &secret("a", 1));
        assert!(cache.find(&name).is_some());
    }
}
