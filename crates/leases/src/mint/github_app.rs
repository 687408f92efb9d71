//! `github-app`: an installation token of a GitHub App.
//!
//! The app signs a short JWT with its key; GitHub gives a token for one installation, narrowed to repositories and
//! permissions, that lives for an hour whatever was asked for. The token itself can withdraw it, so a lease that ends
//! early ends at GitHub too.
//!
//! A token whose answer was lost has no name by which it could be found: it ends after its hour.
//!
//! Facts are from GitHub's pages "Generating a JSON Web Token (JWT) for a GitHub App" and "REST API endpoints for GitHub
//! Apps" (2022-11-28), and its OpenAPI description.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime, SecretString};
use jiff::Timestamp;
use jsonwebtoken::Header;
use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::issuer::{Answer, Call, Issuer, below, parse};
use crate::jwt;

const API: &str = "https://api.github.com";
const KEY: &str = "FNOX_GITHUB_APP_PRIVATE_KEY";
const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

/// "The time that the JWT was created. To protect against clock drift, we recommend that you set this 60 seconds in the
/// past", and no more than ten minutes until its end.
const BACKDATED: i64 = 60;
const LIFE: i64 = 600;

/// Longest key file that is read.
const KEY_LIMIT: u64 = 64 * 1024;

#[derive(Debug)]
struct GitHubApp {
    app_id: String,
    installation: Installation,
    key_file: Option<PathBuf>,
    key_variable: String,
    env_var: String,
    permissions: Map<String, Value>,
    repositories: Vec<String>,
    repository_ids: Vec<u64>,
    api: Url,
}

#[derive(Debug)]
enum Installation {
    Id(String),
    /// The user or organisation that has installed the app.
    Account(String),
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that GitHub would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    let fields = &lease.fields;
    let text = |key: &str| fields.text(key).map(str::to_owned);
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let app_id = text("app_id").unwrap_or_default();
    if !is_word(&app_id) {
        return Err(fields
            .invalid("app_id", "must be an app id or a client id")
            .into());
    }
    let installation = match (text("installation_id"), text("account")) {
        (Some(id), None) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => {
            Installation::Id(id)
        }
        (Some(_), None) => {
            return Err(fields
                .invalid("installation_id", "must be a number, in quotes")
                .into());
        }
        (None, Some(account)) if is_word(&account) => Installation::Account(account),
        (None, Some(_)) => {
            return Err(fields
                .invalid("account", "must be a user or an organisation")
                .into());
        }
        (Some(_), Some(_)) => {
            return Err(fields
                .invalid("account", "and `installation_id` say the same: keep one")
                .into());
        }
        (None, None) => {
            let reason = "or `account` must say which installation is meant";
            return Err(fields.invalid("installation_id", reason).into());
        }
    };
    let mut permissions = Map::new();
    for (name, level) in fields.map("permissions").into_iter().flatten() {
        if !["read", "write", "admin"].contains(&level.as_str()) {
            let reason = format!("has `{name}`, which is neither read, write nor admin");
            return Err(fields.invalid("permissions", reason).into());
        }
        permissions.insert(name.clone(), json!(level));
    }
    let repositories = fields.list("repositories");
    if let Some(name) = repositories.iter().find(|name| !is_word(name)) {
        let reason = format!(
            "has `{}`: names stand without their owner",
            name.escape_debug()
        );
        return Err(fields.invalid("repositories", reason).into());
    }
    if repositories.len() > 500 {
        return Err(fields.invalid("repositories", "has more than 500").into());
    }
    let api = parse(fields.text("api_base").unwrap_or(API))
        .map_err(|reason| fields.invalid("api_base", reason))?;
    Ok(Box::new(GitHubApp {
        app_id,
        installation,
        key_file: fields.path("private_key_file", home),
        key_variable: text("private_key_variable").unwrap_or_else(|| KEY.to_owned()),
        env_var: text("env_var").unwrap_or_else(|| "GITHUB_TOKEN".to_owned()),
        permissions,
        repositories: repositories.to_vec(),
        repository_ids: fields.counts("repository_ids").to_vec(),
        api,
    }))
}

/// What the API answers with status 201.
#[derive(Deserialize)]
struct Issued {
    token: String,
    expires_at: Timestamp,
}

#[async_trait]
impl Mint for GitHubApp {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(vec![self.key_variable.clone()])
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        vec![self.key_variable.clone()]
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if context.env.var(&self.key_variable).is_some() || self.key_file.is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "GitHub App private key not found. Set {} or private_key_file (PEM).",
                self.key_variable
            ),
            prompts: vec![PromptField {
                variable: self.key_variable.clone(),
                description: "GitHub App private key (PEM)".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, _: &CreateRequest) -> Vec<PlannedCall> {
        let master = match (&self.key_file, context.env.var(&self.key_variable)) {
            (Some(path), None) => path.display().to_string(),
            _ => self.key_variable.clone(),
        };
        let call = |action: &str, target: String, purpose: &str, details| PlannedCall {
            action: action.to_owned(),
            target,
            purpose: purpose.to_owned(),
            master: format!("app {} (key {master})", self.app_id),
            details,
        };
        let mut calls = Vec::new();
        let installation = match &self.installation {
            Installation::Id(id) => id.clone(),
            Installation::Account(account) => {
                let url = below(&self.api, &["users", account, "installation"]);
                calls.push(call("GET", url.into(), "find the installation", Vec::new()));
                "…".to_owned()
            }
        };
        let details = self
            .body()
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let url = format!(
            "{}app/installations/{installation}/access_tokens",
            slashed(&self.api)
        );
        calls.push(call("POST", url, "create an installation token", details));
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let mut issuer = Issuer::new("GitHub", context, None)?;
        let token = self.sign(context)?;
        issuer.hide(&token);
        let installation = match &self.installation {
            Installation::Id(id) => id.clone(),
            Installation::Account(account) => self.find(&issuer, &token, account).await?,
        };
        let url = below(
            &self.api,
            &["app", "installations", &installation, "access_tokens"],
        );
        let call = headers(Call::post(url))?.bearer(&token)?.issues();
        let answer = issuer.send(call.json(&self.body())?).await?;
        if answer.status() != 201 {
            return Err(self.refused(&answer, &issuer));
        }
        let answered: Issued = answer.json(&issuer)?;
        let now = context.clock.now();
        if answered.token.is_empty() || answered.expires_at <= now {
            return Err(MintError::unavailable(format!(
                "GitHub answered with a token that ended at {}, and it is {now}",
                answered.expires_at
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            id: format!(
                "github-app-{}",
                request
                    .provisional_id
                    .rsplit('-')
                    .next()
                    .unwrap_or_default()
            ),
            variables: vec![(self.env_var.clone(), SecretString::new(answered.token))],
            expires_at: Some(answered.expires_at),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let Some(token) = request
            .credential
            .as_ref()
            .and_then(|credential| credential.variable(&self.env_var))
        else {
            // Its name is the token itself. Nobody has that, so nobody uses it, and it ends after an hour.
            return Ok(());
        };
        let mut issuer = Issuer::new("GitHub", context, None)?;
        issuer.hide(token);
        let url = below(&self.api, &["installation", "token"]);
        let answer = issuer
            .send(headers(Call::delete(url))?.bearer(token)?)
            .await?;
        match answer.status() {
            // 401: it does not work any more, which is what was wanted.
            204 | 401 | 404 => Ok(()),
            _ => Err(answer.refusal(&issuer)),
        }
    }
}

impl GitHubApp {
    fn sign(&self, context: &MintContext) -> Result<SecretString, MintError> {
        let pem = match (context.env.secret(&self.key_variable), &self.key_file) {
            (Some(pem), _) => pem,
            (None, Some(path)) => read_key(path)?,
            (None, None) => {
                return Err(MintError::authentication(format!(
                    "{} is not set",
                    self.key_variable
                )));
            }
        };
        let now = context.clock.now().as_second();
        let claims = json!({
            "iat": now - BACKDATED,
            "exp": now - BACKDATED + LIFE,
            "iss": self.app_id,
        });
        jwt::sign_rs256(
            Header::default(),
            &claims,
            &pem,
            "the key of the GitHub App",
        )
    }

    /// The installation of an account. The path is one for users and organisations alike.
    async fn find(
        &self,
        issuer: &Issuer,
        token: &SecretString,
        account: &str,
    ) -> Result<String, MintError> {
        #[derive(Deserialize)]
        struct Found {
            id: u64,
        }
        let url = below(&self.api, &["users", account, "installation"]);
        let answer = issuer.send(headers(Call::get(url))?.bearer(token)?).await?;
        match answer.status() {
            200 => Ok(answer.json::<Found>(issuer)?.id.to_string()),
            404 => Err(MintError::misconfigured(
                "account",
                format!("the app {} is not installed for `{account}`", self.app_id),
            )
            .with_remedy("install the app there, or name another account")),
            _ => Err(self.refused(&answer, issuer)),
        }
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if !self.permissions.is_empty() {
            body.insert(
                "permissions".to_owned(),
                Value::Object(self.permissions.clone()),
            );
        }
        if !self.repositories.is_empty() {
            body.insert("repositories".to_owned(), json!(self.repositories));
        }
        if !self.repository_ids.is_empty() {
            body.insert("repository_ids".to_owned(), json!(self.repository_ids));
        }
        body
    }

    fn refused(&self, answer: &Answer, issuer: &Issuer) -> MintError {
        let mut error = answer.refusal(issuer);
        let app = &self.app_id;
        match answer.status() {
            401 => error.with_remedy(format!(
                "is {} the key of app {app}, and is this machine's clock right?",
                self.key_variable
            )),
            403 => error.with_remedy(format!(
                "the installation of app {app} may be suspended, or GitHub limits its calls"
            )),
            404 => {
                error.key = Some("installation_id");
                error.with_remedy(format!("app {app} has no such installation"))
            }
            422 => {
                error.key = Some(if self.permissions.is_empty() {
                    "repositories"
                } else {
                    "permissions"
                });
                error.with_remedy(
                    "GitHub does not tell which: a repository does not exist or is not part of the installation, or a \
                     permission was not granted to it",
                )
            }
            _ if error.kind == MintErrorKind::Unavailable => error.maybe_issued(),
            _ => error,
        }
    }
}

fn headers(call: Call) -> Result<Call, MintError> {
    call.header(ACCEPT, "application/vnd.github+json")?
        .header(API_VERSION, "2022-11-28")
}

fn slashed(url: &Url) -> String {
    let text = url.as_str();
    if text.ends_with('/') {
        text.to_owned()
    } else {
        format!("{text}/")
    }
}

fn read_key(path: &Path) -> Result<SecretString, MintError> {
    use std::io::Read as _;
    let unusable = |error: std::io::Error| {
        MintError::authentication(format!(
            "the key {} cannot be read: {error}",
            path.display()
        ))
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(KEY_LIMIT).read_to_string(&mut text))
        .map_err(unusable)?;
    Ok(SecretString::from(text.as_str()))
}
