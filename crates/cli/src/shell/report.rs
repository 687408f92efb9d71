//! What the hook says on stderr: one line about what changed, one about what did not work.

use std::fmt::Write as _;
use std::path::PathBuf;

use fnox_core::Env;

use super::change::Outcome;
use crate::environment;
use crate::output::{self, Printer};
use crate::terminal::harmless;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    None,
    Normal,
    Debug,
}

impl Detail {
    /// `FNOX_SHELL_OUTPUT`; a word that is not known counts as `normal`.
    pub(crate) fn of(env: &Env) -> Self {
        match env.var(environment::SHELL_OUTPUT) {
            Some("none") => Self::None,
            Some("debug") => Self::Debug,
            _ => Self::Normal,
        }
    }
}

/// Something did not work.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The folder's configuration may not be loaded.
    NotTrusted(PathBuf),
    /// The configuration has a mistake.
    Unreadable {
        reason: String,
        file: Option<PathBuf>,
    },
    /// A secret could not be had.
    Unavailable(String),
    /// A secret that no variable can hold.
    Refused(String, &'static str),
    /// Earlier values that are too long to be remembered.
    GivenUp(Vec<String>),
    /// Files of secrets cannot be written.
    Files(std::io::Error),
}

/// All lines, without `fnox: `. `again_in`: seconds until what is missing is tried again.
pub(crate) fn lines(outcome: &Outcome, problems: &[Problem], again_in: Option<i64>) -> Vec<String> {
    let mut lines: Vec<String> = summary(outcome).into_iter().collect();
    let unavailable: Vec<&String> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Unavailable(reason) => Some(reason),
            _ => None,
        })
        .collect();
    if let Some((first, others)) = unavailable.split_first() {
        let mut line = one_line(first);
        if !others.is_empty() {
            let _ = write!(line, " (and {} more)", others.len());
        }
        if let Some(seconds) = again_in {
            let _ = write!(line, "; trying again in {}", waiting(seconds));
        }
        lines.push(line);
    }
    lines.extend(problems.iter().filter_map(told));
    lines
}

fn told(problem: &Problem) -> Option<String> {
    let line = match problem {
        Problem::Unavailable(_) => return None,
        Problem::NotTrusted(folder) => format!(
            "{} is not trusted: nothing of it is loaded. Read its fnox.toml, then: fnox trust",
            folder.display()
        ),
        Problem::Unreadable {
            reason,
            file: Some(file),
        } if !reason.contains(&*file.to_string_lossy()) => {
            format!("nothing is loaded: {reason} ({})", file.display())
        }
        Problem::Unreadable { reason, .. } => format!("nothing is loaded: {reason}"),
        Problem::Refused(name, reason) => format!("{name} is left out: {reason}"),
        Problem::GivenUp(names) => format!(
            "too long to be remembered, and so unset on leaving: {}",
            names.join(", ")
        ),
        Problem::Files(error) => format!("files of secrets cannot be written: {error}"),
    };
    Some(one_line(&line))
}

/// `+2 ~1 -1 A, B, C, D`: how many variables came, changed and went, then which.
fn summary(outcome: &Outcome) -> Option<String> {
    let groups = [
        ('+', &outcome.added),
        ('~', &outcome.changed),
        ('-', &outcome.removed),
    ];
    let mut words: Vec<String> = groups
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(sign, names)| format!("{sign}{}", names.len()))
        .collect();
    if words.is_empty() {
        return None;
    }
    let names: Vec<&str> = groups
        .iter()
        .flat_map(|(_, names)| names.iter().map(String::as_str))
        .collect();
    words.push(names.join(", "));
    Some(words.join(" "))
}

/// Prints the lines. The first is cut to the terminal's width.
pub(crate) fn print(printer: Printer, env: &Env, outcome: &Outcome, lines: &[String]) {
    let is_summary = summary(outcome).is_some();
    for (index, line) in lines.iter().enumerate() {
        let line = format!("fnox: {line}");
        match (is_summary && index == 0, width(env)) {
            (true, Some(width)) => printer.say(&cut(&line, width)),
            _ => printer.say(&line),
        }
    }
}

fn width(env: &Env) -> Option<usize> {
    let told = env
        .var("COLUMNS")
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| *columns > 0);
    output::terminal_width().or(told)
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// The first line of a text, which may come from elsewhere.
fn one_line(text: &str) -> String {
    harmless(text.lines().next().unwrap_or_default())
}

fn waiting(seconds: i64) -> String {
    if seconds < 120 {
        return format!("{seconds} s");
    }
    format!("{} min", seconds / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_summary_counts_and_names_and_fits_the_terminal() {
        let outcome = Outcome {
            added: names(&["A", "B"]),
            removed: names(&["C"]),
            ..Outcome::default()
        };
        assert_eq!(lines(&outcome, &[], None), ["+2 -1 A, B, C"]);
        assert_eq!(lines(&Outcome::default(), &[], None), [] as [&str; 0]);
        assert_eq!(cut("fnox: +2 -1 A, B, C", 14), "fnox: +2 -1 A…");
        assert_eq!(cut("fnox: +1 A", 10), "fnox: +1 A");
    }

    #[test]
    fn several_failures_are_one_line_that_says_when_it_goes_on() {
        let problems = [
            Problem::Unavailable("the secret `A` is left out: `op`: no\nsecond line".to_owned()),
            Problem::Unavailable("the secret `B` is left out".to_owned()),
            Problem::NotTrusted("/a\u{1b}[2J".into()),
        ];
        assert_eq!(
            lines(&Outcome::default(), &problems, Some(240)),
            [
                "the secret `A` is left out: `op`: no (and 1 more); trying again in 4 min",
                "/a\u{fffd}[2J is not trusted: nothing of it is loaded. Read its fnox.toml, then: fnox trust",
            ]
        );
    }
}
