//! A person's leave for a request that a rule says `approve = "ask"` of.
//!
//! What is asked about is bound to what is sent: agent, rule, method, host, path, query and the body's digest. A request that
//! differs in any of them is another question.

mod queue;

use std::fmt;

use async_trait::async_trait;
use fnox_core::{AgentId, Host};
use http::Method;

pub use self::queue::{Answer, Approvals, Breadth, Lasting, Pending, UnknownQuestion};
use crate::refusal::{Reason, Refusal};

/// Somebody who can be asked.
#[async_trait]
pub trait Approver: Send + Sync + fmt::Debug {
    /// Waits until a person has allowed it.
    ///
    /// # Errors
    /// [`Reason::Approval`] if they did not.
    async fn ask(&self, question: &Question) -> Result<(), Refusal>;
}

/// What a person agrees to, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In whose name the request is made.
    pub agent: AgentId,
    /// Which rule wants to know.
    pub rule: String,
    /// What is done.
    pub method: Method,
    /// Where.
    pub host: Host,
    /// To what: path and query as they leave, with placeholders for credentials.
    pub target: String,
    /// How many bytes the body has.
    pub body_length: usize,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// Nobody is there: every request is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

#[async_trait]
impl Approver for Nobody {
    async fn ask(&self, question: &Question) -> Result<(), Refusal> {
        let message = "a person must agree to this request, and nobody can be asked here";
        Err(Refusal::new(Reason::Approval, message).by_rule(&question.rule))
    }
}
