//! What tests of keys share: sources of each sort, values to seal, and the question whether all is still there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fnox_core::seal::{Algorithm, Sealed, SealingKey};
use fnox_core::{SecretBytes, SecretString, VaultName};
use fnox_vault::key_ring::{KeyRing, KeyRingError};
use fnox_vault::key_source::{
    EnvKey, FileKey, KeySource, KeySourceError, NewKey, StoredKey, generate_key, wrapping_key,
};
use fnox_vault::store::{Refusal, SecretRecord, SecretStore, StoreError, StoredSecret};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The sorts of key sources: one that holds a single key, one that keeps its keys itself, and one that has them
/// stored with the ring, as a key management service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Env,
    File,
    Stored,
}

/// A new source, in `folder` if it needs a place.
pub(crate) fn source(sort: Sort, folder: &std::path::Path) -> Arc<dyn KeySource> {
    match sort {
        Sort::Env => {
            let key = SecretString::from("a5".repeat(32).as_str());
            Arc::new(EnvKey::new("FNOX_TEST_KEY", Some(key)).unwrap())
        }
        Sort::File => Arc::new(FileKey::new(folder.join("vault.key"))),
        Sort::Stored => Arc::new(StoredSource(generate_key().unwrap())),
    }
}

/// Gives each key wrapped by one of its own, and keeps nothing.
#[derive(Debug)]
struct StoredSource(SealingKey);

impl StoredSource {
    const ALGORITHM: Algorithm = Algorithm::XChaCha20Poly1305;
}

#[async_trait]
impl KeySource for StoredSource {
    fn describe(&self) -> String {
        "stored:test".to_owned()
    }

    fn can_rotate(&self) -> bool {
        true
    }

    async fn load(&self, stored: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        let open = |key: &StoredKey| {
            let blob = hex::decode(&key.blob).unwrap();
            let (nonce, ciphertext) = blob.split_at(24);
            let sealed = Sealed {
                nonce: nonce.to_vec(),
                ciphertext: ciphertext.to_vec(),
            };
            let bytes = self.0.open_bytes(Self::ALGORITHM, &[], &sealed).unwrap();
            let bytes: [u8; 32] = bytes.expose_secret().try_into().unwrap();
            wrapping_key(Zeroizing::new(bytes))
        };
        Ok(stored.iter().map(open).collect())
    }

    async fn add(&self, _: &str) -> Result<NewKey, KeySourceError> {
        let key = generate_key().unwrap();
        let bytes = SecretBytes::new(key.expose_bytes().to_vec());
        let sealed = self.0.seal_bytes(Self::ALGORITHM, &[], &bytes).unwrap();
        let blob = hex::encode([sealed.nonce, sealed.ciphertext].concat());
        let id = key.id().to_owned();
        Ok(NewKey {
            key,
            stored: Some(StoredKey { id, blob }),
        })
    }

    async fn retain(&self, _: &str) -> Result<(), KeySourceError> {
        Ok(())
    }
}

/// A source whose new key somebody else drops, just before the old one should be.
#[derive(Debug)]
pub(crate) struct Meddled {
    pub source: Arc<dyn KeySource>,
    pub left: AtomicUsize,
}

#[async_trait]
impl KeySource for Meddled {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn can_rotate(&self) -> bool {
        self.source.can_rotate()
    }

    async fn load(&self, stored: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        self.source.load(stored).await
    }

    async fn add(&self, vault_id: &str) -> Result<NewKey, KeySourceError> {
        self.source.add(vault_id).await
    }

    async fn retain(&self, keep: &str) -> Result<(), KeySourceError> {
        let left = self.left.load(Ordering::SeqCst);
        if left > 0 {
            self.left.store(left - 1, Ordering::SeqCst);
            let held = self.source.load(&[]).await?;
            let other = held.iter().find(|key| key.id() != keep).unwrap();
            self.source.retain(other.id()).await?;
        }
        self.source.retain(keep).await
    }
}

/// Seals a value for its place.
pub(crate) fn sealed(ring: &KeyRing, record: &SecretRecord, value: &[u8]) -> StoredSecret {
    let bytes = SecretBytes::new(value.to_vec());
    let (key_id, sealed) = ring
        .seal(
            record.id,
            &record.name,
            record.version,
            &record.kind,
            record.algorithm,
            &bytes,
        )
        .unwrap();
    StoredSecret {
        record: record.clone(),
        key_id,
        sealed_kind: record.kind.clone(),
        sealed,
    }
}

pub(crate) fn record(name: &str, algorithm: Algorithm) -> SecretRecord {
    SecretRecord {
        id: SecretId::generate(),
        name: VaultName::parse(name).unwrap(),
        kind: SecretKind::ApiKey,
        description: None,
        tags: BTreeMap::new(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
        algorithm,
    }
}

/// What a version of a secret holds in these tests.
pub(crate) fn value(name: &str, version: u32) -> Vec<u8> {
    format!("the value of {name} at version {version}").into_bytes()
}

/// Stores secrets with both algorithms, every third one with two versions. Tells how many versions there are.
pub(crate) async fn fill(ring: &KeyRing, secrets: &dyn SecretStore, count: usize) -> usize {
    let mut versions = 0;
    for number in 0..count {
        let name = format!("secret-{number:03}");
        let mut record = record(&name, Algorithm::ALL[number % 2]);
        secrets
            .insert(sealed(ring, &record, &value(&name, 1)))
            .await
            .unwrap();
        versions += 1;
        if number % 3 == 0 {
            record.version = 2;
            let next = sealed(ring, &record, &value(&name, 2));
            secrets.add_version(next, 3).await.unwrap();
            versions += 1;
        }
    }
    versions
}

/// Stores a secret as the engine does: looks at the ring again if it is refused.
pub(crate) async fn write(ring: &KeyRing, secrets: &dyn SecretStore, name: &str) {
    let record = record(name, Algorithm::Aes256Gcm);
    loop {
        let _writing = ring.writing().await;
        match secrets.insert(sealed(ring, &record, &value(name, 1))).await {
            Ok(()) => return,
            Err(StoreError::Refused(Refusal::StaleKey)) => ring.reload().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads a secret as the engine does: looks again at both if the key is not known.
pub(crate) async fn read(ring: &KeyRing, secrets: &dyn SecretStore, name: &VaultName) -> Vec<u8> {
    loop {
        let stored = secrets.secret(name).await.unwrap().unwrap();
        match ring.open_secret(&stored) {
            Ok(bytes) => return bytes.expose_secret().to_vec(),
            Err(KeyRingError::UnknownKey { .. }) => ring.reload().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// All versions that are stored, old ones too.
pub(crate) async fn everything(secrets: &dyn SecretStore) -> Vec<StoredSecret> {
    secrets
        .sealed_otherwise("no key has this id", None, usize::MAX)
        .await
        .unwrap()
}

/// Opens every version and compares it.
#[track_caller]
pub(crate) fn assert_all_there(ring: &KeyRing, all: &[StoredSecret], versions: usize) {
    assert_eq!(all.len(), versions);
    for stored in all {
        let (name, version) = (stored.record.name.as_str(), stored.record.version);
        let opened = ring.open_secret(stored).unwrap();
        assert_eq!(opened.expose_secret(), value(name, version));
    }
}
