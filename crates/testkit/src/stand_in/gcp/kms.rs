//! Cloud KMS, as far as symmetric keys encrypt and decrypt.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Map, Value, json};

use super::Gcp;
use super::api::{checked, error, error_for};
use super::secrets::decoded;
use crate::stand_in::issuer::{Reply, Request};

/// "The maximum size of the plaintext … must be no larger than 64KiB" (software keys).
const LIMIT: usize = 64 * 1024;

/// Versions of keys, by the key's full name.
pub(super) type Keys = BTreeMap<String, Vec<Version>>;

/// A version of a key.
#[derive(Debug, Clone)]
pub(super) struct Version {
    material: [u8; 32],
    is_enabled: bool,
}

impl Gcp {
    /// Creates a key of this full name, or a new version that encrypts from now on.
    pub fn rotate(&mut self, key: &str) {
        let versions = self.keys_of_kms.entry(key.to_owned()).or_default();
        versions.push(Version {
            material: rand::random(),
            is_enabled: true,
        });
    }

    /// Disables all versions of a key.
    ///
    /// # Panics
    /// If there is no such key.
    pub fn disable(&mut self, key: &str) {
        let versions = self.keys_of_kms.get_mut(key).expect("a key");
        versions.iter_mut().for_each(|it| it.is_enabled = false);
    }

    /// Base64 of what `encrypt` gives for a value alone, without associated data: how other tools store values.
    ///
    /// # Panics
    /// If there is no such key.
    #[must_use]
    pub fn encrypted_directly(&self, key: &str, value: &[u8]) -> String {
        BASE64.encode(sealed(&self.keys_of_kms[key], value.to_vec(), &[]))
    }

    pub(super) fn kms(&mut self, request: &Request, now: Timestamp) -> Reply {
        let caller = match self.caller(request, now) {
            Ok(caller) => caller,
            Err(reply) => return reply,
        };
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        let [
            "v1",
            "projects",
            project,
            "locations",
            location,
            "keyRings",
            ring,
            "cryptoKeys",
            last,
        ] = parts.as_slice()
        else {
            return Reply::undocumented("no such method of Cloud KMS");
        };
        if !request.query.is_empty() {
            return Reply::undocumented("parameters in the query");
        }
        let (key, method) = last.split_once(':').unwrap_or((last, "get"));
        let name =
            format!("projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}");
        let permission = match method {
            "encrypt" => "cryptoKeyVersions.useToEncrypt",
            "decrypt" => "cryptoKeyVersions.useToDecrypt",
            _ => "cryptoKeys.get",
        };
        let right = ("cloudkms", permission);
        if let Some(reply) = self.barred(&caller, (project, key), right, request) {
            return reply;
        }
        let Some(versions) = self.keys_of_kms.get(&name) else {
            let message = format!("CryptoKey {name} not found.");
            return error(404, "NOT_FOUND", &message);
        };
        match (request.method.as_str(), method, request.json()) {
            ("GET", "get", None) => described(&name, versions),
            ("POST", "encrypt", Some(Value::Object(body))) => self
                .encrypt(&name, versions, &body)
                .unwrap_or_else(|reply| reply),
            ("POST", "decrypt", Some(Value::Object(body))) => {
                self.decrypt(versions, &body).unwrap_or_else(|reply| reply)
            }
            _ => Reply::undocumented("no such method of Cloud KMS"),
        }
    }

    /// `cryptoKeys.encrypt`
    fn encrypt(
        &self,
        name: &str,
        versions: &[Version],
        body: &Map<String, Value>,
    ) -> Result<Reply, Reply> {
        let (plaintext, associated) = operands(body, "plaintext")?;
        if plaintext.len() > LIMIT {
            return Err(error(400, "INVALID_ARGUMENT", "plaintext is too large."));
        }
        // invariant: a key has a version from the start.
        let number = versions.len();
        let primary = &versions[number - 1];
        if !primary.is_enabled {
            return Err(disabled(name, number));
        }
        let ciphertext = sealed(versions, plaintext, &associated);
        Ok(Reply::json(
            200,
            &json!({
                "name": format!("{name}/cryptoKeyVersions/{number}"),
                "ciphertext": BASE64.encode(&ciphertext),
                "ciphertextCrc32c": self.sum(&ciphertext),
                "verifiedPlaintextCrc32c": true,
                "verifiedAdditionalAuthenticatedDataCrc32c": true,
                "protectionLevel": "SOFTWARE",
            }),
        ))
    }

    /// `cryptoKeys.decrypt`
    fn decrypt(&self, versions: &[Version], body: &Map<String, Value>) -> Result<Reply, Reply> {
        let (ciphertext, associated) = operands(body, "ciphertext")?;
        let invalid = || {
            error(
                400,
                "INVALID_ARGUMENT",
                "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
            )
        };
        let (number, rest) = ciphertext.split_first().ok_or_else(invalid)?;
        let number = usize::from(*number);
        let version = number.checked_sub(1).and_then(|index| versions.get(index));
        let version = version.ok_or_else(invalid)?;
        if !version.is_enabled {
            return Err(disabled("the key", number));
        }
        let (nonce, sealed) = rest.split_at_checked(12).ok_or_else(invalid)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| invalid())?;
        let mut bytes = sealed.to_vec();
        let plaintext = cipher(version)
            .open_in_place(nonce, Aad::from(associated), &mut bytes)
            .map_err(|_| invalid())?;
        let sum = self.sum(plaintext);
        let mut answer = json!({
            "plaintextCrc32c": sum,
            "usedPrimary": number == versions.len(),
            "protectionLevel": "SOFTWARE",
        });
        // ProtoJSON leaves default values away.
        if !plaintext.is_empty() {
            answer["plaintext"] = json!(BASE64.encode(plaintext));
        }
        Ok(Reply::json(200, &answer))
    }
}

/// The operand and the additional authenticated data of a request, each with its checksum.
fn operands(body: &Map<String, Value>, field: &str) -> Result<(Vec<u8>, Vec<u8>), Reply> {
    let sum = format!("{field}Crc32c");
    let fields = [
        (field, "string"),
        (&*sum, "string"),
        ("additionalAuthenticatedData", "string"),
        ("additionalAuthenticatedDataCrc32c", "string"),
    ];
    checked(body, &fields)?;
    Ok((
        decoded(body, field)?,
        decoded(body, "additionalAuthenticatedData")?,
    ))
}

fn described(name: &str, versions: &[Version]) -> Reply {
    let number = versions.len();
    let is_enabled = versions.last().is_some_and(|version| version.is_enabled);
    let state = if is_enabled { "ENABLED" } else { "DISABLED" };
    Reply::json(
        200,
        &json!({
            "name": name,
            "purpose": "ENCRYPT_DECRYPT",
            "primary": {"name": format!("{name}/cryptoKeyVersions/{number}"), "state": state},
        }),
    )
}

fn disabled(name: &str, number: usize) -> Reply {
    let message =
        format!("{name}/cryptoKeyVersions/{number} is not enabled, current state is: DISABLED.");
    error_for(400, "FAILED_PRECONDITION", "KEY_DISABLED", &message)
}

fn cipher(version: &Version) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, &version.material).expect("a key of 32 bytes");
    LessSafeKey::new(key)
}

/// The version's number, a nonce, and what the newest version seals.
fn sealed(versions: &[Version], mut bytes: Vec<u8>, associated: &[u8]) -> Vec<u8> {
    let number = versions.len();
    let nonce: [u8; 12] = rand::random();
    let unique = Nonce::assume_unique_for_key(nonce);
    cipher(&versions[number - 1])
        .seal_in_place_append_tag(unique, Aad::from(associated), &mut bytes)
        .expect("a value that is not too large");
    let mut ciphertext = vec![u8::try_from(number).expect("few versions")];
    ciphertext.extend_from_slice(&nonce);
    ciphertext.extend_from_slice(&bytes);
    ciphertext
}
