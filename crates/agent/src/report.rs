//! What the agent tells people, on stderr: a line for each thing, and never a value.

use std::io::Write as _;

use crate::error::AgentError;

/// Something worth knowing.
pub(crate) fn note(text: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "fnox-agent: {text}");
}

/// Why it ends, and what to do about it.
pub(crate) fn failure(error: &AgentError) {
    note(&format!("error: {error}"));
    if let Some(help) = error.help() {
        note(&format!("help: {help}"));
    }
}
