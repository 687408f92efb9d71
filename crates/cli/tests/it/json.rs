//! Every list in JSON: what prints data has a document, and every document has a schema.

use std::collections::BTreeSet;
use std::path::Path;

use fnox_cli::output::documents::{PRINTED, schemas};

/// Words for commands that show what there is.
const SHOWING: [&str; 4] = ["list", "pending", "show", "status"];

/// A command that can be called: its words, whether it has `--json`, and whether it has `--format` with a form `json`.
struct Callable {
    words: String,
    has_json: bool,
    has_format: bool,
}

/// All of them, hidden ones too.
fn callable() -> Vec<Callable> {
    let mut command = fnox_cli::command();
    // Only then do commands have the options of those above them.
    command.build();
    let mut out = Vec::new();
    collect(&command, &mut Vec::new(), &mut out);
    out
}

fn collect(command: &clap::Command, path: &mut Vec<String>, out: &mut Vec<Callable>) {
    let has = |long: &str| {
        let mut arguments = command.get_arguments();
        arguments.find(|argument| argument.get_long() == Some(long))
    };
    if !command.is_subcommand_required_set() {
        let format = has("format").map(clap::Arg::get_possible_values);
        out.push(Callable {
            words: path.join(" "),
            has_json: has("json").is_some(),
            has_format: format.is_some_and(|all| all.iter().any(|one| one.get_name() == "json")),
        });
    }
    let below = command.get_subcommands();
    for one in below.filter(|one| one.get_name() != "help") {
        path.push(one.get_name().to_owned());
        collect(one, path, out);
        path.pop();
    }
}

#[test]
fn what_prints_data_prints_json_and_nothing_that_shows_something_is_without() {
    let all = callable();
    let find = |words: &str| all.iter().find(|one| one.words == words);
    for printed in PRINTED {
        let words = printed.command;
        let command = find(words).unwrap_or_else(|| panic!("there is no command `{words}`"));
        let has_it = match printed.option {
            "--json" => command.has_json,
            "--format json" => command.has_format,
            other => panic!("`{words}`: {other}"),
        };
        assert!(has_it, "`{words}` has no `{}`", printed.option);
    }
    let declared: BTreeSet<&str> = PRINTED.iter().map(|printed| printed.command).collect();
    assert_eq!(declared.len(), PRINTED.len(), "one is declared twice");
    for command in &all {
        let words = command.words.as_str();
        assert!(
            !command.has_json || declared.contains(words),
            "`{words}` has `--json`, and its document is not declared"
        );
        let last = words.rsplit(' ').next().unwrap_or_default();
        assert!(
            !SHOWING.contains(&last) || command.has_json,
            "`{words}` shows something, and has no `--json`"
        );
    }
    assert!(all.len() > declared.len() + 30, "not all were looked at");
}

#[test]
fn every_document_has_a_schema_and_every_schema_a_command() {
    let names: BTreeSet<&str> = schemas().into_iter().map(|(name, _)| name).collect();
    let used: BTreeSet<&str> = PRINTED
        .iter()
        .flat_map(|printed| printed.schemas.iter().copied())
        .collect();
    assert_eq!(used, names);
    assert!(PRINTED.iter().all(|printed| !printed.schemas.is_empty()));
    let mut sorted: Vec<&str> = PRINTED.iter().map(|printed| printed.command).collect();
    sorted.sort_unstable();
    let declared = PRINTED.iter().map(|printed| printed.command);
    assert!(declared.eq(sorted), "not in the order of the alphabet");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let page = std::fs::read_to_string(docs.join("json.md")).unwrap();
    for printed in PRINTED {
        let row = format!("| `fnox {}` |", printed.command);
        assert!(page.contains(&row), "{row}");
    }
}
