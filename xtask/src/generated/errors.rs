//! `docs/reference/errors.md`, from the table in `fnox-cli`.

use std::fmt::Write as _;

use fnox_cli::codes;

use super::NOTICE;

/// The page.
pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTICE}\n\n# Errors\n\nEvery error has a stable code, which stands in its first line. \
         See [exit codes](exit-codes.md) for what scripts get.\n"
    );
    for (code, status, meaning, remedy) in codes::all() {
        let _ = write!(
            text,
            "\n## `{code}`\n\n{meaning}\n\n{remedy}\n\nExit code: {}.\n",
            status.code()
        );
    }
    text
}
