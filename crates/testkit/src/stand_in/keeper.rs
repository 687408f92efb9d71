//! Keeper Secrets Manager, as far as a device reads and changes records.
//!
//! Keeper publishes the model and not the wire. Checked are: "Security & Encryption Model" (what is under which key, the signature of
//! the device, the device's name as HMAC of the one-time token), "One Time Access Token" (it works once), "Secrets Manager
//! Configuration" (the members of a configuration); and what Keeper's published client for Python (17.3.0) sends: paths, headers,
//! members. That client talks to this stand-in in the tests. The service's key is the stand-in's own, which a configuration
//! names as `serverPublicKey`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::EncodePrivateKey as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Map, Value, json};

use super::issuer::{Reply, Request, Service};

/// The plaintext of the transmission key, or of any other.
type Key = [u8; 32];

/// A record of the application.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its UID.
    pub uid: String,
    /// Its plaintext, JSON.
    pub data: String,
    /// Grows with each change.
    pub revision: i64,
    /// Whether the application may change it.
    pub is_editable: bool,
    /// Whether it is shared in the folder, and not by itself.
    pub is_in_folder: bool,
    /// Name, title and content of its files.
    pub files: Vec<(String, String, Vec<u8>)>,
}

/// A tenant with one application.
#[derive(Debug)]
pub struct Keeper {
    /// Its records.
    pub records: Vec<Record>,
    /// Public keys of bound devices (SEC 1 points), by the device's name.
    pub devices: BTreeMap<String, Vec<u8>>,
    /// One-time tokens by the names of the devices that they make.
    tokens: BTreeMap<String, Key>,
    /// Whether a device may ask again for the application's key with the token that bound it.
    pub repeats_binding: bool,
    /// What each request is answered with, if set.
    pub refusal: Option<(u16, Value)>,
    /// How many requests `refusal` answers; then it goes.
    pub refusals: u32,
    /// A change that somebody else makes before the next update.
    pub rival: Option<String>,
    /// The number of the service's key.
    pub key_id: String,
    /// Where the files are.
    pub files_at: String,
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Keeper {
    /// A one-time token without a region.
    pub const TOKEN: &str = "c3RhbmQtaW4gb25lLXRpbWUgdG9rZW4gbnVtYmVyIDE";
    /// Another.
    pub const OTHER_TOKEN: &str = "c3RhbmQtaW4gb25lLXRpbWUgdG9rZW4gbnVtYmVyIDI";

    const SERVICE: Key = [0x51; 32];
    const DEVICE: Key = [0x52; 32];
    const APPLICATION: Key = [0x53; 32];
    const FOLDER: Key = [0x54; 32];
    const FILE: Key = [0x55; 32];

    /// An application without records, and a bound device.
    #[must_use]
    pub fn new() -> Self {
        let mut tokens = BTreeMap::new();
        for token in [Self::TOKEN, Self::OTHER_TOKEN] {
            let bytes = decoded(token).expect("a token of 32 bytes");
            let key: Key = bytes.as_slice().try_into().expect("32 bytes");
            tokens.insert(device_name(&key), key);
        }
        let devices = [(Self::client_id(), point(&secret(&Self::DEVICE)))].into();
        Self {
            records: Vec::new(),
            devices,
            tokens,
            repeats_binding: false,
            refusal: None,
            refusals: 0,
            rival: None,
            key_id: "99".to_owned(),
            files_at: String::new(),
        }
    }

    /// Adds a record of the type `login`, and returns its UID.
    pub fn login(&mut self, title: &str, password: &str) -> String {
        self.add(&json!({
            "title": title,
            "type": "login",
            "fields": [
                {"type": "login", "value": ["bob"]},
                {"type": "password", "value": [password]},
                {"type": "url", "value": []},
            ],
            "custom": [],
            "notes": "",
        }))
    }

    /// Adds a record, and returns its UID.
    pub fn add(&mut self, data: &Value) -> String {
        let number = u8::try_from(self.records.len()).expect("few records");
        let uid = BASE64_URL_SAFE_NO_PAD.encode([0xe0 | number; 16]);
        self.records.push(Record {
            uid: uid.clone(),
            data: data.to_string(),
            revision: 7,
            is_editable: true,
            is_in_folder: false,
            files: Vec::new(),
        });
        uid
    }

    /// The configuration of the bound device, for a service at this address.
    #[must_use]
    pub fn config(url: &str) -> Value {
        let mut config = Self::service_config();
        let document = secret(&Self::DEVICE).to_pkcs8_der().expect("a private key");
        config["hostname"] = url.into();
        config["clientId"] = Self::client_id().into();
        config["privateKey"] = BASE64_STANDARD.encode(document.as_bytes()).into();
        config["appKey"] = BASE64_STANDARD.encode(Self::APPLICATION).into();
        config
    }

    /// What a configuration says of a service with a key of its own.
    #[must_use]
    pub fn service_config() -> Value {
        let key = BASE64_URL_SAFE_NO_PAD.encode(point(&secret(&Self::SERVICE)));
        json!({"serverPublicKey": key, "serverPublicKeyId": "99"})
    }

    /// The secrets that no message may show.
    #[must_use]
    pub fn secrets() -> [String; 2] {
        let config = Self::config("");
        let text = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
        [text("privateKey"), text("appKey")]
    }

    fn client_id() -> String {
        BASE64_STANDARD.encode([0x5a; 64])
    }

    fn key_of(uid: &str) -> Key {
        let digest = ring::digest::digest(&ring::digest::SHA256, uid.as_bytes());
        digest.as_ref().try_into().expect("32 bytes")
    }

    fn get(&self, payload: &Map<String, Value>) -> Value {
        let wanted: Option<Vec<&str>> = payload
            .get("requestedRecords")
            .and_then(Value::as_array)
            .map(|uids| uids.iter().filter_map(Value::as_str).collect());
        let is_wanted = |record: &&Record| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&record.uid.as_str()))
        };
        let sealed = |is_in_folder: bool| -> Vec<Value> {
            let outer = if is_in_folder {
                &Self::FOLDER
            } else {
                &Self::APPLICATION
            };
            self.records
                .iter()
                .filter(is_wanted)
                .filter(|record| record.is_in_folder == is_in_folder)
                .map(|record| self.sealed(record, outer))
                .collect()
        };
        let folder = json!({
            "folderUid": "Zm9sZGVyIG9mIHRlc3RzIQ",
            "folderKey": text(&Self::APPLICATION, &Self::FOLDER),
            "records": sealed(true),
        });
        json!({
            "records": sealed(false),
            "folders": [folder],
            "appData": text(&Self::APPLICATION, br#"{"title":"tests","type":"app"}"#),
            "expiresOn": 0,
            "warnings": null,
        })
    }

    fn sealed(&self, record: &Record, outer: &Key) -> Value {
        let key = Self::key_of(&record.uid);
        let files: Vec<Value> = record
            .files
            .iter()
            .enumerate()
            .map(|(at, (name, title, _))| {
                let names = json!({"name": name, "title": title, "type": "text/plain", "size": 1, "lastModified": 1});
                json!({
                    "fileUid": format!("file-{at}-of-{}", record.uid),
                    "fileKey": text(&key, &Self::FILE),
                    "data": text(&Self::FILE, names.to_string().as_bytes()),
                    "url": format!("{}/files/{}/{at}", self.files_at, record.uid),
                    "thumbnailUrl": null,
                })
            })
            .collect();
        json!({
            "recordUid": record.uid,
            "recordKey": text(outer, &key),
            "data": text(&key, record.data.as_bytes()),
            "revision": record.revision,
            "isEditable": record.is_editable,
            "files": if files.is_empty() { Value::Null } else { files.into() },
        })
    }

    fn update(&mut self, payload: &Map<String, Value>) -> Result<(), Reply> {
        let uid = payload["recordUid"].as_str().unwrap_or_default();
        let rival = self.rival.take();
        let Some(record) = self.records.iter_mut().find(|record| record.uid == uid) else {
            return Err(denied("there is no such record"));
        };
        if let Some(data) = rival {
            record.data = data;
            record.revision += 1;
        }
        if !record.is_editable {
            return Err(denied("the record is not editable"));
        }
        if payload["revision"].as_i64() != Some(record.revision) {
            let body = json!({"result_code": "bad_request", "message": "the revision is not the last one"});
            return Err(Reply::json(400, &body));
        }
        let data = payload["data"].as_str().unwrap_or_default();
        let plain = decoded(data).and_then(|sealed| opened(&Self::key_of(uid), &sealed));
        let plain = plain.and_then(|plain| String::from_utf8(plain).ok());
        let is_record = |plain: &String| {
            serde_json::from_str::<Value>(plain).is_ok_and(|value| value["title"].is_string())
        };
        let Some(plain) = plain.filter(is_record) else {
            return Err(Reply::undocumented("the data is no record under its key"));
        };
        record.data = plain;
        record.revision += 1;
        Ok(())
    }

    /// The device that signed, bound by this request or before. The answer is the application's key, for a device that was just bound.
    fn device(
        &mut self,
        payload: &Map<String, Value>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<Option<String>, Reply> {
        let id = payload["clientId"].as_str().unwrap_or_default();
        let offered = match payload.get("publicKey") {
            Some(Value::String(key)) => decoded(key),
            _ => None,
        };
        let known = self.devices.get(id).cloned();
        let token = self.tokens.get(id).copied();
        let (key, is_new) = match (known, offered, token) {
            (Some(known), None, _) => (known, false),
            (Some(known), Some(offered), Some(_)) if known == offered && self.repeats_binding => {
                (known, true)
            }
            (Some(_), Some(_), _) => return Err(denied("Signature is invalid")),
            (None, Some(offered), Some(_)) => (offered, true),
            (None, _, _) => return Err(denied("Unable to validate application access")),
        };
        let verifying = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key);
        let signature = p256::ecdsa::Signature::from_der(signature);
        let (Ok(verifying), Ok(signature)) = (verifying, signature) else {
            return Err(Reply::undocumented(
                "no public key, or no ECDSA signature in DER",
            ));
        };
        if verifying.verify(signed, &signature).is_err() {
            return Err(denied("Signature is invalid"));
        }
        if !is_new {
            return Ok(None);
        }
        self.devices.insert(id.to_owned(), key);
        Ok(token.map(|token| text(&token, &Self::APPLICATION)))
    }

    fn file(&self, path: &str) -> Reply {
        let found = path.strip_prefix("/files/").and_then(|rest| {
            let (uid, at) = rest.split_once('/')?;
            let record = self.records.iter().find(|record| record.uid == uid)?;
            record.files.get(at.parse::<usize>().ok()?)
        });
        match found {
            Some((_, _, content)) => Reply {
                body: sealed(&Self::FILE, content),
                ..Reply::empty(200)
            },
            None => Reply::undocumented("there is no such file"),
        }
    }

    fn call(&mut self, request: &Request) -> Result<Reply, Reply> {
        let name = request.path.strip_prefix("/api/rest/sm/v1/");
        let known: &[&str] = match name {
            Some("get_secret") => &[
                "clientVersion",
                "clientId",
                "publicKey",
                "requestedRecords",
                "requestedFolders",
                "requestLinks",
            ],
            Some("update_secret") => &[
                "clientVersion",
                "clientId",
                "recordUid",
                "data",
                "revision",
                "transactionType",
                "links2Remove",
            ],
            _ => return Err(Reply::undocumented("there is no such path")),
        };
        let Some(envelope) = Envelope::read(request) else {
            return Err(Reply::undocumented("the headers are not those of a call"));
        };
        if envelope.key_id != self.key_id {
            let number: i64 = self.key_id.parse().unwrap_or_default();
            return Err(Reply::json(
                403,
                &json!({"error": "key", "key_id": number, "message": "invalid key id"}),
            ));
        }
        let Some((key, payload)) = envelope.open(&request.body) else {
            return Err(Reply::undocumented(
                "the request is not encrypted to the service",
            ));
        };
        check_members(&payload, known)?;
        let signed = [envelope.transmission_key.as_slice(), &request.body].concat();
        let app_key = self.device(&payload, &signed, &envelope.signature)?;
        if name == Some("update_secret") {
            self.update(&payload)?;
            return Ok(Reply::empty(200));
        }
        let mut answer = self.get(&payload);
        if let Some(app_key) = app_key {
            answer["encryptedAppKey"] = app_key.into();
            answer["appOwnerPublicKey"] = BASE64_URL_SAFE_NO_PAD
                .encode(point(&secret(&Self::SERVICE)))
                .into();
        }
        Ok(Reply {
            body: sealed(&key, answer.to_string().as_bytes()),
            ..Reply::empty(200)
        })
    }
}

impl Service for Keeper {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        if request.method == "GET" && request.path.starts_with("/files/") {
            return self.file(&request.path);
        }
        if request.method != "POST" || !request.query.is_empty() {
            return Reply::undocumented("a call is a POST without a query");
        }
        if let Some((status, body)) = &self.refusal {
            let reply = Reply::json(*status, body);
            self.refusals = self.refusals.saturating_sub(1);
            if self.refusals == 0 {
                self.refusal = None;
            }
            return reply;
        }
        self.call(request).unwrap_or_else(|refusal| refusal)
    }
}

/// The headers of a call.
struct Envelope {
    key_id: String,
    transmission_key: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    fn read(request: &Request) -> Option<Self> {
        if request.header("content-type") != Some("application/octet-stream") {
            return None;
        }
        let transmission_key = decoded(request.header("transmissionkey")?)?;
        let signature = request
            .header("authorization")?
            .strip_prefix("Signature ")?;
        // An ephemeral point, a nonce, a key of 32 bytes and a tag.
        (transmission_key.len() == 65 + NONCE_LEN + 32 + 16).then_some(())?;
        Some(Self {
            key_id: request.header("publickeyid")?.to_owned(),
            transmission_key,
            signature: decoded(signature)?,
        })
    }

    fn open(&self, body: &[u8]) -> Option<(Key, Map<String, Value>)> {
        let (ephemeral, rest) = self.transmission_key.split_at(65);
        let ephemeral = PublicKey::from_sec1_bytes(ephemeral).ok()?;
        let own = secret(&Keeper::SERVICE);
        let shared = (ephemeral.to_projective() * *own.to_nonzero_scalar()).to_affine();
        let shared = shared.to_encoded_point(false);
        let digest = ring::digest::digest(&ring::digest::SHA256, shared.x()?);
        let key: Key = opened(digest.as_ref().try_into().ok()?, rest)?
            .try_into()
            .ok()?;
        let payload = serde_json::from_slice(&opened(&key, body)?).ok()?;
        Some((key, payload))
    }
}

fn check_members(payload: &Map<String, Value>, known: &[&str]) -> Result<(), Reply> {
    if let Some(name) = payload.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Reply::undocumented(format!("there is no member {name}")));
    }
    let is_text = |name: &str| payload.get(name).is_some_and(Value::is_string);
    let is_update = known.contains(&"recordUid");
    let is_whole = is_text("clientVersion")
        && is_text("clientId")
        && (!is_update
            || (is_text("recordUid")
                && is_text("data")
                && payload.get("revision").is_some_and(Value::is_i64)));
    if !is_whole {
        return Err(Reply::undocumented("a member is missing"));
    }
    let version = payload["clientVersion"].as_str().unwrap_or_default();
    let numbers = version
        .strip_prefix("mp")
        .map(|text| text.split('.').count());
    if numbers != Some(3) {
        let body = json!({
            "error": "client_version", "result_code": "invalid_client_version",
            "additional_info": format!("invalid client version id: {version}"),
        });
        return Err(Reply::json(403, &body));
    }
    Ok(())
}

fn denied(message: &str) -> Reply {
    Reply::json(
        403,
        &json!({"result_code": "access_denied", "error": "access_denied", "message": message}),
    )
}

/// "HMAC_SHA512 hash of the One Time Access Token".
fn device_name(token: &Key) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA512, token);
    let name = ring::hmac::sign(&key, b"KEEPER_SECRETS_MANAGER_CLIENT_ID");
    BASE64_STANDARD.encode(name)
}

fn secret(bytes: &Key) -> SecretKey {
    SecretKey::from_slice(bytes).expect("a number of the curve's order")
}

fn point(key: &SecretKey) -> Vec<u8> {
    key.public_key().to_encoded_point(false).as_bytes().to_vec()
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}

fn sealed(key: &Key, plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut text = plain.to_vec();
    cipher(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
        .expect("a text that is not too long");
    [nonce.as_slice(), &text].concat()
}

/// In base64 with padding, as Keeper's client for Python wants it of files.
fn text(key: &Key, plain: &[u8]) -> String {
    BASE64_STANDARD.encode(sealed(key, plain))
}

fn opened(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let plain = cipher(key).open_in_place(nonce, Aad::empty(), &mut text);
    plain.ok().map(|plain| plain.to_vec())
}

/// Base64 of either alphabet, padded or not.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.replace('+', "-").replace('/', "_");
    BASE64_URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .ok()
}
