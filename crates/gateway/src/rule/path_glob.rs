//! Patterns of paths.

use std::fmt;

use fnox_core::shown;

use super::wildcard::Wildcard;
use crate::request::{Path, canonical_segment};

/// More characters of a text are not in a message.
const LONGEST_SHOWN: usize = 200;

/// Which paths a rule means, for example `/repos/acme/*/pulls/**`.
///
/// `*` stands for any run of characters within one segment, and for at least one if it is the whole segment;
/// `**`, always a whole segment, for any number of segments, also none. So `/repos/**` means `/repos`,
/// `/repos/` and everything below. A pattern is compared with the canonical form of a path, segment by segment,
/// and goes through the same form itself: `/b%c3%bccher` and `/bücher` are one pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathGlob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// `**`
    Segments,
    /// One segment.
    Segment(Wildcard),
    /// What follows the last slash of `/a/`.
    Empty,
}

/// A text is not a pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern of paths: it {problem}")]
pub struct InvalidPathGlob {
    /// The text, control characters escaped, and not all of it if it is long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl PathGlob {
    /// Reads a pattern.
    ///
    /// ```
    /// # use fnox_gateway::rule::PathGlob;
    /// assert!(PathGlob::parse("/repos/acme/**").is_ok());
    /// assert!(PathGlob::parse("/repos/../**").is_err());
    /// ```
    ///
    /// # Errors
    /// [`InvalidPathGlob`]: no path could ever have the form of the pattern, or other programs' globs give it
    /// another meaning.
    pub fn parse(text: &str) -> Result<Self, InvalidPathGlob> {
        let fail = |problem| InvalidPathGlob {
            text: shown(text, LONGEST_SHOWN),
            problem,
        };
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| fail("does not begin with a slash"))?;
        if text.contains(['?', '#', '[', ']', '{', '}']) {
            return Err(fail(
                "has a character that is special elsewhere; only `*` and `**` are special here",
            ));
        }
        let count = rest.split('/').count();
        let parts = rest
            .split('/')
            .enumerate()
            .map(|(position, segment)| Part::parse(segment, position + 1 == count))
            .collect::<Result<_, _>>()
            .map_err(fail)?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether the pattern means `path`.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let segments: Vec<&str> = path.segments().collect();
        let mut part = 0;
        let mut segment = 0;
        // After the last `**`: where the pattern goes on, and how many segments it has swallowed up to.
        let mut retry = None;
        loop {
            match (self.parts.get(part), segments.get(segment)) {
                (Some(Part::Segments), _) => {
                    retry = Some((part + 1, segment));
                    part += 1;
                    continue;
                }
                (Some(expected), Some(text)) if expected.matches(text) => {
                    part += 1;
                    segment += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            match retry {
                Some((after, swallowed)) if swallowed < segments.len() => {
                    retry = Some((after, swallowed + 1));
                    part = after;
                    segment = swallowed + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Part {
    fn parse(segment: &str, is_last: bool) -> Result<Self, &'static str> {
        match segment {
            "**" => Ok(Self::Segments),
            "" if is_last => Ok(Self::Empty),
            "" => Err("has an empty segment (`//`)"),
            _ if segment.contains("**") => Err("has `**` beside other characters"),
            _ => Ok(Self::Segment(Wildcard::new(&canonical_segment(segment)?))),
        }
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Segments => false,
            Self::Segment(wildcard) => !segment.is_empty() && wildcard.matches(segment.as_bytes()),
            Self::Empty => segment.is_empty(),
        }
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        PathGlob::parse(glob)
            .unwrap()
            .matches(&Path::parse(path).unwrap())
    }

    /// The same over segments, by trying everything.
    fn naive(parts: &[&str], segments: &[&str]) -> bool {
        match parts.split_first() {
            None => segments.is_empty(),
            Some((&"**", rest)) => (0..=segments.len()).any(|skip| naive(rest, &segments[skip..])),
            Some((&part, rest)) => segments.split_first().is_some_and(|(segment, others)| {
                let is_meant = if part == "*" {
                    !segment.is_empty()
                } else {
                    part == *segment
                };
                is_meant && naive(rest, others)
            }),
        }
    }

    #[test]
    fn stars_stay_within_their_segment() {
        for (glob, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b/c", false),
            ("/a/*/", "/a/b/", true),
            ("/a/b*", "/a/b", true),
            ("/a/*.json", "/a/x.json", true),
            ("/a/*.json", "/a/b/x.json", false),
            ("/a/**", "/a", true),
            ("/a/**", "/a/", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/ab", false),
            ("/**", "/", true),
            ("/**", "/a/b/", true),
            ("/**/b", "/b", true),
            ("/**/b", "/a/b/b", true),
            ("/**/b", "/a/b/c", false),
            ("/**/a/**/b", "/x/a/y/a/b", true),
            ("/b\u{fc}cher/%7ex", "/b%c3%bccher/~x", true),
            ("/models/*:generate", "/models/m:generate", true),
            // Not the same to every server, so not the same here.
            ("/models/*:generate", "/models/m%3Agenerate", false),
            ("/A", "/a", false),
        ] {
            assert_eq!(matches(glob, path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn what_no_path_can_match_is_no_pattern() {
        for text in [
            "", "a", "*", "**", "//", "/a//b", "/../a", "/a/./b", "/a%2fb", "/a\\b", "/a;b",
            "/a%zz", "/a**", "/a?b", "/[ab]", "/{a,b}", "/a#b", "/%2e",
        ] {
            assert!(PathGlob::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(
            parts in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..6),
            segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..8),
            ends_in_slash: bool,
        ) {
            let mut segments = segments;
            if ends_in_slash {
                segments.push("");
            }
            let glob = format!("/{}", parts.join("/"));
            let path = format!("/{}", segments.join("/"));
            prop_assert_eq!(matches(&glob, &path), naive(&parts, &segments), "{} {}", glob, path);
        }
    }
}
