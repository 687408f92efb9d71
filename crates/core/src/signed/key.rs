//! Keys of writers, and their text forms.
//!
//! `fxws_` (secret) or `fxwp_` (public), 43 characters of base64url for 32 bytes, and six of a checksum as tokens
//! have it, so that a mistyped key is told apart from an unknown one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand::TryRngCore as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::SecretString;
use crate::token::{BODY, CHECKSUM, NoRandomness, checksum};

/// The key by which a writer signs values (Ed25519). Overwritten on drop.
#[derive(Clone)]
pub struct WriterKey(SigningKey);

/// The key by which readers know a writer.
#[derive(Clone, PartialEq, Eq)]
pub struct WriterPublicKey(VerifyingKey);

/// Not a writer's key. Says no more, since what was given may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWriterKey {
    /// The text is no key of this kind, or is mistyped.
    #[error("this is not a writer's key that begins with `{prefix}`, or it is mistyped")]
    Text {
        /// The prefix of the kind that is wanted.
        prefix: &'static str,
    },
    /// Where a public key belongs, a secret one was given.
    #[error(
        "this is a writer's secret key, which belongs in no configuration: give the public one, `fxwp_…`"
    )]
    SecretGiven,
}

impl WriterKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        rand::rngs::OsRng
            .try_fill_bytes(&mut *seed)
            .map_err(|_| NoRandomness)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads `fxws_…`; white space around it is left out.
    ///
    /// # Errors
    /// [`InvalidWriterKey`], without the text.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidWriterKey> {
        let bytes = read(SECRET, text.expose_secret().trim())?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The text form: `fxws_…`.
    #[must_use]
    pub fn to_secret(&self) -> SecretString {
        let seed = Zeroizing::new(self.0.to_bytes());
        SecretString::new(write(SECRET, &seed))
    }

    /// The key by which readers know it.
    #[must_use]
    pub fn public(&self) -> WriterPublicKey {
        WriterPublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message)
    }
}

impl fmt::Debug for WriterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WriterKey([redacted], {})", self.public())
    }
}

impl WriterPublicKey {
    pub(super) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, signature).is_ok()
    }
}

impl FromStr for WriterPublicKey {
    type Err = InvalidWriterKey;

    fn from_str(text: &str) -> Result<Self, InvalidWriterKey> {
        if text.trim_start().starts_with(SECRET) {
            return Err(InvalidWriterKey::SecretGiven);
        }
        let bytes = read(PUBLIC, text)?;
        VerifyingKey::from_bytes(&bytes)
            .ok()
            // A key of small order verifies signatures that nobody made (RFC 8032, section 5.1.7).
            .filter(|key| !key.is_weak())
            .map(Self)
            .ok_or(InvalidWriterKey::Text { prefix: PUBLIC })
    }
}

impl fmt::Display for WriterPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&write(PUBLIC, self.0.as_bytes()))
    }
}

impl fmt::Debug for WriterPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for WriterPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WriterPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn write(prefix: &str, bytes: &[u8; 32]) -> String {
    let body = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
    let sum = checksum(prefix, &body);
    // Exactly as long as needed, so that it becomes a secret without a copy.
    let mut text = String::with_capacity(prefix.len() + BODY + CHECKSUM);
    text.push_str(prefix);
    text.push_str(&body);
    text.push_str(&sum);
    text
}

fn read(prefix: &'static str, text: &str) -> Result<Zeroizing<[u8; 32]>, InvalidWriterKey> {
    let invalid = InvalidWriterKey::Text { prefix };
    let rest = text.strip_prefix(prefix).ok_or(invalid)?;
    if rest.len() != BODY + CHECKSUM || !rest.is_ascii() {
        return Err(invalid);
    }
    let (body, sum) = rest.split_at(BODY);
    if checksum(prefix, body) != sum {
        return Err(invalid);
    }
    let mut bytes = Zeroizing::new([0_u8; 32]);
    match URL_SAFE_NO_PAD.decode_slice(body, bytes.as_mut_slice()) {
        Ok(32) => Ok(bytes),
        _ => Err(invalid),
    }
}

const SECRET: &str = "fxws_";
const PUBLIC: &str = "fxwp_";
