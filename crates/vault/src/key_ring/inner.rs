//! Wrapping and unwrapping: the ring between its stored form and keys that can be used.

use std::collections::HashSet;

use fnox_core::SecretBytes;
use fnox_core::seal::{Algorithm, Sealed, SealingKey};
use jiff::Timestamp;
use rand::TryRngCore as _;
use zeroize::Zeroizing;

use super::KeyRingError;
use super::page::KeyPage;
use crate::store::{KeyPurpose, KeyState, RingRecord, WrappedKey};

/// All of them have this algorithm; the seal binds it.
const WRAPPING: Algorithm = Algorithm::XChaCha20Poly1305;

/// One state of the ring. Never changed, only replaced.
pub(super) struct Inner {
    record: RingRecord,
    // In the order of `record.keys`.
    keys: Vec<KeyPage>,
    data: usize,
    audit: usize,
    signing: usize,
}

impl Inner {
    /// Unwraps every key. `source` is for the message.
    pub(super) fn unwrap(
        record: RingRecord,
        wrapping: &[SealingKey],
        source: &str,
    ) -> Result<Self, KeyRingError> {
        // The key check: its id tells a wrong key, before anything is opened with it.
        wrapping_key(wrapping, &record.wrapping_key, source)?;
        let mut ids = HashSet::new();
        let mut keys = Vec::with_capacity(record.keys.len());
        for stored in &record.keys {
            if !ids.insert(stored.id.as_str()) {
                return Err(KeyRingError::Tampered);
            }
            let with = wrapping_key(wrapping, &stored.wrapped_by, source)?;
            keys.push(KeyPage::new(unwrapped(&record.vault_id, with, stored)?));
        }
        Ok(Self {
            data: only_active(&record, KeyPurpose::Data)?,
            audit: only_active(&record, KeyPurpose::Audit)?,
            signing: only_active(&record, KeyPurpose::Signing)?,
            record,
            keys,
        })
    }

    pub(super) fn record(&self) -> &RingRecord {
        &self.record
    }

    pub(super) fn locked(&self) -> bool {
        self.keys.iter().all(KeyPage::is_locked)
    }

    pub(super) fn data(&self) -> &SealingKey {
        self.keys[self.data].key()
    }

    pub(super) fn audit(&self) -> &SealingKey {
        self.keys[self.audit].key()
    }

    pub(super) fn signing(&self) -> &SealingKey {
        self.keys[self.signing].key()
    }

    pub(super) fn data_key(&self, id: &str) -> Result<&SealingKey, KeyRingError> {
        self.of_purpose(KeyPurpose::Data)
            .find(|(_, key)| key.id() == id)
            .map(|(_, key)| key)
            .ok_or_else(|| KeyRingError::UnknownKey {
                key_id: id.to_owned(),
            })
    }

    pub(super) fn of_purpose(
        &self,
        purpose: KeyPurpose,
    ) -> impl Iterator<Item = (KeyState, &SealingKey)> {
        self.record
            .keys
            .iter()
            .zip(&self.keys)
            .filter(move |(stored, _)| stored.purpose == purpose)
            .map(|(stored, page)| (stored.state, page.key()))
    }

    /// Every key, wrapped by another wrapping key.
    pub(super) fn rewrapped(&self, wrapping: &SealingKey) -> Result<Vec<WrappedKey>, KeyRingError> {
        let pairs = self.record.keys.iter().zip(&self.keys);
        pairs
            .map(|(stored, page)| {
                let fresh = wrapped(
                    &self.record.vault_id,
                    wrapping,
                    page.key(),
                    stored.purpose,
                    stored.created_at,
                )?;
                Ok(WrappedKey {
                    state: stored.state,
                    ..fresh
                })
            })
            .collect()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Inner")
            .field("generation", &self.record.generation)
            .finish_non_exhaustive()
    }
}

/// The key of an id among those that a source holds.
pub(super) fn wrapping_key<'a>(
    keys: &'a [SealingKey],
    id: &str,
    source: &str,
) -> Result<&'a SealingKey, KeyRingError> {
    keys.iter()
        .find(|key| key.id() == id)
        .ok_or_else(|| KeyRingError::WrongKey {
            key_source: source.to_owned(),
            expected_id: id.to_owned(),
            found_ids: keys.iter().map(|key| key.id().to_owned()).collect(),
        })
}

/// A new key with a random id.
pub(super) fn generate() -> Result<SealingKey, KeyRingError> {
    let mut id = [0u8; 8];
    rand::rngs::OsRng
        .try_fill_bytes(&mut id)
        .map_err(|_| KeyRingError::Sealing)?;
    SealingKey::generate(hex::encode(id)).map_err(|_| KeyRingError::Sealing)
}

/// A key in its stored form, active.
pub(super) fn wrapped(
    vault_id: &str,
    wrapping: &SealingKey,
    key: &SealingKey,
    purpose: KeyPurpose,
    created_at: Timestamp,
) -> Result<WrappedKey, KeyRingError> {
    let bytes = SecretBytes::new(key.expose_bytes().to_vec());
    let sealed = wrapping
        .seal_bytes(WRAPPING, &place(vault_id, key.id(), purpose), &bytes)
        .map_err(|_| KeyRingError::Sealing)?;
    Ok(WrappedKey {
        id: key.id().to_owned(),
        purpose,
        state: KeyState::Active,
        created_at,
        wrapped_by: wrapping.id().to_owned(),
        nonce: hex::encode(sealed.nonce),
        ciphertext: hex::encode(sealed.ciphertext),
    })
}

fn unwrapped(
    vault_id: &str,
    wrapping: &SealingKey,
    stored: &WrappedKey,
) -> Result<SealingKey, KeyRingError> {
    let decoded = |text: &str| hex::decode(text).map_err(|_| KeyRingError::Tampered);
    let sealed = Sealed {
        nonce: decoded(&stored.nonce)?,
        ciphertext: decoded(&stored.ciphertext)?,
    };
    let bytes = wrapping
        .open_bytes(
            WRAPPING,
            &place(vault_id, &stored.id, stored.purpose),
            &sealed,
        )
        .map_err(|_| KeyRingError::Tampered)?;
    let mut key = Zeroizing::new([0u8; 32]);
    if bytes.expose_secret().len() != key.len() {
        return Err(KeyRingError::Tampered);
    }
    key.copy_from_slice(bytes.expose_secret());
    Ok(SealingKey::new(stored.id.clone(), key))
}

fn place<'a>(vault_id: &'a str, key_id: &'a str, purpose: KeyPurpose) -> [&'a str; 4] {
    ["fnox vault key", vault_id, key_id, purpose.as_str()]
}

fn only_active(record: &RingRecord, purpose: KeyPurpose) -> Result<usize, KeyRingError> {
    let mut active = record
        .keys
        .iter()
        .enumerate()
        .filter(|(_, key)| key.purpose == purpose && key.state == KeyState::Active)
        .map(|(index, _)| index);
    match (active.next(), active.next()) {
        (Some(index), None) => Ok(index),
        _ => Err(KeyRingError::Tampered),
    }
}
