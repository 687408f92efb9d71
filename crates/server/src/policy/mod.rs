//! What whoever has proved who it is may ask for.

use std::time::Duration;

/// What a rule permits for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The rule, for the audit log: its `name`, or `rule N` counted from 1.
    pub rule: String,
    /// Whether a person has to be asked.
    pub require_approval: bool,
    /// Who may decide; empty: every approver.
    pub approvers: Vec<String>,
    /// How many have to say yes, if the rule says.
    pub approvals_needed: Option<u32>,
    /// How long a grant lasts at most, if the rule says.
    pub max_ttl: Option<Duration>,
    /// The requester's key that must be among the secret's recipients, if the rule requires one.
    pub recipient: Option<String>,
}
