//! The JSON documents that `fnox agent` prints.

use fnox_core::question::Asked;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::output::asked::beside_others;

/// `fnox agent rules --json`
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RulesDocument {
    /// `strict`: hosts without a rule are not reached; `permissive`: they are, without a credential.
    pub egress: &'static str,
    /// Whether requests and refusals are logged.
    pub audit: bool,
    /// Hosts that are reached without a credential.
    pub allow_domains: Vec<String>,
    /// Private addresses that may be reached.
    pub allow_private: Vec<String>,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<RuleDocument>,
}

/// One rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RuleDocument {
    /// The secret, or the lease and its variable.
    pub credential: String,
    /// The host.
    pub host: String,
    /// The methods; all if there are none.
    pub methods: Vec<String>,
    /// The paths; all if there are none.
    pub paths: Vec<String>,
    /// Where the credential goes.
    pub place: String,
    /// `swap`: in the place of the placeholder; `set`: into every request.
    pub inject: &'static str,
    /// The variable in which the program finds the placeholder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// So many requests, then no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Whether a person must agree.
    pub asks: bool,
    /// Members of JSON answers that the program gets placeholders for.
    pub capture: Vec<String>,
    /// Hosts that get what was captured, besides the rule's own requests.
    pub capture_hosts: Vec<String>,
}

/// What waits for a person: `fnox agent pending --json` prints a list of them. What has a `kind` is no request: `access` is the
/// use of a credential for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingQuestion {
    /// By which `fnox agent approve` and `deny` know it.
    pub id: String,
    /// What is asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// When it was asked (RFC 3339).
    pub asked_at: String,
}

/// `fnox agent doctor --json` prints a list of these.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ToolReport {
    /// Which tool.
    pub tool: &'static str,
    /// What came of its request.
    pub trial: Trial,
    /// The same in words.
    pub detail: String,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

/// What came of a tool's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It came through the gateway, inside of TLS.
    Works,
    /// The tool found the gateway and did not believe its certificate.
    Distrusts,
    /// The tool did not ask the gateway.
    PassesBy,
    /// The tool could not be started.
    Absent,
}

/// The schema of every document, by the name of its file.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("agent-doctor", schema_for!(Vec<ToolReport>)),
        (
            "agent-pending",
            beside_others(schema_for!(Vec<PendingQuestion>)),
        ),
        ("agent-rules", schema_for!(RulesDocument)),
    ]
}
