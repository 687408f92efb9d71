//! Calls of the service: each is encrypted to it, signed by the device, and answered under the key that the call brought.
//!
//! Keeper publishes the model ("Security & Encryption Model") and clients; the form of what is sent, and of refusals, is what its
//! published client for Python (17.3.0) sends and takes.

use std::time::Duration;

use fnox_http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use fnox_http::{Answer, Call, Service, Url, below};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::config::{Device, Unbound, no_random};
use super::crypto::{self, DeviceKey, Key};
use super::record::SealedFile;
use super::server_keys::ServerKey;
use crate::error::{ErrorKind, ProviderError};

/// The service takes calls only from versions of clients that it knows, so fnox names the one whose calls it makes.
const CLIENT_VERSION: &str = "mp17.3.0";

/// A device is counted for ten seconds, and every call within them begins that anew.
const THROTTLED: Duration = Duration::from_secs(11);

/// How often a call is made at most, and how often the service may ask for another of its keys.
const ATTEMPTS: u32 = 4;

/// Which call it is: what a refusal means depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The first one of a device, which uses its one-time token.
    Bind,
    Read,
    Update,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'d> {
    pub(super) base: &'d Url,
    pub(super) client_id: &'d str,
    pub(super) key: &'d DeviceKey,
    pub(super) server_key: &'d ServerKey,
}

/// An answer, opened, and the service's key that it was asked with in the end.
#[derive(Debug)]
pub(super) struct Opened<T> {
    pub(super) body: T,
    pub(super) server_key: ServerKey,
}

#[derive(Debug)]
pub(super) struct Client {
    service: Service,
    time_limit: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetPayload<'a> {
    client_version: &'static str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_records: Option<&'a [&'a str]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdatePayload<'a> {
    client_version: &'static str,
    client_id: &'a str,
    record_uid: &'a str,
    data: &'a str,
    revision: i64,
}

/// What a device may read, still encrypted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Everything {
    /// For a device that was just bound: the application's key, under the one-time token.
    #[serde(default)]
    pub(super) encrypted_app_key: Option<String>,
    #[serde(default)]
    pub(super) app_owner_public_key: Option<String>,
    #[serde(default)]
    pub(super) records: Option<Vec<SealedRecord>>,
    #[serde(default)]
    pub(super) folders: Option<Vec<SealedFolder>>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SealedFolder {
    pub(super) folder_uid: String,
    pub(super) folder_key: String,
    #[serde(default)]
    pub(super) records: Option<Vec<SealedRecord>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SealedRecord {
    pub(super) record_uid: String,
    /// Without it the application's key is the record's.
    #[serde(default)]
    pub(super) record_key: Option<String>,
    pub(super) data: String,
    #[serde(default)]
    pub(super) revision: i64,
    /// Not said where everything is.
    #[serde(default)]
    pub(super) is_editable: Option<bool>,
    #[serde(default)]
    pub(super) files: Option<Vec<SealedFile>>,
}

/// Why the service refuses.
struct Refusal {
    code: String,
    message: String,
    key_id: Option<String>,
    retry_after: Option<Duration>,
}

impl Device {
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller {
            base: &self.base,
            client_id: &self.client_id,
            key: &self.key,
            server_key: &self.server_key,
        }
    }
}

impl Unbound {
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller {
            base: &self.base,
            client_id: &self.client_id,
            key: &self.key,
            server_key: &self.server_key,
        }
    }
}

impl Client {
    pub(super) fn new(service: Service, time_limit: Duration) -> Self {
        Self {
            service,
            time_limit,
        }
    }

    /// Everything, or these records.
    pub(super) async fn get(
        &self,
        caller: Caller<'_>,
        uids: Option<&[&str]>,
        purpose: Purpose,
    ) -> Result<Opened<Everything>, ProviderError> {
        let payload = GetPayload {
            client_version: CLIENT_VERSION,
            client_id: caller.client_id,
            public_key: (purpose == Purpose::Bind).then(|| caller.key.public()),
            requested_records: uids,
        };
        let opened = self.call(caller, "get_secret", &payload, purpose).await?;
        let body: Everything = serde_json::from_slice(&opened.body).map_err(|error| {
            unexpected(&format!("line {}, column {}", error.line(), error.column()))
        })?;
        for warning in body.warnings.iter().flatten() {
            tracing::warn!("Keeper says: {}", self.service.cleaned(warning));
        }
        Ok(Opened {
            body,
            server_key: opened.server_key,
        })
    }

    /// Replaces a record of that revision.
    pub(super) async fn update(
        &self,
        caller: Caller<'_>,
        uid: &str,
        revision: i64,
        data: &str,
    ) -> Result<(), ProviderError> {
        let payload = UpdatePayload {
            client_version: CLIENT_VERSION,
            client_id: caller.client_id,
            record_uid: uid,
            data,
            revision,
        };
        let opened = self.call(caller, "update_secret", &payload, Purpose::Update);
        opened.await.map(drop)
    }

    /// A file's ciphertext, from where the service keeps it.
    pub(super) async fn download(&self, url: &str) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let service = self.service.restarted();
        // The address is as good as the file's ciphertext, so no message has it.
        let url = fnox_http::address::parse(url)
            .map_err(|_| unexpected("the address of the file is none"))?;
        let answer = service.send(Call::get(url)).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        Err(answer.refusal(&service).into())
    }

    async fn call<T: Serialize>(
        &self,
        caller: Caller<'_>,
        name: &str,
        payload: &T,
        purpose: Purpose,
    ) -> Result<Opened<Zeroizing<Vec<u8>>>, ProviderError> {
        let service = self.service.restarted();
        let deadline = Instant::now() + self.time_limit;
        let payload = serde_json::to_vec(payload)
            .map_err(|_| ProviderError::unavailable("the request cannot be written"))?;
        let mut server_key = caller.server_key.clone();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let key = Key::random().map_err(|_| no_random())?;
            let call = sealed(caller, &server_key, name, &payload, &key)?;
            let call = if purpose == Purpose::Read {
                call
            } else {
                call.changes()
            };
            let answer = service.send(call.after_429(THROTTLED)).await;
            let answer = answer.map_err(|error| lost(error, purpose))?;
            if answer.is_success() {
                let body = opened(&answer, &key, purpose)?;
                return Ok(Opened { body, server_key });
            }
            let refusal = Refusal::read(&answer);
            let is_last = attempt == ATTEMPTS;
            if refusal.code == "throttled" {
                let wait = refusal.retry_after.unwrap_or(THROTTLED);
                if is_last || Instant::now() + wait >= deadline {
                    return Err(throttled());
                }
                tracing::debug!("Keeper is asked again in {} ms", wait.as_millis());
                tokio::time::sleep(wait).await;
                continue;
            }
            let other_key = refusal.key_id.as_deref().filter(|_| refusal.code == "key");
            match other_key {
                Some(id) if !is_last && !server_key.is_own => {
                    server_key = ServerKey::published(id).ok_or_else(|| {
                        ProviderError::unavailable(format!(
                            "Keeper wants its key {}, which this version of fnox does not know",
                            service.cleaned(id)
                        ))
                        .with_remedy("install a newer version of fnox")
                    })?;
                }
                _ => return Err(refusal.explained(&service, &answer, purpose)),
            }
        }
    }
}

/// A call as it is sent.
fn sealed(
    caller: Caller<'_>,
    server_key: &ServerKey,
    name: &str,
    payload: &[u8],
    key: &Key,
) -> Result<Call, ProviderError> {
    use base64::Engine as _;
    let for_service = crypto::for_service(&server_key.point, key).map_err(|_| no_random())?;
    let body = key.seal(payload).map_err(|_| no_random())?;
    let signature = caller
        .key
        .sign(&[for_service.as_slice(), &body].concat())
        .ok_or_else(|| ProviderError::misconfigured("the device's private key cannot sign"))?;
    let transmission_key = base64::prelude::BASE64_STANDARD.encode(&for_service);
    let url = below(caller.base, &["api", "rest", "sm", "v1", name]);
    Ok(Call::post(url)
        .header(CONTENT_TYPE, "application/octet-stream")?
        .header(HeaderName::from_static("publickeyid"), &server_key.id)?
        .header(
            HeaderName::from_static("transmissionkey"),
            &transmission_key,
        )?
        .header(AUTHORIZATION, &format!("Signature {signature}"))?
        .body(body))
}

/// What is not under the key of the call is from somebody else.
fn opened(
    answer: &Answer,
    key: &Key,
    purpose: Purpose,
) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
    // A change is answered with nothing, or with something under the key.
    if answer.body.is_empty() && purpose == Purpose::Update {
        return Ok(Zeroizing::new(Vec::new()));
    }
    key.open(&answer.body)
        .ok_or_else(|| unexpected("it is not under the key of the request"))
}

fn unexpected(what: &str) -> ProviderError {
    ProviderError::unavailable(format!(
        "Keeper answered with something else than it should: {what}"
    ))
    .with_remedy(
        "is `hostname` of the configuration really Keeper's, and does nothing stand between?",
    )
}

fn throttled() -> ProviderError {
    ProviderError::unavailable("Keeper says that this device asks too often").with_remedy(
        "wait ten seconds and try again; a run of fnox makes one call for all its secrets",
    )
}

/// Whether a change was made is not known where its answer was lost.
fn lost(error: fnox_http::CallError, purpose: Purpose) -> ProviderError {
    let is_open = error.maybe_done;
    let error = ProviderError::from(error);
    match purpose {
        Purpose::Update if is_open => error.with_remedy(
            "Keeper may have stored the value all the same: read it before you try again",
        ),
        Purpose::Bind if is_open => error.with_remedy(
            "the one-time token may be used: try again; if Keeper refuses then, make another token",
        ),
        _ => error,
    }
}

impl Refusal {
    /// Refusals are in the clear. Codes are `result_code`, or `error` where that is a text.
    fn read(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| match body.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let either = |one: &str, other: &str| match text(one) {
            first if first.is_empty() => text(other),
            first => first,
        };
        let code = if text("error") == "key" || text("error") == "throttled" {
            text("error")
        } else {
            either("result_code", "error")
        };
        Self {
            code,
            message: either("message", "additional_info"),
            key_id: Some(text("key_id")).filter(|id| !id.is_empty()),
            retry_after: body
                .get("retry_after")
                .and_then(Value::as_u64)
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        }
    }

    fn explained(&self, service: &Service, answer: &Answer, purpose: Purpose) -> ProviderError {
        let said = match (self.code.is_empty(), self.message.is_empty()) {
            (false, false) => Some(format!("{}: {}", self.code, self.message)),
            (false, true) => Some(self.code.clone()),
            (true, false) => Some(self.message.clone()),
            (true, true) => None,
        };
        let mut error = ProviderError::from(answer.refusal_saying(service, said));
        let is_denied = self.code == "access_denied" || answer.status() == 401;
        match (self.code.as_str(), purpose) {
            ("invalid_client_version" | "client_version", _) => {
                error.kind = ErrorKind::Unavailable;
                error.with_remedy("Keeper does not take calls like those of this version of fnox any more: install a newer one")
            }
            (_, Purpose::Bind) if is_denied => {
                error.kind = ErrorKind::AuthenticationNeeded;
                error.with_remedy("a one-time token works once, for 24 hours, and perhaps from one address only: make another in Keeper (Secrets Manager, the application, Devices, Add Device)")
            }
            (_, Purpose::Update) if is_denied => {
                error.kind = ErrorKind::Denied;
                error.with_remedy(
                    "give the application the right to edit the record or its folder in Keeper",
                )
            }
            _ if is_denied => {
                error.kind = ErrorKind::AuthenticationNeeded;
                error.with_remedy("Keeper does not know this device any more, its access has ended, or it is locked to another address: look at the application's devices in Keeper, or bind a new one with a one-time token")
            }
            _ if error.remedy.is_some() => error,
            (_, Purpose::Update) => {
                error.with_remedy("read the record in Keeper; is it still there?")
            }
            _ => error
                .with_remedy("look at the application and its devices in Keeper (Secrets Manager)"),
        }
    }
}
