//! The ring of a vault's own keys, opened.
//!
//! A vault makes its keys itself: *data keys* seal values, *audit keys* make the MACs of the log, a *signing
//! key* signs checkpoints. They are stored wrapped by the wrapping key of a [`KeySource`], each bound to the
//! vault, to its id and to its purpose. Where the wrapping key is lost, everything is lost; where only the
//! store is stolen, nothing is.
//!
//! A value is sealed by a key of its own, derived from the data key (HKDF, RFC 5869), for the place where it
//! belongs: secret, name, version, kind, algorithm and data key. Somebody who can write into the store cannot
//! pass one secret's value off as another's, nor an old version as a new one.
//!
//! A wrong wrapping key is recognised by its id, before anything is opened with it: [`KeyRing::open`] refuses.
//! The keys lie in locked pages where the system allows it, and are overwritten in the end. Copies that live
//! for the time of one call are overwritten too, but not locked.

mod error;
mod inner;
mod page;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use fnox_core::audit::{ChainKey, ChainKeys, CheckpointKey};
use fnox_core::seal::{Algorithm, Sealed, SealingKey};
use fnox_core::{Clock, SecretBytes, VaultName};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::{KeyInfo, KeyReport, SecretKind};
use jiff::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;
use uuid::Uuid;

pub use self::error::KeyRingError;
use self::inner::Inner;
pub use self::page::KeyPage;
use crate::key_source::KeySource;
use crate::store::{
    KeyPurpose, KeyRingStore, KeyState, Refusal, RingRecord, StoreError, StoredSecret, WrappedKey,
};

/// The opened keys of one vault.
#[derive(Debug)]
pub struct KeyRing {
    vault_id: String,
    source: Arc<dyn KeySource>,
    store: Arc<dyn KeyRingStore>,
    // Replaced as a whole and never held while waiting, so readers are not kept from their work.
    inner: RwLock<Arc<Inner>>,
    // One change of the ring at a time. Other vaults are kept apart by the ring's generation.
    pub(crate) changing: tokio::sync::Mutex<()>,
    writers: Arc<tokio::sync::RwLock<()>>,
}

/// As long as it lives, no key is dropped with which its holder may have sealed a value.
#[derive(Debug)]
#[must_use]
pub struct Writing(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>);

impl KeyRing {
    /// Makes the keys of a new vault. Uses the source's newest key, or has it make the first one.
    ///
    /// # Errors
    /// [`KeyRingError::Exists`] if the store has a ring already; errors of source and store.
    pub async fn create(
        source: Arc<dyn KeySource>,
        store: Arc<dyn KeyRingStore>,
        clock: &dyn Clock,
    ) -> Result<Self, KeyRingError> {
        if store.load().await?.is_some() {
            return Err(KeyRingError::Exists);
        }
        let vault_id = Uuid::now_v7().to_string();
        let (wrapping, stored) = if let Some(key) = source.load(&[]).await?.pop() {
            (key, None)
        } else {
            let made = source.add(&vault_id).await?;
            (made.key, made.stored)
        };
        let mut record = RingRecord {
            generation: 1,
            vault_id,
            wrapping_key: wrapping.id().to_owned(),
            stored_wrapping_keys: stored.into_iter().collect(),
            keys: Vec::new(),
            rotation: None,
        };
        for purpose in [KeyPurpose::Data, KeyPurpose::Audit, KeyPurpose::Signing] {
            let key = inner::generate()?;
            record.keys.push(inner::wrapped(
                &record.vault_id,
                &wrapping,
                &key,
                purpose,
                clock.now(),
            )?);
        }
        match store.save(&record).await {
            Err(StoreError::Refused(Refusal::Moved)) => return Err(KeyRingError::Exists),
            outcome => outcome?,
        }
        Self::over(source, store, record, &[wrapping])
    }

    /// Opens the keys of a vault.
    ///
    /// # Errors
    /// [`KeyRingError::Missing`] if there is no vault in the store, [`KeyRingError::WrongKey`] if the source
    /// does not hold its key, [`KeyRingError::Tampered`] if the ring was changed by somebody without it; errors
    /// of source and store.
    pub async fn open(
        source: Arc<dyn KeySource>,
        store: Arc<dyn KeyRingStore>,
    ) -> Result<Self, KeyRingError> {
        let record = store.load().await?.ok_or(KeyRingError::Missing)?;
        let keys = source.load(&record.stored_wrapping_keys).await?;
        Self::over(source, store, record, &keys)
    }

    fn over(
        source: Arc<dyn KeySource>,
        store: Arc<dyn KeyRingStore>,
        record: RingRecord,
        wrapping: &[SealingKey],
    ) -> Result<Self, KeyRingError> {
        let inner = Inner::unwrap(record, wrapping, &source.describe())?;
        Ok(Self {
            vault_id: inner.record().vault_id.clone(),
            source,
            store,
            inner: RwLock::new(Arc::new(inner)),
            changing: tokio::sync::Mutex::new(()),
            writers: Arc::default(),
        })
    }

    /// Reads the ring anew, after another vault has changed it. After an error the old keys stay in use.
    ///
    /// # Errors
    /// As [`Self::open`]; [`KeyRingError::Tampered`] also if it is now the ring of another vault.
    pub async fn reload(&self) -> Result<(), KeyRingError> {
        let record = self.store.load().await?.ok_or(KeyRingError::Missing)?;
        if record == *self.inner().record() {
            return Ok(());
        }
        if record.vault_id != self.vault_id {
            return Err(KeyRingError::Tampered);
        }
        let keys = self.source.load(&record.stored_wrapping_keys).await?;
        self.replace(Inner::unwrap(record, &keys, &self.source.describe())?);
        Ok(())
    }

    /// The vault's id, a UUID.
    pub fn vault_id(&self) -> String {
        self.vault_id.clone()
    }

    /// Whether all keys lie in pages that the system does not write to disk.
    pub fn locked(&self) -> bool {
        self.inner().locked()
    }

    /// Keeps retiring keys from being dropped. Take it before [`Self::seal`] and hold it until the store has
    /// answered: else a rotation could end in between, and a store that cannot refuse a value with
    /// [`Refusal::StaleKey`] would keep one that nobody can open.
    pub async fn writing(&self) -> Writing {
        Writing(Arc::clone(&self.writers).read_owned().await)
    }

    /// Seals one version of a secret with the active data key, and tells its id.
    ///
    /// # Errors
    /// [`KeyRingError::Sealing`].
    #[expect(
        clippy::too_many_arguments,
        reason = "all that is bound into the seal, each of its own type"
    )]
    pub fn seal(
        &self,
        id: SecretId,
        name: &VaultName,
        version: u32,
        kind: &SecretKind,
        algorithm: Algorithm,
        value: &SecretBytes,
    ) -> Result<(String, Sealed), KeyRingError> {
        let inner = self.inner();
        let place = Place::new(id, name, version, kind)?;
        let key = inner.data();
        let sealed = place
            .key(key)
            .seal_bytes(algorithm, &place.parts(), value)
            .map_err(|_| KeyRingError::Sealing)?;
        Ok((key.id().to_owned(), sealed))
    }

    /// Opens a stored version of a secret.
    ///
    /// # Errors
    /// [`KeyRingError::UnknownKey`] if the ring, as it is known here, has no such data key: another vault may
    /// have made it (then [`Self::reload`] helps), or the value was sealed anew after it was read and the old
    /// key is gone (then reading it again helps). [`KeyRingError::Opaque`] if it is not what was sealed there.
    pub fn open_secret(&self, secret: &StoredSecret) -> Result<SecretBytes, KeyRingError> {
        let inner = self.inner();
        let record = &secret.record;
        let place = Place::new(record.id, &record.name, record.version, &secret.sealed_kind)?;
        let key = inner.data_key(&secret.key_id)?;
        place
            .key(key)
            .open_bytes(record.algorithm, &place.parts(), &secret.sealed)
            .map_err(|_| KeyRingError::Opaque)
    }

    /// The keys of the audit log.
    pub fn chain_keys(&self) -> ChainKeys {
        let inner = self.inner();
        let chain_key =
            |key: &SealingKey| ChainKey::new(key.id().to_owned(), key.expose_bytes().clone());
        let former = inner
            .of_purpose(KeyPurpose::Audit)
            .filter(|(state, _)| *state != KeyState::Active)
            .map(|(_, key)| chain_key(key))
            .collect();
        ChainKeys::new(chain_key(inner.audit()), former)
    }

    /// The key that signs checkpoints of the audit log.
    pub fn checkpoint_key(&self) -> CheckpointKey {
        let name = format!("fnox-vault/{}", self.vault_id);
        CheckpointKey::from_seed(&name, self.inner().signing().expose_bytes())
    }

    /// Describes the keys. `values` tells how many values each data key seals.
    pub fn report(&self, values: &HashMap<String, u64>) -> KeyReport {
        let inner = self.inner();
        let record = inner.record();
        KeyReport {
            source: self.source.describe(),
            wrapping_key: record.wrapping_key.clone(),
            source_can_rotate: self.source.can_rotate(),
            keys: record
                .keys
                .iter()
                .map(|key| KeyInfo {
                    id: key.id.clone(),
                    purpose: key.purpose.as_str().to_owned(),
                    state: key.state.as_str().to_owned(),
                    created_at: key.created_at,
                    values: (key.purpose == KeyPurpose::Data)
                        .then(|| values.get(&key.id).copied().unwrap_or(0)),
                })
                .collect(),
            rotation: record.rotation.as_ref().map(ToString::to_string),
        }
    }

    pub(crate) fn source(&self) -> &dyn KeySource {
        self.source.as_ref()
    }

    /// The ring as it is stored, as far as is known here.
    pub(crate) fn record(&self) -> RingRecord {
        self.inner().record().clone()
    }

    /// How often the ring has changed, as far as is known here.
    pub(crate) fn generation(&self) -> u64 {
        self.inner().record().generation
    }

    /// The key of the source that wraps new keys at present.
    pub(crate) async fn wrapping_key(
        &self,
        record: &RingRecord,
    ) -> Result<SealingKey, KeyRingError> {
        let keys = self.source.load(&record.stored_wrapping_keys).await?;
        inner::wrapping_key(&keys, &record.wrapping_key, &self.source.describe()).cloned()
    }

    /// All keys of the ring, wrapped by another wrapping key.
    pub(crate) fn rewrapped(&self, wrapping: &SealingKey) -> Result<Vec<WrappedKey>, KeyRingError> {
        self.inner().rewrapped(wrapping)
    }

    /// A new data key, wrapped, active.
    pub(crate) fn new_data_key(
        &self,
        wrapping: &SealingKey,
        now: Timestamp,
    ) -> Result<WrappedKey, KeyRingError> {
        inner::wrapped(
            &self.vault_id,
            wrapping,
            &inner::generate()?,
            KeyPurpose::Data,
            now,
        )
    }

    /// Saves a changed ring, and uses it from then on. `wrapping` opens it.
    pub(crate) async fn save(
        &self,
        mut record: RingRecord,
        wrapping: &SealingKey,
    ) -> Result<(), KeyRingError> {
        record.generation += 1;
        // What cannot be opened again must not be stored.
        let next = Inner::unwrap(
            record,
            std::slice::from_ref(wrapping),
            &self.source.describe(),
        )?;
        match self.store.save(next.record()).await {
            Err(StoreError::Refused(Refusal::Moved)) => return Err(KeyRingError::Moved),
            outcome => outcome?,
        }
        self.replace(next);
        Ok(())
    }

    /// Waits until everybody who may have sealed with an older ring has stored what they sealed.
    pub(crate) async fn writers_done(&self) {
        drop(self.writers.write().await);
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, next: Inner) {
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

/// Where a sealed value belongs.
struct Place {
    id: String,
    name: VaultName,
    version: String,
    kind: String,
}

impl Place {
    fn new(
        id: SecretId,
        name: &VaultName,
        version: u32,
        kind: &SecretKind,
    ) -> Result<Self, KeyRingError> {
        Ok(Self {
            id: id.to_string(),
            name: name.clone(),
            version: version.to_string(),
            kind: serde_json::to_string(kind).map_err(|_| KeyRingError::Sealing)?,
        })
    }

    /// One key for each secret: AES-GCM with random nonces is good for 2^32 messages of a key (NIST SP
    /// 800-38D, section 8.3), which no secret's versions reach.
    fn key(&self, data_key: &SealingKey) -> SealingKey {
        data_key.derive(&["fnox vault secret v1", &self.id])
    }

    fn parts(&self) -> [&str; 5] {
        [
            "fnox vault secret",
            &self.id,
            self.name.as_str(),
            &self.version,
            &self.kind,
        ]
    }
}
