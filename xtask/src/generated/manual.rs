//! Man pages and the command-line reference, from the definition of the command line.

use std::fmt::Write as _;

use clap::Command;

use super::NOTICE;

/// Every man page as file name and text.
pub(super) fn man_pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    collect(
        fnox_cli::command().disable_help_subcommand(true),
        &mut pages,
    );
    pages
}

fn collect(command: Command, pages: &mut Vec<(String, String)>) {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    for subcommand in command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
    {
        let full = format!("{name}-{}", subcommand.get_name());
        collect(
            subcommand.clone().display_name(full.clone()).name(full),
            pages,
        );
    }
    let mut text = Vec::new();
    // A date would make the file differ from day to day.
    if clap_mangen::Man::new(command)
        .date("")
        .render(&mut text)
        .is_ok()
    {
        pages.push((
            format!("docs/man/{name}.1"),
            String::from_utf8_lossy(&text).into_owned(),
        ));
    }
}

/// `docs/reference/cli.md`
pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTICE}\n\n# Command line\n\nThe flags of `fnox` itself stand before or after the subcommand. \
         `fnox COMMAND --help` prints the same.\n"
    );
    let root = fnox_cli::command();
    section(&mut text, &root, "fnox", true);
    text
}

fn section(text: &mut String, command: &Command, path: &str, is_root: bool) {
    let _ = write!(text, "\n## `{path}`\n\n");
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = writeln!(text, "{about}\n");
    }
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "Alias: `{}`\n", aliases.join("`, `"));
    }
    let mut rows = String::new();
    for argument in command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
    {
        let mut forms = Vec::new();
        forms.extend(argument.get_short().map(|short| format!("`-{short}`")));
        forms.extend(argument.get_long().map(|long| format!("`--{long}`")));
        if forms.is_empty() {
            forms.push(format!(
                "`{}`",
                argument
                    .get_value_names()
                    .map_or(argument.get_id().as_str().to_owned(), |names| names
                        .join(" "))
            ));
        } else if argument.get_action().takes_values() {
            let value = argument.get_value_names().map(|names| names.join(" "));
            forms.extend(value.map(|value| format!("`{value}`")));
        }
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if argument.is_global_set() && !is_root {
            help.push_str(" (of its subcommands too)");
        }
        let _ = writeln!(rows, "| {} | {} |", forms.join(" "), super::cell(&help));
    }
    if !rows.is_empty() {
        let _ = write!(text, "| argument | meaning |\n|---|---|\n{rows}");
    }
    for subcommand in command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
    {
        section(
            text,
            subcommand,
            &format!("{path} {}", subcommand.get_name()),
            false,
        );
    }
}
