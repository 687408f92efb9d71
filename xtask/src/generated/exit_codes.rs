//! `docs/reference/exit-codes.md`, from the table in `fnox-core`.

use std::fmt::Write as _;

use fnox_core::ExitStatus;

use super::{NOTICE, cell};

/// The page.
pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTICE}\n\n# Exit codes\n\n\
         What the end of `fnox` means to a script. The codes are stable.\n\n\
         | code | meaning |\n|---:|---|\n"
    );
    for (status, meaning) in ExitStatus::TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} |", status.code(), cell(meaning));
    }
    text.push_str(
        "| 128 + n | The program that `fnox exec` or `fnox run` started was ended by signal n. |\n\
         | other | The exit code of the program that `fnox exec` or `fnox run` started. |\n\n\
         A program may use the small codes for purposes of its own: the number alone does not tell whose it is.\n",
    );
    text
}
