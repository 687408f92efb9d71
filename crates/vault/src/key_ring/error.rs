//! Why keys could not be opened, used or changed.

use crate::key_source::KeySourceError;
use crate::store::StoreError;

/// The key ring refused, or something that it needs failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The key source failed.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no vault in the store.
    #[error("there is no vault in this store yet")]
    Missing,
    /// There is one already.
    #[error("there is a vault in this store already")]
    Exists,
    /// The source holds keys, or none, but not the one that wraps this vault's keys.
    #[error(
        "the key source {key_source} does not hold this vault's key {expected_id}; it holds {}",
        named(found_ids)
    )]
    WrongKey {
        /// Where keys were looked for.
        key_source: String,
        /// Id of the key that is needed.
        expected_id: String,
        /// Ids of the keys that are there.
        found_ids: Vec<String>,
    },
    /// The stored ring is not what a holder of the wrapping key wrote.
    #[error("the stored key ring was changed, or is damaged")]
    Tampered,
    /// A value is sealed by a key that the ring does not have.
    #[error("there is no data key {key_id} in the key ring")]
    UnknownKey {
        /// The key's id, as the value's record tells it.
        key_id: String,
    },
    /// Wrong place or changed data; which of these is nobody's business.
    #[error("the sealed value could not be opened")]
    Opaque,
    /// Sealing failed: the system gave no random bytes.
    #[error("the value could not be sealed")]
    Sealing,
    /// The source cannot hold a second key.
    #[error("the key source {key_source} cannot hold a second key, so its key cannot be rotated")]
    CannotRotate {
        /// Which source.
        key_source: String,
    },
    /// Another vault changed the ring at the same time.
    #[error("another vault changed the key ring at the same time")]
    Moved,
    /// Some values cannot be opened, so they cannot be sealed anew. All others were.
    #[error(
        "{} cannot be opened, so the old key is kept: delete or replace what is damaged",
        named(values)
    )]
    Damaged {
        /// Name and version of each.
        values: Vec<String>,
    },
    /// The store says again and again that there is something to seal anew, and takes nothing.
    #[error("the store does not take values that are sealed anew")]
    Stuck,
}

impl KeyRingError {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.remedy.clone(),
            Self::WrongKey { expected_id, .. } => Some(format!(
                "name the source that holds the key {expected_id}, or restore the key; without it nothing in this store can be opened"
            )),
            Self::CannotRotate { .. } => Some(
                "put the same key into a file that the vault may write, as one line of 64 hex digits and with mode 0600, open the vault with file:PATH, and repeat `fnox vault key rotate --source`"
                    .to_owned(),
            ),
            Self::Moved => Some("repeat it".to_owned()),
            _ => None,
        }
    }
}

fn named(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0 => "none".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}
