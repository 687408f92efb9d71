//! git: its hook before a commit, and its answers.

use std::path::Path;
use std::process::Command;

use fnox_config::edit::write_atomically;
use fnox_system::Rights;

use crate::app::App;
use crate::error::CliError;

const COMMAND: &str = "fnox scan --staged";

/// Makes the repository's hook, or adds to it.
pub(super) fn install(app: &App, append: bool) -> Result<(), CliError> {
    let folder = git(&app.cwd, &["rev-parse", "--git-path", "hooks"])?;
    let folder = app.cwd.join(String::from_utf8_lossy(&folder).trim_end());
    let path = folder.join("pre-commit");
    let file = |action| {
        let path = path.clone();
        move |source| CliError::File {
            action,
            path,
            source,
        }
    };
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(file("read")(error)),
    };
    let text = match before {
        None => format!("#!/bin/sh\n# Refuses commits with secrets in them.\nexec {COMMAND}\n"),
        Some(text) if runs_it(&text) => {
            app.printer
                .note(&format!("{} runs it already.", path.display()));
            return Ok(());
        }
        Some(text) => appended(&text, append).map_err(|(reason, help)| CliError::Usage {
            message: format!("{} {reason}", path.display()),
            help: Some(help),
        })?,
    };
    std::fs::create_dir_all(&folder).map_err(file("write"))?;
    write_atomically(&path, text.as_bytes(), Rights::Program).map_err(file("write"))?;
    app.printer.done(&format!("Wrote {}", path.display()));
    Ok(())
}

/// The hook with one more line, or why not and what to do.
fn appended(text: &str, append: bool) -> Result<String, (&'static str, String)> {
    let by_hand = format!("add `{COMMAND} || exit 1` to it");
    if !is_shell_script(text) {
        return Err(("is no shell script", by_hand));
    }
    let last = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let ends = ["exec ", "exit"]
        .iter()
        .any(|word| last.trim_start().starts_with(word));
    if ends {
        return Err((
            "ends before anything that is added to it would run",
            by_hand,
        ));
    }
    if !append {
        return Err((
            "is there already",
            "use `--append` to add a line to it".to_owned(),
        ));
    }
    Ok(format!("{}\n{COMMAND} || exit 1\n", text.trim_end()))
}

/// Whether a line of the hook runs it already; what a comment says does not.
fn runs_it(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| !line.starts_with('#') && line.contains(COMMAND))
}

/// Whether the first line names a shell that takes `COMMAND || exit 1`: `#!/bin/sh -e`, `#!/usr/bin/env bash`.
fn is_shell_script(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let Some(words) = first.strip_prefix("#!") else {
        return false;
    };
    let mut names = words
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or_default());
    let name = names.find(|name| *name != "env" && !name.starts_with('-'));
    name.is_some_and(|name| ["sh", "bash", "dash", "ash", "ksh", "zsh"].contains(&name))
}

/// What git prints.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, CliError> {
    let failed = |reason: String| CliError::Input {
        what: format!("the git repository of {}", folder.display()),
        reason,
        help: None,
    };
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| failed(format!("git did not start: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(
        said.lines().next().unwrap_or("git failed").to_owned(),
    ))
}
