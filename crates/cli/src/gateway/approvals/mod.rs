//! Where people answer what rules ask them: a socket of each gateway, and `fnox agent approve` at its other end.
//!
//! A message is a line of JSON, and so is its answer. The socket is the user's own and stands where no sandbox shows it.

pub(crate) mod asking;
pub(crate) mod office;

use std::path::PathBuf;

use fnox_config::Folders;
use fnox_gateway::approval::{Answer, Breadth, Lasting, Pending};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::documents::PendingRequest;

/// The folder of all gateways' sockets.
fn folder(folders: &Folders) -> PathBuf {
    folders.runtime.join("approvals")
}

/// What is said to a gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    /// What waits?
    Pending,
    /// An answer.
    Answer { id: String, answer: Said },
}

/// An answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Deny,
    Allow {
        /// Whether to whatever the rule allows.
        rule: bool,
        lasting: For,
    },
}

/// How long a yes lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum For {
    Once,
    Seconds(u32),
    Session,
}

/// What a gateway says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Pending(Vec<PendingRequest>),
    /// What was answered.
    Answered(String),
    /// Nothing of this name waits.
    Unknown,
    /// The answer comes from the program that asks.
    NotAPerson,
}

impl From<Said> for Answer {
    fn from(said: Said) -> Self {
        match said {
            Said::Deny => Self::Deny,
            Said::Allow { rule, lasting } => Self::Allow {
                breadth: if rule {
                    Breadth::Rule
                } else {
                    Breadth::Request
                },
                lasting: match lasting {
                    For::Once => Lasting::Once,
                    For::Seconds(seconds) => {
                        Lasting::For(SignedDuration::from_secs(seconds.into()))
                    }
                    For::Session => Lasting::Session,
                },
            },
        }
    }
}

impl From<&Pending> for PendingRequest {
    fn from(pending: &Pending) -> Self {
        let question = &pending.question;
        Self {
            id: pending.id.clone(),
            agent: question.agent.to_string(),
            rule: question.rule.clone(),
            method: question.method.to_string(),
            host: question.host.to_string(),
            target: question.target.clone(),
            body_length: question.body_length,
            body_sha256: hex::encode(question.body_sha256),
            asked_at: pending.asked_at.to_string(),
        }
    }
}
