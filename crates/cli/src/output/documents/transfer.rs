//! What is printed of values that come or go: export, import, push, differences.

use schemars::JsonSchema;
use serde::Serialize;

/// `fnox export --format json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Exported<'a> {
    /// Values by name.
    pub secrets: indexmap::IndexMap<&'a str, &'a str>,
    /// Where they come from.
    pub metadata: ExportMetadata,
}

/// About an export.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExportMetadata {
    /// The active profiles.
    pub profile: String,
    /// When, RFC 3339.
    pub exported_at: String,
    /// How many secrets there are.
    pub total_secrets: usize,
}

/// `fnox import -n --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportPlan<'a> {
    /// The profile that would be written to.
    pub profile: &'a str,
    /// The provider that would encrypt the values.
    pub provider: &'a str,
    /// The file that would be written.
    pub file: String,
    /// What would happen to each secret.
    pub secrets: Vec<ChangedSecret>,
}

/// `fnox import -n --json` of a format without values
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeclaredPlan {
    /// The file that would be written.
    pub file: String,
    /// What would happen to each entry.
    pub entries: Vec<DeclaredEntry>,
    /// What cannot be taken over, and what is still to be done.
    pub notes: Vec<String>,
}

/// One entry of [`DeclaredPlan`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeclaredEntry {
    /// `provider`, `secret` or `lease`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its profile; `default` is the base.
    pub profile: String,
    /// `new`, `changed` or `same`.
    pub change: &'static str,
}

/// `fnox diff --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProfileDifference<'a> {
    /// One profile.
    pub before: &'a str,
    /// The profile that it is compared with.
    pub after: &'a str,
    /// The secrets that differ; with `--all`, all of them.
    pub secrets: Vec<ChangedSecret>,
}

/// What happens to one secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedSecret {
    /// The secret.
    pub name: String,
    /// `new`, `removed`, `changed`, `same`, or `unknown` where a value cannot be read.
    pub change: &'static str,
}

/// One element of `fnox push --json`. No value is in it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PushedSecret {
    /// The secret's name.
    pub secret: String,
    /// The target's name.
    pub target: String,
    /// What became of it.
    pub result: PushResult,
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a value that was pushed. Services do not show the values that they have, so that none is told to be the
/// same as before, and a push removes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PushResult {
    /// With `-n`: it would be sent.
    Planned,
    /// The service had no secret of this name.
    Created,
    /// The service had one, which has this value now.
    Updated,
    /// The service has it, and does not say whether it had one before.
    Sent,
    /// It was not sent, or not taken.
    Failed,
}
