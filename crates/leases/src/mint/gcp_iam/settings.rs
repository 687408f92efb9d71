//! The keys of a `gcp-iam` lease, checked, so that a wrong value is an error with a line in `fnox.toml`.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;
use reqwest::Url;

use super::CLOUD_PLATFORM;
use crate::identity_token::IdentityToken;
use crate::issuer;

/// The domain of Google's own cloud.
pub(super) const DEFAULT_UNIVERSE: &str = "googleapis.com";

/// What is asked for.
#[derive(Debug)]
pub(super) enum Token {
    /// `generateAccessToken`
    Access { scopes: Vec<String> },
    /// `generateIdToken`
    Id {
        audience: String,
        include_email: bool,
    },
}

/// An OIDC token as the master.
#[derive(Debug)]
pub(super) struct Federation {
    /// `//iam.googleapis.com/projects/…/providers/…`
    pub(super) provider: String,
    pub(super) token: IdentityToken,
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) account: String,
    pub(super) token: Token,
    pub(super) delegates: Vec<String>,
    pub(super) env_var: String,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) federation: Option<Federation>,
    pub(super) endpoint: Option<Url>,
    pub(super) sts_endpoint: Option<Url>,
    pub(super) token_endpoint: Option<Url>,
    pub(super) universe: Option<String>,
    /// How long the token of a service account lives that stands between the master and the lease's own.
    pub(super) seconds_between: u64,
}

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let account = fields.text("service_account_email").unwrap_or_default();
        for (key, address) in std::iter::once(("service_account_email", account)).chain(
            fields
                .list("delegates")
                .iter()
                .map(|delegate| ("delegates", delegate.as_str())),
        ) {
            if !is_account(address) {
                return Err(fields.invalid(
                    key,
                    "must be the address of a service account, such as deploy@project.iam.gserviceaccount.com",
                ));
            }
        }
        let env_var = fields
            .text("env_var")
            .unwrap_or("CLOUDSDK_AUTH_ACCESS_TOKEN");
        if !is_variable_name(env_var) {
            return Err(fields.invalid("env_var", "must be the name of a variable"));
        }
        let universe = fields
            .text("universe_domain")
            .filter(|text| !text.is_empty());
        if universe.is_some_and(|domain| !is_domain(domain)) {
            return Err(
                fields.invalid("universe_domain", "must be a domain such as googleapis.com")
            );
        }
        Ok(Self {
            account: account.to_owned(),
            token: token(fields)?,
            delegates: fields.list("delegates").to_vec(),
            env_var: env_var.to_owned(),
            credentials_file: fields.path("credentials_file", home),
            federation: federation(fields, home)?,
            endpoint: endpoint(fields, "endpoint")?,
            sts_endpoint: endpoint(fields, "sts_endpoint")?,
            token_endpoint: endpoint(fields, "token_endpoint")?,
            universe: universe.map(str::to_owned),
            seconds_between: 300,
        })
    }

    /// What logs in for a provider: as the master itself, or as the service account that the master's file names.
    pub(super) fn of_provider() -> Self {
        Self {
            account: String::new(),
            token: Token::Access { scopes: Vec::new() },
            delegates: Vec::new(),
            env_var: String::new(),
            credentials_file: None,
            federation: None,
            endpoint: None,
            sts_endpoint: None,
            token_endpoint: None,
            universe: None,
            seconds_between: 3600,
        }
    }

    /// The domain of the cloud, where the configuration or the master says it.
    pub(super) fn universe<'a>(&'a self, of_master: Option<&'a str>) -> &'a str {
        self.universe
            .as_deref()
            .or(of_master)
            .unwrap_or(DEFAULT_UNIVERSE)
    }
}

fn token(fields: &Fields) -> Result<Token, ConfigError> {
    let audience = fields.text("audience").filter(|text| !text.is_empty());
    if fields.text("token") == Some("id") {
        if fields.contains("scopes") {
            return Err(fields.invalid(
                "scopes",
                "is for access tokens; an id token has an `audience`",
            ));
        }
        return match audience {
            Some(audience) => Ok(Token::Id {
                audience: audience.to_owned(),
                include_email: fields.flag("include_email").unwrap_or(false),
            }),
            None => Err(fields.invalid(
                "token",
                "is `id`, so `audience` must say whom the token is for",
            )),
        };
    }
    for key in ["audience", "include_email"] {
        if fields.contains(key) {
            return Err(fields.invalid(key, "is for `token = \"id\"`"));
        }
    }
    let scopes = if fields.contains("scopes") {
        fields.list("scopes").to_vec()
    } else {
        vec![CLOUD_PLATFORM.to_owned()]
    };
    if scopes.is_empty() {
        return Err(fields.invalid("scopes", "names no scope, and Google wants one at least"));
    }
    if scopes.iter().any(|scope| !is_word(scope)) {
        return Err(fields.invalid("scopes", "has something that is not one word"));
    }
    Ok(Token::Access { scopes })
}

fn federation(fields: &Fields, home: Option<&Path>) -> Result<Option<Federation>, ConfigError> {
    let Some(name) = fields.text("workload_identity_provider") else {
        for key in [
            "identity_token_file",
            "identity_token_variable",
            "identity_token_audience",
        ] {
            if fields.contains(key) {
                return Err(fields.invalid(key, "needs `workload_identity_provider`"));
            }
        }
        return Ok(None);
    };
    if fields.contains("credentials_file") {
        return Err(fields.invalid(
            "credentials_file",
            "and `workload_identity_provider` are two masters: one of them",
        ));
    }
    // The console and the GitHub action show the name without the service before it.
    let provider = if name.starts_with("projects/") {
        format!("//iam.googleapis.com/{name}")
    } else {
        name.to_owned()
    };
    let is_full = provider.starts_with("//iam.")
        && provider.contains("/locations/global/workloadIdentityPools/")
        && provider.contains("/providers/")
        && is_word(&provider);
    if !is_full {
        return Err(fields.invalid(
            "workload_identity_provider",
            "must be the provider's full name: //iam.googleapis.com/projects/NUMBER/locations/global/\
             workloadIdentityPools/POOL/providers/PROVIDER",
        ));
    }
    let variable = fields.text("identity_token_variable");
    if variable.is_some_and(|name| !is_variable_name(name)) {
        return Err(fields.invalid("identity_token_variable", "must be the name of a variable"));
    }
    // "If you do not specify a list of allowed audiences", the provider's name "with or without the HTTPS prefix" is.
    let token = IdentityToken::of(fields, home, &format!("https:{provider}"));
    Ok(Some(Federation { provider, token }))
}

fn endpoint(fields: &Fields, key: &'static str) -> Result<Option<Url>, ConfigError> {
    match fields.text(key) {
        None => Ok(None),
        Some(text) => match issuer::parse(text) {
            Ok(url) => Ok(Some(url)),
            Err(reason) => Err(fields.invalid(key, reason)),
        },
    }
}

/// An address or unique id of a service account: it becomes a part of a path.
pub(super) fn is_account(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte))
        && !text.starts_with('.')
}

/// A domain: it becomes a part of a host name.
pub(super) fn is_domain(text: &str) -> bool {
    text.split('.').count() > 1
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
