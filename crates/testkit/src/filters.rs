//! Replaces what differs from run to run, so that output can be compared with a snapshot.

use std::path::Path;

use regex::Regex;

/// Replacements in the order in which they apply.
#[derive(Debug, Default)]
pub struct Filters(Vec<(Regex, String)>);

impl Filters {
    /// Times, durations that count down, lease ids, UUIDs, loopback ports and process ids.
    #[must_use]
    pub fn common() -> Self {
        Self::default()
            .and(
                r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z| UTC|[+-]\d{2}:\d{2})?",
                "[time]",
            )
            .and(
                r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
                "[uuid]",
            )
            .and(r"\bcmd-[0-9a-f]{16}\b", "cmd-[id]")
            .and(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}\b", "$1:[port]")
            .and(r"\b(pid|process) \d+\b", "$1 [pid]")
    }

    /// Adds a replacement: a regular expression and what takes its place.
    ///
    /// # Panics
    /// If `pattern` is no regular expression.
    #[must_use]
    pub fn and(mut self, pattern: &str, replacement: &str) -> Self {
        let pattern = Regex::new(pattern).expect("a regular expression");
        self.0.push((pattern, replacement.to_owned()));
        self
    }

    /// Adds a path that is replaced wherever it stands.
    #[must_use]
    pub fn and_path(self, path: &Path, replacement: &str) -> Self {
        self.and(&regex::escape(&path.to_string_lossy()), replacement)
    }

    /// All replacements of both, these first.
    #[must_use]
    pub fn extended(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The text with all replacements.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (pattern, replacement)| {
                pattern
                    .replace_all(&text, replacement.as_str())
                    .into_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_changes_and_nothing_else() {
        let filters = Filters::common().and_path(Path::new("/tmp/x1/home"), "[home]");
        let text = "cmd-0123456789abcdef until 2026-01-02T03:04:05.678Z, held by process 4711, \
                    at http://127.0.0.1:35001/x, in /tmp/x1/home/.config, took 42 keys";
        assert_eq!(
            filters.apply(text),
            "cmd-[id] until [time], held by process [pid], at http://127.0.0.1:[port]/x, \
             in [home]/.config, took 42 keys"
        );
    }
}
