//! The document of `fnox env --json`, version 1 of its schema. Readers skip members that they do not know.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

/// The version of the documents.
pub(super) const SCHEMA: u32 = 1;

/// The schema, by the name of its file.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("env", schema_for!(Document))]
}

/// `fnox env --json`
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Document<'a> {
    /// What a program or a shell gets. Applied in this order: `remove`, `set`, `files`.
    Environment(Environment<'a>),
    /// With `--describe`: which keys there are.
    Description(Description),
    /// Why there is no environment.
    Failure(Failure),
}

/// What a program or a shell gets.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Environment<'a> {
    /// Version of the document.
    pub(super) schema: u32,
    /// Version of fnox.
    pub(super) fnox_version: &'static str,
    /// `exec` or `shell`.
    pub(super) scope: &'static str,
    /// The profiles asked for.
    pub(super) profile: Vec<String>,
    /// Variables to set.
    pub(super) set: IndexMap<&'a str, &'a str>,
    /// Contents of files to write; the variable of that name becomes the file's path.
    pub(super) files: IndexMap<&'a str, &'a str>,
    /// Variables to remove from the inherited environment.
    pub(super) remove: Vec<&'a str>,
    /// Keys that have no value.
    pub(super) missing: Vec<String>,
    /// Leases whose credentials are among the variables.
    pub(super) leases: Vec<String>,
}

/// Which keys there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Description {
    /// Version of the document.
    pub(super) schema: u32,
    /// Version of fnox.
    pub(super) fnox_version: &'static str,
    /// The profiles asked for.
    pub(super) profile: Vec<String>,
    /// The keys.
    pub(super) keys: Vec<DescribedKey>,
    /// Leases whose variables are only known when they have been created.
    pub(super) dynamic_leases: Vec<String>,
    /// Whether runs use the daemon.
    pub(super) daemon_enabled: bool,
}

/// One key.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DescribedKey {
    /// The variable.
    pub(super) key: String,
    /// `secret`, or `lease` if a lease makes it.
    pub(super) kind: &'static str,
    /// The lease that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<String>,
    /// The secret's `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) env: Option<EnvWord>,
    /// Whether it is given as a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) as_file: Option<bool>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Who can get it.
    pub(super) injectable: Injectable,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
}

/// Who can get a key.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Injectable {
    /// `--for exec`
    pub(super) exec: bool,
    /// `--for shell`
    pub(super) shell: bool,
}

/// Where a key comes from.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Source {
    /// The file that defines it.
    pub(super) path: String,
    /// Whether anything that takes part in its value stands in the global file.
    pub(super) global: bool,
}

/// A secret's `env` as it is written.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum EnvWord {
    /// `true` or `false`
    Flag(bool),
    /// `"exec"`
    Word(&'static str),
}

/// Why there is no environment.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// Version of the document.
    pub(super) schema: u32,
    /// What went wrong.
    pub(super) error: Problem,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// `config`, `invalid_keys` or `resolution`.
    pub(super) kind: &'static str,
    /// In words, without values.
    pub(super) message: String,
    /// The stable code of the error.
    pub(super) code: &'static str,
    /// Keys that do not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unknown: Vec<String>,
    /// For unknown keys, those with similar names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(super) suggestions: IndexMap<String, Vec<String>>,
    /// Keys that exist and cannot be had in this scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) not_injectable: Vec<NotInjectable>,
}

/// A key that cannot be had.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NotInjectable {
    /// The key.
    pub(super) key: String,
    /// The secret's `env`.
    pub(super) env: EnvWord,
}
