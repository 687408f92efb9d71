//! What `fnox.toml` keeps of an encrypted value.
//!
//! - base64 of an age file, binary or armoured (written: binary);
//! - an age file as it is, armoured;
//! - the batch form of the established CLI, only read:
//!   `fnox-age-batch-v1:BASE64(age file of BASE64(32-byte key)):BASE64(nonce ‖ ciphertext ‖ tag)`, sealed with
//!   AES-256-GCM under HKDF-SHA256(no salt, the key, info `fnox-age-batch-v1`).

use std::borrow::Cow;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fnox_core::SecretBytes;
use fnox_core::age::{Recipient, Stanza};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::ProviderError;

/// The mark of the batch form, and the context of its key derivation.
const BATCH: &str = "fnox-age-batch-v1";

/// Standard alphabet; padding may be missing, as some tools leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A stored value, taken apart.
#[derive(Debug)]
pub(super) enum Stored {
    Single { file: Vec<u8> },
    Batch { file: Vec<u8>, blob: Vec<u8> },
}

impl Stored {
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(BATCH) {
            let mut parts = rest.strip_prefix(':').ok_or_else(not_readable)?.split(':');
            return match (parts.next(), parts.next(), parts.next()) {
                (Some(file), Some(blob), None) => Ok(Self::Batch {
                    file: decode(file)?,
                    blob: decode(blob)?,
                }),
                _ => Err(not_readable()),
            };
        }
        if text.starts_with("-----BEGIN") || text.starts_with("age-encryption.org/") {
            return Ok(Self::Single {
                file: text.as_bytes().to_vec(),
            });
        }
        Ok(Self::Single {
            file: decode(text)?,
        })
    }

    /// The age file in it.
    pub(super) fn age_file(&self) -> &[u8] {
        match self {
            Self::Single { file } | Self::Batch { file, .. } => file,
        }
    }

    /// The value, given what its age file decrypts to.
    pub(super) fn finish<'a>(
        &self,
        opened: &'a SecretBytes,
    ) -> Result<Cow<'a, SecretBytes>, ProviderError> {
        match self {
            Self::Single { .. } => Ok(Cow::Borrowed(opened)),
            Self::Batch { blob, .. } => open_blob(opened, blob).map(Cow::Owned),
        }
    }
}

pub(in crate::backend) fn not_readable() -> ProviderError {
    ProviderError::misconfigured("the stored value is not a readable age file")
        .with_remedy("set the value again with `fnox set`")
}

fn decode(text: &str) -> Result<Vec<u8>, ProviderError> {
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let joined: String = text.split_ascii_whitespace().collect();
        return BASE64.decode(joined).map_err(|_| not_readable());
    }
    BASE64.decode(text).map_err(|_| not_readable())
}

fn open_blob(wrapped: &SecretBytes, blob: &[u8]) -> Result<SecretBytes, ProviderError> {
    let encoded = wrapped.expose_secret().trim_ascii();
    let key = Zeroizing::new(BASE64.decode(encoded).map_err(|_| not_readable())?);
    if key.len() != 32 {
        return Err(not_readable());
    }
    let mut derived = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(None, &key)
        .expand(BATCH.as_bytes(), derived.as_mut())
        .map_err(|_| not_readable())?;
    let (nonce, sealed) = blob.split_at_checked(12).ok_or_else(not_readable)?;
    Aes256Gcm::new_from_slice(derived.as_slice())
        .map_err(|_| not_readable())?
        .decrypt(Nonce::from_slice(nonce), sealed)
        .map(SecretBytes::new)
        .map_err(|_| not_readable())
}

/// Whether a header without a mark fits the recipients, as far as it shows.
///
/// SSH stanzas carry a tag of their key. X25519 stanzas and those of plugins are anonymous: a different
/// number of them is a sure sign, the same number is none.
pub(super) fn matches_header(recipients: &[Recipient], stanzas: &[Stanza]) -> Option<bool> {
    let real: Vec<&Stanza> = stanzas
        .iter()
        .filter(|stanza| !stanza.kind.ends_with("-grease"))
        .collect();
    let mut wanted = Vec::new();
    let mut anonymous = 0;
    for recipient in recipients {
        match recipient.stanza() {
            Some((kind, Some(tag))) => wanted.push((kind.to_owned(), tag)),
            Some((_, None)) => anonymous += 1,
            // A plugin may write one stanza or several.
            None => return None,
        }
    }
    let mut found: Vec<(String, String)> = real
        .iter()
        .filter(|stanza| stanza.kind.starts_with("ssh-"))
        .map(|stanza| {
            let tag = stanza.arguments.first().cloned().unwrap_or_default();
            (stanza.kind.clone(), tag)
        })
        .collect();
    let others = real.len() - found.len();
    wanted.sort();
    found.sort();
    if wanted != found || others != anonymous {
        return Some(false);
    }
    (anonymous == 0).then_some(true)
}
