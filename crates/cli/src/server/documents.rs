//! The JSON documents that `fnox serve` prints.

mod policy_test;

use fnox_core::SecretString;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, Serializer};

pub use self::policy_test::{
    MismatchShown, RenamedShown, ServerPolicyTested, TestedKey, TestedRule,
};

/// `fnox serve init --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerInitialised {
    /// The first administrator's token, valid for a day; null if the database was there already.
    pub bootstrap_token: Option<ShownToken>,
    /// The server's configuration.
    pub config: String,
    /// The policy.
    pub policy: String,
    /// Where everything is kept.
    pub database: String,
    /// The key that signs links and chains the audit log.
    pub signing_key: String,
    /// What was made just now: `config`, `policy`, `signing_key`, `database`.
    pub created: Vec<&'static str>,
}

/// `fnox serve token --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerToken {
    /// The token, which is not shown again.
    pub token: ShownToken,
    /// `admin`, `gateway` or `scim`.
    pub role: &'static str,
    /// When it ends, in RFC 3339.
    pub expires_at: String,
}

/// One element of `fnox serve token list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedToken {
    /// By what `fnox serve token revoke` ends it.
    pub id: String,
    /// `admin`, `gateway` or `scim`.
    pub role: String,
    /// The name of the gateway; null for others.
    pub name: Option<String>,
    /// When it was made, in RFC 3339.
    pub created_at: String,
    /// When it ends, in RFC 3339.
    pub expires_at: String,
}

impl From<fnox_api::TokenView> for ListedToken {
    fn from(token: fnox_api::TokenView) -> Self {
        Self {
            id: token.id.to_string(),
            role: token.role,
            name: token.name,
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.to_string(),
        }
    }
}

/// `fnox serve audit verify --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditVerification {
    /// Whether the log is as it was written.
    pub intact: bool,
    /// Number of the last record.
    pub records: u64,
    /// How many records fit the chain.
    pub verified: u64,
    /// MAC of the last record, in hex, to be compared with the head in the server's own log.
    pub head: Option<String>,
    /// What does not fit.
    pub flaws: Vec<String>,
}

/// One element of `fnox serve notify test --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChannelTested {
    /// The channel.
    pub channel: String,
    /// Why the message did not get through; null if it did.
    pub error: Option<String>,
}

/// `fnox serve policy check --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerPolicyChecked {
    /// The file.
    pub policy: String,
    /// How many rules it has; null if it is no policy.
    pub rules: Option<usize>,
    /// What is wrong.
    pub findings: Vec<ServerPolicyFinding>,
}

/// One thing that is wrong about a policy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerPolicyFinding {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The rule.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// `fnox serve backup --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerBackedUp {
    /// The copy.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// `fnox serve restore --json`, `fnox serve restored --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerRestored {
    /// The database in which every session, approval and grant has ended.
    pub database: String,
}

/// `fnox serve freeze --json`, `unfreeze`, `revoke-all`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerStateShown {
    /// Whether nothing is released at the moment.
    pub frozen: bool,
    /// Sessions that were ended.
    pub sessions_ended: u64,
    /// Approvals that were cancelled.
    pub approvals_cancelled: u64,
}

/// A token that is shown once, to whoever may use it.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub struct ShownToken(#[schemars(with = "String")] pub SecretString);

impl Serialize for ShownToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // On the last line before the terminal.
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// The schemas with their files' names.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("serve-init", schema_for!(ServerInitialised)),
        ("serve-token", schema_for!(ServerToken)),
        ("serve-token-list", schema_for!(Vec<ListedToken>)),
        ("serve-audit-verify", schema_for!(AuditVerification)),
        ("serve-notify-test", schema_for!(Vec<ChannelTested>)),
        ("serve-policy-check", schema_for!(ServerPolicyChecked)),
        ("serve-policy-test", schema_for!(ServerPolicyTested)),
        ("serve-backup", schema_for!(ServerBackedUp)),
        ("serve-restore", schema_for!(ServerRestored)),
        ("serve-state", schema_for!(ServerStateShown)),
    ]
}
