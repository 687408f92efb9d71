//! Tools for an AI agent: the Model Context Protocol on stdin and stdout.
//!
//! The agent gets programs that use credentials, never the credentials: `exec` runs a program behind the gateway of
//! [`crate::commands::agent::session`], with placeholders in its environment, and its output is redacted.

mod access;
pub(crate) mod channel;
mod credentials;
mod decided;
mod lines;
mod program;
pub(crate) mod server;
pub(crate) mod settings;
mod tools;

pub(crate) use self::access::Desk;
pub(crate) use self::credentials::Listed;
pub(crate) use self::lines::Lines;
pub(crate) use self::program::Launcher;
