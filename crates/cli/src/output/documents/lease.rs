//! What the commands of leases print.

use schemars::JsonSchema;
use serde::Serialize;

/// `fnox lease create -f json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedLease<'a> {
    /// The lease's name in the configuration.
    pub backend: String,
    /// The credential, variable by variable.
    #[serde(flatten)]
    pub variables: indexmap::IndexMap<&'a str, &'a str>,
    /// When it stops working (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The issuer's handle.
    pub lease_id: String,
}

/// `fnox lease create --explain -f json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedLease {
    /// The lease's name in the configuration.
    pub backend: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long the credential should live.
    pub duration_seconds: u64,
    /// The lease whose credential is the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The masters that are there, by name, and where each comes from.
    pub masters: indexmap::IndexMap<String, String>,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The calls, in their order.
    pub calls: Vec<ExplainedCall>,
    /// The variables that the program gets, as far as they are known beforehand.
    pub produces: Vec<String>,
    /// The variables that the program does not get.
    pub withholds: Vec<String>,
    /// Whether the credential can be withdrawn.
    pub revocable: bool,
    /// Whether the issuer prolongs it.
    pub prolongable: bool,
    /// When a cached credential that `exec` would use ends (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_until: Option<String>,
}

/// A call that creating a lease would make.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedCall {
    /// What is done: an HTTP method, an action of an API, `run`, `connect`.
    pub action: String,
    /// To whom.
    pub target: String,
    /// What for.
    pub purpose: String,
    /// As whom: the master's name.
    pub master: String,
    /// What is asked for.
    pub details: indexmap::IndexMap<String, String>,
}

impl From<fnox_leases::Explanation> for ExplainedLease {
    fn from(explanation: fnox_leases::Explanation) -> Self {
        let masters = explanation.masters.into_iter();
        let call = |call: fnox_leases::PlannedCall| ExplainedCall {
            action: call.action,
            target: call.target,
            purpose: call.purpose,
            master: call.master,
            details: call.details.into_iter().collect(),
        };
        Self {
            backend: explanation.lease,
            kind: explanation.kind,
            duration_seconds: explanation.duration_seconds,
            via: explanation.via,
            masters: masters.map(|master| (master.name, master.source)).collect(),
            missing: explanation.missing,
            calls: explanation.calls.into_iter().map(call).collect(),
            produces: explanation.produces,
            withholds: explanation.withholds,
            revocable: explanation.revocable,
            prolongable: explanation.prolongable,
            cached_until: explanation.cached_until.map(|end| end.to_string()),
        }
    }
}

/// One element of `fnox lease list --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedLease {
    /// The issuer's handle.
    pub lease_id: String,
    /// The lease's name in the configuration.
    pub backend: String,
    /// What it was made for.
    pub label: String,
    /// `pending`, `active`, `expired`, `exhausted`, `revoked`, or `forgotten`: withdrawn here alone, since its issuer has no way to;
    /// it works until `expires_at`.
    pub status: String,
    /// When it was issued (RFC 3339).
    pub created_at: String,
    /// When it stops working (RFC 3339).
    pub expires_at: Option<String>,
}

/// One element of `fnox lease revoke --json` and of `fnox lease cleanup --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettledLease {
    /// The issuer's handle.
    pub lease_id: String,
    /// The lease's name in the configuration.
    pub backend: String,
    /// What came of it, in words.
    pub outcome: String,
}
