//! Values that a CI's log must not show.
//!
//! GitHub Actions replaces what it was told with `::add-mask::` in everything that the job prints from then on, so this
//! comes before the program starts. It reads such lines on stderr as well as on stdout, and stderr is the one that
//! scripts do not read as data. If stderr is a file, the lines would stay in it and no log would be protected.

use std::io::Write as _;

use fnox_core::{Env, SecretString};
use zeroize::Zeroizing;

/// Lines of a text that are too short or too common to be worth hiding, such as the braces of a JSON key.
const SHORTEST_LINE: usize = 4;

/// Tells the CI which values to hide, if it is one that can.
pub(crate) fn announce<'a>(env: &Env, values: impl IntoIterator<Item = &'a SecretString>) {
    if env.var("GITHUB_ACTIONS") != Some("true") {
        return;
    }
    if fnox_system::stderr_is_file() {
        return;
    }
    let lines = commands(values);
    let mut stderr = std::io::stderr().lock();
    // Without a stderr there is no log either.
    let _ = stderr
        .write_all(lines.as_bytes())
        .and_then(|()| stderr.flush());
}

/// One command for each line: a mask that holds a line break would never match.
pub(crate) fn commands<'a>(
    values: impl IntoIterator<Item = &'a SecretString>,
) -> Zeroizing<String> {
    let mut parts: Vec<Zeroizing<String>> = Vec::new();
    for value in values {
        let value = value.expose_secret();
        let is_one_line = !value.trim_end_matches(['\n', '\r']).contains('\n');
        for line in value.split('\n') {
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || (!is_one_line && line.trim().len() < SHORTEST_LINE) {
                continue;
            }
            parts.push(escaped(line));
        }
    }
    // Allocated once, so that growing leaves no copies behind.
    let length = parts.iter().map(|part| COMMAND.len() + part.len() + 1);
    let mut out = Zeroizing::new(String::with_capacity(length.sum()));
    for part in parts {
        out.push_str(COMMAND);
        out.push_str(&part);
        out.push('\n');
    }
    out
}

/// As the toolkit's `escapeData`: `%`, CR and LF.
fn escaped(line: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(line.len() * 3));
    for character in line.chars() {
        match character {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            other => out.push(other),
        }
    }
    out
}

const COMMAND: &str = "::add-mask::";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_value_is_hidden_by_itself() {
        let values: Vec<SecretString> =
            ["hunter2", "{\n  \"key\": \"50%\r\"\r\n}\n", "x", "\n\n", ""]
                .into_iter()
                .map(SecretString::from)
                .collect();
        assert_eq!(
            *commands(&values),
            "::add-mask::hunter2\n::add-mask::  \"key\": \"50%25%0D\"\n::add-mask::x\n"
        );
    }
}
