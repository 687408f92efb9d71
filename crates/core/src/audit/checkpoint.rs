//! Signed statements of how far a log had come, to be kept where the log's owner cannot change them.
//!
//! The text is a C2SP signed note (c2sp.org/signed-note) with the body of a checkpoint
//! (c2sp.org/tlog-checkpoint): origin, number of records, base64 of the last MAC. The signature is Ed25519
//! (signature type 0x01).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Head;

/// Ed25519 in the table of signature types (c2sp.org/signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// How far a log had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `fnox-vault/` and the vault's id.
    pub origin: String,
    /// Number of records.
    pub sequence: u64,
    /// MAC of the last one.
    pub mac: [u8; 32],
}

impl Checkpoint {
    /// The checkpoint of a log's head.
    #[must_use]
    pub fn of_head(origin: &str, head: &Head) -> Self {
        Self {
            origin: origin.to_owned(),
            sequence: head.sequence,
            mac: head.mac,
        }
    }

    fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.sequence,
            BASE64.encode(self.mac)
        )
    }
}

/// The private key that signs checkpoints.
pub struct CheckpointKey {
    name: String,
    key: SigningKey,
}

impl CheckpointKey {
    /// A key from its 32-byte seed (RFC 8032, section 5.1.5). `name` is the signer's: without spaces or `+`.
    #[must_use]
    pub fn from_seed(name: &str, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicCheckpointKey {
        PublicCheckpointKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// The checkpoint as a signed note.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let body = checkpoint.body();
        let signature = self.key.sign(body.as_bytes());
        let mut blob = self.public().key_hash().to_vec();
        blob.extend_from_slice(&signature.to_bytes());
        format!("{body}\n\u{2014} {} {}\n", self.name, BASE64.encode(blob))
    }
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CheckpointKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The public key that verifies checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicCheckpointKey {
    name: String,
    key: VerifyingKey,
}

impl PublicCheckpointKey {
    /// Reads a verifier key `NAME+HASH+KEY` (c2sp.org/signed-note, "Verifier keys").
    ///
    /// # Errors
    /// [`InvalidCheckpoint::Key`].
    pub fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidCheckpoint::Key);
        };
        let bytes = BASE64.decode(encoded).map_err(|_| InvalidCheckpoint::Key)?;
        let Some((&ED25519, raw)) = bytes.split_first() else {
            return Err(InvalidCheckpoint::Key);
        };
        let raw: &[u8; 32] = raw.try_into().map_err(|_| InvalidCheckpoint::Key)?;
        let key = VerifyingKey::from_bytes(raw).map_err(|_| InvalidCheckpoint::Key)?;
        let this = Self {
            name: name.to_owned(),
            key,
        };
        if hex::encode(this.key_hash()) == hash {
            Ok(this)
        } else {
            Err(InvalidCheckpoint::Key)
        }
    }

    /// Reads a signed note and verifies the signature of this key.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`] if it is not a checkpoint or this key did not sign it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, InvalidCheckpoint> {
        let end = note.find("\n\n").ok_or(InvalidCheckpoint::Malformed)? + 1;
        let (body, signatures) = note.split_at(end);
        let signed = signatures.lines().any(|line| self.has_signed(body, line));
        if !signed {
            return Err(InvalidCheckpoint::Signature);
        }
        let mut lines = body.lines();
        let (Some(origin), Some(sequence), Some(mac)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(InvalidCheckpoint::Malformed);
        };
        let mac = BASE64.decode(mac).ok().and_then(|mac| mac.try_into().ok());
        Ok(Checkpoint {
            origin: origin.to_owned(),
            sequence: sequence.parse().map_err(|_| InvalidCheckpoint::Malformed)?,
            mac: mac.ok_or(InvalidCheckpoint::Malformed)?,
        })
    }

    fn has_signed(&self, body: &str, line: &str) -> bool {
        let Some((name, blob)) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
        else {
            return false;
        };
        let Ok(blob) = BASE64.decode(blob) else {
            return false;
        };
        let Some((hash, signature)) = blob.split_at_checked(4) else {
            return false;
        };
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        name == self.name
            && hash == self.key_hash()
            && self.key.verify_strict(body.as_bytes(), &signature).is_ok()
    }

    /// The first four bytes of SHA-256 over name, newline, signature type and key.
    fn key_hash(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

impl std::fmt::Display for PublicCheckpointKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(self.key.as_bytes());
        write!(
            formatter,
            "{}+{}+{}",
            self.name,
            hex::encode(self.key_hash()),
            BASE64.encode(typed)
        )
    }
}

/// Why a text is not a checkpoint of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// Not a verifier key.
    #[error("this is not a verifier key: expected NAME+HASH+KEY with an Ed25519 key")]
    Key,
    /// Not a signed note with a checkpoint.
    #[error("this is not a signed checkpoint")]
    Malformed,
    /// Not signed by this key, or changed since.
    #[error("the checkpoint is not signed by this vault's key, or was changed")]
    Signature,
}
