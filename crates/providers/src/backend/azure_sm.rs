//! `azure-sm`: secrets of Azure Key Vault, over its REST API.
//!
//! A reference is a secret's name below `prefix`, and perhaps `/VERSION`; without one it is the newest. There is no call that
//! reads many secrets, so each one is a call, ten at a time. A deleted secret can be restored for days, as the vault says, and
//! its name is taken meanwhile; fnox says so and restores nothing by itself, for that brings old versions back.

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_http::header::CONTENT_TYPE;
use fnox_http::{Call, Method};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::azure::{self, AT_ONCE, Facts, Login, Place, Session, VAULT};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

/// "About Azure Key Vault secrets": "The value … up to 25 kB".
const VALUE_LIMIT: usize = 25 * 1024;

const READER: &str = "Key Vault Secrets User";
const OFFICER: &str = "Key Vault Secrets Officer";

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if `vault_url` is no vault's.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let vault = VAULT.place(settings, "vault_url")?;
    Ok(Box::new(Secrets {
        login: Login::of(settings, context, &VAULT, &vault),
        vault,
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
    }))
}

#[derive(Debug)]
struct Secrets {
    login: Login,
    vault: Place,
    prefix: String,
}

/// A secret, and perhaps one of its versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) secret: String,
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    value: Wiped,
}

#[async_trait]
impl Provider for Secrets {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let session = match self.login.session(&self.vault).await {
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
        let session = self.login.session(&self.vault).await?;
        // A name that nobody has: the answer tells whether there is a way.
        let unused = self.name("fnox-check-of-access")?;
        match read(&session, &unused).await {
            Ok(_) => Ok(()),
            // Roles are often about single secrets, so that being refused this one says nothing about others.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let name = self.unversioned(reference, "written")?;
        let length = value.expose_secret().len();
        if length > VALUE_LIMIT {
            return Err(ProviderError::misconfigured(format!(
                "a secret of Key Vault has {VALUE_LIMIT} bytes at most, this value has {length}"
            ))
            .with_remedy("a provider of type `azure-kms` takes values of any length"));
        }
        let session = self.login.session(&self.vault).await?;
        let call = Call::new(Method::PUT, session.url(&["secrets", &name.secret]))
            .header(CONTENT_TYPE, "application/json")?
            .body(json_text("value", value))
            .changes();
        let _: IgnoredAny = session.ask(call, &name.facts("set", OFFICER)).await?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let name = self.unversioned(reference, "deleted")?;
        let session = self.login.session(&self.vault).await?;
        let call = Call::delete(session.url(&["secrets", &name.secret])).changes();
        let _: IgnoredAny = session.ask(call, &name.facts("delete", OFFICER)).await?;
        Ok(())
    }
}

impl Secrets {
    async fn read(
        &self,
        session: &Session,
        reference: &str,
    ) -> Result<SecretString, ProviderError> {
        read(session, &self.name(reference)?).await
    }

    /// What a reference names.
    fn name(&self, reference: &str) -> Result<Name, ProviderError> {
        // A prefix alone is no name.
        let is_named = !reference.is_empty() && !reference.starts_with('/');
        let name = Name::parse(&format!("{}{reference}", self.prefix));
        name.filter(|_| is_named).ok_or_else(|| {
            ProviderError::misconfigured(format!(
                "`{}` is no secret of Key Vault",
                reference.escape_debug()
            ))
            .with_remedy(
                "names have letters, digits and `-` alone, 127 at most with `prefix`; a version is `NAME/VERSION`",
            )
        })
    }

    fn unversioned(&self, reference: &str, done: &str) -> Result<Name, ProviderError> {
        let name = self.name(reference)?;
        match &name.version {
            None => Ok(name),
            Some(_) => Err(ProviderError::misconfigured(format!(
                "`{}` names a version, and versions cannot be {done}",
                reference.escape_debug()
            ))
            .with_remedy("leave the version away")),
        }
    }
}

impl Name {
    /// `NAME` or `NAME/VERSION`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (secret, version) = match text.split_once('/') {
            None => (text, None),
            Some((secret, version)) => (secret, Some(version)),
        };
        let is_right = azure::is_name(secret) && version.is_none_or(azure::is_version);
        is_right.then(|| Self {
            secret: secret.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    fn facts<'a>(&'a self, permission: &'a str, role: &'a str) -> Facts<'a> {
        Facts {
            what: "secret",
            name: &self.secret,
            permission,
            role,
        }
    }
}

/// `Get Secret`
pub(super) async fn read(session: &Session, name: &Name) -> Result<SecretString, ProviderError> {
    let mut segments = vec!["secrets", &name.secret];
    segments.extend(name.version.as_deref());
    let call = Call::get(session.url(&segments));
    let bundle: Bundle = session.ask(call, &name.facts("get", READER)).await?;
    Ok(bundle.value.0)
}

/// `{"NAME": "VALUE"}`, in one buffer that does not grow: each byte takes six at most (RFC 8259 section 7).
fn json_text(name: &str, value: &SecretString) -> Vec<u8> {
    let text = value.expose_secret();
    let mut body = Vec::with_capacity(6 * text.len() + name.len() + 16);
    body.extend_from_slice(b"{\"");
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
    // invariant: a text is always JSON, and a vector takes what is written to it.
    let _ = serde_json::to_writer(&mut body, text);
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_the_text_exactly_and_does_not_grow() {
        for text in [
            "",
            "v",
            "a \"b\" \\ \n\r\t \u{1} ü 🔑",
            &"\u{0}".repeat(500),
        ] {
            let body = json_text("value", &SecretString::from(text));
            let before = 6 * text.len() + 5 + 16;
            assert_eq!(body.capacity(), before, "{text:?}");
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read, serde_json::json!({ "value": text }));
        }
    }

    #[test]
    fn a_reference_is_a_name_and_perhaps_a_version() {
        let version = "4387e9f3d6e14c459867679a90fd0f79";
        let name = Name::parse(&format!("Db-1/{version}")).unwrap();
        assert_eq!(
            (name.secret.as_str(), name.version.as_deref()),
            ("Db-1", Some(version))
        );
        assert_eq!(Name::parse("a").unwrap().version, None);
        let long = "a".repeat(128);
        for wrong in [
            "", "a_b", "a.b", "a/", "/a", "a/b/c", "..", "a/b-c", "ä", &long,
        ] {
            assert_eq!(Name::parse(wrong), None, "{wrong}");
        }
    }
}
