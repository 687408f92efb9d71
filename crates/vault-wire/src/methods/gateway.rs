//! What gateways say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method};
use crate::LeaseId;

/// The most requests of one call.
pub const MOST_RECORDED: usize = 256;

/// Parameters of `record_requests`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRequests {
    /// In their order; 256 at the most.
    pub requests: Vec<RecordedRequest>,
}

/// A request that an agent made through a gateway. Nothing of it is secret: where credentials go, there are placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// Who made it.
    pub agent: String,
    /// Where it went, or would have gone.
    pub host: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The rules whose credentials went into it, or the one that refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What became of it.
    pub outcome: RequestOutcome,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestOutcome {
    /// The destination answered with this status.
    Answered(u16),
    /// The gateway refused it, with this code, for example `gateway::not_allowed`.
    Refused(String),
    /// The gateway could not put so many requests on record.
    Lost(u64),
}

impl Call for RecordRequests {
    const METHOD: Method = Method::RecordRequests;
    type Result = super::Done;
}

/// Parameters of `return_use`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnUse {
    /// The lease that was spent, on this connection, for a request of which nothing was sent.
    pub lease_id: LeaseId,
}

impl Call for ReturnUse {
    const METHOD: Method = Method::ReturnUse;
    type Result = super::Done;
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn only_gateways_say_what_came_of_requests() {
        for method in [Method::RecordRequests, Method::ReturnUse] {
            let callers = method.callers();
            for role in [Role::Admin, Role::Orchestrator, Role::Agent] {
                assert!(!callers.include(role), "{role}");
            }
            assert!(callers.include(Role::Gateway));
        }
    }
}
