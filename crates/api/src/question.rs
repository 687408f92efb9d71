//! `/v1/questions…`: what an agent wants to send, or the credential that it wants to use, and a person has to agree to.
//!
//! A question stands and ends as an approval does, and people decide about it in the same places. A yes to it releases no
//! secret: nothing exchanges it for a grant.

use fnox_core::question::Asked;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{ApprovalStatus, DecisionView};

/// Body of `POST /v1/questions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateQuestion {
    /// A new one for each question, so that one that is sent again after a lost answer is the same question.
    pub key: Uuid,
    /// What is asked about.
    pub request: Asked,
}

/// Answer of `POST /v1/questions`: 201 for a new one, 200 for the one that is pending already.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QuestionCreated {
    /// Its id.
    pub id: Uuid,
    /// The match code: show it where the gateway runs. Six characters.
    pub code: String,
    /// When it ends if nobody decides.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Who is asked, for people: the names of channels.
    #[serde(default)]
    pub asked: Vec<String>,
}

/// Answer of `GET /v1/questions/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// Its id.
    pub id: Uuid,
    /// Where it stands. `fetched`: the yes was used. Never `granted`.
    pub status: ApprovalStatus,
    /// What is asked about.
    pub request: Asked,
    /// When it ends if nobody decides; a yes that was not used until then ends too.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What was decided so far.
    #[serde(default)]
    pub decisions: Vec<DecisionView>,
}

/// Answer of `POST /v1/questions/{id}/use`, which works once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuestionUsed {
    /// Its id.
    pub id: Uuid,
    /// For how long the yes covers the same request. 0: for this one request.
    pub lasting_seconds: u32,
}

/// What an approval is about if it is a question: no keys and no command, but a request, or the use of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AskedRequest {
    /// The request, or the use of a credential, as the gateway says.
    pub request: Asked,
    /// For how long a yes may cover the same request, or the use last, by the policy. 0: for this one request.
    pub longest_seconds: u32,
    /// For how long the yes covers it, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasting_seconds: Option<u32>,
}
