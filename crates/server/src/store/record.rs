//! What is stored, as data.

use fnox_api::Ciphertext;
use fnox_api::{
    Approval, ApprovalItem, ApprovalStatus, Asked, AskedRequest, DecisionView, Question, Requester,
    SecretView,
};
use fnox_core::TokenHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::subject::Subject;

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPlace {
    /// Project.
    pub project: String,
    /// Profile.
    pub profile: String,
    /// Key.
    pub key: String,
}

/// What must be there for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Anything.
    Any,
    /// Nothing.
    Absent,
    /// This version.
    Version(u64),
}

/// One version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Where it stands.
    pub place: SecretPlace,
    /// Counts from 1, and goes on after a deletion.
    pub version: u64,
    /// As whoever stored it says.
    pub recipients: Vec<String>,
    /// For people.
    pub description: Option<String>,
    /// Whether each use needs a person's yes.
    pub require_approval: bool,
    /// When this version was stored.
    pub created_at: Timestamp,
    /// Who stored it.
    pub created_by: String,
    /// SHA-256 of the age file.
    pub sha256: [u8; 32],
    /// Its bytes.
    pub size: u64,
    /// The age file, where it was asked for.
    pub ciphertext: Option<Ciphertext>,
}

impl SecretRecord {
    /// As clients see it.
    #[must_use]
    pub fn view(self) -> SecretView {
        SecretView {
            project: self.place.project,
            profile: self.place.profile,
            key: self.place.key,
            version: self.version,
            recipients: self.recipients,
            description: self.description,
            require_approval: self.require_approval,
            created_at: self.created_at,
            created_by: self.created_by,
            ciphertext_sha256: hex::encode(self.sha256),
            size: self.size,
            ciphertext: self.ciphertext,
        }
    }
}

/// A session that may be used.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRecord {
    /// Its id; it is in the audit log, the token is not.
    pub id: Uuid,
    /// Of its token.
    pub hash: TokenHash,
    /// Whose it is.
    pub subject: Subject,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was ended before its time.
    pub ended: bool,
}

/// What people are asked about an agent, and the policy's terms when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionRecord {
    /// What it is, as the gateway says.
    pub request: Asked,
    /// For how many seconds a yes may cover the same request. 0: for this one.
    pub longest: u32,
    /// Whether whoever asked may decide too.
    pub own: bool,
    /// For how many seconds the yes covers the same request; of several people's, the shortest.
    #[serde(skip)]
    pub lasting: Option<u32>,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Its id.
    pub id: Uuid,
    /// Where it stands, by the stored word: one that is over by time may still say `pending`.
    pub status: ApprovalStatus,
    /// What a gateway asks. Then it is about no keys: project, profile, items and command are empty.
    pub question: Option<QuestionRecord>,
    /// Project.
    pub project: String,
    /// Profile.
    pub profile: String,
    /// The keys.
    pub items: Vec<ApprovalItem>,
    /// SHA-256 in hex, as the requester says.
    pub command_hash: String,
    /// As the requester says.
    pub command_display: String,
    /// As the requester says.
    pub reason: Option<String>,
    /// Who asked, for people.
    pub requester: Requester,
    /// Who asked, exactly: [`Subject::binding`].
    pub binding: [u8; 32],
    /// By which session.
    pub session: Uuid,
    /// From where.
    pub address: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends if nobody decides; after that, when the yes ends.
    pub expires_at: Timestamp,
    /// How many have to say yes.
    pub approvals_needed: u32,
    /// Who may decide, as the policy's rules name them; empty: every approver.
    pub approvers: Vec<String>,
    /// The key that made its match code.
    pub code_key: [u8; 4],
    /// How often a wrong code was given.
    pub wrong_codes: u32,
    /// What was decided.
    pub decisions: Vec<DecisionView>,
}

impl ApprovalRecord {
    /// Where it stands at a moment.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> ApprovalStatus {
        match self.status {
            ApprovalStatus::Pending | ApprovalStatus::Approved if now >= self.expires_at => {
                ApprovalStatus::Expired
            }
            status => status,
        }
    }

    /// Whether whoever asked may decide too: a person about a request of their own agent, where the policy says so.
    #[must_use]
    pub fn may_be_own(&self) -> bool {
        self.question.as_ref().is_some_and(|it| it.own)
    }

    /// As the gateway that asked sees it at a moment; `None` if it is about keys.
    #[must_use]
    pub fn question_view(self, now: Timestamp) -> Option<Question> {
        let status = self.status_at(now);
        Some(Question {
            id: self.id,
            status,
            request: self.question?.request,
            expires_at: self.expires_at,
            decisions: self.decisions,
        })
    }

    /// As clients see it at a moment.
    #[must_use]
    pub fn view(self, now: Timestamp) -> Approval {
        Approval {
            status: self.status_at(now),
            id: self.id,
            question: self.question.map(|question| AskedRequest {
                request: question.request,
                longest_seconds: question.longest,
                lasting_seconds: question.lasting,
            }),
            project: self.project,
            profile: self.profile,
            items: self.items,
            command_display: self.command_display,
            command_hash: self.command_hash,
            reason: self.reason,
            requester: self.requester,
            address: self.address,
            created_at: self.created_at,
            expires_at: self.expires_at,
            approvals_needed: self.approvals_needed,
            decisions: self.decisions,
        }
    }
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its id; it is in the audit log, the token is not.
    pub id: Uuid,
    /// Of its token.
    pub hash: TokenHash,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A person that an identity provider told of (SCIM 2.0, RFC 7643, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Its id here.
    pub id: Uuid,
    /// `userName`, unique.
    pub user_name: String,
    /// `externalId`
    pub external_id: Option<String>,
    /// `displayName`
    pub display_name: Option<String>,
    /// The primary of `emails`.
    pub email: Option<String>,
    /// Whether the person may log in.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
