//! `gcp-sm`: Google Cloud Secret Manager, over its REST API (v1).
//!
//! A reference is a secret's name below `prefix`, and perhaps `/versions/N`; or a full resource name
//! (`projects/P/secrets/S[/versions/V]`), which stays alone. Without a version it is the newest. There is no call that reads
//! many secrets, so each one is a call, ten at a time. What arrives is compared with the service's checksum.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::SecretString;
use fnox_http::Call;
use fnox_http::header::CONTENT_TYPE;
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::google::{self, AT_ONCE, Api, Connection, Facts, Session, crc32c};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

const API: Api = Api {
    host: "secretmanager",
    name: "Secret Manager",
};

/// "Quotas and limits": the largest payload of a version, in bytes.
const VALUE_LIMIT: usize = 64 * 1024;
/// The longest name of a secret, in characters (`projects.secrets.create`, `secretId`).
const NAME_LIMIT: usize = 255;

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `project` is none or `endpoint` is no address.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(SecretManager {
        connection: Connection::of(settings, context, &API)?,
        project: google::project(settings)?,
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
    }))
}

#[derive(Debug)]
struct SecretManager {
    connection: Connection,
    project: String,
    prefix: String,
}

/// A secret, and perhaps one of its versions.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    project: String,
    secret: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Accessed {
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    data: Wiped,
    data_crc32c: Option<String>,
}

#[async_trait]
impl Provider for SecretManager {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let session = match self.connection.session().await {
            Ok(session) => session,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let reads: Vec<_> = requests
            .iter()
            .map(|request| self.read(&session, &request.reference))
            .collect();
        stream::iter(reads).buffered(AT_ONCE).collect().await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let session = self.connection.session().await?;
        // A name that nobody has: the answer tells whether there is a way.
        let unused = self.name("fnox-check-of-access")?;
        match access(&session, &unused).await {
            Ok(_) => Ok(()),
            Err(error) => google::is_reachable(error),
        }
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.unversioned(reference, "written")?;
        let length = value.expose_secret().len();
        if length == 0 || length > VALUE_LIMIT {
            return Err(ProviderError::misconfigured(format!(
                "a secret of Google Cloud has 1 to {VALUE_LIMIT} bytes, this value has {length}"
            ))
            .with_remedy("a provider of type `gcp-kms` takes values of any length"));
        }
        let session = self.connection.session().await?;
        match add_version(&session, &name, value).await {
            Err(error) if error.kind == ErrorKind::NotFound => {
                create(&session, &name).await?;
                add_version(&session, &name, value).await?;
            }
            outcome => outcome?,
        }
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.unversioned(reference, "deleted")?;
        let session = self.connection.session().await?;
        let call = Call::delete(session.url(&name.segments())).changes();
        let _: IgnoredAny = session.ask(call, &name.facts(ADMIN)).await?;
        Ok(())
    }
}

const ACCESSOR: &str = "roles/secretmanager.secretAccessor";
const ADDER: &str = "roles/secretmanager.secretVersionAdder";
const ADMIN: &str = "roles/secretmanager.admin";

impl SecretManager {
    async fn read(
        &self,
        session: &Session,
        reference: &str,
    ) -> Result<SecretString, ProviderError> {
        access(session, &self.name(reference)?).await
    }

    /// What a reference names.
    fn name(&self, reference: &str) -> Result<Name, ProviderError> {
        parse(&self.project, &self.prefix, reference).ok_or_else(|| {
            ProviderError::misconfigured(format!(
                "`{}` is no secret of Google Cloud",
                reference.escape_debug()
            ))
            .with_remedy(
                "names have letters, digits, `-` and `_`; a version is `NAME/versions/3`, another project's secret \
                 `projects/PROJECT/secrets/NAME`",
            )
        })
    }

    fn unversioned(&self, reference: &str, done: &str) -> Result<Name, ProviderError> {
        let name = self.name(reference)?;
        match &name.version {
            None => Ok(name),
            Some(version) => Err(ProviderError::misconfigured(format!(
                "`{}` names the version {version}, and versions cannot be {done}",
                reference.escape_debug()
            ))
            .with_remedy("leave `/versions/…` away")),
        }
    }
}

impl Name {
    fn segments(&self) -> [&str; 4] {
        ["projects", &self.project, "secrets", &self.secret]
    }

    fn facts<'a>(&'a self, role: &'a str) -> Facts<'a> {
        Facts {
            name: &self.secret,
            project: &self.project,
            role,
        }
    }
}

fn parse(project: &str, prefix: &str, reference: &str) -> Option<Name> {
    // A prefix alone is no name.
    if reference.is_empty() || reference.starts_with('/') {
        return None;
    }
    let parts: Vec<&str> = reference.split('/').collect();
    let (project, secret, version) = match parts.as_slice() {
        [secret] => (project, format!("{prefix}{secret}"), None),
        [secret, "versions", version] => (project, format!("{prefix}{secret}"), Some(*version)),
        ["projects", project, "secrets", secret] => (*project, (*secret).to_owned(), None),
        ["projects", project, "secrets", secret, "versions", version] => {
            (*project, (*secret).to_owned(), Some(*version))
        }
        _ => return None,
    };
    let of = |text: &str, more: &str| {
        !text.is_empty()
            && text.len() <= NAME_LIMIT
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c) || more.contains(c))
    };
    let is_name = of(project, ".:")
        && !project.starts_with('.')
        && of(&secret, "")
        && version.is_none_or(|version| of(version, ""));
    is_name.then(|| Name {
        project: project.to_owned(),
        secret,
        version: version.map(str::to_owned),
    })
}

/// `projects.secrets.versions.access`
async fn access(session: &Session, name: &Name) -> Result<SecretString, ProviderError> {
    let version = format!("{}:access", name.version.as_deref().unwrap_or("latest"));
    let mut segments = name.segments().to_vec();
    segments.extend(["versions", &version]);
    let answer = session.send(Call::get(session.url(&segments))).await?;
    if !answer.is_success() {
        return Err(unreadable(
            session.refused(&answer, &name.facts(ACCESSOR)),
            name,
        ));
    }
    let accessed: Accessed = session.json(&answer)?;
    let payload = &accessed.payload;
    let bytes = session.checked(
        payload.data.0.expose_secret(),
        payload.data_crc32c.as_deref(),
    )?;
    std::str::from_utf8(&bytes)
        .map(SecretString::from)
        .map_err(|_| {
            ProviderError::misconfigured(format!(
                "`{}` holds bytes that are not UTF-8 text",
                name.secret
            ))
        })
}

/// "Secret Version […] is in DISABLED state." (status `FAILED_PRECONDITION`)
fn unreadable(error: ProviderError, name: &Name) -> ProviderError {
    let secret = &name.secret;
    if error.message.contains("in DISABLED state") {
        return error.with_remedy(format!(
            "somebody disabled the version; `gcloud secrets versions enable VERSION --secret {secret}` allows it again, \
             and `{secret}/versions/N` reads another one"
        ));
    }
    if error.message.contains("in DESTROYED state") {
        return error.with_remedy(format!(
            "the version is gone for good: set the secret again, or read another one with `{secret}/versions/N`"
        ));
    }
    error
}

/// `projects.secrets.addVersion`
async fn add_version(
    session: &Session,
    name: &Name,
    value: &SecretString,
) -> Result<(), ProviderError> {
    let last = format!("{}:addVersion", name.secret);
    let url = session.url(&["projects", &name.project, "secrets", &last]);
    let call = Call::post(url)
        .header(CONTENT_TYPE, "application/json")?
        .body(version_body(value))
        .changes();
    let _: IgnoredAny = session.ask(call, &name.facts(ADDER)).await?;
    Ok(())
}

/// `AddSecretVersionRequest`, in one buffer of the right size: base64 needs no escapes.
fn version_body(value: &SecretString) -> Vec<u8> {
    let bytes = value.expose_secret().as_bytes();
    let (head, middle) = (r#"{"payload":{"data":""#, r#"","dataCrc32c":""#);
    let tail = format!("{}\"}}}}", crc32c(bytes));
    let encoded = bytes.len().div_ceil(3) * 4;
    let mut body = String::with_capacity(head.len() + encoded + middle.len() + tail.len());
    body.push_str(head);
    BASE64.encode_string(bytes, &mut body);
    body.push_str(middle);
    body.push_str(&tail);
    body.into_bytes()
}

/// `projects.secrets.create`. That somebody else did it meanwhile is as good.
async fn create(session: &Session, name: &Name) -> Result<(), ProviderError> {
    let call = Call::post(session.url(&["projects", &name.project, "secrets"]))
        .query("secretId", &name.secret)
        .json(&json!({"replication": {"automatic": {}}}))?
        .changes();
    let answer = session.send(call).await?;
    if answer.is_success() || answer.status() == 409 {
        return Ok(());
    }
    Err(session.refused(&answer, &name.facts(ADMIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reference: &str) -> Option<(String, String, Option<String>)> {
        parse("p-1", "app-", reference).map(|name| (name.project, name.secret, name.version))
    }

    #[test]
    fn a_reference_is_a_name_and_perhaps_a_version() {
        let of = |project: &str, secret: &str, version: Option<&str>| {
            Some((
                project.to_owned(),
                secret.to_owned(),
                version.map(str::to_owned),
            ))
        };
        assert_eq!(read("db_URL"), of("p-1", "app-db_URL", None));
        assert_eq!(read("db/versions/3"), of("p-1", "app-db", Some("3")));
        assert_eq!(
            read("projects/example.com:q/secrets/x"),
            of("example.com:q", "x", None)
        );
        assert_eq!(
            read("projects/7/secrets/x/versions/latest"),
            of("7", "x", Some("latest"))
        );
        for wrong in [
            "",
            "a/b",
            "a/versions/",
            "../x",
            "a.b",
            "a b",
            "projects/p/secrets",
            "projects/../secrets/x",
            "projects/p/locations/l/secrets/x",
            "a/versions/1:destroy",
        ] {
            assert_eq!(parse("p", "app-", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_body_is_made_in_one_buffer() {
        let body = version_body(&SecretString::from("123456789"));
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = json!({"payload": {"data": "MTIzNDU2Nzg5", "dataCrc32c": "3808858755"}});
        assert_eq!(read, wanted);
        assert_eq!(body.capacity(), body.len());
    }
}
