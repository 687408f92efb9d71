//! How a program gets a credential, and gets it again when it was renewed.
//!
//! [`current`] is the one border between whoever keeps credentials fresh and whoever hands them out.

#[cfg_attr(not(unix), path = "delivery/agent/absent.rs")]
pub mod agent;
pub mod current;
mod document;
pub mod endpoint;
pub mod file;
pub mod helper;

pub use current::{Current, Unavailable};
pub use file::{DeliveredFiles, FileError};
