//! `gcp-kms`: values encrypted into `fnox.toml` under a key of Google Cloud KMS (REST API v1).
//!
//! Each value has a data key of its own ([`envelope`]), which KMS wraps; the *additional authenticated data* name profile and
//! secret, so that KMS refuses a value elsewhere. The form before, the base64 of what `encrypt` gives for the value itself, is
//! read, and `fnox reencrypt` replaces it. A key that is rotated opens what its older versions wrapped, as long as they are
//! enabled. Bytes are compared with checksums on both ends ("Verify end-to-end data integrity").

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::{SecretName, SecretString};
use fnox_http::Call;
use fnox_http::header::CONTENT_TYPE;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::google::{self, Api, Connection, Facts, Session, crc32c};
use crate::envelope::{self, Key, KeyService, Place, Profiles};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

const API: Api = Api {
    host: "cloudkms",
    name: "Cloud KMS",
};

const KIND: &str = "gcp-kms";
const ROLE: &str = "roles/cloudkms.cryptoKeyEncrypterDecrypter";

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if a part of the key's name is none or `endpoint` is no address.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(KeyManagement {
        connection: Connection::of(settings, context, &API)?,
        key: KeyName {
            project: google::project(settings)?,
            location: google::segment(settings, "location")?,
            ring: google::segment(settings, "keyring")?,
            key: google::segment(settings, "key")?,
        },
        profiles: Profiles::of(context),
    }))
}

#[derive(Debug)]
struct KeyManagement {
    connection: Connection,
    key: KeyName,
    profiles: Profiles,
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K`
#[derive(Debug)]
struct KeyName {
    project: String,
    location: String,
    ring: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    ciphertext: String,
    ciphertext_crc32c: Option<String>,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
    #[serde(default)]
    verified_additional_authenticated_data_crc32c: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    /// JSON of protocol buffers leaves empty bytes away.
    plaintext: Option<Wiped>,
    plaintext_crc32c: Option<String>,
}

#[derive(Deserialize)]
struct CryptoKey {
    purpose: Option<String>,
    primary: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    state: Option<String>,
}

#[async_trait]
impl Provider for KeyManagement {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let session = match self.connection.session().await {
            Ok(session) => session,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let service = KeyRing {
            session: &session,
            key: &self.key,
        };
        envelope::decrypt(&service, &self.profiles, requests).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let session = self.connection.session().await?;
        let call = Call::get(session.url(&self.key.segments(&self.key.key)));
        let key: CryptoKey = match session
            .ask(call, &self.key.facts("roles/cloudkms.viewer"))
            .await
        {
            Ok(key) => key,
            // Who may decrypt need not be allowed to look at the key.
            Err(error) if error.kind == ErrorKind::Denied => return Ok(()),
            Err(error) => return Err(missing(error, &self.key)),
        };
        usable(&key, &self.key)
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.connection.session().await?;
        let service = KeyRing {
            session: &session,
            key: &self.key,
        };
        envelope::encrypt(&service, &self.profiles, values).await
    }

    fn is_current(&self, stored: &str) -> Option<bool> {
        Some(envelope::is_current(KIND, &self.key.name(), stored))
    }
}

fn usable(key: &CryptoKey, name: &KeyName) -> Result<(), ProviderError> {
    let name = name.key.escape_debug();
    if key
        .purpose
        .as_deref()
        .is_some_and(|it| it != "ENCRYPT_DECRYPT")
    {
        return Err(ProviderError::misconfigured(format!(
            "the key `{name}` is not one that encrypts and decrypts"
        ))
        .with_remedy("name a key with the purpose ENCRYPT_DECRYPT")
        .at_key("key"));
    }
    let state = key.primary.as_ref().and_then(|it| it.state.as_deref());
    match state {
        Some("ENABLED") => Ok(()),
        state => Err(ProviderError::misconfigured(format!(
            "the key `{name}` has no primary version that is enabled (state {})",
            state.unwrap_or("none").escape_debug()
        ))
        .with_remedy(
            "enable its version with `gcloud kms keys versions enable`, or name another key",
        )
        .at_key("key")),
    }
}

impl KeyName {
    fn name(&self) -> String {
        self.segments(&self.key).join("/")
    }

    /// The parts of its name; the last one is the key, perhaps with a method.
    fn segments<'a>(&'a self, last: &'a str) -> [&'a str; 8] {
        [
            "projects",
            &self.project,
            "locations",
            &self.location,
            "keyRings",
            &self.ring,
            "cryptoKeys",
            last,
        ]
    }

    fn facts<'a>(&'a self, role: &'a str) -> Facts<'a> {
        Facts {
            name: &self.key,
            project: &self.project,
            role,
        }
    }
}

/// The key, in one operation.
struct KeyRing<'a> {
    session: &'a Session,
    key: &'a KeyName,
}

impl KeyRing<'_> {
    fn call(&self, method: &str, body: Vec<u8>) -> Result<Call, ProviderError> {
        let last = format!("{}:{method}", self.key.key);
        let url = self.session.url(&self.key.segments(&last));
        let call = Call::post(url).header(CONTENT_TYPE, "application/json")?;
        Ok(call.body(body))
    }

    /// `cryptoKeys.decrypt`
    async fn decrypt(
        &self,
        ciphertext: &[u8],
        associated: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let body = body("ciphertext", ciphertext, associated);
        let answer = self.session.send(self.call("decrypt", body)?).await?;
        if !answer.is_success() {
            let error = self.session.refused(&answer, &self.key.facts(ROLE));
            return Err(match answer.status() {
                // "Decryption failed: verify that 'name' refers to the correct CryptoKey."
                // "Decryption failed: the ciphertext is invalid."
                400 if error.message.contains("Decryption failed") => elsewhere(secret),
                _ => missing(error, self.key),
            });
        }
        let decrypted: Decrypted = self.session.json(&answer)?;
        let text = decrypted
            .plaintext
            .as_ref()
            .map(|text| text.0.expose_secret());
        self.session.checked(
            text.unwrap_or_default(),
            decrypted.plaintext_crc32c.as_deref(),
        )
    }
}

#[async_trait]
impl KeyService for KeyRing<'_> {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn label(&self) -> &'static str {
        API.name
    }

    fn key_name(&self) -> String {
        self.key.name()
    }

    /// `cryptoKeys.encrypt`
    async fn new_key(&self, place: &Place) -> Result<(Key, Vec<u8>), ProviderError> {
        let key = envelope::random_key()?;
        let body = body("plaintext", key.as_slice(), &place.associated_data());
        let call = self.call("encrypt", body)?;
        let answer = self.session.ask(call, &self.key.facts(ROLE)).await;
        let answer: Encrypted = answer.map_err(|error| missing(error, self.key))?;
        let arrived = answer.verified_plaintext_crc32c
            && answer.verified_additional_authenticated_data_crc32c;
        if !arrived {
            return Err(ProviderError::unavailable(
                "Cloud KMS does not say that the data key arrived as it was sent",
            )
            .with_remedy("try again; is the configured address really its API?"));
        }
        let sum = answer.ciphertext_crc32c.as_deref();
        let wrapped = self.session.checked(&answer.ciphertext, sum)?;
        Ok((key, wrapped.to_vec()))
    }

    async fn unwrap_key(&self, wrapped: &[u8], place: &Place) -> Result<Key, ProviderError> {
        let associated = place.associated_data();
        let bytes = self.decrypt(wrapped, &associated, &place.secret).await?;
        envelope::key_of(&bytes, &place.secret)
    }

    async fn decrypt_direct(
        &self,
        ciphertext: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        self.decrypt(ciphertext, &[], secret).await
    }
}

/// `EncryptRequest` or `DecryptRequest`, in one buffer of the right size: base64 needs no escapes.
fn body(field: &str, bytes: &[u8], associated: &[u8]) -> Vec<u8> {
    let encoded = |bytes: &[u8]| bytes.len().div_ceil(3) * 4;
    let names = 2 * field.len() + 2 * "additionalAuthenticatedData".len();
    let mut body = String::with_capacity(
        encoded(bytes) + encoded(associated) + names + "Crc32c".len() * 2 + 64,
    );
    let mut push = |before: &str, name: &str, bytes: &[u8]| {
        body.push_str(before);
        body.push_str(name);
        body.push_str("\":\"");
        BASE64.encode_string(bytes, &mut body);
        body.push_str("\",\"");
        body.push_str(name);
        body.push_str("Crc32c\":\"");
        body.push_str(&crc32c(bytes).to_string());
    };
    push("{\"", field, bytes);
    push("\",\"", "additionalAuthenticatedData", associated);
    body.push_str("\"}");
    body.into_bytes()
}

fn elsewhere(secret: &SecretName) -> ProviderError {
    ProviderError::misconfigured(format!(
        "Cloud KMS does not open the value of `{secret}`: it was encrypted with another key, for another secret, or changed since"
    ))
    .with_remedy(
        "check `project`, `location`, `keyring` and `key`; if the secret was renamed or copied, set it again with `fnox set`",
    )
}

/// A key that is not there, or not enabled, is a matter of the configuration.
fn missing(error: ProviderError, name: &KeyName) -> ProviderError {
    if error.kind == ErrorKind::NotFound {
        return ProviderError::misconfigured(format!("there is no key {}", name.name()))
            .with_remedy("check `project`, `location`, `keyring` and `key`")
            .at_key("key");
    }
    if error.message.contains("is not enabled") || error.message.contains("current state is") {
        return error
            .with_remedy("enable the version with `gcloud kms keys versions enable`")
            .at_key("key");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_both_checksums_and_does_not_grow() {
        let body = body("ciphertext", b"123456789", b"");
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = serde_json::json!({
            "ciphertext": "MTIzNDU2Nzg5",
            "ciphertextCrc32c": "3808858755",
            "additionalAuthenticatedData": "",
            "additionalAuthenticatedDataCrc32c": "0",
        });
        assert_eq!(read, wanted);
        for length in 0..100 {
            let bytes = vec![0xa5; length];
            let body = super::body("plaintext", &bytes, &bytes);
            let least = body.len();
            assert!(
                body.capacity() >= least && body.capacity() < least + 64,
                "{length}"
            );
        }
    }
}
