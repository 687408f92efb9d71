//! Patterns of agents' and secrets' names.

use std::fmt;

use fnox_core::AgentId;

/// Which names a rule means. Names compare byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// One name.
    Exact(Box<str>),
    /// All names that begin so, this text itself included. Never empty.
    Prefix(Box<str>),
    /// Every name. A file has to say so in words.
    Any,
}

impl NamePattern {
    /// Reads `name` or `prefix*`.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        match text.split_once('*') {
            Some(("", "")) => Err(InvalidPattern::BareStar),
            Some((prefix, "")) => Self::prefix(prefix),
            Some(_) => Err(InvalidPattern::Star),
            None => Self::exact(text),
        }
    }

    /// One name, whatever it looks like.
    ///
    /// # Errors
    /// If no agent and no secret can be called so.
    pub(super) fn exact(text: &str) -> Result<Self, InvalidPattern> {
        // Agents and secrets share one grammar.
        match AgentId::parse(text) {
            Ok(_) => Ok(Self::Exact(text.into())),
            Err(error) => Err(InvalidPattern::Name(error.to_string())),
        }
    }

    /// All names that begin so.
    ///
    /// # Errors
    /// If no agent and no secret can be called so.
    pub(super) fn prefix(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        // A space at the end of a prefix is inside the names it means.
        match AgentId::parse(text.trim_end_matches(' ')) {
            Ok(_) if text.len() <= 128 => Ok(Self::Prefix(text.into())),
            Ok(_) => Err(InvalidPattern::Name(format!(
                "a prefix of {} bytes is longer than any name",
                text.len()
            ))),
            Err(error) => Err(InvalidPattern::Name(error.to_string())),
        }
    }

    /// Whether it means `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
            Self::Any => true,
        }
    }

    /// Whether it means every name that `other` means.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) | (Self::Exact(_), Self::Prefix(_)) => false,
            (_, Self::Exact(name) | Self::Prefix(name)) => self.matches(name),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(formatter, "`{name}`"),
            Self::Prefix(prefix) => write!(formatter, "`{prefix}*`"),
            Self::Any => formatter.write_str("any"),
        }
    }
}

/// A text is not a pattern of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidPattern {
    /// Nothing there: a slip, or somebody who means everything.
    #[error("it is empty")]
    Empty,
    /// Everything, in one easily overlooked byte.
    #[error("a bare `*` is not a pattern")]
    BareStar,
    /// A `*` before the end.
    #[error("`*` may stand only at the end, as in `ci-*`")]
    Star,
    /// Nothing can have that name.
    #[error("{0}")]
    Name(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_prefix_means_what_begins_with_it_and_an_exact_name_only_itself() {
        assert!(pattern("ci-*").matches("ci-"));
        assert!(pattern("ci-*").matches("ci-42"));
        assert!(!pattern("ci-*").matches("CI-42"));
        assert!(!pattern("ci").matches("ci-42"));
        assert!(NamePattern::Any.matches("x"));
    }

    #[test]
    fn what_could_mean_everything_by_mistake_is_refused() {
        for (text, wanted) in [
            ("", "it is empty"),
            ("*", "a bare `*` is not a pattern"),
            ("a*b", "only at the end"),
            ("**", "only at the end"),
            ("*-ci", "only at the end"),
            (" a", "no space at either end"),
            ("a\nb", "without control characters"),
            ("a\n*", "without control characters"),
            (" *", "not a name"),
        ] {
            let message = NamePattern::parse(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text:?}: {message}");
        }
        let long = format!("{}*", "x".repeat(129));
        assert!(NamePattern::parse(&long).is_err());
    }

    #[test]
    fn covering_means_meaning_all_of_it() {
        for (wide, narrow, covers) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a*", "ab", true),
            ("a*", "ab*", true),
            ("ab*", "a*", false),
            ("a", "a*", false),
        ] {
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
        assert!(NamePattern::Any.covers(&NamePattern::Any));
        assert!(!pattern("a*").covers(&NamePattern::Any));
    }
}
