//! Questions for people: a gateway leaves one, an administrator decides, the gateway hears what was said.
//!
//! What is asked about is a request, or the use of a credential for a while ([`Asked`]).

use fnox_core::question::Asked;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method};
use crate::ids::ApprovalId;

/// For how long a question waits at the most, in seconds.
pub const LONGEST_QUESTION: u32 = 600;

/// For how long `await_approval` waits at the most, in seconds: well below what a request may take.
pub const LONGEST_WAIT: u32 = 20;

/// For how long a yes lasts at the most, in seconds, but for that of a gateway's whole session: 30 days.
pub const LONGEST_YES: u32 = 30 * 86_400;

/// Parameters of `ask_approval`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskApproval {
    /// What is asked about.
    pub request: Asked,
    /// How long it waits, in seconds: at most 600.
    pub ttl_secs: u32,
}

impl Call for AskApproval {
    const METHOD: Method = Method::AskApproval;
    type Result = ApprovalAsked;
}

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalAsked {
    /// Names it.
    pub id: ApprovalId,
    /// When it is forgotten.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Parameters of `await_approval`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwaitApproval {
    /// Which.
    pub id: ApprovalId,
    /// How long to wait for a decision, in seconds: at most 20. 0 only looks.
    #[serde(default)]
    pub wait_secs: u32,
}

impl Call for AwaitApproval {
    const METHOD: Method = Method::AwaitApproval;
    type Result = ApprovalState;
}

/// What was said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalState {
    /// Absent as long as nobody has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// No.
    Deny,
    /// Yes.
    Allow {
        /// To what.
        breadth: Breadth,
        /// For how long.
        lasting: Lasting,
    },
}

/// How much a yes covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Breadth {
    /// What was asked about, to the byte.
    Request,
    /// Whatever the rule allows the agent. Only of a request.
    Rule,
}

/// How long a yes lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// For one request. Only of a request.
    Once,
    /// For so many seconds: at most 30 days; of the use of a credential an hour.
    Seconds(u32),
    /// For as long as the gateway runs. Only of a request.
    Session,
}

/// Parameters of `take_back_approval`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBackApproval {
    /// Which.
    pub id: ApprovalId,
}

impl Call for TakeBackApproval {
    const METHOD: Method = Method::TakeBackApproval;
    type Result = super::Done;
}

/// Parameters of `list_approvals`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListApprovals {
    /// After this one; from the first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ApprovalId>,
}

impl Call for ListApprovals {
    const METHOD: Method = Method::ListApprovals;
    type Result = ApprovalList;
}

/// Questions that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalList {
    /// Oldest first.
    pub approvals: Vec<ApprovalInfo>,
    /// The last of these, if there are more: ask again after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ApprovalId>,
}

/// A question as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalInfo {
    /// Names it.
    pub id: ApprovalId,
    /// What is asked about.
    pub request: Asked,
    /// The gateway that holds the request.
    pub gateway: String,
    /// What the gateway's questions are bound to.
    pub peer: String,
    /// When it was asked.
    #[schemars(with = "String")]
    pub asked_at: Timestamp,
    /// When it is forgotten.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Parameters of `decide_approval`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideApproval {
    /// Which.
    pub id: ApprovalId,
    /// What is said.
    pub decision: Decision,
}

impl Call for DecideApproval {
    const METHOD: Method = Method::DecideApproval;
    type Result = super::Done;
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn gateways_ask_and_administrators_decide() {
        for method in [
            Method::AskApproval,
            Method::AwaitApproval,
            Method::TakeBackApproval,
        ] {
            for role in [Role::Admin, Role::Orchestrator, Role::Agent] {
                assert!(!method.callers().include(role), "{role}");
            }
            assert!(method.callers().include(Role::Gateway));
        }
        for method in [Method::ListApprovals, Method::DecideApproval] {
            for role in [Role::Gateway, Role::Orchestrator, Role::Agent] {
                assert!(!method.callers().include(role), "{role}");
            }
            assert!(method.callers().include(Role::Admin));
        }
    }

    #[test]
    fn a_decision_is_one_word_or_a_yes_with_both_its_bounds() {
        let read = |text: &str| serde_json::from_str::<Decision>(text).ok();
        assert_eq!(read(r#""deny""#), Some(Decision::Deny));
        assert_eq!(
            read(r#"{"allow":{"breadth":"rule","lasting":{"seconds":60}}}"#),
            Some(Decision::Allow {
                breadth: Breadth::Rule,
                lasting: Lasting::Seconds(60),
            })
        );
        for wrong in [
            r#""allow""#,
            r#"{"allow":{}}"#,
            r#"{"allow":{"breadth":"request"}}"#,
            r#"{"allow":{"breadth":"request","lasting":"once","host":"*"}}"#,
            r#"{"allow":{"breadth":"all","lasting":"once"}}"#,
            r#"{"allow":{"breadth":"request","lasting":{"seconds":-1}}}"#,
            r#"{"deny":true}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
