//! `/v1/approvals…`

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::AskedRequest;

/// Body of `POST /v1/approvals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApproval {
    /// The project.
    pub project: String,
    /// Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The keys, each once.
    pub keys: Vec<String>,
    /// SHA-256 in hex over the program and its arguments, each preceded by its length as 64-bit big-endian
    /// number. The caller says so: the server cannot check what will run.
    pub command_hash: String,
    /// The same for people.
    pub command_display: String,
    /// Why, for whoever decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where an approval stands. `pending` becomes one of the others once; `approved` becomes `granted`, and that
/// `fetched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalStatus {
    /// Nobody has decided.
    Pending,
    /// Somebody said yes, or nobody had to be asked.
    Approved,
    /// Somebody said no, or the code was wrong twice.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Whoever asked does not want it any more, or may not any more.
    Cancelled,
    /// It was exchanged for a grant.
    Granted,
    /// The grant was used; of a gateway's question, the yes.
    Fetched,
}

impl ApprovalStatus {
    /// All, in the order in which they happen.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Granted,
        Self::Fetched,
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Granted => "granted",
            Self::Fetched => "fetched",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Expired | Self::Cancelled | Self::Fetched
        )
    }
}

/// Answer of `POST /v1/approvals`: 201 for a new one, 200 for the one that is pending already.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalCreated {
    /// Its id.
    pub id: Uuid,
    /// The match code: show it where the person who decides can see it. Six characters.
    pub code: String,
    /// When it ends if nobody decides.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// `pending`, or `approved` if nobody has to be asked.
    pub status: ApprovalStatus,
    /// Who is asked, for people: the names of channels.
    #[serde(default)]
    pub asked: Vec<String>,
}

/// One key of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalItem {
    /// The key.
    pub key: String,
    /// The version that was asked for; no other is released.
    pub version: u64,
    /// SHA-256 of the age file, in hex.
    pub ciphertext_sha256: String,
    /// Whether a person has to be asked for this key.
    pub needs_approval: bool,
    /// Whether this requester was never given this version.
    #[serde(default)]
    pub is_new: bool,
}

/// Who asks, built from verified claims only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requester {
    /// The configured name of the issuer.
    pub issuer: String,
    /// One word for the requester, for example `github:1296269`: limits count by it.
    pub principal: String,
    /// What people call it, for example `octo-org/hello`.
    pub name: String,
    /// Facts for whoever decides, from the claims, in the order in which they should be read.
    pub facts: Vec<(String, String)>,
    /// The run's page, if the claims give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
}

/// Answer of `GET /v1/approvals/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// What is asked, if it is a question of a gateway (`POST /v1/questions`): then project, profile, keys and command
    /// are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<AskedRequest>,
    /// The project.
    pub project: String,
    /// The profile.
    pub profile: String,
    /// The keys.
    pub items: Vec<ApprovalItem>,
    /// What is to run, as the requester says.
    pub command_display: String,
    /// Its hash, as the requester says.
    pub command_hash: String,
    /// Why, as the requester says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asks.
    pub requester: Requester,
    /// From where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends if nobody decides; after that, when the yes ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// How many have to say yes.
    pub approvals_needed: u32,
    /// What was decided so far.
    #[serde(default)]
    pub decisions: Vec<DecisionView>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// Who decided; `link holder` for whoever had the link, `policy` if nobody had to be asked.
    pub by: String,
    /// What.
    pub decision: Decision,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why, if the person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer of `GET /v1/approvals` (approvers): newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalList {
    /// This page.
    pub approvals: Vec<Approval>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Yes, once.
    Approve,
    /// No.
    Deny,
}

impl Decision {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// Body of `POST /v1/approvals/{id}/decision`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Yes or no.
    pub decision: Decision,
    /// The match code, as the log of whoever asked shows it. A yes needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For how long a yes to a gateway's question covers the same request. Left out: for this one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasting_seconds: Option<u32>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
