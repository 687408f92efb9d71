//! A client of the team server.
//!
//! One [`ApiClient`] talks to one server. It speaks https, or http to loopback, follows no redirect, has a time limit
//! for every call and a limit for every answer. Calls that change nothing are repeated when the server is busy or
//! gone for a moment; the others only when no connection came about, so nothing is done twice: a grant is good for
//! one fetch.
//!
//! Tokens come and go as secrets and stand in no error and no `Debug` output.

mod address;
mod calls;
mod command;
mod error;
mod questions;
mod transport;

pub use self::calls::{AuditQuery, Condition, OpenedGrant, OpenedSession};
pub use self::command::{command_display, command_hash};
pub use self::error::ClientError;
pub use self::transport::{ApiClient, ClientOptions, service_token};
