//! Systems without a team server: only its errors have names, and addresses on its command line are read.

pub(crate) mod error;
pub(crate) mod network;
