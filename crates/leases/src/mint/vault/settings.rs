//! The keys of a lease, checked before anything is sent.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;
use fnox_core::{Env, SecretString};
use indexmap::IndexMap;
use reqwest::{Method, Url};

use crate::identity_token::IdentityToken;
use crate::issuer;
use crate::mint::MintError;

pub(super) const ADDRESSES: [&str; 3] = ["FNOX_VAULT_ADDR", "VAULT_ADDR", "BAO_ADDR"];
pub(super) const NAMESPACES: [&str; 3] =
    ["FNOX_VAULT_NAMESPACE", "VAULT_NAMESPACE", "BAO_NAMESPACE"];
pub(super) const TOKENS: [&str; 3] = ["FNOX_VAULT_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"];
pub(super) const TRUST: [&str; 6] = [
    "VAULT_CACERT",
    "BAO_CACERT",
    "VAULT_CAPATH",
    "BAO_CAPATH",
    "VAULT_SKIP_VERIFY",
    "BAO_SKIP_VERIFY",
];

/// Where Kubernetes puts the token of a pod's service account ("Configure Service Accounts for Pods").
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How fnox logs in.
#[derive(Debug, Clone)]
pub(super) enum Auth {
    /// With a token that somebody else got.
    Token,
    /// With the token in a file.
    TokenFile,
    AppRole {
        role_id: Option<String>,
        secret_id: String,
    },
    Jwt {
        role: Option<String>,
        identity: IdentityToken,
    },
    Kubernetes {
        role: String,
        file: PathBuf,
    },
    Userpass {
        username: String,
        password: String,
    },
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) path: String,
    /// Each variable with the key of the answer that it gets.
    pub(super) variables: IndexMap<String, String>,
    pub(super) method: Method,
    pub(super) parameters: IndexMap<String, String>,
    address: Option<Url>,
    namespace: Option<String>,
    ca_file: Option<PathBuf>,
    pub(super) token: Option<SecretString>,
    pub(super) credential_command: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) auth: Auth,
    pub(super) mount: String,
    pub(super) wrapped: bool,
    /// Whether a token that somebody gave only makes a child, which asks for the lease.
    pub(super) child_token: bool,
}

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let path = path_of(fields, "secret_path")?.unwrap_or_default();
        let variables = variables_of(fields)?;
        let text = |key: &str| fields.text(key).map(str::to_owned);
        for key in [
            "secret_id_variable",
            "password_variable",
            "identity_token_variable",
        ] {
            if fields.text(key).is_some_and(|name| !is_variable_name(name)) {
                return Err(fields.invalid(key, "must be the name of a variable"));
            }
        }
        let is_odd = |name: &str| name.contains(['/', '?', '#']) || matches!(name, "." | "..");
        if fields.text("username").is_some_and(is_odd) {
            return Err(fields.invalid("username", "must be one name, without a slash"));
        }
        let auth = auth_of(fields, home)?;
        let child_token = fields.flag("child_token") == Some(true);
        if child_token && !matches!(auth, Auth::Token | Auth::TokenFile) {
            return Err(fields.invalid(
                "child_token",
                "is for tokens that were given; a login has a token of its own",
            ));
        }
        Ok(Self {
            path,
            variables,
            method: match fields.text("method") {
                Some("post") => Method::POST,
                Some("put") => Method::PUT,
                _ => Method::GET,
            },
            parameters: fields.map("parameters").cloned().unwrap_or_default(),
            address: match fields.text("address") {
                Some(text) => {
                    Some(issuer::parse(text).map_err(|reason| fields.invalid("address", reason))?)
                }
                None => None,
            },
            namespace: text("namespace"),
            ca_file: fields.path("ca_file", home),
            token: text("token").map(SecretString::new),
            credential_command: text("credential_command"),
            token_file: fields
                .path("token_file", home)
                .or_else(|| home.map(|home| home.join(".vault-token"))),
            mount: path_of(fields, "auth_mount")?
                .unwrap_or_else(|| fields.text("auth").unwrap_or("token").to_owned()),
            auth,
            wrapped: fields.flag("wrapped") == Some(true),
            child_token,
        })
    }

    /// The server's address: the lease's, or the environment's.
    pub(super) fn address(&self, env: &Env) -> Result<Url, MintError> {
        if let Some(url) = &self.address {
            return Ok(url.clone());
        }
        let Some((name, text)) = env.first(&ADDRESSES) else {
            return Err(MintError::authentication("VAULT_ADDR is not set")
                .with_remedy("set VAULT_ADDR or `address` of the lease"));
        };
        issuer::parse(text)
            .map_err(|reason| MintError::authentication(format!("the variable {name} {reason}")))
    }

    pub(super) fn has_address(&self, env: &Env) -> bool {
        self.address.is_some() || env.first(&ADDRESSES).is_some()
    }

    /// The namespace, without slashes around it.
    pub(super) fn namespace<'a>(&'a self, env: &'a Env) -> Option<&'a str> {
        self.namespace
            .as_deref()
            .or_else(|| env.first(&NAMESPACES).map(|(_, value)| value))
            .map(|text| text.trim_matches('/'))
            .filter(|text| !text.is_empty())
    }

    /// The file of trusted certificates. What would weaken the check of the server's certificate is refused.
    pub(super) fn ca_file(&self, env: &Env) -> Result<Option<PathBuf>, MintError> {
        for name in ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"] {
            if env.var(name).is_some() && env.switch(name) != Some(false) {
                return Err(MintError::authentication(format!(
                    "{name} is set, and fnox sends no token to a server that it cannot tell from another one"
                ))
                .with_remedy(format!(
                    "unset {name} and name the server's certificate with `ca_file` or VAULT_CACERT"
                )));
            }
        }
        if let Some(path) = &self.ca_file {
            return Ok(Some(path.clone()));
        }
        if let Some((_, path)) = env.first(&["VAULT_CACERT", "BAO_CACERT"]) {
            return Ok(Some(PathBuf::from(path)));
        }
        match env.first(&["VAULT_CAPATH", "BAO_CAPATH"]) {
            Some((name, _)) => Err(MintError::authentication(format!(
                "{name} names a folder of certificates, which fnox does not read"
            ))
            .with_remedy("name one PEM file with `ca_file` or VAULT_CACERT")),
            None => Ok(None),
        }
    }
}

fn auth_of(fields: &Fields, home: Option<&Path>) -> Result<Auth, ConfigError> {
    let text = |key: &str| fields.text(key).map(str::to_owned);
    let needed = |key: &'static str| {
        text(key)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| fields.invalid("auth", format!("needs `{key}`")))
    };
    Ok(match fields.text("auth") {
        Some("token-file") => Auth::TokenFile,
        Some("approle") => Auth::AppRole {
            role_id: text("role_id"),
            secret_id: text("secret_id_variable").unwrap_or_else(|| "VAULT_SECRET_ID".to_owned()),
        },
        Some("jwt") => Auth::Jwt {
            role: text("role"),
            identity: IdentityToken::of(fields, home, "vault"),
        },
        Some("kubernetes") => Auth::Kubernetes {
            role: needed("role")?,
            file: fields
                .path("token_file", home)
                .unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN)),
        },
        Some("userpass") => Auth::Userpass {
            username: needed("username")?,
            password: text("password_variable").unwrap_or_else(|| "VAULT_PASSWORD".to_owned()),
        },
        _ => Auth::Token,
    })
}

/// The variables of `env_map`, whose keys are those of the answer.
fn variables_of(fields: &Fields) -> Result<IndexMap<String, String>, ConfigError> {
    let Some(map) = fields.map("env_map").filter(|map| !map.is_empty()) else {
        return Err(fields.invalid("env_map", "names no variable"));
    };
    let is_loud =
        |name: &str| is_variable_name(name) && !name.contains(|c: char| c.is_ascii_lowercase());
    if map.keys().all(|key| is_loud(key)) && !map.values().any(|name| is_loud(name)) {
        let (key, name) = map.first().map_or(("", ""), |(key, name)| (key, name));
        return Err(fields.invalid(
            "env_map",
            format!(
                "is the wrong way round: the answer's key comes first and the variable second, as in `\"{}\" = \"{key}\"`",
                name.escape_debug()
            ),
        ));
    }
    let mut variables = IndexMap::new();
    for (key, name) in map {
        if !is_variable_name(name) {
            let reason = format!(
                "makes `{}` of `{}`, which is no name of a variable",
                name.escape_debug(),
                key.escape_debug()
            );
            return Err(fields.invalid("env_map", reason));
        }
        if let Some(other) = variables.insert(name.clone(), key.clone()) {
            let reason = format!(
                "makes {name} of `{}` and of `{}`",
                other.escape_debug(),
                key.escape_debug()
            );
            return Err(fields.invalid("env_map", reason));
        }
    }
    Ok(variables)
}

/// A path below `/v1/`: what could lead elsewhere is refused.
fn path_of(fields: &Fields, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = fields.text(key) else {
        return Ok(None);
    };
    let path = text.trim_matches('/');
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
    if path.split('/').any(is_odd) || path.contains(['?', '#']) || path.contains(char::is_control) {
        return Err(fields.invalid(
            key,
            "must be a path such as `database/creds/app`, without `.`, `..`, `?` and `#`",
        ));
    }
    Ok(Some(path.to_owned()))
}
