//! What is wrong or odd about a policy file, and where.

use std::fmt;
use std::sync::Arc;

use super::decide::Policy;

/// Whether a finding keeps the file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The file is not taken.
    Error,
    /// The file is taken; somebody should look.
    Warning,
}

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What the file is called.
    pub origin: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// The line as it stands in the file, control characters escaped.
    pub source: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Finding {
    /// `policy.toml:12: message`, the line below it, and the help if there is any.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}\n{:5} | {}",
            self.origin, self.line, self.message, self.line, self.source
        )?;
        match &self.help {
            Some(help) => write!(formatter, "\n      = {help}"),
            None => Ok(()),
        }
    }
}

/// A policy that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What is odd about it, in the order of the lines.
    pub warnings: Vec<Finding>,
}

/// A file is not a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// Everything that was found, errors and warnings, in the order of the lines. At least one is an error.
    pub findings: Vec<Finding>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}

/// Collects findings about one text.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: &'a str,
    origin: Arc<str>,
    /// Where each line begins.
    lines: Vec<usize>,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str, origin: &str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(end, _)| end + 1))
            .collect();
        Self {
            text,
            origin: origin.into(),
            lines,
            findings: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, at: usize, message: String, help: Option<String>) {
        self.add(Severity::Error, at, message, help);
    }

    pub(super) fn warn(&mut self, at: usize, message: String, help: Option<String>) {
        self.add(Severity::Warning, at, message, help);
    }

    /// How many errors there are so far.
    pub(super) fn errors(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The byte at a line and a byte in it, both counted from 1.
    pub(super) fn place(&self, line: usize, column: usize) -> usize {
        let start = self.lines.get(line.saturating_sub(1)).copied();
        start.unwrap_or_default() + column.saturating_sub(1)
    }

    /// The policy, unless something is wrong.
    pub(super) fn finish(mut self, policy: Policy) -> Result<Loaded, PolicyError> {
        self.findings
            .sort_by_key(|finding| (finding.line, finding.column));
        if self.errors() > 0 {
            return Err(PolicyError {
                findings: self.findings,
            });
        }
        Ok(Loaded {
            policy,
            warnings: self.findings,
        })
    }

    fn add(&mut self, severity: Severity, at: usize, message: String, help: Option<String>) {
        let line = self.line(at);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let rest = self.text.get(start..).unwrap_or_default();
        let before = self.text.get(start..at).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        self.findings.push(Finding {
            severity,
            origin: Arc::clone(&self.origin),
            line,
            column: before.chars().count() + 1,
            source: shown(source.trim_end(), 160),
            message,
            help,
        });
    }
}

/// A text of the file in a message: control characters escaped, and not too long.
pub(super) fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == longest {
            shown.push('…');
            break;
        }
        match character {
            '\t' => shown.push(' '),
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}
