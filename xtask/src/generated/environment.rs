//! `docs/reference/environment.md`, from the table in `fnox-cli`.

use std::fmt::Write as _;

use fnox_cli::environment::VARIABLES;

use super::{NOTICE, cell};

/// The page.
pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTICE}\n\n# Environment variables\n\nAn empty variable counts as unset. \
         fnox never writes its own environment.\n\n## Read by fnox\n\n| variable | effect |\n|---|---|\n"
    );
    for variable in VARIABLES.iter().filter(|variable| !variable.set_by_fnox) {
        let _ = writeln!(text, "| `{}` | {} |", variable.name, cell(variable.doc));
    }
    text.push_str("\n## Set by fnox\n\n| variable | meaning |\n|---|---|\n");
    for variable in VARIABLES.iter().filter(|variable| variable.set_by_fnox) {
        let _ = writeln!(text, "| `{}` | {} |", variable.name, cell(variable.doc));
    }
    text
}
