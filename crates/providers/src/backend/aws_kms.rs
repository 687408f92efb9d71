//! `aws-kms`: values encrypted into `fnox.toml` under a key of AWS KMS.
//!
//! Each value has a data key of its own, which KMS makes and wraps ([`envelope`]); the *encryption context*
//! names profile and secret (`fnox:profile`, `fnox:secret`), so that KMS refuses a value elsewhere, writes down
//! what it is for in `CloudTrail`, and key policies can speak of it. The form before, the base64 of what
//! `kms:Encrypt` gives for the value itself, is read, and `fnox reencrypt` replaces it.

use async_trait::async_trait;
use fnox_aws::{AwsClient, AwsError, kms};
use fnox_core::{SecretName, SecretString};
use zeroize::Zeroizing;

use super::aws::{self, Connection};
use crate::envelope::{self, Key, KeyService, Place, Profiles};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `region` or `key_id` is empty or `role_arn` is none.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(KeyManagement {
        connection: Connection::of(settings, context)?,
        key_id: settings.required("key_id")?.to_owned(),
        profiles: Profiles::of(context),
    }))
}

const KIND: &str = "aws-kms";

#[derive(Debug)]
struct KeyManagement {
    connection: Connection,
    key_id: String,
    profiles: Profiles,
}

impl KeyManagement {
    fn service(&self, accepts_every_key: bool) -> Service<'_> {
        Service {
            connection: &self.connection,
            key_id: &self.key_id,
            accepts_every_key,
        }
    }
}

#[async_trait]
impl Provider for KeyManagement {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        envelope::decrypt(&self.service(false), &self.profiles, requests).await
    }

    async fn get_to_reencrypt(
        &self,
        requests: &[Request],
    ) -> Vec<Result<SecretString, ProviderError>> {
        envelope::decrypt(&self.service(true), &self.profiles, requests).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let client = self.connection.client().await?;
        match kms::key_is_enabled(client, &self.key_id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ProviderError::misconfigured(format!(
                "the key `{}` is not enabled",
                self.key_id.escape_debug()
            ))
            .with_remedy("enable it with `aws kms enable-key`, or name another one")
            .at_key("key_id")),
            // Who may decrypt need not be allowed to describe the key.
            Err(error) if error.is("AccessDeniedException") => Ok(()),
            Err(error) => Err(explain(&error)),
        }
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        envelope::encrypt(&self.service(false), &self.profiles, values).await
    }

    fn is_current(&self, stored: &str) -> Option<bool> {
        Some(envelope::is_current(KIND, &self.key_id, stored))
    }
}

/// The key, for one kind of use.
struct Service<'a> {
    connection: &'a Connection,
    key_id: &'a str,
    /// Whether values under other keys are read too: to encrypt them under this one.
    accepts_every_key: bool,
}

impl Service<'_> {
    /// The key that must have wrapped what is opened.
    fn demanded(&self) -> Option<&str> {
        (!self.accepts_every_key).then_some(self.key_id)
    }

    async fn client(&self) -> Result<&AwsClient, ProviderError> {
        self.connection.client().await
    }
}

#[async_trait]
impl KeyService for Service<'_> {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn label(&self) -> &'static str {
        "AWS KMS"
    }

    fn key_name(&self) -> String {
        self.key_id.to_owned()
    }

    async fn new_key(&self, place: &Place) -> Result<(Key, Vec<u8>), ProviderError> {
        let made =
            kms::generate_data_key(self.client().await?, self.key_id, &place.context()).await;
        let key = made.map_err(|error| explain(&error))?;
        Ok((key.plaintext, key.blob))
    }

    async fn unwrap_key(&self, wrapped: &[u8], place: &Place) -> Result<Key, ProviderError> {
        let client = self.client().await?;
        let key = kms::decrypt(client, wrapped, &place.context(), self.demanded()).await;
        key.map_err(|error| refused(&error, &place.secret))
    }

    async fn decrypt_direct(
        &self,
        ciphertext: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let client = self.client().await?;
        let context = kms::EncryptionContext::new();
        let value = kms::decrypt_value(client, ciphertext, &context, self.demanded()).await;
        value.map_err(|error| refused(&error, secret))
    }
}

fn refused(error: &AwsError, secret: &SecretName) -> ProviderError {
    if error.is("InvalidCiphertextException") {
        return envelope::not_for(secret);
    }
    if error.is("IncorrectKeyException") {
        return ProviderError::misconfigured(format!(
            "the value of `{secret}` was encrypted with another key than `key_id`"
        ))
        .with_remedy("if `key_id` is right, `fnox reencrypt` encrypts the values with it")
        .at_key("key_id");
    }
    explain(error)
}

fn explain(error: &AwsError) -> ProviderError {
    let explained = aws::explain(error, None);
    let about_the_key = [
        "NotFoundException",
        "DisabledException",
        "KMSInvalidStateException",
        "InvalidKeyUsageException",
    ];
    if explained.kind == ErrorKind::Misconfigured && about_the_key.iter().any(|code| error.is(code))
    {
        return explained.at_key("key_id");
    }
    explained
}
