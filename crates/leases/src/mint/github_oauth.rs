//! `github-oauth`: a token of a person at GitHub, by a code that the person confirms in any browser (RFC 8628).
//!
//! A login is kept in the keychain, so that a person is asked once in months and not each day: the token with its end, and
//! the refresh token if the app has tokens that expire. A kept token is checked before it is handed out, one that nears
//! its end is refreshed, and only where neither helps a person logs in. Where nobody can be asked, the error says which
//! command to run. Nothing that lives longer is ever used instead.
//!
//! GitHub gives a new refresh token with each refresh and ends the old one, and the old token with it. So processes of one
//! user refresh one after the other, look into the keychain again first, and write what they got before anybody uses it.
//!
//! To withdraw such a token GitHub wants the app's secret (`DELETE /applications/CLIENT_ID/token`), which a program on a
//! person's machine must not have. So it only expires, or its person ends it in GitHub's settings.
//!
//! Facts are from GitHub's pages "Authorizing OAuth apps", "Generating a user access token for a GitHub App", "Refreshing
//! user access tokens" and "Troubleshooting OAuth app access token request errors".

mod cache;
mod device;
mod login;
mod oauth;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::name::is_variable_name;
use fnox_core::{Credential, Lifetime, SecretString};
use jiff::Timestamp;
use reqwest::Url;

use super::github::{API, rivals};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    RevocationKind,
};
use crate::error::LeaseError;
use crate::issuer::{below, parse};

/// Where people log in, unless the lease says otherwise.
const LOGIN: &str = "https://github.com/login/oauth";

#[derive(Debug)]
struct Settings {
    lease: String,
    client_id: String,
    scope: String,
    env_var: String,
    keyring_service: Option<String>,
    open_browser: bool,
    login: Url,
    api: Url,
}

/// A login.
#[derive(Debug, Clone)]
struct Token {
    access: SecretString,
    /// `None`: it does not expire.
    expires_at: Option<Timestamp>,
    refresh: Option<SecretString>,
    refresh_expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct GitHubOAuth {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that GitHub would refuse.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    let fields = &lease.fields;
    let text = |key: &str, default: &str| fields.text(key).unwrap_or(default).to_owned();
    let url = |key: &'static str, default: &str| {
        parse(fields.text(key).unwrap_or(default)).map_err(|reason| fields.invalid(key, reason))
    };
    let client_id = text("client_id", "");
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if client_id.is_empty() || !client_id.bytes().all(is_id) {
        return Err(fields
            .invalid("client_id", "must be the client id of an app")
            .into());
    }
    let env_var = text("env_var", "GITHUB_TOKEN");
    if !is_variable_name(&env_var) {
        return Err(fields
            .invalid("env_var", "must be the name of a variable")
            .into());
    }
    let service = text("keyring_service", "fnox-github-oauth");
    if service.is_empty() {
        return Err(fields
            .invalid("keyring_service", "must not be empty")
            .into());
    }
    Ok(Box::new(GitHubOAuth {
        settings: Settings {
            lease: lease.name.to_string(),
            client_id,
            scope: text("scope", "repo read:org workflow"),
            env_var,
            keyring_service: fields
                .flag("keyring_cache")
                .unwrap_or(true)
                .then_some(service),
            open_browser: fields.flag("open_browser").unwrap_or(true),
            login: url("auth_base", LOGIN)?,
            api: url("api_base", API)?,
        },
    }))
}

impl Settings {
    /// Where a code is asked for. It is beside `/login/oauth`, not below it.
    fn code_url(&self) -> Url {
        let mut base = self.login.clone();
        let is_below = base
            .path_segments()
            .and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()))
            == Some("oauth");
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty();
            if is_below {
                path.pop();
            }
        }
        below(&base, &["device", "code"])
    }

    /// Where a token is asked for.
    fn token_url(&self) -> Url {
        below(&self.login, &["access_token"])
    }

    /// Where a token is checked.
    fn user_url(&self) -> Url {
        below(&self.api, &["user"])
    }
}

#[async_trait]
impl Mint for GitHubOAuth {
    /// What is asked for has no effect: a token lives for 8 hours, or does not expire.
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(8 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(Vec::new())
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        rivals(&self.settings.env_var)
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    /// Whether somebody is logged in, `create` finds out. To skip the lease would hide that.
    fn prerequisites(&self, _: &MintContext) -> Prerequisite {
        Prerequisite::Present
    }

    fn explain(&self, _: &MintContext, _: &CreateRequest) -> Vec<PlannedCall> {
        login::explain(&self.settings)
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let token = login::token(settings, context).await?;
        if token.expires_at.is_none() {
            tracing::warn!(
                "GitHub's token for lease `{}` does not expire: use a GitHub App with user tokens that expire",
                settings.lease
            );
        }
        Ok(Credential {
            variables: vec![(settings.env_var.clone(), token.access)],
            expires_at: token.expires_at,
            // These tokens have no id by which anything could be done with them.
            id: request.provisional_id.clone(),
            private: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn opened(toml: &str) -> Result<Box<dyn Mint>, LeaseError> {
        open(
            &testing::lease(&format!("type = 'github-oauth'\n{toml}")),
            None,
        )
    }

    pub(super) fn settings(login: &str) -> Settings {
        Settings {
            lease: "x".to_owned(),
            client_id: "Iv1.a".to_owned(),
            scope: "repo".to_owned(),
            env_var: "GITHUB_TOKEN".to_owned(),
            keyring_service: None,
            open_browser: false,
            login: Url::parse(login).unwrap(),
            api: Url::parse(API).unwrap(),
        }
    }

    #[test]
    fn what_github_would_refuse_is_an_error_with_a_line() {
        for (wrong, wanted) in [
            ("client_id = 'a b'", "client id of an app"),
            ("client_id = 'a'\nenv_var = 'A-B'", "name of a variable"),
            ("client_id = 'a'\nkeyring_service = ''", "not be empty"),
            (
                "client_id = 'a'\nauth_base = 'http://x.example'",
                "https://",
            ),
            ("client_id = 'a'\napi_base = 'x'", "is not a URL"),
        ] {
            let error = opened(wrong).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
        }
    }

    #[test]
    fn the_code_is_asked_for_beside_the_token() {
        for (base, code, token) in [
            (
                LOGIN,
                "https://github.com/login/device/code",
                "https://github.com/login/oauth/access_token",
            ),
            (
                "https://ghe.example/login/oauth/",
                "https://ghe.example/login/device/code",
                "https://ghe.example/login/oauth/access_token",
            ),
            (
                "https://x.example/login",
                "https://x.example/login/device/code",
                "https://x.example/login/access_token",
            ),
        ] {
            let settings = settings(base);
            assert_eq!(settings.code_url().as_str(), code);
            assert_eq!(settings.token_url().as_str(), token);
        }
    }

    #[test]
    fn a_plan_names_the_calls_and_who_is_asked() {
        let mint = opened("client_id = 'Iv1.a'\nscope = 'repo'").unwrap();
        let request = CreateRequest {
            duration: Lifetime::from_secs(900),
            label: "l".to_owned(),
            provisional_id: "p".to_owned(),
            prepared: Vec::new(),
        };
        let told = format!("{:?}", mint.explain(&testing::context(&[]), &request));
        for wanted in [
            "api.github.com/user",
            "github.com/login/device/code",
            "github.com/login/oauth/access_token",
            "Iv1.a",
            "repo",
        ] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    }
}
