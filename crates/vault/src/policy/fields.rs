//! The fields of a rule, each read from its TOML value.

use std::num::NonZeroU32;
use std::ops::Range;

use fnox_core::{HostPattern, Lifetime};
use toml_edit::{Item, TableLike};

use super::finding::{Report, shown};
use super::pattern::{InvalidPattern, NamePattern};
use super::rule::HostSet;

/// The keys of one table, and where to report what is wrong with them. A reader answers `None` for a key that
/// is absent or wrong; what is wrong is in the report.
pub(super) struct Fields<'a, 'r, 't> {
    table: &'a dyn TableLike,
    /// Where the table begins, for what is missing.
    pub(super) start: usize,
    pub(super) report: &'r mut Report<'t>,
}

impl<'a, 'r, 't> Fields<'a, 'r, 't> {
    pub(super) fn new(table: &'a dyn TableLike, start: usize, report: &'r mut Report<'t>) -> Self {
        Self {
            table,
            start,
            report,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.item(key).is_some()
    }

    /// Where the value of a key begins; the table if the key is absent.
    pub(super) fn place(&self, key: &str) -> usize {
        self.item(key)
            .and_then(Item::span)
            .or_else(|| self.table.key(key).and_then(toml_edit::Key::span))
            .map_or(self.start, |span: Range<usize>| span.start)
    }

    /// Reports every key that is not one of `known`.
    pub(super) fn refuse_unknown(&mut self, known: &[&str]) {
        let unknown: Vec<String> = self
            .table
            .iter()
            .map(|(key, _)| key)
            .filter(|key| !known.contains(key))
            .map(str::to_owned)
            .collect();
        for key in unknown {
            let at = self
                .table
                .key(&key)
                .and_then(toml_edit::Key::span)
                .map_or(self.start, |span| span.start);
            let help = match nearest(&key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            let message = format!("unknown key `{}`", shown(&key, 60));
            self.report.error(at, message, Some(help));
        }
    }

    /// Reports something about the value of a key.
    pub(super) fn error(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let at = self.place(key);
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.report.error(at, message.into(), help);
    }

    pub(super) fn text(&mut self, key: &str, example: &str) -> Option<&'a str> {
        let item = self.item(key)?;
        let text = item.as_str();
        if text.is_none() {
            self.wrong_type(key, item, "a text", example);
        }
        text
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let item = self.item(key)?;
        let value = item.as_bool();
        if value.is_none() {
            self.wrong_type(key, item, "true or false", &format!("{key} = true"));
        }
        value
    }

    /// A number from 1.
    pub(super) fn count(&mut self, key: &str) -> Option<u32> {
        let item = self.item(key)?;
        let Some(number) = item.as_integer() else {
            self.wrong_type(key, item, "a number", &format!("{key} = 5"));
            return None;
        };
        let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
        if count.is_none() {
            self.error(
                key,
                format!("`{key} = {number}` is out of range"),
                "use a number from 1 to 4294967295, or leave the key out for no limit",
            );
        }
        count.map(NonZeroU32::get)
    }

    pub(super) fn lifetime(&mut self, key: &str) -> Option<Lifetime> {
        let text = self.text(key, &format!("{key} = \"15m\""))?;
        match Lifetime::parse(text) {
            Ok(lifetime) => Some(lifetime),
            Err(_) if text.len() > 60 => {
                self.error(key, format!("`{key}` is not a duration"), "");
                None
            }
            Err(error) => {
                self.error(key, format!("`{key}`: {error}"), "");
                None
            }
        }
    }

    /// `agent` and `secret`: a text or `{ any = true }`.
    pub(super) fn pattern(&mut self, key: &str) -> Option<NamePattern> {
        let spelled_out = format!("if every {key} is meant, write `{key} = {{ any = true }}`");
        let Some(item) = self.item(key) else {
            let help = format!("write `{key} = \"NAME\"`, `\"PREFIX*\"` or `{{ any = true }}`");
            self.report
                .error(self.start, format!("`{key}` is missing"), Some(help));
            return None;
        };
        if let Some(table) = item.as_table_like() {
            return self.any(key, table).then_some(NamePattern::Any);
        }
        let text = self.text(key, &format!("{key} = \"ci-*\""))?;
        match NamePattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(error @ (InvalidPattern::Empty | InvalidPattern::BareStar)) => {
                self.error(key, format!("`{key}`: {error}"), &spelled_out);
                None
            }
            Err(error) => {
                self.error(key, format!("`{key}`: {error}"), "");
                None
            }
        }
    }

    /// `hosts`: a list, or `{ any = true }` in a rule that denies.
    pub(super) fn hosts(&mut self, denies: bool) -> Option<HostSet> {
        const EXAMPLE: &str =
            r#"write a list, as in `hosts = ["api.example.com", "*.example.org:443"]`"#;
        let Some(item) = self.item("hosts") else {
            let message = "`hosts` is missing".to_owned();
            self.report
                .error(self.start, message, Some(EXAMPLE.to_owned()));
            return None;
        };
        if let Some(table) = item.as_table_like() {
            if !self.any("hosts", table) {
                return None;
            }
            if !denies {
                self.error("hosts", "a rule that allows must list its hosts", EXAMPLE);
                return None;
            }
            return Some(HostSet::Any);
        }
        let texts = self.texts("hosts", EXAMPLE)?;
        let before = self.report.errors();
        let mut patterns = Vec::with_capacity(texts.len());
        for (at, text) in texts {
            match HostPattern::parse(text) {
                Err(error) => {
                    let every = if denies {
                        "if every host is meant, write `hosts = { any = true }`"
                    } else {
                        "there is no rule for every host: list them"
                    };
                    let help = (text == "*").then(|| every.to_owned());
                    self.report.error(at, error.to_string(), help);
                }
                Ok(pattern) if pattern.is_below_public_suffix() => {
                    let message = format!("`{pattern}` means hosts of everybody");
                    let help = "name a domain that belongs to one owner, as in `*.example.com`";
                    self.report.error(at, message, Some(help.to_owned()));
                }
                Ok(pattern) => patterns.push(pattern),
            }
        }
        (self.report.errors() == before).then_some(HostSet::Listed(patterns))
    }

    /// A list of texts with their places, not empty.
    pub(super) fn texts(&mut self, key: &str, example: &str) -> Option<Vec<(usize, &'a str)>> {
        let item = self.item(key)?;
        let Some(array) = item.as_array() else {
            self.wrong_type(key, item, "a list of texts", example);
            return None;
        };
        if array.is_empty() {
            let message = format!("`{key}` is empty, so the rule would never match");
            self.error(key, message, example);
            return None;
        }
        if array.len() > MOST_ENTRIES {
            let message = format!("`{key}` has more than {MOST_ENTRIES} entries");
            self.error(key, message, "write several rules");
            return None;
        }
        let mut texts = Vec::with_capacity(array.len());
        for value in array {
            let at = value.span().map_or(self.place(key), |span| span.start);
            if let Some(text) = value.as_str() {
                texts.push((at, text));
            } else {
                let message = format!("`{key}` must hold texts, not {}", value.type_name());
                self.report.error(at, message, Some(example.to_owned()));
            }
        }
        (texts.len() == array.len()).then_some(texts)
    }

    /// Whether a table is `{ any = true }`; everything else is reported.
    fn any(&mut self, key: &str, table: &dyn TableLike) -> bool {
        let is_any = table.len() == 1 && table.get("any").and_then(Item::as_bool) == Some(true);
        if !is_any {
            let message = format!("the only table that `{key}` can be is `{{ any = true }}`");
            self.error(key, message, "");
        }
        is_any
    }

    fn item(&self, key: &str) -> Option<&'a Item> {
        self.table.get(key).filter(|item| !item.is_none())
    }

    fn wrong_type(&mut self, key: &str, item: &Item, wanted: &str, example: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", item.type_name());
        self.error(key, message, example);
    }
}

/// The known key nearest to what was written, if one is near enough to have been meant.
pub(super) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| {
            let similarity = strsim::jaro_winkler(&written.to_lowercase(), key);
            (similarity, *key)
        })
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, key)| key)
}

/// More entries in one list are not reviewed by anybody.
pub(super) const MOST_ENTRIES: usize = 256;
