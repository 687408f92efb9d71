//! What is wrong about a policy file, and where.

use std::fmt;

use super::denial::escaped;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, counted from 1; none if the file could not be read at all.
    pub line: Option<usize>,
    /// The rule, by its name or as `rule N`.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A file is not a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// What the file is called.
    pub origin: String,
    /// Everything that was found, in the order of the lines. Never empty.
    pub findings: Vec<Finding>,
}

impl PolicyError {
    /// Names the file.
    #[must_use]
    pub fn of(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.origin);
        self
    }

    pub(super) fn unreadable(origin: &str, error: &std::io::Error) -> Self {
        Self {
            origin: origin.to_owned(),
            findings: vec![Finding {
                line: None,
                rule: None,
                message: format!("the policy cannot be read: {error}"),
                help: Some(
                    "the server must be able to read the file that `policy` in server.toml names"
                        .to_owned(),
                ),
            }],
        }
    }

    pub(super) fn untrusted(origin: &str, reason: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            findings: vec![Finding {
                line: None,
                rule: None,
                message: format!("the policy is refused: {reason}"),
                help: Some(
                    "whoever can write it chooses who gets which secrets; give it to the server's user or to root, and \
                     take the right away from others (chmod o-w)"
                        .to_owned(),
                ),
            }],
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{}:", self.origin)?;
            if let Some(line) = finding.line {
                write!(formatter, "{line}:")?;
            }
            if let Some(rule) = &finding.rule {
                write!(formatter, " `{}`:", escaped(rule))?;
            }
            write!(formatter, " {}", finding.message)?;
            if let Some(help) = &finding.help {
                write!(formatter, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}

/// Collects findings about one text.
#[derive(Debug)]
pub(super) struct Report {
    /// Where each line begins.
    lines: Vec<usize>,
    findings: Vec<Finding>,
    /// The rule that is being read.
    pub(super) rule: Option<String>,
}

impl Report {
    pub(super) fn new(text: &str) -> Self {
        Self {
            lines: std::iter::once(0)
                .chain(text.match_indices('\n').map(|(end, _)| end + 1))
                .collect(),
            findings: Vec::new(),
            rule: None,
        }
    }

    pub(super) fn error(&mut self, at: usize, message: impl Into<String>, help: &str) {
        self.findings.push(Finding {
            line: Some(self.line(at)),
            rule: self.rule.clone(),
            message: message.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    pub(super) fn errors(&self) -> usize {
        self.findings.len()
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The value, unless something is wrong.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, PolicyError> {
        if self.findings.is_empty() {
            return Ok(value);
        }
        self.findings.sort_by_key(|finding| finding.line);
        Err(PolicyError {
            origin: "policy.toml".to_owned(),
            findings: self.findings,
        })
    }
}
