//! `github-actions`: secrets of repositories, environments and organisations.
//!
//! A value is sealed for the public key of its place (libsodium's `crypto_box_seal`), so that GitHub's front never sees it
//! in clear. See docs.github.com/rest/actions/secrets and "Encrypting secrets for the REST API".

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use fnox_config::Fields;
use fnox_core::{SecretName, SecretString};
use fnox_http::header::{ACCEPT, HeaderName};
use fnox_http::{Call, CallError, Method, Service, Url, below};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{NoTarget, Sent, Surroundings, Target, accepted, address, put, repository, required};

pub(super) const TOKENS: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

const VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

/// A place for secrets on GitHub.
#[derive(Debug)]
pub(super) struct GitHub {
    service: Service,
    token: SecretString,
    api: Url,
    /// The place's secrets, as parts of a path.
    place: Vec<String>,
    organisation: Option<Organisation>,
    key: OnceCell<Key>,
}

/// Who in an organisation may use a secret.
#[derive(Debug)]
struct Organisation {
    visibility: String,
    repositories: Vec<(String, String)>,
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    key_id: String,
    key: String,
}

#[derive(Serialize)]
struct Body<'a> {
    encrypted_value: String,
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_repository_ids: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

impl GitHub {
    pub(super) fn open(fields: &Fields, around: &Surroundings) -> Result<Self, NoTarget> {
        let api = address(fields, "https://api.github.com")?;
        let (place, organisation) = place(fields)?;
        let token = around.token(&TOKENS)?;
        Ok(Self {
            service: around.service("GitHub", &token)?,
            token,
            api,
            place,
            organisation,
            key: OnceCell::new(),
        })
    }

    fn call(&self, method: Method, parts: &[&str]) -> Result<Call, CallError> {
        Call::new(method, below(&self.api, parts))
            .header(ACCEPT, "application/vnd.github+json")?
            .header(VERSION, "2022-11-28")?
            .bearer(&self.token)
    }

    fn secret(&self, method: Method, name: &str) -> Result<Call, CallError> {
        let mut parts: Vec<&str> = self.place.iter().map(String::as_str).collect();
        parts.push(name);
        self.call(method, &parts)
    }

    /// The public key of the place, fetched once.
    async fn key(&self, service: &Service) -> Result<&Key, CallError> {
        self.key
            .get_or_try_init(|| async {
                let answer = service
                    .send(self.secret(Method::GET, "public-key")?)
                    .await?;
                accepted(&answer, service)?;
                answer.json(service)
            })
            .await
    }

    async fn ids(&self, service: &Service) -> Result<Option<Vec<u64>>, CallError> {
        let Some(organisation) = &self.organisation else {
            return Ok(None);
        };
        if organisation.visibility != "selected" {
            return Ok(None);
        }
        let mut ids = Vec::new();
        for (owner, name) in &organisation.repositories {
            let answer = service
                .send(self.call(Method::GET, &["repos", owner, name])?)
                .await?;
            accepted(&answer, service)?;
            ids.push(answer.json::<Repository>(service)?.id);
        }
        Ok(Some(ids))
    }
}

/// Where the secrets are, and for organisations who may use them.
fn place(fields: &Fields) -> Result<(Vec<String>, Option<Organisation>), NoTarget> {
    let app = fields.text("app").unwrap_or("actions");
    if !["actions", "codespaces", "dependabot"].contains(&app) {
        return Err(fields
            .invalid("app", "is `actions`, `codespaces` or `dependabot`")
            .into());
    }
    let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    if let Some(org) = fields.text("org") {
        if fields.contains("repo") || fields.contains("environment") {
            return Err(fields
                .invalid("org", "and `repo` or `environment` cannot both be set")
                .into());
        }
        let repositories = fields.list("repos");
        let usual = if repositories.is_empty() {
            "private"
        } else {
            "selected"
        };
        let visibility = fields.text("visibility").unwrap_or(usual);
        if !["all", "private", "selected"].contains(&visibility)
            || (visibility == "selected") == repositories.is_empty()
        {
            let reason = "is `all`, `private`, or with `repos` `selected`";
            return Err(fields.invalid("visibility", reason).into());
        }
        let mut selected = Vec::new();
        for text in repositories {
            let full = if text.contains('/') {
                text.clone()
            } else {
                format!("{org}/{text}")
            };
            let (owner, name) = repository(fields, &full)?;
            selected.push((owner.to_owned(), name.to_owned()));
        }
        let organisation = Organisation {
            visibility: visibility.to_owned(),
            repositories: selected,
        };
        return Ok((path(&["orgs", org, app, "secrets"]), Some(organisation)));
    }
    let (owner, name) = repository(fields, required(fields, "repo")?)?;
    let place = match fields.text("environment") {
        Some(_) if app != "actions" => {
            return Err(fields
                .invalid("environment", "is only for `app = \"actions\"`")
                .into());
        }
        Some(environment) => path(&["repos", owner, name, "environments", environment, "secrets"]),
        None => path(&["repos", owner, name, app, "secrets"]),
    };
    Ok((place, None))
}

/// What only the holder of a place's private key opens.
fn seal(key: &str, value: &SecretString) -> Result<String, CallError> {
    let unusable = || CallError::unavailable("GitHub gave a public key that is none");
    let bytes = BASE64.decode(key).map_err(|_| unusable())?;
    let key = PublicKey::from_slice(&bytes).map_err(|_| unusable())?;
    let sealed = key
        .seal(&mut OsRng, value.expose_secret().as_bytes())
        .map_err(|_| unusable())?;
    Ok(BASE64.encode(sealed))
}

#[async_trait]
impl Target for GitHub {
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError> {
        let mut service = self.service.restarted();
        service.hide(value);
        let key = self.key(&service).await?;
        let body = Body {
            encrypted_value: seal(&key.key, value)?,
            key_id: &key.key_id,
            visibility: self
                .organisation
                .as_ref()
                .map(|one| one.visibility.as_str()),
            selected_repository_ids: self.ids(&service).await?,
        };
        let answer = service
            .send(self.secret(Method::PUT, name.as_str())?.json(&body)?)
            .await?;
        put(&answer, &service)
    }
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn a_sealed_value_is_opened_by_the_private_key_alone() {
        let secret = SecretKey::generate(&mut OsRng);
        let key = BASE64.encode(secret.public_key().as_bytes());
        let sealed = seal(&key, &"hunter2-sealed".into()).unwrap();
        let sealed = BASE64.decode(sealed).unwrap();
        // An ephemeral key, a MAC (libsodium: crypto_box_SEALBYTES is 48), the value.
        assert_eq!(sealed.len(), 48 + "hunter2-sealed".len());
        assert_eq!(secret.unseal(&sealed).unwrap(), b"hunter2-sealed");
        assert!(SecretKey::generate(&mut OsRng).unseal(&sealed).is_err());
        for wrong in ["", "AAAA", "no base64"] {
            assert!(seal(wrong, &"x".into()).is_err());
        }
    }
}
