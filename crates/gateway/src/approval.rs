//! A person's leave: for a request that a rule says `approve = "ask"` of, and for the use of a credential where no rule allows it.
//!
//! What is asked about is bound to what is sent: agent, rule, method, host, path, query and the body's digest. A request that
//! differs in any of them is another question. The use of a credential is bound to agent, credential, host, methods and the
//! reason that the person is shown.

mod question;
mod queue;

use std::fmt;

use async_trait::async_trait;

pub use self::question::{AccessRequest, HeldRequest, Question};
pub use self::queue::{Answer, Approvals, Breadth, Decided, Lasting, NotAnswered, Pending};
use crate::refusal::{Reason, Refusal};

/// Somebody who can be asked.
#[async_trait]
pub trait Approver: Send + Sync + fmt::Debug {
    /// Waits until a person has allowed it.
    ///
    /// # Errors
    /// [`Reason::Approval`] if they did not.
    async fn ask(&self, request: &HeldRequest) -> Result<(), Refusal>;
}

/// Nobody is there: every request is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

#[async_trait]
impl Approver for Nobody {
    async fn ask(&self, request: &HeldRequest) -> Result<(), Refusal> {
        let message = "a person must agree to this request, and nobody can be asked here";
        Err(Refusal::new(Reason::Approval, message).by_rule(&request.rule))
    }
}
