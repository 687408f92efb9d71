//! The JSON documents that `login`, `secret` and `approve` print. Answers of the server are printed in the forms below
//! and not as they come, so that a newer server changes nothing for scripts.

use fnox_api::client::OpenedSession;
use fnox_api::{Approval, Asked, AskedRequest, SecretView};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::output::asked::beside_others;

/// `fnox login --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedIn {
    /// The server.
    pub server: String,
    /// Who the server takes the person for.
    pub principal: String,
    /// `admin`, `approver`, `reader`.
    pub roles: Vec<String>,
    /// When the session ends, RFC 3339.
    pub expires_at: String,
}

/// `fnox secret set --json`, and one element of `secret list`, `versions` and `rekey`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerSecret {
    /// The project.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The key.
    pub key: String,
    /// Counts from 1.
    pub version: u64,
    /// Whom it is encrypted to, as whoever stored it says.
    pub recipients: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether each use needs a person's yes, whatever the policy says.
    pub require_approval: bool,
    /// When this version was stored, RFC 3339.
    pub created_at: String,
    /// Who stored it.
    pub created_by: String,
    /// SHA-256 of the age file, in hex.
    pub ciphertext_sha256: String,
    /// Bytes of the age file.
    pub size: u64,
}

/// One element of `fnox secret delete --json`
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedServerSecret {
    /// The project.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The key.
    pub key: String,
}

/// One element of `fnox approve list --json`; `approve show`, `approve` and `deny` print one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownApproval {
    /// Its id.
    pub id: String,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`, `granted` or `fetched`.
    pub status: &'static str,
    /// What a gateway asks; then there are no keys, and project, profile and command are empty.
    pub request: Option<ShownRequest>,
    /// The project.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The keys.
    pub keys: Vec<ShownItem>,
    /// What is to run, as whoever asks says.
    pub command: String,
    /// Why, as whoever asks says.
    pub reason: Option<String>,
    /// Who asks: `github:1296269`.
    pub principal: String,
    /// Who asks, for people.
    pub requester: String,
    /// What the server knows of whoever asks, from verified claims.
    pub facts: Vec<(String, String)>,
    /// The run's page.
    pub run_url: Option<String>,
    /// When it was asked for, RFC 3339.
    pub created_at: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
    /// How many have to say yes.
    pub approvals_needed: u32,
    /// What was decided so far.
    pub decisions: Vec<ShownDecision>,
}

/// A request of an agent, or the use of a credential, which has the `kind` `access`; as its gateway says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownRequest {
    /// What is asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// For how many seconds a yes may cover the same request, or the use; 0 for this request.
    pub longest_seconds: u32,
    /// For how many seconds the yes covers it, once there is one.
    pub lasting_seconds: Option<u32>,
}

/// One key of an approval.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownItem {
    /// The key.
    pub key: String,
    /// The version; no other is released.
    pub version: u64,
    /// Whether a person has to be asked for it.
    pub needs_approval: bool,
    /// Whether this requester was never given this version.
    pub is_new: bool,
}

/// One decision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownDecision {
    /// Who decided.
    pub by: String,
    /// `approve` or `deny`.
    pub decision: &'static str,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: Option<String>,
}

impl LoggedIn {
    pub(crate) fn new(server: &str, session: &OpenedSession) -> Self {
        Self {
            server: server.to_owned(),
            principal: session.principal.clone(),
            roles: session
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
            expires_at: session.expires_at.to_string(),
        }
    }
}

impl From<&SecretView> for ServerSecret {
    fn from(view: &SecretView) -> Self {
        Self {
            project: view.project.clone(),
            profile: view.profile.clone(),
            key: view.key.clone(),
            version: view.version,
            recipients: view.recipients.clone(),
            description: view.description.clone(),
            require_approval: view.require_approval,
            created_at: view.created_at.to_string(),
            created_by: view.created_by.clone(),
            ciphertext_sha256: view.ciphertext_sha256.clone(),
            size: view.size,
        }
    }
}

impl From<&AskedRequest> for ShownRequest {
    fn from(asked: &AskedRequest) -> Self {
        Self {
            asked: asked.request.clone(),
            longest_seconds: asked.longest_seconds,
            lasting_seconds: asked.lasting_seconds,
        }
    }
}

impl From<&Approval> for ShownApproval {
    fn from(approval: &Approval) -> Self {
        Self {
            id: approval.id.to_string(),
            status: approval.status.as_str(),
            request: approval.question.as_ref().map(ShownRequest::from),
            project: approval.project.clone(),
            profile: approval.profile.clone(),
            keys: approval
                .items
                .iter()
                .map(|item| ShownItem {
                    key: item.key.clone(),
                    version: item.version,
                    needs_approval: item.needs_approval,
                    is_new: item.is_new,
                })
                .collect(),
            command: approval.command_display.clone(),
            reason: approval.reason.clone(),
            principal: approval.requester.principal.clone(),
            requester: approval.requester.name.clone(),
            facts: approval.requester.facts.clone(),
            run_url: approval.requester.run_url.clone(),
            created_at: approval.created_at.to_string(),
            expires_at: approval.expires_at.to_string(),
            approvals_needed: approval.approvals_needed,
            decisions: approval
                .decisions
                .iter()
                .map(|decision| ShownDecision {
                    by: decision.by.clone(),
                    decision: decision.decision.as_str(),
                    at: decision.at.to_string(),
                    reason: decision.reason.clone(),
                })
                .collect(),
        }
    }
}

/// The schema of every document, by the name of its file.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("login", schema_for!(LoggedIn)),
        ("secret-set", schema_for!(ServerSecret)),
        ("secret-list", schema_for!(Vec<ServerSecret>)),
        ("secret-delete", schema_for!(Vec<DeletedServerSecret>)),
        (
            "approve-list",
            beside_others(schema_for!(Vec<ShownApproval>)),
        ),
        ("approve-show", beside_others(schema_for!(ShownApproval))),
    ]
}
