//! The value that AWS holds for one secret: all kept versions in one binary value.
//!
//! ```text
//! "fnox-sm" 01 | length of the head, u32 big-endian | head: JSON | nonce, ciphertext | nonce, ciphertext | …
//! ```
//!
//! The head tells names, times and lengths; nonces and ciphertexts are bytes as they are, oldest version first,
//! up to the end exactly. It also names prefix and secret, so that a value that was copied to another name is
//! noticed here (and does not open anyway), and the version of AWS that it replaced.

use std::collections::BTreeMap;

use fnox_core::VaultName;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_vault::store::{SecretRecord, StoredSecret};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::SecretKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 7] = b"fnox-sm";
/// The newest format, and the only one so far.
pub(crate) const FORMAT: u8 = 1;
const FIXED: usize = MAGIC.len() + 1 + 4;

/// All that is kept of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// Counts the writes: no two contents are the same.
    pub(crate) generation: u64,
    /// Which version of AWS it replaced.
    pub(crate) previous: Option<String>,
    /// The store's prefix.
    pub(crate) prefix: String,
    pub(crate) id: SecretId,
    pub(crate) name: VaultName,
    pub(crate) kind: SecretKind,
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Oldest first. Empty: the secret is deleted.
    pub(crate) versions: Vec<Version>,
}

/// One sealed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) key_id: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) kind: SecretKind,
    pub(crate) sealed: Sealed,
}

impl Document {
    /// A new secret.
    pub(crate) fn new(prefix: &str, secret: StoredSecret) -> Self {
        let record = secret.record;
        Self {
            generation: 1,
            previous: None,
            prefix: prefix.to_owned(),
            id: record.id,
            name: record.name,
            kind: record.kind,
            description: record.description,
            tags: record.tags,
            created_at: record.created_at,
            updated_at: record.updated_at,
            versions: vec![Version {
                number: record.version,
                key_id: secret.key_id,
                algorithm: record.algorithm,
                kind: secret.sealed_kind,
                sealed: secret.sealed,
            }],
        }
    }

    /// The newest version. `None`: the secret is deleted.
    pub(crate) fn newest(&self) -> Option<StoredSecret> {
        self.versions.last().map(|version| self.stored(version))
    }

    /// The record of the newest version.
    pub(crate) fn record(&self) -> Option<SecretRecord> {
        self.versions.last().map(|version| self.record_of(version))
    }

    /// One version as the vault has it.
    pub(crate) fn stored(&self, version: &Version) -> StoredSecret {
        StoredSecret {
            record: self.record_of(version),
            key_id: version.key_id.clone(),
            sealed_kind: version.kind.clone(),
            sealed: version.sealed.clone(),
        }
    }

    fn record_of(&self, version: &Version) -> SecretRecord {
        SecretRecord {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: version.number,
            algorithm: version.algorithm,
        }
    }

    /// Drops all but the newest `keep` versions (at least one), and tells how many.
    pub(crate) fn keep_newest(&mut self, keep: u32) -> usize {
        let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
        let surplus = self.versions.len().saturating_sub(keep);
        self.versions.drain(..surplus);
        surplus
    }

    /// The bytes to store. Fails only beyond any size that AWS takes.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let lengths = |version: &Version| {
            let nonce = u32::try_from(version.sealed.nonce.len()).ok()?;
            let ciphertext = u32::try_from(version.sealed.ciphertext.len()).ok()?;
            Some(VersionHead {
                version: version.number,
                key: version.key_id.clone(),
                algorithm: version.algorithm,
                kind: version.kind.clone(),
                nonce,
                ciphertext,
            })
        };
        let head = serde_json::to_vec(&Head {
            generation: self.generation,
            previous: self.previous.clone(),
            prefix: self.prefix.clone(),
            id: self.id,
            name: self.name.as_str().to_owned(),
            kind: self.kind.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            versions: self.versions.iter().map(lengths).collect::<Option<_>>()?,
        });
        let head = head.ok()?;
        let mut bytes = Vec::with_capacity(FIXED + head.len() + self.sealed_len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&u32::try_from(head.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(&head);
        for version in &self.versions {
            bytes.extend_from_slice(&version.sealed.nonce);
            bytes.extend_from_slice(&version.sealed.ciphertext);
        }
        Some(bytes)
    }

    fn sealed_len(&self) -> usize {
        let sealed = self.versions.iter().map(|version| &version.sealed);
        sealed
            .map(|sealed| sealed.nonce.len() + sealed.ciphertext.len())
            .sum()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Flaw`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Flaw::Foreign)?;
        let (format, rest) = rest.split_first().ok_or(Flaw::Foreign)?;
        if *format == 0 {
            return Err(Flaw::Foreign);
        }
        if *format > FORMAT {
            return Err(Flaw::Newer(u32::from(*format)));
        }
        let (length, rest) = rest
            .split_first_chunk::<4>()
            .ok_or(Flaw::Broken("it is cut off"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (head, mut rest) = rest
            .split_at_checked(length)
            .ok_or(Flaw::Broken("it is cut off"))?;
        let head: Head =
            serde_json::from_slice(head).map_err(|_| Flaw::Broken("its head cannot be read"))?;
        let mut take = |length: u32| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let (taken, after) = rest
                .split_at_checked(length)
                .ok_or(Flaw::Broken("it is cut off"))?;
            rest = after;
            Ok(taken.to_vec())
        };
        let mut versions = Vec::with_capacity(head.versions.len());
        for version in head.versions {
            versions.push(Version {
                number: version.version,
                key_id: version.key,
                algorithm: version.algorithm,
                kind: version.kind,
                sealed: Sealed {
                    nonce: take(version.nonce)?,
                    ciphertext: take(version.ciphertext)?,
                },
            });
        }
        if !rest.is_empty() {
            return Err(Flaw::Broken("something follows its end"));
        }
        if !versions.is_sorted_by(|a, b| a.number < b.number) {
            return Err(Flaw::Broken("its versions are out of order"));
        }
        Ok(Self {
            generation: head.generation,
            previous: head.previous,
            prefix: head.prefix,
            id: head.id,
            name: VaultName::parse(&head.name).map_err(|_| Flaw::Broken("its name is none"))?,
            kind: head.kind,
            description: head.description,
            tags: head.tags,
            created_at: head.created_at,
            updated_at: head.updated_at,
            versions,
        })
    }
}

/// Why bytes are no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Something else than this store wrote them.
    Foreign,
    /// A newer store wrote them.
    Newer(u32),
    /// This store wrote them, and they were changed since.
    Broken(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    prefix: String,
    id: SecretId,
    name: String,
    kind: SecretKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    versions: Vec<VersionHead>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionHead {
    version: u32,
    key: String,
    algorithm: Algorithm,
    kind: SecretKind,
    nonce: u32,
    ciphertext: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u32, length: usize) -> Version {
        Version {
            number,
            key_id: "k1".to_owned(),
            algorithm: Algorithm::XChaCha20Poly1305,
            kind: SecretKind::Pat,
            sealed: Sealed {
                nonce: vec![0xff; 24],
                ciphertext: vec![0x80; length],
            },
        }
    }

    fn document(lengths: &[usize]) -> Document {
        Document {
            generation: 7,
            previous: Some("v6".to_owned()),
            prefix: "p".to_owned(),
            id: SecretId::generate(),
            name: VaultName::parse("a \u{e4}").unwrap(),
            kind: SecretKind::OAuth2 {
                refresh_ciphertext: Some(vec![1]),
                refresh_nonce: None,
            },
            description: Some("d".to_owned()),
            tags: [("k".to_owned(), "\"".to_owned())].into(),
            created_at: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            updated_at: "2026-01-02T00:00:00Z".parse().unwrap(),
            versions: (1..)
                .zip(lengths)
                .map(|(number, length)| version(number, *length))
                .collect(),
        }
    }

    #[test]
    fn what_is_encoded_comes_back() {
        for lengths in [&[][..], &[0], &[16, 0, 5000]] {
            let document = document(lengths);
            let bytes = document.encode().unwrap();
            assert_eq!(Document::decode(&bytes), Ok(document));
        }
    }

    #[test]
    fn bytes_are_not_blown_up() {
        let bytes = document(&[40_000, 20_000]).encode().unwrap();
        assert!(bytes.len() < 60_000 + 1000, "{}", bytes.len());
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let bytes = document(&[3, 2]).encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Document::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        let flaw = Flaw::Broken("something follows its end");
        assert_eq!(Document::decode(&longer), Err(flaw));
        let mut newer = bytes;
        newer[7] = 2;
        assert_eq!(Document::decode(&newer), Err(Flaw::Newer(2)));
        assert_eq!(Document::decode(b"{\"a\":1}"), Err(Flaw::Foreign));
        let mut disordered = document(&[1, 1]);
        disordered.versions.reverse();
        let flaw = Flaw::Broken("its versions are out of order");
        let bytes = disordered.encode().unwrap();
        assert_eq!(Document::decode(&bytes), Err(flaw));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall_over(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"fnox-sm\x01".to_vec();
            bytes.extend(tail);
            prop_assert!(Document::decode(&bytes).is_err());
        }
    }
}
