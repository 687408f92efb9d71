//! Sealed values as they are stored.

use std::collections::BTreeMap;

use fnox_core::VaultName;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;
use jiff::Timestamp;

/// A secret without its value, at its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// The same for its whole life.
    pub id: SecretId,
    /// The name.
    pub name: VaultName,
    /// What it is.
    pub kind: SecretKind,
    /// For people.
    pub description: Option<String>,
    /// For tools.
    pub tags: BTreeMap<String, String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When value or description changed.
    pub updated_at: Timestamp,
    /// Counts values from 1.
    pub version: u32,
    /// How the newest value is sealed.
    pub algorithm: Algorithm,
}

/// One version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Everything but the value. `version` and `algorithm` are this version's.
    pub record: SecretRecord,
    /// Which data key of the ring seals it.
    pub key_id: String,
    /// The kind when it was sealed, as it was bound into the seal.
    pub sealed_kind: SecretKind,
    /// Nonce and ciphertext.
    pub sealed: Sealed,
}

/// New descriptions. `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// What it is.
    pub kind: Option<SecretKind>,
    /// For people.
    pub description: Option<String>,
    /// For tools.
    pub tags: Option<BTreeMap<String, String>>,
    /// When this change was made.
    pub updated_at: Timestamp,
}

/// A version's new sealed form.
#[derive(Debug, Clone)]
pub struct Resealed {
    /// Which secret.
    pub id: SecretId,
    /// Its name.
    pub name: VaultName,
    /// Which version.
    pub version: u32,
    /// The nonce that it must still have.
    pub old_nonce: Vec<u8>,
    /// The new key.
    pub key_id: String,
    /// The new algorithm.
    pub algorithm: Algorithm,
    /// The new nonce and ciphertext.
    pub sealed: Sealed,
}
