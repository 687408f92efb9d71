//! `azure-kms`: values encrypted into `fnox.toml` under an RSA key of Azure Key Vault or a managed HSM.
//!
//! Each value has a data key of its own ([`envelope`]), which the vault wraps with RSA-OAEP-256; the version of the key that did it
//! is stored beside it, so that values stay readable when the key is rotated. Profile and secret are bound by the envelope.
//!
//! The form before is one block of RSA: base64 of what `encrypt` gives for the value itself, which names no version. It is
//! opened with the current version, then with the others, and `fnox reencrypt` replaces it.

mod key;

use async_trait::async_trait;
use fnox_core::{SecretName, SecretString};
use zeroize::Zeroizing;

use self::key::{Wrapped, Wrapper};
use super::azure::{self, KEYS, Login, Place, Session};
use crate::envelope::{self, Key, KeyService, Place as Belonging, Profiles};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `vault_url` is no vault's or `key_name` no key's.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let vault = KEYS.place(settings, "vault_url")?;
    let key = settings.required("key_name")?;
    if !azure::is_name(key) {
        return Err(ProviderError::misconfigured(format!(
            "`{}` cannot be the name of a key: letters, digits and `-` can, 127 at most",
            key.escape_debug()
        ))
        .at_key("key_name"));
    }
    Ok(Box::new(Keys {
        login: Login::of(settings, context, &KEYS, &vault),
        vault,
        key: key.to_owned(),
        profiles: Profiles::of(context),
    }))
}

#[derive(Debug)]
struct Keys {
    login: Login,
    vault: Place,
    key: String,
    profiles: Profiles,
}

impl Keys {
    async fn session(&self) -> Result<Session, ProviderError> {
        self.login.session(&self.vault).await
    }

    /// The key's name for the hint in stored values: host and key, however the URL is written.
    fn key_name(&self) -> String {
        let host = self.vault.url.host_str().unwrap_or_default();
        format!("{host}/{}", self.key)
    }

    fn service<'a>(&'a self, session: &'a Session) -> Service<'a> {
        Service {
            wrapper: Wrapper::new(session, &self.key),
            name: self.key_name(),
        }
    }
}

#[async_trait]
impl Provider for Keys {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => return vec![Err(error); requests.len()],
        };
        envelope::decrypt(&self.service(&session), &self.profiles, requests).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let session = self.session().await?;
        match self.service(&session).wrapper.current_version().await {
            Ok(_) => Ok(()),
            // Who may unwrap need not be allowed to look at the key.
            Err(error) if error.kind == ErrorKind::Denied => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session().await?;
        envelope::encrypt(&self.service(&session), &self.profiles, values).await
    }

    fn is_current(&self, stored: &str) -> Option<bool> {
        Some(envelope::is_current(KIND, &self.key_name(), stored))
    }
}

const KIND: &str = "azure-kms";

/// The key, in one operation.
struct Service<'a> {
    wrapper: Wrapper<'a>,
    name: String,
}

#[async_trait]
impl KeyService for Service<'_> {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn label(&self) -> &'static str {
        KEYS.name
    }

    fn key_name(&self) -> String {
        self.name.clone()
    }

    async fn new_key(&self, _: &Belonging) -> Result<(Key, Vec<u8>), ProviderError> {
        let key = envelope::random_key()?;
        let version = self.wrapper.current_version().await?;
        let block = self.wrapper.wrap(&version, key.as_slice()).await?;
        Ok((key, Wrapped { version, block }.to_bytes()))
    }

    async fn unwrap_key(&self, wrapped: &[u8], place: &Belonging) -> Result<Key, ProviderError> {
        let wrapped = Wrapped::parse(wrapped).ok_or_else(|| envelope::not_for(&place.secret))?;
        let bytes = self.wrapper.unwrap(&wrapped, &place.secret).await?;
        envelope::key_of(&bytes, &place.secret)
    }

    async fn decrypt_direct(
        &self,
        ciphertext: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        self.wrapper.decrypt(ciphertext, secret).await
    }
}
