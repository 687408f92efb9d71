//! Operations with one RSA key (Key Vault REST API, "Get Key", "Get Key Versions", "Wrap Key", "Unwrap Key", "Decrypt").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use fnox_core::SecretName;
use fnox_http::header::CONTENT_TYPE;
use fnox_http::{Answer, Call};
use serde::Deserialize;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::backend::azure::{Facts, Session, is_version};
use crate::error::{ErrorKind, ProviderError};
use crate::wiped::Wiped;

/// RFC 7518 section 4.3; its hash and that of its mask are SHA-256.
const ALGORITHM: &str = "RSA-OAEP-256";

const ROLE: &str = "Key Vault Crypto User";

/// A wrapped data key, and the version of the key that wrapped it.
///
/// Stored as the version's length (one byte), the version, and the block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    pub(super) version: String,
    pub(super) block: Vec<u8>,
}

impl Wrapped {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // invariant: a version has 64 characters at most.
        let length = u8::try_from(self.version.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![length];
        bytes.extend_from_slice(self.version.as_bytes());
        bytes.extend_from_slice(&self.block);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let (version, block) = rest.split_at_checked(usize::from(*length))?;
        let version = std::str::from_utf8(version).ok()?;
        (is_version(version) && !block.is_empty()).then(|| Self {
            version: version.to_owned(),
            block: block.to_vec(),
        })
    }
}

#[derive(Deserialize)]
struct KeyBundle {
    key: JsonWebKey,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
struct JsonWebKey {
    kid: String,
    kty: String,
}

#[derive(Default, Deserialize)]
struct Attributes {
    enabled: Option<bool>,
    /// Seconds since 1970.
    #[serde(default)]
    created: i64,
}

#[derive(Deserialize)]
struct KeyList {
    #[serde(default)]
    value: Vec<KeyItem>,
}

#[derive(Deserialize)]
struct KeyItem {
    kid: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
struct OperationResult {
    value: Wiped,
}

/// One key in one operation of the provider.
pub(super) struct Wrapper<'a> {
    session: &'a Session,
    key: &'a str,
    current: OnceCell<String>,
    versions: OnceCell<Vec<String>>,
}

impl<'a> Wrapper<'a> {
    pub(super) fn new(session: &'a Session, key: &'a str) -> Self {
        Self {
            session,
            key,
            current: OnceCell::new(),
            versions: OnceCell::new(),
        }
    }

    /// The version that encrypts today. Asked for once.
    pub(super) async fn current_version(&self) -> Result<String, ProviderError> {
        let found = self.current.get_or_try_init(|| self.find_current()).await;
        found.cloned()
    }

    async fn find_current(&self) -> Result<String, ProviderError> {
        let call = Call::get(self.session.url(&["keys", self.key]));
        let asked = self.session.ask(call, &self.facts("get")).await;
        let bundle: KeyBundle = asked.map_err(|error| self.about_key(error))?;
        if bundle.key.kty != "RSA" && bundle.key.kty != "RSA-HSM" {
            return Err(ProviderError::misconfigured(format!(
                "the key `{}` is of the type {}, and one of RSA is needed",
                self.key,
                bundle.key.kty.escape_debug()
            ))
            .at_key("key_name"));
        }
        if bundle.attributes.enabled == Some(false) {
            return Err(ProviderError::misconfigured(format!(
                "the key `{}` is not enabled",
                self.key
            ))
            .with_remedy(format!(
                "`az keyvault key set-attributes --vault-name {} --name {} --enabled true` allows it again",
                self.session.place.name(),
                self.key
            ))
            .at_key("key_name"));
        }
        version_of(&bundle.key.kid).ok_or_else(|| {
            ProviderError::unavailable(format!(
                "Key Vault does not say which version of the key `{}` is the current one",
                self.key
            ))
        })
    }

    /// The other enabled versions, the newest first, as far as one answer tells them. Asked for once.
    async fn other_versions(&self) -> Result<&[String], ProviderError> {
        let found = self.versions.get_or_try_init(|| self.find_others()).await;
        found.map(Vec::as_slice)
    }

    async fn find_others(&self) -> Result<Vec<String>, ProviderError> {
        let current = self.current_version().await?;
        let call = Call::get(self.session.url(&["keys", self.key, "versions"]));
        let mut list: KeyList = self.session.ask(call, &self.facts("list")).await?;
        list.value
            .retain(|item| item.attributes.enabled != Some(false));
        list.value
            .sort_by_key(|item| std::cmp::Reverse(item.attributes.created));
        let versions = list.value.iter().filter_map(|item| version_of(&item.kid));
        Ok(versions.filter(|version| *version != current).collect())
    }

    /// "Wrap Key"
    pub(super) async fn wrap(&self, version: &str, bytes: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let answer = self.operation("wrapkey", version, bytes).await?;
        if !answer.is_success() {
            let error = self.session.refused(&answer, &self.facts("wrapKey"));
            return Err(self.about_key(error));
        }
        Ok(self.result(&answer)?.to_vec())
    }

    /// "Unwrap Key"
    pub(super) async fn unwrap(
        &self,
        wrapped: &Wrapped,
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let answer = self
            .operation("unwrapkey", &wrapped.version, &wrapped.block)
            .await?;
        match answer.status() {
            200 => self.result(&answer),
            400 => Err(elsewhere(secret, self.key)),
            // Of the key, or of this version.
            404 => Err(ProviderError::misconfigured(format!(
                "the key `{}` has no version {} any more, with which the value of `{secret}` was encrypted",
                self.key, wrapped.version
            ))
            .with_remedy(
                "check `vault_url` and `key_name`; a deleted key is restored with `az keyvault key recover`",
            )
            .at_key("key_name")),
            _ => Err(self.session.refused(&answer, &self.facts("unwrapKey"))),
        }
    }

    /// "Decrypt", with the first version that can.
    pub(super) async fn decrypt(
        &self,
        block: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let current = self.current_version().await?;
        if let Some(bytes) = self.try_decrypt(&current, block).await? {
            return Ok(bytes);
        }
        let not_opened = || {
            elsewhere(secret, self.key).with_remedy(
                "check `vault_url` and `key_name`; if the key was rotated since, `keys/list` lets fnox try its older versions",
            )
        };
        let others = match self.other_versions().await {
            Ok(others) => others,
            Err(error) if error.kind == ErrorKind::Denied => return Err(not_opened()),
            Err(error) => return Err(error),
        };
        for version in others {
            if let Some(bytes) = self.try_decrypt(version, block).await? {
                return Ok(bytes);
            }
        }
        Err(not_opened())
    }

    async fn try_decrypt(
        &self,
        version: &str,
        block: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ProviderError> {
        let answer = self.operation("decrypt", version, block).await?;
        match answer.status() {
            200 => self.result(&answer).map(Some),
            400 => Ok(None),
            _ => Err(self.session.refused(&answer, &self.facts("decrypt"))),
        }
    }

    async fn operation(
        &self,
        operation: &str,
        version: &str,
        bytes: &[u8],
    ) -> Result<Answer, ProviderError> {
        let url = self.session.url(&["keys", self.key, version, operation]);
        let call = Call::post(url)
            .header(CONTENT_TYPE, "application/json")?
            .body(body(bytes));
        self.session.send(call).await
    }

    fn result(&self, answer: &Answer) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let result: OperationResult = self.session.json(answer)?;
        let text = result.value.0.expose_secret();
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        BASE64_URL.decode_vec(text, &mut bytes).map_err(|_| {
            ProviderError::unavailable("Key Vault answered with something that is not base64url")
        })?;
        Ok(bytes)
    }

    fn facts<'b>(&'b self, permission: &'b str) -> Facts<'b> {
        Facts {
            what: "key",
            name: self.key,
            permission,
            role: ROLE,
        }
    }

    /// A key that is not there is a matter of the configuration.
    fn about_key(&self, error: ProviderError) -> ProviderError {
        if error.kind != ErrorKind::NotFound {
            return error;
        }
        let vault = self.session.place.name();
        ProviderError::misconfigured(format!("there is no key `{}` in {vault}", self.key))
            .with_remedy(format!(
                "`az keyvault key create --vault-name {vault} --name {} --kty RSA` makes one",
                self.key
            ))
            .at_key("key_name")
    }
}

/// `KeyOperationParameters`, in one buffer of the right size: base64url needs no escapes.
fn body(bytes: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"alg":"{ALGORITHM}","value":""#);
    let mut body = String::with_capacity(head.len() + bytes.len().div_ceil(3) * 4 + 2);
    body.push_str(&head);
    BASE64_URL.encode_string(bytes, &mut body);
    body.push_str("\"}");
    body.into_bytes()
}

/// The version in `https://VAULT/keys/NAME/VERSION`.
fn version_of(kid: &str) -> Option<String> {
    let (_, version) = kid.rsplit_once('/')?;
    is_version(version).then(|| version.to_owned())
}

fn elsewhere(secret: &SecretName, key: &str) -> ProviderError {
    ProviderError::misconfigured(format!(
        "the key `{key}` does not open the value of `{secret}`: it was encrypted with another key, or changed since"
    ))
    .with_remedy("check `vault_url` and `key_name`, or look at the file's history")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_keeps_its_version() {
        let wrapped = Wrapped {
            version: "0698c2156c1a4e1da5b6bab6f6422fd6".to_owned(),
            block: vec![1, 2, 3],
        };
        let bytes = wrapped.to_bytes();
        assert_eq!(Wrapped::parse(&bytes), Some(wrapped));
        for damaged in [
            &[][..],
            &[0, 1],
            &[3, b'a', b'b'],
            &[2, b'a', b'/', 1],
            &bytes[..33],
        ] {
            assert_eq!(Wrapped::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn a_body_is_made_in_one_buffer() {
        for length in 0..64 {
            let body = body(&vec![0xff; length]);
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read["alg"], "RSA-OAEP-256");
            assert!(body.capacity() <= body.len() + 2, "{length}");
        }
    }
}
