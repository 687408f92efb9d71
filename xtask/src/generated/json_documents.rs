//! `docs/reference/json.md`, from the table of commands that print data.

use std::fmt::Write as _;

use fnox_cli::output::documents::PRINTED;

use super::{NOTICE, cell};

const INTRODUCTION: &str = "\
Every list and every report of fnox can be had as a JSON document on stdout. Everything for people goes to stderr, and what ended it is the [exit \
code](exit-codes.md), also where a document was printed before.\n\n\
A member is not taken out and does not change its meaning within a major version. Others may be added: skip what you do not know. No document holds a \
secret's value, except those of the commands that are there to print one.\n\n\
Each document has a JSON Schema (2020-12), which the tests hold it to.\n\n";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTICE}\n\n# JSON documents\n\n{INTRODUCTION}| command | option | schema | |\n|---|---|---|---|\n"
    );
    for printed in PRINTED {
        let schemas: Vec<String> = printed
            .schemas
            .iter()
            .map(|name| format!("[{name}](schemas/{name}.json)"))
            .collect();
        let _ = writeln!(
            text,
            "| `fnox {}` | `{}` | {} | {} |",
            printed.command,
            printed.option,
            schemas.join(", "),
            cell(printed.remark)
        );
    }
    text
}
