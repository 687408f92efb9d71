//! Envelope encryption: values of any length under a key service that only wraps keys.
//!
//! Each value has a random data key of its own. It encrypts the value with AES-256-GCM
//! ([`fnox_core::seal`]); the service wraps the data key, and both are stored together:
//!
//! ```text
//! fnox-envelope-v1:TYPE:KEY:WRAPPED:SEALED:PROFILE
//! ```
//!
//! - `TYPE`: the provider's type, `aws-kms`.
//! - `KEY`: 16 hexadecimal digits of a digest of the key's name in the configuration. A hint for `reencrypt
//!   --check`, never a permission.
//! - `WRAPPED`: base64 of the wrapped data key.
//! - `SEALED`: base64 of nonce (12 bytes), ciphertext and tag (16 bytes).
//! - `PROFILE`: the profile that the value was stored for.
//!
//! Associated data are type, key hint, profile and the secret's name. A service that takes associated data
//! itself is given profile and name too ([`Place::context`]), so that they stand in its log and its policies
//! can speak of them. A value that is moved to another secret, or into a profile that neither is nor inherits
//! its own, does not open; values of the base profile are accepted in every profile, as the base itself is.
//!
//! What this does not hide is the length of a value.
//!
//! The form before this one is the base64 of what the service encrypted itself. It is read as well, and `fnox
//! reencrypt` replaces it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::seal::{Algorithm, Sealed, SealingKey};
use fnox_core::{SecretBytes, SecretName, SecretString};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::TryRngCore as _;
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::provider::{Context, Request};

/// How a stored value begins.
const MAGIC: &str = "fnox-envelope-v1:";
/// How many values are encrypted at a time.
const SEALED_AT_ONCE: usize = 16;
/// How many values are decrypted at a time.
const OPENED_AT_ONCE: usize = 10;

/// A key of 256 bits that encrypts one value.
pub type Key = Zeroizing<[u8; 32]>;

/// A service that wraps data keys with a key of its own.
#[async_trait]
pub trait KeyService: Send + Sync {
    /// The provider's type: `aws-kms`.
    fn kind(&self) -> &'static str;

    /// What messages call it: `AWS KMS`.
    fn label(&self) -> &'static str;

    /// The name of the wrapping key, as the configuration has it, without a version.
    fn key_name(&self) -> String;

    /// A new data key, and its wrapped form. A service that makes no keys wraps one of [`random_key`].
    async fn new_key(&self, place: &Place) -> Result<(Key, Vec<u8>), ProviderError>;

    /// Unwraps a data key. `Misconfigured` for one that was wrapped by another key or for another place;
    /// [`not_for`] says that.
    async fn unwrap_key(&self, wrapped: &[u8], place: &Place) -> Result<Key, ProviderError>;

    /// Decrypts what the service encrypted itself, before there were envelopes.
    async fn decrypt_direct(
        &self,
        ciphertext: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError>;
}

/// Where a value belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The profile it was stored for; `default` is the base.
    pub profile: String,
    /// The secret.
    pub secret: SecretName,
}

impl Place {
    /// What a key service that takes associated data as text pairs is given.
    #[must_use]
    pub fn context(&self) -> BTreeMap<String, String> {
        [
            ("fnox:profile".to_owned(), self.profile.clone()),
            ("fnox:secret".to_owned(), self.secret.to_string()),
        ]
        .into()
    }

    /// The same as one text, for services that take bytes: each part with its length in bytes before it.
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        let (profile, secret) = (&self.profile, self.secret.as_str());
        format!(
            "fnox-envelope-v1 {}:{profile} {}:{secret}",
            profile.len(),
            secret.len()
        )
        .into_bytes()
    }
}

/// The profile for which values are written, and those for which they are read.
#[derive(Debug, Clone)]
pub struct Profiles {
    written: String,
    read: Vec<String>,
}

impl Profiles {
    /// Those of a run.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self {
            written: context.profile_of_new_values(),
            read: context.profiles_of_old_values(),
        }
    }

    /// The profile for which new values are stored.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether values that were stored for a profile are read.
    #[must_use]
    pub fn reads(&self, profile: &str) -> bool {
        self.read.iter().any(|it| it == profile)
    }

    /// A value that was stored for a profile that does not take part.
    #[must_use]
    pub fn not_for(&self, secret: &SecretName, profile: &str) -> ProviderError {
        ProviderError::misconfigured(format!(
            "the value of `{secret}` was stored for the profile `{}`, not for `{}`",
            profile.escape_debug(),
            self.written
        ))
        .with_remedy("set it again in this profile with `fnox set`, or look at the file's history")
    }
}

/// A random data key.
///
/// # Errors
/// `Unavailable` if the operating system has no randomness.
pub fn random_key() -> Result<Key, ProviderError> {
    let mut key = Zeroizing::new([0; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(&mut *key)
        .map_err(|_| ProviderError::unavailable("the system has no randomness"))?;
    Ok(key)
}

/// What a service unwrapped, as a key. Of another length, it is none.
///
/// # Errors
/// [`not_for`]
pub fn key_of(unwrapped: &[u8], secret: &SecretName) -> Result<Key, ProviderError> {
    let key: [u8; 32] = unwrapped.try_into().map_err(|_| not_for(secret))?;
    Ok(Zeroizing::new(key))
}

/// Whether a stored value is of this form, of a type and under the key of this name ([`KeyService::key_name`]), as far as it
/// tells.
#[must_use]
pub fn is_current(kind: &str, key_name: &str, stored: &str) -> bool {
    Stored::parse(stored).is_ok_and(|it| it.kind == kind && it.key == hint(key_name))
}

/// Encrypts values. The answers are in their order.
///
/// # Errors
/// The first failure of the service.
pub async fn encrypt(
    service: &dyn KeyService,
    profiles: &Profiles,
    values: &[(SecretName, SecretString)],
) -> Result<Vec<String>, ProviderError> {
    let sealed: Vec<_> = values
        .iter()
        .map(|(name, value)| seal(service, profiles, name, value))
        .collect();
    stream::iter(sealed)
        .buffered(SEALED_AT_ONCE)
        .try_collect()
        .await
}

/// Decrypts values of this form and of the one before it. The answers are in the order of the requests.
pub async fn decrypt(
    service: &dyn KeyService,
    profiles: &Profiles,
    requests: &[Request],
) -> Vec<Result<SecretString, ProviderError>> {
    let opened: Vec<_> = requests
        .iter()
        .map(|request| open(service, profiles, request))
        .collect();
    stream::iter(opened)
        .buffered(OPENED_AT_ONCE)
        .collect()
        .await
}

/// A value that belongs elsewhere, or was changed: which of these it is, encryption does not tell.
#[must_use]
pub fn not_for(secret: &SecretName) -> ProviderError {
    ProviderError::misconfigured(format!(
        "this is no value of `{secret}`: it was encrypted for another secret, or changed since"
    ))
    .with_remedy("if the secret was renamed or copied, set it again with `fnox set`; else look at the file's history")
}

async fn seal(
    service: &dyn KeyService,
    profiles: &Profiles,
    name: &SecretName,
    value: &SecretString,
) -> Result<String, ProviderError> {
    let place = Place {
        profile: profiles.written.clone(),
        secret: name.clone(),
    };
    let (kind, hint) = (service.kind(), hint(&service.key_name()));
    let (key, wrapped) = service.new_key(&place).await?;
    let parts = [kind, &hint, &place.profile, name.as_str()];
    let plaintext = SecretBytes::new(value.expose_secret().as_bytes().to_vec());
    let sealed = SealingKey::new(kind.to_owned(), key)
        .seal_bytes(Algorithm::Aes256Gcm, &parts, &plaintext)
        .map_err(|error| {
            ProviderError::unavailable(format!("`{name}` cannot be encrypted: {error}"))
        })?;
    let mut bytes = sealed.nonce;
    bytes.extend_from_slice(&sealed.ciphertext);
    let (wrapped, sealed) = (BASE64.encode(wrapped), BASE64.encode(bytes));
    Ok(format!(
        "{MAGIC}{kind}:{hint}:{wrapped}:{sealed}:{}",
        place.profile
    ))
}

async fn open(
    service: &dyn KeyService,
    profiles: &Profiles,
    request: &Request,
) -> Result<SecretString, ProviderError> {
    let name = &request.name;
    if !request.reference.starts_with(MAGIC) {
        return open_direct(service, request).await;
    }
    let stored = Stored::parse(&request.reference)?;
    let kind = service.kind();
    if stored.kind != kind {
        return Err(ProviderError::misconfigured(format!(
            "the value was encrypted by a provider of type `{}`, not `{kind}`",
            stored.kind.escape_debug()
        ))
        .with_remedy("name the provider that encrypted it, or set the secret again"));
    }
    if !profiles.reads(stored.profile) {
        return Err(profiles.not_for(name, stored.profile));
    }
    let place = Place {
        profile: stored.profile.to_owned(),
        secret: name.clone(),
    };
    let key = service.unwrap_key(&stored.wrapped, &place).await?;
    let parts = [kind, stored.key, stored.profile, name.as_str()];
    let plaintext = SealingKey::new(kind.to_owned(), key)
        .open_bytes(Algorithm::Aes256Gcm, &parts, &stored.sealed)
        .map_err(|_| not_for(name))?;
    text(plaintext.expose_secret())
}

async fn open_direct(
    service: &dyn KeyService,
    request: &Request,
) -> Result<SecretString, ProviderError> {
    let ciphertext = BASE64.decode(&request.reference).unwrap_or_default();
    if ciphertext.is_empty() {
        return Err(ProviderError::misconfigured(format!(
            "the value of `{}` is nothing that {} encrypted",
            request.name,
            service.label()
        ))
        .with_remedy("set it with `fnox set`, which encrypts it"));
    }
    text(&service.decrypt_direct(&ciphertext, &request.name).await?)
}

fn text(plaintext: &[u8]) -> Result<SecretString, ProviderError> {
    std::str::from_utf8(plaintext)
        .map(SecretString::from)
        .map_err(|_| ProviderError::misconfigured("the decrypted value is not UTF-8 text"))
}

fn hint(key_name: &str) -> String {
    let digest = blake3::derive_key("fnox envelope: name of the key", key_name.as_bytes());
    hex::encode(&digest[..8])
}

/// The parts of a stored value.
struct Stored<'a> {
    kind: &'a str,
    key: &'a str,
    wrapped: Vec<u8>,
    sealed: Sealed,
    profile: &'a str,
}

impl<'a> Stored<'a> {
    fn parse(text: &'a str) -> Result<Self, ProviderError> {
        Self::parts(text).ok_or_else(|| {
            ProviderError::misconfigured("the value is damaged: it is no whole `fnox-envelope-v1`")
                .with_remedy("restore it from the file's history, or set it again with `fnox set`")
        })
    }

    fn parts(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix(MAGIC)?.splitn(5, ':');
        let (kind, key) = (parts.next()?, parts.next()?);
        let wrapped = BASE64.decode(parts.next()?).ok()?;
        let mut nonce = BASE64.decode(parts.next()?).ok()?;
        let profile = parts.next()?;
        let length = Algorithm::Aes256Gcm.nonce_len();
        if nonce.len() < length {
            return None;
        }
        let ciphertext = nonce.split_off(length);
        Some(Self {
            kind,
            key,
            wrapped,
            sealed: Sealed { nonce, ciphertext },
            profile,
        })
    }
}

#[cfg(test)]
mod tests;
