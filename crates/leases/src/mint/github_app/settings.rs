//! The keys of a `github-app` lease, checked, so that a wrong value is an error with a line in `fnox.toml`.

use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::name::is_variable_name;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::super::github::API;
use super::KEY;
use crate::issuer::parse;

/// "Up to 500 repositories can be listed in this manner."
const MOST: usize = 500;

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) app_id: String,
    pub(super) installation: Installation,
    pub(super) key_file: Option<PathBuf>,
    pub(super) key_variable: String,
    pub(super) env_var: String,
    permissions: Map<String, Value>,
    repositories: Vec<String>,
    repository_ids: Vec<u64>,
    pub(super) api: Url,
}

/// Which installation of the app.
#[derive(Debug)]
pub(super) enum Installation {
    Id(String),
    /// The user or organisation that has installed it.
    Account(String),
}

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let text = |key: &str, default: &str| fields.text(key).unwrap_or(default).to_owned();
        let app_id = text("app_id", "");
        if !is_word(&app_id) {
            return Err(fields.invalid("app_id", "must be an app id or a client id"));
        }
        let (key_variable, env_var) = (
            text("private_key_variable", KEY),
            text("env_var", "GITHUB_TOKEN"),
        );
        for (key, name) in [
            ("private_key_variable", &key_variable),
            ("env_var", &env_var),
        ] {
            if !is_variable_name(name) {
                return Err(fields.invalid(key, "must be the name of a variable"));
            }
        }
        let (repositories, repository_ids) =
            (fields.list("repositories"), fields.counts("repository_ids"));
        if let Some(name) = repositories.iter().find(|name| !is_word(name)) {
            let name = name.escape_debug();
            return Err(fields.invalid(
                "repositories",
                format!("has `{name}`: names stand without their owner"),
            ));
        }
        if repositories.len().max(repository_ids.len()) > MOST {
            return Err(fields.invalid("repositories", "has more than 500"));
        }
        if !repositories.is_empty() && !repository_ids.is_empty() {
            return Err(fields.invalid(
                "repository_ids",
                "and `repositories` both say which: one of them",
            ));
        }
        Ok(Self {
            app_id,
            installation: installation(fields)?,
            key_file: fields.path("private_key_file", home),
            key_variable,
            env_var,
            permissions: permissions(fields)?,
            repositories: repositories.to_vec(),
            repository_ids: repository_ids.to_vec(),
            api: parse(fields.text("api_base").unwrap_or(API))
                .map_err(|reason| fields.invalid("api_base", reason))?,
        })
    }

    /// To what a token is narrowed.
    pub(super) fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if !self.permissions.is_empty() {
            let permissions = Value::Object(self.permissions.clone());
            body.insert("permissions".to_owned(), permissions);
        }
        if !self.repositories.is_empty() {
            body.insert("repositories".to_owned(), json!(self.repositories));
        }
        if !self.repository_ids.is_empty() {
            body.insert("repository_ids".to_owned(), json!(self.repository_ids));
        }
        body
    }
}

fn installation(fields: &Fields) -> Result<Installation, ConfigError> {
    match (fields.text("installation_id"), fields.text("account")) {
        (Some(id), None) => {
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(fields.invalid("installation_id", "must be a number, in quotes"));
            }
            Ok(Installation::Id(id.to_owned()))
        }
        (None, Some(account)) => {
            if !is_word(account) {
                return Err(fields.invalid("account", "must be a user or an organisation"));
            }
            Ok(Installation::Account(account.to_owned()))
        }
        (Some(_), Some(_)) => {
            Err(fields.invalid("account", "and `installation_id` say the same: keep one"))
        }
        (None, None) => Err(fields.invalid(
            "installation_id",
            "or `account` must say which installation is meant",
        )),
    }
}

fn permissions(fields: &Fields) -> Result<Map<String, Value>, ConfigError> {
    let mut permissions = Map::new();
    for (name, level) in fields.map("permissions").into_iter().flatten() {
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_name {
            let (name, meant) = (name.escape_debug(), name.to_lowercase().replace('-', "_"));
            return Err(fields.invalid(
                "permissions",
                format!("has `{name}`: the API writes them as in `{meant}`"),
            ));
        }
        if !["read", "write", "admin"].contains(&level.as_str()) {
            let reason = format!("has `{name}`, which is neither read, write nor admin");
            return Err(fields.invalid("permissions", reason));
        }
        permissions.insert(name.clone(), json!(level));
    }
    Ok(permissions)
}

/// Something that becomes a part of a path or a claim.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
