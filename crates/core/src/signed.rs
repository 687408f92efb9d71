//! Signed values: what stands inside the encryption of a value that a team server keeps.
//!
//! age says who can read a value and not who wrote it: whoever knows the public recipients can encrypt a value of
//! their own, and a server can hand out an old value, or that of another key. So the plaintext is wrapped before it
//! is encrypted. The reader learns which writer signed it, for which place, and as which version.
//!
//! ```text
//! fnox-signed-v1
//! {"project":"my-app","profile":"default","key":"NPM_TOKEN","version":7,"created_at":"2026-01-02T03:04:05Z","writer":"fxwp_…"}
//! Ed25519 signature (RFC 8032) in base64url without padding, 86 characters
//! the value, byte for byte
//! ```
//!
//! Each of the first three lines ends with one line feed. The signature is over three parts, each preceded by its
//! length as 64-bit big-endian number: `fnox signed value v1`, the bytes of the second line without its line feed,
//! and the value. The second line is signed as it stands, so no two programs have to agree on how to write JSON; it is
//! at most 4096 bytes, and a field that is unknown, missing or there twice is an error.
//!
//! Guarantees: a value opens only at the place it was signed for, at no version below the least that is accepted, and
//! only if one of the accepted writers signed it. Left out: a reader that has never seen a newer version, and has no
//! least version, takes an old one; and a writer is whoever has the writer's key.

mod key;

use ed25519_dalek::Signature;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::key::{InvalidWriterKey, WriterKey, WriterPublicKey};
use crate::SecretBytes;

/// What is said of a value by whoever signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedSecret {
    /// The project it belongs to.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The key.
    pub key: String,
    /// The version: the number that the server gives it.
    pub version: u64,
    /// When it was signed.
    pub created_at: Timestamp,
    /// Whose key signed it.
    pub writer: WriterPublicKey,
}

/// Where a value belongs: what is signed, and what a reader expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedPlace<'a> {
    /// The project.
    pub project: &'a str,
    /// The profile.
    pub profile: &'a str,
    /// The key.
    pub key: &'a str,
}

impl SignedPlace<'_> {
    /// Whether a value says that it belongs here.
    ///
    /// # Errors
    /// [`SignedError::WrongPlace`] with the first difference.
    pub fn matches(&self, said: &SignedSecret) -> Result<(), SignedError> {
        let parts = [
            ("project", self.project, &said.project),
            ("profile", self.profile, &said.profile),
            ("key", self.key, &said.key),
        ];
        let other = parts.into_iter().find(|(_, wanted, found)| wanted != found);
        other.map_or(Ok(()), |(field, wanted, found)| {
            Err(SignedError::WrongPlace {
                field,
                wanted: wanted.to_owned(),
                found: found.escape_debug().to_string(),
            })
        })
    }
}

/// Why a value is not accepted. No message holds the value or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Nobody signed it.
    #[error("the value is not signed")]
    NotSigned,
    /// It begins as a signed value and is none.
    #[error("the signed value is damaged: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// It was signed by somebody who is not among the accepted writers.
    #[error("the value says that {writer} signed it, which is not an accepted writer")]
    UnknownWriter {
        /// Who it says.
        writer: WriterPublicKey,
    },
    /// The signature does not fit.
    #[error("the signature of {writer} does not fit the value: it was changed")]
    BadSignature {
        /// Who is said to have signed it.
        writer: WriterPublicKey,
    },
    /// It belongs somewhere else: values were swapped.
    #[error("the value was signed for the {field} `{found}`, not for `{wanted}`")]
    WrongPlace {
        /// `project`, `profile` or `key`.
        field: &'static str,
        /// What was expected.
        wanted: String,
        /// What the value says, control characters escaped.
        found: String,
    },
    /// It is older than what was seen or configured.
    #[error(
        "the value has version {found}, but version {minimum} or later is expected: it was rolled back"
    )]
    RolledBack {
        /// The value's version.
        found: u64,
        /// The least that is accepted.
        minimum: u64,
    },
}

/// The value could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("project, profile and key together are too long to be signed")]
pub struct TooLong;

/// Whether bytes begin as a signed value does.
#[must_use]
pub fn is_signed(bytes: &[u8]) -> bool {
    bytes.starts_with(FIRST_LINE)
}

/// Wraps and signs a value. Encrypt the result.
///
/// ```
/// # use fnox_core::{SecretBytes, signed::{self, SignedPlace, WriterKey}};
/// let writer = WriterKey::generate()?;
/// let place = SignedPlace { project: "my-app", profile: "default", key: "NPM_TOKEN" };
/// let value = SecretBytes::new(b"hunter2".to_vec());
/// let sealed = signed::seal(&writer, place, 7, jiff::Timestamp::UNIX_EPOCH, &value)?;
/// let (opened, said) = signed::open(&sealed, place, &[writer.public()], 7)?;
/// assert_eq!(opened, value);
/// assert_eq!(said.version, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TooLong`] if the names do not fit the header.
pub fn seal(
    writer: &WriterKey,
    place: SignedPlace<'_>,
    version: u64,
    now: Timestamp,
    value: &SecretBytes,
) -> Result<SecretBytes, TooLong> {
    let header = SignedSecret {
        project: place.project.to_owned(),
        profile: place.profile.to_owned(),
        key: place.key.to_owned(),
        version,
        created_at: now,
        writer: writer.public(),
    };
    // JSON escapes control characters, so this is one line.
    let header = serde_json::to_vec(&header).map_err(|_| TooLong)?;
    if header.len() > HEADER_LIMIT {
        return Err(TooLong);
    }
    let value = value.expose_secret();
    let signature = writer.sign(&message(&header, value));
    let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
    // Allocated once, so that growing leaves no copies behind.
    let length = FIRST_LINE.len() + header.len() + 1 + signature.len() + 1 + value.len();
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(FIRST_LINE);
    out.extend_from_slice(&header);
    out.push(b'\n');
    out.extend_from_slice(signature.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(value);
    Ok(SecretBytes::new(out))
}

/// Opens a signed value: the accepted writer, the place and the least accepted version are checked, in this order.
///
/// # Errors
/// [`SignedError`].
pub fn open(
    sealed: &SecretBytes,
    place: SignedPlace<'_>,
    writers: &[WriterPublicKey],
    minimum: u64,
) -> Result<(SecretBytes, SignedSecret), SignedError> {
    let parts = split(sealed.expose_secret())?;
    let said: SignedSecret =
        serde_json::from_slice(parts.header).map_err(|_| SignedError::Malformed {
            reason: "its second line is not what it should be",
        })?;
    // Not the key as the value gives it, but the pinned one.
    let writer = writers
        .iter()
        .find(|writer| **writer == said.writer)
        .ok_or_else(|| SignedError::UnknownWriter {
            writer: said.writer.clone(),
        })?;
    if !writer.verifies(&message(parts.header, parts.value), &parts.signature) {
        return Err(SignedError::BadSignature {
            writer: writer.clone(),
        });
    }
    place.matches(&said)?;
    if said.version < minimum {
        return Err(SignedError::RolledBack {
            found: said.version,
            minimum,
        });
    }
    Ok((SecretBytes::new(parts.value.to_vec()), said))
}

/// The value and what is said of it, with nothing checked but the form: for a reader that pins no writer, and tells
/// the person so.
///
/// # Errors
/// [`SignedError::NotSigned`] and [`SignedError::Malformed`].
pub fn open_unverified(sealed: &SecretBytes) -> Result<(SecretBytes, SignedSecret), SignedError> {
    let parts = split(sealed.expose_secret())?;
    let said = serde_json::from_slice(parts.header).map_err(|_| SignedError::Malformed {
        reason: "its second line is not what it should be",
    })?;
    Ok((SecretBytes::new(parts.value.to_vec()), said))
}

struct Parts<'a> {
    header: &'a [u8],
    signature: Signature,
    value: &'a [u8],
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, SignedError> {
    let malformed = |reason| SignedError::Malformed { reason };
    let rest = bytes
        .strip_prefix(FIRST_LINE)
        .ok_or(SignedError::NotSigned)?;
    let end = rest
        .iter()
        .take(HEADER_LIMIT + 1)
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| malformed("its second line has no end"))?;
    let (header, rest) = (&rest[..end], &rest[end + 1..]);
    let (line, value) = rest
        .split_at_checked(SIGNATURE_LENGTH + 1)
        .ok_or_else(|| malformed("its signature is cut off"))?;
    let signature = line
        .strip_suffix(b"\n")
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or_else(|| malformed("its third line is not a signature"))?;
    Ok(Parts {
        header,
        signature,
        value,
    })
}

/// What is signed.
fn message(header: &[u8], value: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts = [DOMAIN, header, value];
    let length = parts.iter().map(|part| part.len() + 8).sum();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

const FIRST_LINE: &[u8] = b"fnox-signed-v1\n";
const DOMAIN: &[u8] = b"fnox signed value v1";
const HEADER_LIMIT: usize = 4096;
/// 64 bytes in base64url without padding.
const SIGNATURE_LENGTH: usize = 86;

#[cfg(test)]
mod tests;
