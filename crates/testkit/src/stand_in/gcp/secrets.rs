//! Secret Manager.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::api::{CLOUD_PLATFORM, checked, error, error_for};
use super::{Gcp, Issued};
use crate::stand_in::issuer::{Reply, Request};

/// "The secret payload … must be no larger than 64KiB."
const LIMIT: usize = 64 * 1024;

/// Versions of secrets, by project and name.
pub(super) type Secrets = BTreeMap<(String, String), Vec<Version>>;

/// A version of a secret.
#[derive(Debug, Clone)]
pub(super) struct Version {
    data: Vec<u8>,
    state: &'static str,
}

impl Gcp {
    /// Stores a version of a secret, as somebody else would.
    pub fn add_secret(&mut self, project: &str, name: &str, data: &[u8]) {
        let versions = self.secrets.entry((project.to_owned(), name.to_owned()));
        versions.or_default().push(Version {
            data: data.to_vec(),
            state: "ENABLED",
        });
    }

    /// Puts the newest version of a secret into a state: `ENABLED`, `DISABLED`, `DESTROYED`.
    ///
    /// # Panics
    /// If there is none.
    pub fn set_state(&mut self, project: &str, name: &str, state: &'static str) {
        let versions = self.secrets.get_mut(&(project.to_owned(), name.to_owned()));
        versions
            .and_then(|it| it.last_mut())
            .expect("a version")
            .state = state;
    }

    /// Everything that calls could have changed, as text.
    #[must_use]
    pub fn stored(&self) -> String {
        format!("{:?} {:?}", self.secrets, self.keys_of_kms)
    }

    pub(super) fn secret_manager(&mut self, request: &Request, now: Timestamp) -> Reply {
        let caller = match self.caller(request, now) {
            Ok(caller) => caller,
            Err(reply) => return reply,
        };
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        let method = request.method.as_str();
        match (method, parts.as_slice()) {
            ("POST", ["v1", "projects", project, "secrets"]) => {
                self.create(&caller, project, request)
            }
            ("POST", ["v1", "projects", project, "secrets", last]) => {
                match last.strip_suffix(":addVersion") {
                    Some(name) => self.add_version(&caller, (project, name), request),
                    None => Reply::undocumented("no such method of Secret Manager"),
                }
            }
            ("GET", ["v1", "projects", project, "secrets", name, "versions", last]) => {
                match last.strip_suffix(":access") {
                    Some(version) => self.access(&caller, (project, name), version, request),
                    None => Reply::undocumented("no such method of Secret Manager"),
                }
            }
            ("DELETE", ["v1", "projects", project, "secrets", name]) => {
                self.delete(&caller, (project, name), request)
            }
            _ => Reply::undocumented("no such method of Secret Manager"),
        }
    }

    /// What each call of these services needs: the scope, an API that is on, a project that pays, and the right.
    pub(super) fn barred(
        &self,
        caller: &Issued,
        (project, name): (&str, &str),
        (service, permission): (&str, &str),
        request: &Request,
    ) -> Option<Reply> {
        if !caller.scopes.iter().any(|scope| scope == CLOUD_PLATFORM) {
            let message = "Request had insufficient authentication scopes.";
            let reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
            return Some(error_for(403, "PERMISSION_DENIED", reason, message));
        }
        // "User credentials … require a quota project", which the file of the login names.
        if caller.principal.starts_with("user:") && request.header("x-goog-user-project").is_none()
        {
            let message = format!(
                "Your application is authenticating by using local Application Default Credentials. The \
                 {service}.googleapis.com API requires a quota project, which is not set by default."
            );
            let reason = "SERVICE_DISABLED";
            return Some(error_for(403, "PERMISSION_DENIED", reason, &message));
        }
        if self.closed.contains(service) {
            let message = format!(
                "{service} API has not been used in project {project} before or it is disabled. Enable it by visiting \
                 https://console.developers.google.com/ then retry."
            );
            let reason = "SERVICE_DISABLED";
            return Some(error_for(403, "PERMISSION_DENIED", reason, &message));
        }
        if self.closed.contains(name) || self.closed.contains(project) {
            let message = format!(
                "Permission '{service}.{permission}' denied for resource 'projects/{project}/{name}' (or it may not exist)."
            );
            let reason = "IAM_PERMISSION_DENIED";
            return Some(error_for(403, "PERMISSION_DENIED", reason, &message));
        }
        None
    }

    /// `projects.secrets.create`
    fn create(&mut self, caller: &Issued, project: &str, request: &Request) -> Reply {
        let query = request.query();
        let [(parameter, name)] = query.as_slice() else {
            return Reply::undocumented("a secret without its name alone in the query");
        };
        let right = ("secretmanager", "secrets.create");
        if let Some(reply) = self.barred(caller, (project, name), right, request) {
            return reply;
        }
        let is_name = parameter == "secretId"
            && (1..=255).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let Some(Value::Object(body)) = request.json().filter(|_| is_name) else {
            return Reply::undocumented("a `secretId` or a body that is none");
        };
        // The one required field of `Secret`, with its one kind of policy that needs no places.
        if Value::Object(body) != json!({"replication": {"automatic": {}}}) {
            return Reply::undocumented(
                "a secret with more, or less, than a policy of replication",
            );
        }
        let place = (project.to_owned(), name.clone());
        let full = format!("projects/{project}/secrets/{name}");
        if self.secrets.contains_key(&place) {
            let message = format!("Secret [{full}] already exists.");
            return error(409, "ALREADY_EXISTS", &message);
        }
        self.secrets.insert(place, Vec::new());
        Reply::json(
            200,
            &json!({"name": full, "replication": {"automatic": {}}}),
        )
    }

    /// `projects.secrets.addVersion`
    fn add_version(
        &mut self,
        caller: &Issued,
        (project, name): (&str, &str),
        request: &Request,
    ) -> Reply {
        let right = ("secretmanager", "versions.add");
        if let Some(reply) = self.barred(caller, (project, name), right, request) {
            return reply;
        }
        let payload = match payload(request) {
            Ok(payload) => payload,
            Err(reply) => return reply,
        };
        let Some(versions) = self.secrets.get_mut(&(project.to_owned(), name.to_owned())) else {
            return missing(project, name);
        };
        versions.push(Version {
            data: payload,
            state: "ENABLED",
        });
        let number = versions.len();
        Reply::json(
            200,
            &json!({
                "name": format!("projects/{project}/secrets/{name}/versions/{number}"),
                "state": "ENABLED",
                "clientSpecifiedPayloadChecksum": true,
            }),
        )
    }

    /// `projects.secrets.versions.access`
    fn access(
        &self,
        caller: &Issued,
        (project, name): (&str, &str),
        wanted: &str,
        request: &Request,
    ) -> Reply {
        if !request.query.is_empty() || !request.body.is_empty() {
            return Reply::undocumented("a read with parameters or a body");
        }
        let right = ("secretmanager", "versions.access");
        if let Some(reply) = self.barred(caller, (project, name), right, request) {
            return reply;
        }
        let versions = self.secrets.get(&(project.to_owned(), name.to_owned()));
        let Some(versions) = versions.filter(|versions| !versions.is_empty()) else {
            return missing(project, name);
        };
        let number = match wanted {
            "latest" => versions.len(),
            number => number.parse().unwrap_or_default(),
        };
        let full = format!("projects/{project}/secrets/{name}/versions/{number}");
        let Some(version) = number.checked_sub(1).and_then(|index| versions.get(index)) else {
            let message = format!("Secret Version [{full}] not found.");
            return error(404, "NOT_FOUND", &message);
        };
        if version.state != "ENABLED" {
            let message = format!("Secret Version [{full}] is in {} state.", version.state);
            return error(400, "FAILED_PRECONDITION", &message);
        }
        let sum = self.sum(&version.data);
        let data = BASE64.encode(&version.data);
        let answer = json!({"name": full, "payload": {"data": data, "dataCrc32c": sum}});
        Reply::json(200, &answer)
    }

    /// `projects.secrets.delete`
    fn delete(
        &mut self,
        caller: &Issued,
        (project, name): (&str, &str),
        request: &Request,
    ) -> Reply {
        let right = ("secretmanager", "secrets.delete");
        if let Some(reply) = self.barred(caller, (project, name), right, request) {
            return reply;
        }
        match self.secrets.remove(&(project.to_owned(), name.to_owned())) {
            Some(_) => Reply::json(200, &json!({})),
            None => missing(project, name),
        }
    }

    /// A checksum as ProtoJSON writes an int64: as a text.
    pub(super) fn sum(&self, bytes: &[u8]) -> String {
        let sum = i64::from(crc32c(bytes));
        (sum + i64::from(self.is_damaging)).to_string()
    }
}

fn missing(project: &str, name: &str) -> Reply {
    let message =
        format!("Secret [projects/{project}/secrets/{name}] not found or has no versions.");
    error(404, "NOT_FOUND", &message)
}

/// The bytes of `AddSecretVersionRequest`.
fn payload(request: &Request) -> Result<Vec<u8>, Reply> {
    let body = match request.json() {
        Some(Value::Object(body)) if body.len() == 1 && request.query.is_empty() => body,
        _ => return Err(Reply::undocumented("a body that is not `payload` alone")),
    };
    let Some(Value::Object(payload)) = body.get("payload") else {
        return Err(Reply::undocumented("a `payload` that is no object"));
    };
    checked(payload, &[("data", "string"), ("dataCrc32c", "string")])?;
    let data = decoded(payload, "data")?;
    let invalid = |message: &str| Err(error(400, "INVALID_ARGUMENT", message));
    if data.is_empty() {
        return invalid("Secret Payload cannot be empty.");
    }
    if data.len() > LIMIT {
        return invalid("The size of the payload exceeds the limit of 65536 bytes.");
    }
    Ok(data)
}

/// Bytes of a field, whose checksum must be beside it.
pub(super) fn decoded(body: &Map<String, Value>, field: &str) -> Result<Vec<u8>, Reply> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let bytes = text(field).and_then(|data| BASE64.decode(data).ok());
    let sum = text(&format!("{field}Crc32c")).and_then(|sum| sum.parse::<i64>().ok());
    match (bytes, sum) {
        (Some(bytes), Some(sum)) if sum == i64::from(crc32c(&bytes)) => Ok(bytes),
        (Some(_), Some(_)) => Err(error(
            400,
            "INVALID_ARGUMENT",
            "The checksum in the request does not match the data.",
        )),
        _ => Err(Reply::undocumented(format!(
            "a `{field}` that is not base64 with its checksum"
        ))),
    }
}

/// RFC 3720 section 12.1, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let is_odd = sum & 1 == 1;
            sum >>= 1;
            if is_odd {
                sum ^= 0x82f6_3b78;
            }
        }
    }
    !sum
}
