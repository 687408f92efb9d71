//! The JSON documents that commands print. Their schemas are committed under `docs/reference/schemas/`.

mod lease;
mod printed;
mod stored;
mod transfer;

use fnox_config::EnvMode;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

pub use self::lease::{CreatedLease, ExplainedCall, ExplainedLease, ListedLease, SettledLease};
pub use self::printed::{PRINTED, Printed};
pub use self::stored::{
    FileOutcome, ListedFile, PlannedCopy, PlannedStep, StoredValue, SyncedCopy, WrittenFile,
};
pub use self::transfer::{
    ChangedSecret, DeclaredEntry, DeclaredPlan, ExportMetadata, Exported, ImportPlan,
    ProfileDifference, PushResult, PushedSecret,
};

/// `fnox get --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct SecretValue<'a> {
    /// The secret's name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// One element of `fnox list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedSecret {
    /// The secret's name.
    pub name: String,
    /// `provider`, `stored value`, `default value` or `env var`.
    pub kind: &'static str,
    /// The provider that keeps it.
    pub provider: Option<String>,
    /// The providers that are asked after it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// The ciphertext or reference.
    pub reference: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who gets it: `always`, `exec` or `never`.
    pub env: &'static str,
    /// Whether programs get a file.
    pub as_file: bool,
    /// The file that defines it.
    pub source: String,
    /// The value, with `--values`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The schema of every document, by the name of its file.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Schema)> {
    let mut all = vec![
        ("get", schema_for!(SecretValue)),
        ("list", schema_for!(Vec<ListedSecret>)),
        ("sync-status", schema_for!(Vec<SyncedCopy>)),
        ("sync-plan", schema_for!(Vec<PlannedCopy>)),
        ("reencrypt", schema_for!(Vec<StoredValue>)),
        ("lease-create", schema_for!(CreatedLease)),
        ("lease-explain", schema_for!(ExplainedLease)),
        ("lease-list", schema_for!(Vec<ListedLease>)),
        ("lease-cleanup", schema_for!(Vec<SettledLease>)),
        ("lease-revoke", schema_for!(Vec<SettledLease>)),
        ("provider-list", schema_for!(Vec<ListedProvider>)),
        ("provider-keys", schema_for!(ListedKeys)),
        ("provider-test", schema_for!(Vec<ProviderTest>)),
        ("profiles", schema_for!(Vec<ListedProfile>)),
        ("config-files", schema_for!(Vec<ConfigFile>)),
        ("audit", schema_for!(Vec<AuditedUse>)),
        ("audit-verify", schema_for!(AuditVerification)),
        ("files-list", schema_for!(Vec<ListedFile>)),
        ("files-write", schema_for!(Vec<WrittenFile>)),
        ("plugin-list", schema_for!(Vec<ListedPlugin>)),
        ("trust-list", schema_for!(Vec<TrustedPath>)),
        ("version", schema_for!(VersionDocument)),
        ("age-keygen", schema_for!(AgeKey)),
        ("export", schema_for!(Exported)),
        ("import", schema_for!(ImportPlan)),
        ("import-declared", schema_for!(DeclaredPlan)),
        ("push", schema_for!(Vec<PushedSecret>)),
        ("diff", schema_for!(ProfileDifference)),
        ("scan", schema_for!(ScanReport)),
        ("check", schema_for!(CheckReport)),
        ("doctor", schema_for!(DoctorReport)),
    ];
    all.extend(crate::commands::env::documents::schemas());
    all.extend(crate::team::documents::schemas());
    all.extend(crate::lifecycle::documents::schemas());
    #[cfg(unix)]
    {
        all.extend(crate::daemon::documents::schemas());
        all.extend(crate::vault::documents::schemas());
        all.extend(crate::gateway::documents::schemas());
        all.extend(crate::server::documents::schemas());
    }
    all
}

/// The word for a secret's `env`.
#[must_use]
pub fn env_mode(mode: EnvMode) -> &'static str {
    match mode {
        EnvMode::Always => "always",
        EnvMode::Exec => "exec",
        EnvMode::Never => "never",
    }
}

/// One element of `fnox provider list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedProvider {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The type's name in words.
    pub label: &'static str,
    /// `encrypts`, `stores` or `reads`.
    pub capability: &'static str,
    /// Whether this version can open it.
    pub built: bool,
    /// Whether secrets that name no provider use it.
    pub default: bool,
    /// The file that defines it.
    pub source: String,
}

/// `fnox provider keys list --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedKeys {
    /// The provider.
    pub provider: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The data key that each of its keys opens; `null` while there is one key, whose answer encrypts the values itself.
    pub data_key: Option<String>,
    /// How many older keys are kept for values that were not encrypted anew.
    pub former_keys: usize,
    /// Its keys.
    pub keys: Vec<ListedKey>,
}

/// One of a provider's hardware keys.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedKey {
    /// What it is called.
    pub name: String,
    /// The slot that answers (YubiKey).
    pub slot: Option<String>,
    /// The credential that answers (FIDO2).
    pub credential_id: Option<String>,
    /// What the credential belongs to (FIDO2).
    pub rp_id: Option<String>,
}

/// One element of `fnox provider test --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProviderTest {
    /// The provider.
    pub name: String,
    /// Whether it answered.
    pub ok: bool,
    /// What it answered instead.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// One element of `fnox profiles --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedProfile {
    /// Its name; `default` is the base.
    pub name: String,
    /// How many secrets there are when it is the active one.
    pub secrets: usize,
    /// Whether it is active now.
    pub active: bool,
}

/// One element of `fnox plugin list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedPlugin {
    /// What providers call it.
    pub name: String,
    /// `installed`; `linked`; `missing`: only declared; `changed`: its files are not those that were installed; `other-source`:
    /// `[plugins]` says another source.
    pub state: &'static str,
    /// Where it was fetched from, or would be.
    pub source: Option<String>,
    /// The commit that was fetched.
    pub commit: Option<String>,
    /// Where its files are.
    pub folder: Option<String>,
    /// What `[plugins]` says.
    pub declared: Option<String>,
}

/// One element of `fnox audit --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditedUse {
    /// Number of the record, from 1.
    pub sequence: u64,
    /// When (RFC 3339).
    pub time: String,
    /// What happened: `secret_used`, `lease_used`, `file_read`, `credential_captured`, `captured_used`; for changes `secret_set`,
    /// `file_removed`, `provider_added` and the like.
    pub event: String,
    /// `ok`; for changes also `error`, or `begun` if no end is on record.
    pub outcome: &'static str,
    /// The command.
    pub command: String,
    /// The secret.
    pub secret: Option<String>,
    /// The provider that keeps it.
    pub provider: Option<String>,
    /// The lease.
    pub lease: Option<String>,
    /// The new name, the target of a push, the file, the hardware key, or the member of an answer.
    pub to: Option<String>,
    /// By what a running program got it: `gateway`, `endpoint` or `agent`.
    pub way: Option<String>,
    /// The host of the request that it went into.
    pub host: Option<String>,
    /// The rule that let the request pass.
    pub rule: Option<String>,
    /// The active profiles, or the one that was changed.
    pub profile: String,
    /// Whether the daemon had the value.
    pub daemon: bool,
    /// The project's folder.
    pub folder: String,
    /// The process, as `pid:NUMBER`.
    pub process: Option<String>,
}

/// `fnox audit --verify --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditVerification {
    /// Number of the last record.
    pub records: u64,
    /// How many fit the chain.
    pub verified: u64,
    /// What does not.
    pub flaws: Vec<String>,
}

/// One element of `fnox config-files --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConfigFile {
    /// Absolute path.
    pub path: String,
    /// `global`, `project`, `profile`, `local` or `explicit`.
    pub kind: &'static str,
    /// The file that imports it, if one does.
    pub imported_by: Option<String>,
}

/// One element of `fnox trust --list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TrustedPath {
    /// `folder`: activated shells load it; `file`: it is read although others could have written it.
    pub kind: &'static str,
    /// Absolute path.
    pub path: String,
}

/// `fnox version --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionDocument {
    /// `fnox`
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

/// `fnox age keygen --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct AgeKey {
    /// The file that holds the identity.
    pub path: String,
    /// Its public key.
    pub recipient: String,
    /// The public key of the writer key that was made beside it; absent if there was one already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
}

/// `fnox scan --json`
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ScanReport {
    /// What was found.
    pub findings: Vec<ScanFinding>,
    /// How much.
    pub summary: ScanSummary,
}

/// Something that looks like a secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScanFinding {
    /// The file.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
    /// What found it.
    pub detector: &'static str,
    /// `high` or `medium`.
    pub severity: &'static str,
    /// How the value begins, if all of its kind begin so.
    pub redacted: String,
    /// The secret whose value it is, with `--values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// How much was found.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct ScanSummary {
    /// Files that were looked at.
    pub files_scanned: usize,
    /// Those with findings.
    pub files_with_findings: usize,
    /// All findings.
    pub findings: usize,
}

/// `fnox check --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckReport {
    /// Whether there are no errors.
    pub healthy: bool,
    /// The profiles that were checked.
    pub profiles: Vec<String>,
    /// Number of secrets.
    pub secrets: usize,
    /// Number of providers.
    pub providers: usize,
    /// Number of leases.
    pub leases: usize,
    /// Secrets that name several providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ProviderChain>,
    /// What the team server would be asked.
    pub team_server: Vec<CheckedServerSecret>,
    /// What must be mended.
    pub errors: Vec<Finding>,
    /// What should be looked at.
    pub warnings: Vec<Finding>,
}

/// Providers that are asked one after another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProviderChain {
    /// Their names, in the order in which they are asked.
    pub providers: Vec<String>,
    /// Number of secrets that name them so.
    pub secrets: usize,
}

/// What the team server would be asked for one secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckedServerSecret {
    /// The secret.
    pub name: String,
    /// The provider that names the server.
    pub provider: String,
    /// The version that would be given.
    pub version: Option<u64>,
    /// Whether a person would be asked.
    pub needs_approval: bool,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// One thing that `fnox check` found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The file it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line there, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// `fnox doctor --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorReport {
    /// Whether nothing failed.
    pub healthy: bool,
    /// fnox's version.
    pub version: &'static str,
    /// What was looked at, in order.
    pub examinations: Vec<Examination>,
}

/// One thing that `fnox doctor` looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Examination {
    /// What it belongs to, for example `providers`.
    pub group: &'static str,
    /// What was looked at.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What came of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It works.
    Ok,
    /// It works, but should be looked at.
    Warning,
    /// It does not work.
    Failure,
    /// Nothing to judge.
    Information,
}
