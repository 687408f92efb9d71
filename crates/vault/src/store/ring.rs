//! The ring of wrapped keys as it is stored: one document, replaced as a whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key_source::StoredKey;

/// All keys of one vault, wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingRecord {
    /// Counts the changes of the ring from 1.
    pub generation: u64,
    /// The vault's id, a UUID.
    pub vault_id: String,
    /// Id of the wrapping key that wraps new keys.
    pub wrapping_key: String,
    /// Wrapping keys that the key source has stored here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored_wrapping_keys: Vec<StoredKey>,
    /// The wrapped keys, oldest first.
    pub keys: Vec<WrappedKey>,
    /// The change of keys that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationRecord>,
}

impl RingRecord {
    /// Id of the data key that seals new values.
    #[must_use]
    pub fn active_data_key(&self) -> Option<&str> {
        self.keys
            .iter()
            .find(|key| key.purpose == KeyPurpose::Data && key.state == KeyState::Active)
            .map(|key| key.id.as_str())
    }
}

/// One wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// Its id, random.
    pub id: String,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Whether it is still used.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Which wrapping key opens it.
    pub wrapped_by: String,
    /// Hex of the nonce (XChaCha20-Poly1305).
    pub nonce: String,
    /// Hex of the wrapped key and tag.
    pub ciphertext: String,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPurpose {
    /// Sealing values.
    Data,
    /// MACs of the audit log.
    Audit,
    /// Signing checkpoints of the audit log: an Ed25519 seed.
    Signing,
}

impl KeyPurpose {
    /// The word that is stored and bound into the wrapped key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Audit => "audit",
            Self::Signing => "signing",
        }
    }
}

/// Whether a key is still used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// For everything new.
    Active,
    /// Values that it seals are being sealed anew by the active one.
    Retiring,
    /// Only to verify what is old.
    Former,
}

impl KeyState {
    /// The word that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Former => "former",
        }
    }
}

/// A change of keys that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RotationRecord {
    /// Values move from retiring data keys to the active one.
    Data {
        /// When it began.
        started_at: Timestamp,
    },
    /// The source has a second wrapping key, or is about to; wrapped keys move to it in one step.
    Source {
        /// When it began.
        started_at: Timestamp,
        /// Id of the wrapping key that is being replaced. As long as the ring is wrapped by it, the step is
        /// still to be made.
        from: String,
    },
}

impl std::fmt::Display for RotationRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data { started_at } => write!(formatter, "of the data key, since {started_at}"),
            Self::Source { started_at, .. } => {
                write!(formatter, "of the key source's key, since {started_at}")
            }
        }
    }
}
