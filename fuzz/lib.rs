//! The bodies for the targets.

mod bodies;
// The program's own file. Depending on the program would build everything that it links, for one function.
#[path = "../crates/cli/src/vault/git.rs"]
mod git;

pub use bodies::*;
