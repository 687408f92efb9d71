//! The team server on the wire, and a client for it.
//!
//! Requests and answers of `/v1` are plain data here, so that server, client and the generated document say the same.
//! Requests refuse unknown fields; answers may grow. Names come as texts: the server parses them and names
//! the field that is wrong. Everything that goes wrong is a [`Problem`] (RFC 9457) with a stable code.
//!
//! No type here can hold a plaintext: the server stores age files, and what they hold stays with whoever can
//! decrypt them.

mod approval;
mod audit;
mod ciphertext;
pub mod client;
mod grant;
mod problem;
mod question;
mod secret;
mod server;
mod session;

pub use fnox_core::question::{AccessKind, AgentAccess, AgentRequest, Asked};

pub use approval::{
    Approval, ApprovalCreated, ApprovalItem, ApprovalList, ApprovalStatus, CreateApproval, Decide,
    Decision, DecisionView, Requester,
};
pub use audit::AuditPage;
pub use ciphertext::{Ciphertext, InvalidCiphertext};
pub use grant::{CreateGrant, Fetched, FetchedSecret, GrantCreated};
pub use problem::{Problem, ProblemCode};
pub use question::{AskedRequest, CreateQuestion, Question, QuestionCreated, QuestionUsed};
pub use secret::{
    CheckRequest, CheckedKey, Checks, PutSecret, SecretList, SecretView, VersionList,
};
pub use server::{
    CreateToken, Health, LoginOptions, ServerState, TokenCreated, TokenList, TokenView,
};
pub use session::{Role, SessionCreated, SessionView};
