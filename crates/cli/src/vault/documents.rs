//! The JSON documents that `fnox vault` prints. Most are the protocol's own results
//! (`docs/reference/vault-protocol.md`), so that a program needs to know only one form of each.

use fnox_vault_wire::methods::{
    ApprovalInfo, AuditVerified, BackedUp, Checkpointed, Explanation, HealthReport, Identity,
    KeyReport, KeyRotated, LeaseGrant, LeaseInfo, PolicyReloaded, Pruned, RevokedCount,
    SecretMetadata, TokenCreated, TokenInfo, TokenRevoked,
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

/// `fnox vault init --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Initialised {
    /// The vault's configuration.
    pub config: String,
    /// The policy.
    pub policy: String,
    /// Where secrets, leases and the audit log are.
    pub store: String,
    /// Where the key is.
    pub key: String,
    /// The administrators' socket.
    pub socket: String,
    /// What was made just now: `config`, `policy`, `key`, `store`.
    pub created: Vec<&'static str>,
}

/// `fnox vault status --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct VaultStatus {
    /// Where the vault is.
    pub place: String,
    /// Whom it takes the caller for.
    pub identity: Identity,
    /// How it is.
    pub health: HealthReport,
}

/// One element of `fnox vault secret delete --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedSecret {
    /// The secret.
    pub name: String,
}

/// One element of `fnox vault secret import --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportedSecret {
    /// The secret.
    pub name: String,
    /// Its version now; absent with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// `fnox vault lease access --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessedValue<'a> {
    /// The value as standard base64 with padding.
    pub value_base64: &'a str,
}

/// `fnox vault token create --output FILE --json`: like without `--output`, but the token stands in the file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenWritten {
    /// The file that holds the token.
    pub token_file: String,
    /// Names the token in lists and in `token revoke`.
    pub id: String,
    /// Whose it is.
    pub agent: String,
    /// What it allows.
    pub role: String,
    /// When it ends (RFC 3339).
    pub expires_at: String,
}

/// `fnox vault policy check --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyChecked {
    /// Whether a vault would take the file.
    pub valid: bool,
    /// How many rules it has; absent if it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<usize>,
    /// What is wrong or odd, in the order of the lines.
    pub findings: Vec<PolicyFinding>,
}

/// One thing that is wrong or odd about a policy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyFinding {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// `fnox vault restore --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct Restored {
    /// The store that was restored.
    pub store: String,
    /// The copy that it was restored from.
    pub from: String,
}

/// The schema of every document, by the name of its file.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("vault-init", schema_for!(Initialised)),
        ("vault-status", schema_for!(VaultStatus)),
        ("vault-secret-set", schema_for!(SecretMetadata)),
        ("vault-secret-get-metadata", schema_for!(SecretMetadata)),
        ("vault-secret-list", schema_for!(Vec<SecretMetadata>)),
        ("vault-secret-delete", schema_for!(Vec<DeletedSecret>)),
        ("vault-secret-import", schema_for!(Vec<ImportedSecret>)),
        ("vault-secret-prune", schema_for!(Pruned)),
        ("vault-lease-request", schema_for!(LeaseGrant)),
        ("vault-lease-access", schema_for!(AccessedValue)),
        ("vault-lease-renew", schema_for!(LeaseGrant)),
        ("vault-lease-revoke", schema_for!(RevokedCount)),
        ("vault-lease-list", schema_for!(Vec<LeaseInfo>)),
        ("vault-approvals", schema_for!(Vec<ApprovalInfo>)),
        ("vault-token-create", schema_for!(TokenCreated)),
        ("vault-token-create-output", schema_for!(TokenWritten)),
        ("vault-token-list", schema_for!(Vec<TokenInfo>)),
        ("vault-token-revoke", schema_for!(TokenRevoked)),
        ("vault-policy-check", schema_for!(PolicyChecked)),
        ("vault-policy-explain", schema_for!(Explanation)),
        ("vault-policy-reload", schema_for!(PolicyReloaded)),
        (
            "vault-audit-query",
            schema_for!(fnox_vault_wire::methods::AuditPage),
        ),
        ("vault-audit-verify", schema_for!(AuditVerified)),
        ("vault-audit-checkpoint", schema_for!(Checkpointed)),
        ("vault-key-status", schema_for!(KeyReport)),
        ("vault-key-rotate", schema_for!(KeyRotated)),
        ("vault-backup", schema_for!(BackedUp)),
        ("vault-restore", schema_for!(Restored)),
        ("vault-import-zerolease", schema_for!(Vec<ImportedSecret>)),
    ]
}
