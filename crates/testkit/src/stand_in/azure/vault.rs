//! Key Vault: secrets, and RSA keys that wrap.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use jiff::Timestamp;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::{Map, Value, json};

use super::{Azure, random};
use crate::stand_in::issuer::{Reply, Request};
use crate::stand_in::jwt::KeyPair;

/// The service's name in tokens.
const RESOURCE: &str = "https://vault.azure.net";

/// The version of the API that the checks are after.
const VERSION: &str = "7.4";

/// "About Azure Key Vault secrets": the largest value, in bytes.
const LIMIT: usize = 25 * 1024;

/// What a vault holds.
#[derive(Debug, Default)]
pub(super) struct Vault {
    secrets: BTreeMap<String, Secret>,
    deleted: BTreeMap<String, Secret>,
    keys: BTreeMap<String, Vec<Key>>,
    /// Names, or all of it (`""`), and the inner code of the refusal.
    closed: BTreeMap<String, &'static str>,
}

#[derive(Debug, Clone, Default)]
struct Secret {
    /// Version and value, the oldest first.
    versions: Vec<(String, String)>,
    is_disabled: bool,
}

/// A version of a key.
#[derive(Clone)]
struct Key {
    version: String,
    kind: &'static str,
    private: RsaPrivateKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.version)
    }
}

impl Azure {
    /// Stores a secret, as somebody else would; the answer is its version.
    pub fn add_vault_secret(&mut self, name: &str, value: &str) -> String {
        let version = version();
        let secret = self.vault.secrets.entry(name.to_owned()).or_default();
        secret.versions.push((version.clone(), value.to_owned()));
        version
    }

    /// Disables a secret.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn disable_vault_secret(&mut self, name: &str) {
        self.vault
            .secrets
            .get_mut(name)
            .expect("a secret")
            .is_disabled = true;
    }

    /// Refuses a name, or with `""` everything, with this inner code: `ForbiddenByRbac`, `ForbiddenByFirewall`, ….
    pub fn close_vault(&mut self, name: &str, code: &'static str) {
        self.vault.closed.insert(name.to_owned(), code);
    }

    /// Creates a key, or a new version of it that encrypts from now on.
    ///
    /// # Panics
    /// If the key pair is not one of RSA.
    pub fn rotate_vault_key(&mut self, name: &str, pair: KeyPair, kind: &'static str) {
        let key = Key {
            version: version(),
            kind,
            private: RsaPrivateKey::from_pkcs8_pem(pair.private).expect("a key of RSA"),
        };
        self.vault
            .keys
            .entry(name.to_owned())
            .or_default()
            .push(key);
    }

    /// Deletes a key.
    pub fn delete_vault_key(&mut self, name: &str) {
        self.vault.keys.remove(name);
    }

    /// What `encrypt` gives for a value with the newest version of a key: how other tools store values.
    ///
    /// # Panics
    /// If there is no such key, or the value is too long for one block.
    #[must_use]
    pub fn encrypted_directly(&self, key: &str, value: &[u8]) -> Vec<u8> {
        let newest = self.vault.keys[key].last().expect("a version");
        encrypt(newest, value).expect("a value that fits")
    }

    /// Everything that calls could have changed, as text.
    #[must_use]
    pub fn stored(&self) -> String {
        format!("{:?}", self.vault)
    }

    pub(super) fn vault(&mut self, request: &Request, now: Timestamp) -> Reply {
        if let Err(reply) = self.authorised(request, RESOURCE) {
            return reply;
        }
        if request.query() != [("api-version".to_owned(), VERSION.to_owned())] {
            return Reply::undocumented("a query that is not `api-version` alone");
        }
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        let name = parts.get(1).copied().unwrap_or_default();
        let is_name = (1..=127).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_name {
            return Reply::undocumented("a name that is none");
        }
        let closed = [name, ""].iter().find_map(|it| self.vault.closed.get(*it));
        if let Some(code) = closed {
            return refused(
                403,
                "Forbidden",
                code,
                "Caller is not authorized to perform action on resource.",
            );
        }
        let base = format!("http://{}", request.header("host").unwrap_or_default());
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["secrets", name]) => self.vault.secret(name, None, &base),
            ("GET", ["secrets", name, version]) => self.vault.secret(name, Some(version), &base),
            ("PUT", ["secrets", name]) => self.vault.set_secret(name, request, &base),
            ("DELETE", ["secrets", name]) => self.vault.delete_secret(name, &base, now),
            ("GET", ["keys", name]) => self.vault.key(name, &base),
            ("GET", ["keys", name, "versions"]) => self.vault.versions(name, &base),
            ("POST", ["keys", name, version, operation]) => {
                let done = self.vault.operate(name, version, operation, request, &base);
                done.unwrap_or_else(|reply| reply)
            }
            _ => Reply::undocumented("no such method of Key Vault"),
        }
    }
}

impl Vault {
    /// "Get Secret"
    fn secret(&self, name: &str, version: Option<&str>, base: &str) -> Reply {
        let Some(secret) = self.secrets.get(name) else {
            return not_found("SecretNotFound", name);
        };
        let found = match version {
            None => secret.versions.last(),
            Some(version) => secret.versions.iter().find(|(own, _)| own == version),
        };
        let Some((version, value)) = found else {
            return not_found("SecretNotFound", name);
        };
        if secret.is_disabled {
            let message = "Operation get is not allowed on a disabled secret.";
            return refused(403, "Forbidden", "SecretDisabled", message);
        }
        bundle(name, version, value, base)
    }

    /// "Set Secret"
    fn set_secret(&mut self, name: &str, request: &Request, base: &str) -> Reply {
        let value = match request.json() {
            Some(Value::Object(body)) if body.len() == 1 => body.get("value").cloned(),
            _ => None,
        };
        let Some(Value::String(value)) = value else {
            return Reply::undocumented("a body that is not `value` alone");
        };
        if value.len() > LIMIT {
            return refused(
                400,
                "BadParameter",
                "",
                "The value of the secret is too long.",
            );
        }
        if self.deleted.contains_key(name) {
            let message = format!(
                "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
                 the secret can only be recovered or purged."
            );
            return refused(409, "Conflict", "ObjectIsDeletedButRecoverable", &message);
        }
        let version = version();
        let secret = self.secrets.entry(name.to_owned()).or_default();
        secret.versions.push((version.clone(), value.clone()));
        bundle(name, &version, &value, base)
    }

    /// "Delete Secret", with soft-delete, which every vault has since 2025.
    fn delete_secret(&mut self, name: &str, base: &str, now: Timestamp) -> Reply {
        let Some(secret) = self.secrets.remove(name) else {
            return not_found("SecretNotFound", name);
        };
        self.deleted.insert(name.to_owned(), secret);
        let now = now.as_second();
        Reply::json(
            200,
            &json!({
                "recoveryId": format!("{base}/deletedsecrets/{name}"),
                "deletedDate": now,
                "scheduledPurgeDate": now + 90 * 24 * 3600,
                "id": format!("{base}/secrets/{name}"),
            }),
        )
    }

    /// "Get Key"
    fn key(&self, name: &str, base: &str) -> Reply {
        let Some(key) = self.keys.get(name).and_then(|versions| versions.last()) else {
            return not_found("KeyNotFound", name);
        };
        let kid = format!("{base}/keys/{name}/{}", key.version);
        Reply::json(
            200,
            &json!({
                "key": {
                    "kid": kid,
                    "kty": key.kind,
                    "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey"],
                    "n": BASE64_URL.encode(key.private.n().to_bytes_be()),
                    "e": BASE64_URL.encode(key.private.e().to_bytes_be()),
                },
                "attributes": {"enabled": true, "created": 1, "updated": 1},
            }),
        )
    }

    /// "Get Key Versions". The order is not promised.
    fn versions(&self, name: &str, base: &str) -> Reply {
        let Some(versions) = self.keys.get(name) else {
            return not_found("KeyNotFound", name);
        };
        let items: Vec<Value> = versions
            .iter()
            .enumerate()
            .map(|(index, key)| {
                json!({
                    "kid": format!("{base}/keys/{name}/{}", key.version),
                    "attributes": {"enabled": true, "created": index},
                })
            })
            .collect();
        Reply::json(200, &json!({"value": items, "nextLink": null}))
    }

    /// "Wrap Key", "Unwrap Key", "Decrypt"
    fn operate(
        &self,
        name: &str,
        version: &str,
        operation: &str,
        request: &Request,
        base: &str,
    ) -> Result<Reply, Reply> {
        let versions = self.keys.get(name);
        let key = versions.and_then(|all| all.iter().find(|key| key.version == version));
        let key = key.ok_or_else(|| not_found("KeyNotFound", name))?;
        let body = match request.json() {
            Some(Value::Object(body)) => body,
            _ => return Err(Reply::undocumented("a body that is not a JSON object")),
        };
        let bytes = operand(&body)?;
        let bad = || refused(400, "BadParameter", "", "The parameter is incorrect.");
        let result = match operation {
            "wrapkey" => encrypt(key, &bytes).ok_or_else(bad)?,
            "unwrapkey" | "decrypt" => key
                .private
                .decrypt(Oaep::new::<Sha256>(), &bytes)
                .map_err(|_| bad())?,
            _ => return Err(Reply::undocumented("no such operation with a key")),
        };
        let kid = format!("{base}/keys/{name}/{version}");
        let answer = json!({"kid": kid, "value": BASE64_URL.encode(result)});
        Ok(Reply::json(200, &answer))
    }
}

/// `KeyOperationParameters`, as far as RSA takes them.
fn operand(body: &Map<String, Value>) -> Result<Vec<u8>, Reply> {
    let is_known = body.len() == 2 && body.get("alg") == Some(&json!("RSA-OAEP-256"));
    let value = body.get("value").and_then(Value::as_str);
    let bytes = value.and_then(|value| BASE64_URL.decode(value).ok());
    bytes
        .filter(|_| is_known)
        .ok_or_else(|| Reply::undocumented("a body that is not `alg` and `value` in base64url"))
}

fn encrypt(key: &Key, bytes: &[u8]) -> Option<Vec<u8>> {
    let public = key.private.to_public_key();
    let mut random = rsa::rand_core::OsRng;
    public
        .encrypt(&mut random, Oaep::new::<Sha256>(), bytes)
        .ok()
}

fn bundle(name: &str, version: &str, value: &str, base: &str) -> Reply {
    let id = format!("{base}/secrets/{name}/{version}");
    Reply::json(
        200,
        &json!({"value": value, "id": id, "attributes": {"enabled": true}}),
    )
}

fn not_found(code: &str, name: &str) -> Reply {
    let message = format!(
        "A secret or key with (name/id) {name} was not found in this key vault. If you recently deleted this it may be \
         recoverable."
    );
    Reply::json(404, &json!({"error": {"code": code, "message": message}}))
}

/// "Authentication, requests and responses": the form of errors.
pub(super) fn refused(status: u16, code: &str, inner: &str, message: &str) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if !inner.is_empty() {
        error["innererror"] = json!({"code": inner});
    }
    Reply::json(status, &json!({ "error": error }))
}

/// 32 hexadecimal digits.
fn version() -> String {
    random().chars().take(32).collect()
}
