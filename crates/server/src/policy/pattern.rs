//! Patterns of claims, projects, profiles and keys.
//!
//! A pattern means the whole text, never a part of it, byte for byte. `*` stands for any characters but `/`, `**` for
//! any characters; both may stand for none. Everything else means itself. So `refs/heads/*` is every branch without a
//! `/` in its name, and `refs/heads/main` is not `refs/heads/main-evil`.

use std::fmt;

/// A text with `*` and `**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// `*`
    Within,
    /// `**`
    Across,
}

/// A text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Longer than anything that it could mean.
    #[error("it is longer than {} bytes", Pattern::LONGEST)]
    TooLong,
    /// More stars than have a meaning.
    #[error("only `*` and `**` have a meaning, not more stars in a row")]
    Stars,
    /// Nobody would see it.
    #[error("it has control characters")]
    Control,
}

impl Pattern {
    /// The longest pattern, in bytes.
    pub const LONGEST: usize = 1024;

    /// Reads a pattern.
    ///
    /// ```
    /// # use fnox_server::policy::Pattern;
    /// assert!(Pattern::parse("refs/heads/release-*").unwrap().matches("refs/heads/release-7"));
    /// assert!(!Pattern::parse("refs/heads/*").unwrap().matches("refs/heads/a/b"));
    /// assert!(Pattern::parse("refs/heads/**").unwrap().matches("refs/heads/a/b"));
    /// ```
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text.len() > Self::LONGEST {
            return Err(InvalidPattern::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPattern::Control);
        }
        if text.contains("***") {
            return Err(InvalidPattern::Stars);
        }
        let mut parts = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, parts.last_mut()) {
                (b'*', Some(last @ Part::Within)) => *last = Part::Across,
                (b'*', _) => parts.push(Part::Within),
                _ => parts.push(Part::Byte(byte)),
            }
        }
        Ok(Self {
            text: text.into(),
            parts,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it means the whole of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // `reached[n]`: the first `n` parts can stand for what was read so far. This takes no more than parts times
        // bytes steps, whatever a token's author thinks of.
        let mut reached = vec![false; self.parts.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.skip_stars(&mut reached);
        for byte in text.bytes() {
            let mut next = vec![false; reached.len()];
            for (position, part) in self.parts.iter().enumerate() {
                if !reached[position] {
                    continue;
                }
                match part {
                    Part::Byte(wanted) if *wanted == byte => next[position + 1] = true,
                    Part::Within if byte != b'/' => next[position] = true,
                    Part::Across => next[position] = true,
                    Part::Byte(_) | Part::Within => {}
                }
            }
            self.skip_stars(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// Whether nothing but stars and `/` is left of it.
    #[must_use]
    pub fn means_anything(&self) -> bool {
        self.text.bytes().all(|byte| b"*/".contains(&byte))
    }

    /// Whether it has a star.
    #[must_use]
    pub fn has_star(&self) -> bool {
        self.text.contains('*')
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (position, part) in self.parts.iter().enumerate() {
            if reached[position] && matches!(part, Part::Within | Part::Across) {
                reached[position + 1] = true;
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn a_pattern_means_the_whole_text() {
        assert!(matches("refs/heads/main", "refs/heads/main"));
        for other in [
            "refs/heads/main-evil",
            "xrefs/heads/main",
            "refs/heads/Main",
            "refs/heads/main\n",
            "refs/heads/",
            "",
        ] {
            assert!(!matches("refs/heads/main", other), "{other:?}");
        }
    }

    #[test]
    fn one_star_stays_within_a_part_and_two_do_not() {
        for (pattern, text, fits) in [
            ("refs/heads/*", "refs/heads/a", true),
            ("refs/heads/*", "refs/heads/a/b", false),
            ("refs/heads/**", "refs/heads/a/b", true),
            ("refs/heads/**", "refs/tags/a", false),
            ("refs/*/main", "refs/heads/main", true),
            ("refs/*/main", "refs/heads/x/main", false),
            ("refs/**/main", "refs/heads/x/main", true),
            ("refs/**/main", "refs/main", false),
            ("*", "", true),
            ("*a*a", "aa", true),
            ("*a*a", "ba", false),
            ("a**b*c", "a/b/b/xbc", true),
            ("a**b*c", "a/bx/c", false),
            ("ä*", "äß", true),
            ("*", "a/", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn other_characters_mean_themselves() {
        for (pattern, lookalike) in [("a.b", "axb"), ("a?", "ab"), ("[ab]", "a"), ("{a,b}", "a")] {
            assert!(matches(pattern, pattern));
            assert!(!matches(pattern, lookalike));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("", InvalidPattern::Empty),
            ("a***", InvalidPattern::Stars),
            ("a\u{7}", InvalidPattern::Control),
            (&"x".repeat(1025), InvalidPattern::TooLong),
        ] {
            assert_eq!(Pattern::parse(text), Err(error));
        }
    }

    #[test]
    fn stars_alone_mean_anything() {
        for (text, anything) in [("*", true), ("**", true), ("*/**", true), ("a*", false)] {
            assert_eq!(Pattern::parse(text).unwrap().means_anything(), anything);
        }
    }
}
