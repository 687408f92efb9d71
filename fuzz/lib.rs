//! The bodies for the targets.

mod bodies;

pub use bodies::*;
