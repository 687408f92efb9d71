//! Documents about values that the configuration keeps, copies of values, and whole files.

use schemars::JsonSchema;
use serde::Serialize;

/// One element of `fnox sync --status --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SyncedCopy {
    /// The secret's name, or a file's path as `[files]` has it.
    pub name: String,
    /// The provider that it was copied from; of a list all, in their order.
    pub from: Option<String>,
    /// The provider that encrypted the copy.
    pub provider: String,
    /// When it was made (RFC 3339); other programs' copies do not say.
    pub at: Option<String>,
}

/// One element of `fnox sync -n --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlannedCopy {
    /// The secret's name, or a file's path as `[files]` has it.
    pub name: String,
    /// `secret` or `file`.
    pub kind: &'static str,
    /// What would be done.
    pub step: PlannedStep,
    /// The providers that would be asked, in this order.
    pub from: Vec<String>,
    /// The provider that would encrypt the copy.
    pub provider: Option<String>,
}

/// What would be done about a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedStep {
    /// It is made, or made anew.
    Copy,
    /// A stale one is taken out.
    Remove,
}

/// One element of `fnox reencrypt -n --json`, and of `fnox reencrypt --check --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoredValue {
    /// The secret's name, or a file's path as `[files]` has it.
    pub name: String,
    /// `secret` or `file`.
    pub kind: &'static str,
    /// The providers that encrypt it, in the order in which they are asked.
    pub providers: Vec<String>,
    /// The file that has the entry.
    pub source: String,
    /// The line of the entry, from 1.
    pub line: usize,
    /// With `--check`: whether it is encrypted as the configuration says. `null`: its provider cannot tell.
    pub current: Option<bool>,
}

/// One element of `fnox files list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedFile {
    /// Absolute path of the file.
    pub path: String,
    /// The provider that keeps it.
    pub provider: String,
    /// The file of the configuration folder that holds the ciphertext.
    pub source: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether there is anything at the path.
    pub exists: bool,
}

/// One element of `fnox files write --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WrittenFile {
    /// Absolute path of the file.
    pub path: String,
    /// The provider that gave its content.
    pub provider: String,
    /// What became of it.
    pub outcome: FileOutcome,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileOutcome {
    /// It stands there now.
    Written,
    /// It stood there already.
    Unchanged,
    /// It would be written, without `-n`.
    WouldWrite,
}
