//! Questions of gateways for people, where several vaults share a store.

use fnox_core::AgentId;
use fnox_core::question::Asked;
use fnox_vault_wire::ApprovalId;
use fnox_vault_wire::methods::Decision;
use jiff::Timestamp;

use crate::identity::PeerBinding;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRecord {
    /// Its name.
    pub id: ApprovalId,
    /// What is asked about.
    pub request: Asked,
    /// Who asks: the name, and
    pub gateway: Option<AgentId>,
    /// what the question is bound to. Nobody else hears what was said.
    pub peer: PeerBinding,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// What was said of it.
    pub said: Option<Said>,
}

/// What was said, and who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What.
    pub decision: Decision,
    /// Who, as the audit log names them.
    pub by: String,
}

/// One change of the questions, made with its audit entries in one transaction.
#[derive(Debug, Clone)]
pub enum QuestionChange {
    /// A new question. Refused with [`Refusal::Cap`](super::Refusal::Cap) if as many wait as `caps` allow; waiting means not
    /// answered, with an expiry after the new question's `asked_at`. What is over by then is forgotten.
    Ask {
        /// The question.
        question: Box<QuestionRecord>,
        /// How many there may be.
        caps: QuestionCaps,
    },
    /// An answer. Refused with [`Refusal::Moved`](super::Refusal::Moved) unless the question waits at `now`.
    Answer {
        /// The question.
        id: ApprovalId,
        /// What is said.
        said: Said,
        /// The vault's present moment.
        now: Timestamp,
    },
    /// Forgets a question, answered or not. Refused with [`Refusal::Missing`](super::Refusal::Missing) if there is none.
    TakeBack {
        /// The question.
        id: ApprovalId,
    },
}

/// How many questions may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionCaps {
    /// Of one gateway.
    pub per_gateway: u32,
    /// In all.
    pub in_all: u32,
}

impl QuestionCaps {
    /// What a limit on one gateway's questions speaks of.
    pub const OF_GATEWAY: &str = "questions of this gateway that wait";
    /// What a limit on all questions speaks of.
    pub const IN_ALL: &str = "questions that wait";
}
