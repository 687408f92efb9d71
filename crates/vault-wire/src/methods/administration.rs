//! Who am I, how are you; policy, audit log, keys, backup.

use fnox_core::audit::{Outcome, Record};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method, Role, SealAlgorithm};
use crate::ids::{LeaseId, TokenId};

/// Parameters of `whoami`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {}

impl Call for Whoami {
    const METHOD: Method = Method::Whoami;
    type Result = Identity;
}

/// Whom the vault takes the caller for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// What it may do.
    pub role: Role,
    /// In whose name an agent asks.
    pub agent: Option<String>,
    /// What its leases are bound to: `uid:1000`, `token:ID` or `cid:7`.
    pub peer: String,
    /// Its token.
    pub token_id: Option<TokenId>,
    /// When the token ends.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
}

/// Parameters of `health`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {}

impl Call for Health {
    const METHOD: Method = Method::Health;
    type Result = HealthReport;
}

/// How the vault is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// `ok`, or `degraded` while the store or the audit log cannot be written.
    pub status: String,
    /// The program's version.
    pub version: String,
    /// What administrators see besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<HealthDetails>,
}

/// What an administrator wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthDetails {
    /// The vault's id.
    pub vault_id: String,
    /// Where its data is, for example `sqlite:/var/lib/fnox/vault.db`.
    pub store: String,
    /// Where its key is, for example `file:/etc/fnox/vault.key`.
    pub key_source: String,
    /// The policy file, or `-`.
    pub policy: String,
    /// How many rules it has.
    pub rules: u64,
    /// How long it has been running.
    pub uptime_secs: u64,
    /// Live leases that this vault knows of.
    pub live_leases: u64,
    /// Open connections.
    pub connections: u64,
    /// Records in the audit log; absent where it is off.
    pub audit_records: Option<u64>,
    /// Whether key pages are locked in memory.
    pub memory_locked: bool,
    /// What does not work right now.
    pub problems: Vec<String>,
}

/// Parameters of `policy_explain`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyExplain {
    /// Who would ask. An agent always means itself.
    pub agent: String,
    /// For which secret.
    pub secret: String,
    /// For which host.
    pub host: String,
    /// With which tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

impl Call for PolicyExplain {
    const METHOD: Method = Method::PolicyExplain;
    type Result = Explanation;
}

/// How the policy decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Whether a lease would be granted.
    pub allowed: bool,
    /// The rule that decided, as `rule 3 (line 21)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// In one sentence, for people.
    pub summary: String,
    /// What the lease would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Each rule that was passed over, with the first thing that did not fit. Empty for agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<Miss>,
}

/// The terms of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// How long a lease lives.
    pub ttl_secs: u64,
    /// How long it may be asked to live.
    pub max_ttl_secs: u64,
    /// How often it may be used.
    pub max_uses: Option<u32>,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// How long it may live with all renewals.
    pub max_lifetime_secs: u64,
    /// How the value is delivered.
    pub delivery: super::Delivery,
}

/// A rule that did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Miss {
    /// The rule.
    pub rule: String,
    /// What did not fit.
    pub because: String,
}

/// Parameters of `policy_reload`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyReload {}

impl Call for PolicyReload {
    const METHOD: Method = Method::PolicyReload;
    type Result = PolicyReloaded;
}

/// The policy that is in force now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReloaded {
    /// How many rules it has.
    pub rules: u64,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// Leases that it no longer grants.
    pub leases_revoked: u64,
    /// Leases that it lets live shorter.
    pub leases_shortened: u64,
}

/// Parameters of `audit_query`: records that fit every key that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Done for this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// About this secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// About this lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// That ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub outcome: Option<Outcome>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// After this number (oldest first) or before it (newest first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_sequence: Option<u64>,
    /// Newest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newest_first: bool,
    /// At most so many; 500 if absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Call for AuditQuery {
    const METHOD: Method = Method::AuditQuery;
    type Result = AuditPage;
}

/// The events of a vault's audit log, in the order of the alphabet.
pub const AUDIT_EVENTS: &[&str] = &[
    "access_denied",
    "approval_asked",
    "approval_decided",
    "approval_denied",
    "approval_taken_back",
    "audit_read",
    "audit_verified",
    "authenticated",
    "authentication_failed",
    "backup_written",
    "credential_issued",
    "credential_renewed",
    "credential_withdrawn",
    "gateway_request",
    "key_rewrapped",
    "key_rotated",
    "lease_denied",
    "lease_expired",
    "lease_granted",
    "lease_renewed",
    "lease_revoked",
    "lease_shortened",
    "master_read",
    "method_denied",
    "policy_changed",
    "renewal_denied",
    "revocation_denied",
    "secret_accessed",
    "secret_deleted",
    "secret_described",
    "secret_rotated",
    "secret_stored",
    "secrets_listed",
    "secrets_pruned",
    "session_closed",
    "session_opened",
    "store_restored",
    "token_created",
    "token_revoked",
    "tokens_listed",
    "use_refunded",
    "vault_created",
];

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// The records.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub records: Vec<Record>,
    /// Ask again with `from_sequence` set to this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Parameters of `audit_verify`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditVerify {
    /// Signed checkpoints that were kept elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<String>,
}

impl Call for AuditVerify {
    const METHOD: Method = Method::AuditVerify;
    type Result = AuditVerified;
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerified {
    /// Whether the log is as it was written.
    pub intact: bool,
    /// How many records it has.
    pub records: u64,
    /// How many fit the chain.
    pub verified: u64,
    /// What did not fit, at most 100.
    pub flaws: Vec<String>,
}

/// Parameters of `audit_checkpoint`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditCheckpoint {}

impl Call for AuditCheckpoint {
    const METHOD: Method = Method::AuditCheckpoint;
    type Result = Checkpointed;
}

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpointed {
    /// A C2SP signed note.
    pub note: String,
    /// The verifier key, `NAME+HASH+KEY`.
    pub public_key: String,
}

/// Parameters of `key_status`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyStatus {}

impl Call for KeyStatus {
    const METHOD: Method = Method::KeyStatus;
    type Result = KeyReport;
}

/// The keys. None of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyReport {
    /// Where the key that wraps the others is.
    pub source: String,
    /// Its id.
    pub wrapping_key: String,
    /// Whether the source can hold a second key, so that its own key can be rotated.
    pub source_can_rotate: bool,
    /// The wrapped keys.
    pub keys: Vec<KeyInfo>,
    /// The rotation that is under way or was interrupted.
    pub rotation: Option<String>,
}

/// One wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// `data`, `audit` or `signing`.
    pub purpose: String,
    /// `active`, `retiring` or `former`.
    pub state: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// How many stored values it seals, for data keys.
    pub values: Option<u64>,
}

/// Parameters of `key_rotate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRotate {
    /// Replace the key source's own key instead of the data key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source: bool,
}

impl Call for KeyRotate {
    const METHOD: Method = Method::KeyRotate;
    type Result = KeyRotated;
}

/// A finished rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRotated {
    /// The new key.
    pub key_id: String,
    /// How many values were sealed anew.
    pub rewrapped: u64,
}

/// Parameters of `key_rewrap`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRewrap {
    /// The algorithm; each value's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SealAlgorithm>,
}

impl Call for KeyRewrap {
    const METHOD: Method = Method::KeyRewrap;
    type Result = KeyRotated;
}

/// Parameters of `backup`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// An absolute path on the vault's machine where nothing is yet.
    pub path: String,
}

impl Call for Backup {
    const METHOD: Method = Method::Backup;
    type Result = BackedUp;
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackedUp {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}
