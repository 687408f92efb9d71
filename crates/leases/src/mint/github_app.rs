//! `github-app`: an installation token of a GitHub App.
//!
//! The app signs a short JWT with its key; GitHub gives a token for one installation, narrowed to repositories and
//! permissions, that lives for an hour whatever was asked for. The token itself can withdraw it, so a lease that ends
//! early ends at GitHub too. Nothing is assumed of the form of a token: since 2026 some are several hundred characters
//! long.
//!
//! A token whose answer was lost has no name by which it could be found: nobody has it, and it ends after its hour.
//!
//! Facts are from GitHub's pages "Generating a JSON Web Token (JWT) for a GitHub App" and "REST API endpoints for GitHub
//! Apps" (2022-11-28), and its OpenAPI description.

mod refusal;
mod settings;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Lifetime, SecretString};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use self::refusal::Facts;
use self::settings::{Installation, Settings};
use super::github::{of_api, rivals};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::issuer::{self, Call, Issuer, below};
use crate::jwt;
use crate::wiped::Wiped;

const KEY: &str = "FNOX_GITHUB_APP_PRIVATE_KEY";

/// "The time that the JWT was created. To protect against clock drift, we recommend that you set this 60 seconds in the
/// past", and no more than ten minutes until its end.
const BACKDATED: i64 = 60;
const LIFE: i64 = 600;

/// "Installation tokens expire one hour from the time you create them."
const HOUR: u32 = 3600;

/// Largest key file that is read.
const KEY_LIMIT: u64 = 64 * 1024;

/// How long a new token may be unknown to a part of GitHub's servers. GitHub's own library waits so long before it takes
/// 401 for an answer (`@octokit/auth-app`, "token replication delay").
const REPLICATION: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug)]
struct GitHubApp {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that GitHub would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(GitHubApp {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

/// What the API answers with status 201.
#[derive(Deserialize)]
struct Issued {
    token: Wiped,
    expires_at: Timestamp,
}

#[async_trait]
impl Mint for GitHubApp {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(u64::from(HOUR)),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(vec![self.settings.key_variable.clone()])
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names = vec![self.settings.key_variable.clone()];
        names.extend(rivals(&self.settings.env_var));
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn unfindable(&self) -> Option<Lifetime> {
        Some(Lifetime::from_secs(u64::from(HOUR)))
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let Settings {
            key_variable,
            key_file,
            ..
        } = &self.settings;
        if context.env.var(key_variable).is_some() || key_file.is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "GitHub App private key not found. Set {key_variable} or private_key_file (PEM)."
            ),
            prompts: vec![PromptField {
                variable: key_variable.clone(),
                description: "GitHub App private key (PEM)".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, _: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let master = match (&settings.key_file, context.env.var(&settings.key_variable)) {
            (Some(path), None) => path.display().to_string(),
            _ => settings.key_variable.clone(),
        };
        let call = |action: &str, target: String, purpose: &str, details| PlannedCall {
            action: action.to_owned(),
            target,
            purpose: purpose.to_owned(),
            master: format!("app {} (key {master})", settings.app_id),
            details,
        };
        let mut calls = Vec::new();
        let installation = match &settings.installation {
            Installation::Id(id) => id,
            Installation::Account(account) => {
                let url = below(&settings.api, &["users", account, "installation"]);
                calls.push(call("GET", url.into(), "find the installation", Vec::new()));
                "INSTALLATION"
            }
        };
        let details = settings
            .body()
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let path = ["app", "installations", installation, "access_tokens"];
        let url = below(&settings.api, &path);
        calls.push(call(
            "POST",
            url.into(),
            "create an installation token",
            details,
        ));
        calls
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let mut issuer = issuer::open("GitHub", context, None)?;
        let key = self.key(context)?;
        issuer.hide(&key);
        let token = self.sign(&key, context)?;
        issuer.hide(&token);
        let facts = Facts {
            settings,
            claims: &jwt::described(&token),
            now: context.clock.now(),
        };
        let installation = match &settings.installation {
            Installation::Id(id) => id.clone(),
            Installation::Account(account) => find(&issuer, &token, account, &facts).await?,
        };
        let path = ["app", "installations", &installation, "access_tokens"];
        let call = of_api(Call::post(below(&settings.api, &path)))?;
        let call = call.bearer(&token)?.json(&settings.body())?.changes();
        let answer = issuer.send(call).await?;
        if !answer.is_success() {
            return Err(refusal::of_app(&answer, &issuer, &facts));
        }
        let Issued { token, expires_at } = answer.json(&issuer)?;
        let now = context.clock.now();
        if token.0.is_empty() {
            return Err(MintError::unavailable("GitHub answered without a token").maybe_issued());
        }
        if expires_at <= now {
            return Err(MintError::unavailable(format!(
                "GitHub answered with a token that ended at {expires_at}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            id: request.provisional_id.clone(),
            variables: vec![(settings.env_var.clone(), token.0)],
            expires_at: Some(expires_at),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        // The lease's `env_var` may have been another one when the token was made.
        let credential = request.credential.as_ref();
        let Some((credential, (_, token))) =
            credential.and_then(|credential| Some((credential, credential.variables.first()?)))
        else {
            return Err(MintError::misconfigured(
                "type",
                "a token is withdrawn with the token itself, which is not on record: it ends within an hour",
            ));
        };
        let mut issuer = issuer::open("GitHub", context, None)?;
        issuer.hide(token);
        let url = below(&self.settings.api, &["installation", "token"]);
        let mut pause = Duration::from_secs(1);
        loop {
            let call = of_api(Call::delete(url.clone()))?.bearer(token)?;
            let answer = issuer.send(call).await?;
            match answer.status() {
                401 if may_be_unknown_yet(credential, context.clock.now(), pause) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                // 401: it does not work any more, which is what was wanted.
                204 | 401 => return Ok(()),
                _ => return Err(answer.refusal(&issuer)),
            }
        }
    }
}

impl GitHubApp {
    fn key(&self, context: &MintContext) -> Result<SecretString, MintError> {
        let Settings {
            key_variable,
            key_file,
            ..
        } = &self.settings;
        match (context.env.secret(key_variable), key_file) {
            // A secret with `as_file` comes as the path of a file that holds it.
            (Some(text), _) if text.expose_secret().starts_with('/') => {
                read(Path::new(text.expose_secret().trim()))
            }
            // Variables of CIs often cannot have line breaks.
            (Some(text), _) if text.expose_secret().contains("\\n") => {
                Ok(SecretString::new(text.expose_secret().replace("\\n", "\n")))
            }
            (Some(text), _) => Ok(text),
            (None, Some(path)) => read(path),
            (None, None) => Err(MintError::authentication(format!(
                "{key_variable} is not set"
            ))),
        }
    }

    fn sign(&self, key: &SecretString, context: &MintContext) -> Result<SecretString, MintError> {
        let issued_at = context.clock.now().as_second() - BACKDATED;
        let claims = json!({
            "iat": issued_at, "exp": issued_at + LIFE, "iss": self.settings.app_id,
        });
        jwt::sign_rs256(Header::default(), &claims, key, "the key of the GitHub App")
    }
}

/// The installation of an account, which is a user or an organisation: each has a path of its own.
async fn find(
    issuer: &Issuer,
    token: &SecretString,
    account: &str,
    facts: &Facts<'_>,
) -> Result<String, MintError> {
    #[derive(Deserialize)]
    struct Found {
        id: u64,
    }
    let mut refused = None;
    for kind in ["users", "orgs"] {
        let url = below(&facts.settings.api, &[kind, account, "installation"]);
        let answer = issuer.send(of_api(Call::get(url))?.bearer(token)?).await?;
        match answer.status() {
            200 => {
                // Nothing is issued yet.
                let found = answer.json::<Found>(issuer).map_err(|error| MintError {
                    maybe_issued: false,
                    ..error
                })?;
                return Ok(found.id.to_string());
            }
            404 => refused = Some(refusal::of_app(&answer, issuer, facts)),
            _ => return Err(refusal::of_app(&answer, issuer, facts)),
        }
    }
    let app = &facts.settings.app_id;
    let error = refused.unwrap_or_else(|| MintError::misconfigured("account", ""));
    if error.key != Some("account") {
        return Err(error);
    }
    Err(MintError {
        message: format!("app {app} is not installed for `{account}`"),
        ..error
    }
    .with_remedy("install the app there, or name another account"))
}

/// Whether 401 may only mean that the server has not heard of the token yet. After three questions it does not.
fn may_be_unknown_yet(credential: &Credential, now: Timestamp, pause: Duration) -> bool {
    let life = SignedDuration::from_secs(i64::from(HOUR));
    let left = credential.expires_at.map(|end| end.duration_since(now));
    left.is_some_and(|left| left >= life - REPLICATION) && pause <= Duration::from_secs(2)
}

fn read(path: &Path) -> Result<SecretString, MintError> {
    use std::io::Read as _;
    let unusable = |reason: String| {
        let path = path.display();
        MintError::authentication(format!("the key file {path} cannot be used: {reason}"))
    };
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    file.take(KEY_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| unusable(error.to_string()))?;
    Ok(SecretString::from(text.as_str()))
}
