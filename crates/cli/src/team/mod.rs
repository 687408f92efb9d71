//! What the commands of the team server's clients share: which server and project, who asks, keys and their files, what
//! a CI must hide, and what a program must not inherit.
//!
//! Values are encrypted and signed here, before they leave; the server gets age files and metadata.

pub mod documents;
pub(crate) mod error;
pub(crate) mod login;
pub(crate) mod mask;
pub(crate) mod place;
pub(crate) mod reading;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod value;
pub(crate) mod withheld;
pub(crate) mod writer;
