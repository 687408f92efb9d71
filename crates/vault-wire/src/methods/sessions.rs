//! Sessions: an orchestrator's bracket around the leases of one task.

use fnox_core::SecretString;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method, RevokedCount};
use crate::ids::SessionId;

/// Parameters of `open_session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The person whose task it is.
    pub user: String,
    /// Where the task came from.
    pub channel: String,
    /// How long it lives, in seconds, at most a day; it cannot be renewed.
    pub max_session_secs: u64,
    /// How many of its leases may live at once.
    pub max_concurrent_leases: u32,
    /// How often each of them may be renewed.
    pub max_renewals_per_lease: u32,
    /// Which tool may have which secrets. None means no tool may have any.
    pub tool_bindings: Vec<ToolBinding>,
}

/// What one tool may ask for within a session. The policy must allow it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolBinding {
    /// The tool.
    pub tool_name: String,
    /// Names of secrets, exact.
    pub allowed_secrets: Vec<String>,
    /// Hosts: exact or `*.suffix`.
    pub allowed_domains: Vec<String>,
}

impl Call for OpenSession {
    const METHOD: Method = Method::OpenSession;
    type Result = SessionOpened;
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionOpened {
    /// Names the session, for `close_session`.
    pub session_id: SessionId,
    /// Lets `request_lease` ask within it. Shown once.
    #[serde(with = "crate::methods::tokens::shown_once")]
    #[schemars(with = "String")]
    pub session_token: SecretString,
    /// When it ends.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Parameters of `close_session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseSession {
    /// Which.
    pub session_id: SessionId,
}

impl Call for CloseSession {
    const METHOD: Method = Method::CloseSession;
    type Result = RevokedCount;
}
