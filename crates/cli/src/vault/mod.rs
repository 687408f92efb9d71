//! The agents' vault on the command line: its settings, finding it, asking it.

mod amazon;
pub(crate) mod assemble;
pub(crate) mod audit_stream;
pub(crate) mod connect;
pub mod documents;
pub(crate) mod doors;
pub(crate) mod error;
mod keychain;
pub(crate) mod loan;
pub(crate) mod mints;
pub(crate) mod place;
pub(crate) mod policy_file;
pub(crate) mod project;
pub(crate) mod running;
pub(crate) mod settings;
pub mod spec;
pub(crate) mod target;
pub(crate) mod template;
pub(crate) mod values;
