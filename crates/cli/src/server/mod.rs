//! The team server on the command line: its settings, and putting it together from them.

pub(crate) mod assemble;
pub(crate) mod database;
pub mod documents;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod issuers;
pub(crate) mod network;
pub(crate) mod private;
pub(crate) mod running;
pub(crate) mod settings;
pub mod spec;
pub(crate) mod template;
