//! The keys of one table of the policy, read from TOML.

use fnox_core::Lifetime;
use toml_edit::{Item, TableLike, Value};

use super::condition::WantedValue;
use super::denial::escaped;
use super::finding::Report;
use super::pattern::Pattern;

/// The keys of one table, and where to report what is wrong with them. A reader answers `None` for a key that is
/// absent or wrong; what is wrong is in the report.
pub(super) struct Fields<'a, 'r> {
    table: &'a dyn TableLike,
    /// Where the table begins, for what is missing.
    pub(super) start: usize,
    pub(super) report: &'r mut Report,
}

impl<'a, 'r> Fields<'a, 'r> {
    pub(super) fn new(table: &'a dyn TableLike, start: usize, report: &'r mut Report) -> Self {
        Self {
            table,
            start,
            report,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.item(key).is_some()
    }

    pub(super) fn has_text(&self, key: &str) -> bool {
        self.item(key).is_some_and(Item::is_str)
    }

    /// Reports every key that is not one of `known`.
    pub(super) fn refuse_unknown(&mut self, known: &[&str]) {
        let table = self.table;
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(key)) {
            let at = table
                .key(key)
                .and_then(toml_edit::Key::span)
                .map_or(self.start, |span| span.start);
            let help = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            let message = format!("unknown key `{}`", escaped(key));
            self.report.error(at, message, &help);
        }
    }

    /// Reports something about the value of a key.
    pub(super) fn error(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let at = self.place(key);
        self.report.error(at, message, help);
    }

    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        let item = self.item(key)?;
        let text = item.as_str();
        match text {
            None => {
                let help = format!("write it in quotes, as in `{key} = \"…\"`");
                self.wrong_type(key, item, "a text", &help);
                None
            }
            Some("") => {
                self.error(key, format!("`{key}` is empty"), "");
                None
            }
            Some(text) if text.len() > Pattern::LONGEST || text.chars().any(char::is_control) => {
                let message = format!("`{key}` is too long or has control characters");
                self.error(key, message, "");
                None
            }
            Some(text) => Some(text),
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let item = self.item(key)?;
        let value = item.as_bool();
        if value.is_none() {
            let help = format!("write `{key} = true` or `{key} = false`");
            self.wrong_type(key, item, "true or false", &help);
        }
        value
    }

    /// A number from 1.
    pub(super) fn count(&mut self, key: &str) -> Option<u32> {
        let item = self.item(key)?;
        let count = item
            .as_integer()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..=100).contains(number));
        if count.is_none() {
            self.error(
                key,
                format!("`{key}` must be a number from 1 to 100"),
                &format!("write it like `{key} = 2`"),
            );
        }
        count
    }

    pub(super) fn lifetime(&mut self, key: &str) -> Option<Lifetime> {
        let text = self.text(key)?;
        match Lifetime::parse(text) {
            Ok(lifetime) => Some(lifetime),
            Err(error) => {
                self.error(key, format!("`{key}`: {error}"), "");
                None
            }
        }
    }

    /// A list of texts with their places. Absent is `None`; empty is an error.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<(usize, &'a str)>> {
        let item = self.item(key)?;
        let help = format!("write a list, as in `{key} = [\"…\"]`");
        let Some(array) = item.as_array() else {
            self.wrong_type(key, item, "a list of texts", &help);
            return None;
        };
        if array.is_empty() {
            let message = format!("`{key}` is empty, so the rule would never fit");
            self.error(key, message, &help);
            return None;
        }
        if array.len() > MOST_ENTRIES {
            let message = format!("`{key}` has more than {MOST_ENTRIES} entries");
            self.error(key, message, "write several rules");
            return None;
        }
        let mut texts = Vec::with_capacity(array.len());
        for value in array {
            let at = self.place_of(key, value);
            if let Some(text) = value.as_str() {
                texts.push((at, text));
            } else {
                let message = format!("`{key}` must hold texts, not {}", a(value.type_name()));
                self.report.error(at, message, &help);
            }
        }
        (texts.len() == array.len()).then_some(texts)
    }

    /// A list of patterns; `objection` says what is wrong with one, if something is.
    pub(super) fn patterns(
        &mut self,
        key: &str,
        objection: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<Vec<Pattern>> {
        let texts = self.texts(key)?;
        let count = texts.len();
        let mut patterns = Vec::with_capacity(count);
        for (at, text) in texts {
            let wrong = match Pattern::parse(text) {
                Ok(pattern) => {
                    let Some(wrong) = objection(text) else {
                        patterns.push(pattern);
                        continue;
                    };
                    wrong.to_owned()
                }
                Err(error) => error.to_string(),
            };
            let message = format!("`{key}`: \"{}\" cannot be: {wrong}", escaped(text));
            self.report.error(at, message, "");
        }
        (patterns.len() == count).then_some(patterns)
    }

    /// The table of `claims`: each claim with the values that fit.
    pub(super) fn claims(&mut self, key: &str) -> Option<Vec<(usize, &'a str, Vec<WantedValue>)>> {
        let item = self.item(key)?;
        let help = "write it like `claims = { actor_id = [\"583231\"] }`";
        let Some(table) = item.as_table_like() else {
            self.wrong_type(key, item, "a table", help);
            return None;
        };
        let mut claims = Vec::with_capacity(table.len());
        for (claim, item) in table.iter() {
            let at = table
                .key(claim)
                .and_then(toml_edit::Key::span)
                .map_or(self.start, |span| span.start);
            let before = self.report.errors();
            let values: Vec<WantedValue> = item
                .as_array()
                .into_iter()
                .flat_map(|array| array.iter())
                .filter_map(|value| self.wanted(at, claim, value))
                .collect();
            if values.is_empty() && self.report.errors() == before {
                let message = format!("`claims`: `{}` must be a list with values", escaped(claim));
                self.report.error(at, message, help);
            }
            claims.push((at, claim, values));
        }
        Some(claims)
    }

    fn wanted(&mut self, at: usize, claim: &str, value: &Value) -> Option<WantedValue> {
        let wrong = match value {
            Value::Integer(number) => return Some(WantedValue::Integer(*number.value())),
            Value::Boolean(flag) => return Some(WantedValue::Boolean(*flag.value())),
            Value::String(text) => match Pattern::parse(text.value()) {
                Ok(pattern) => return Some(WantedValue::Text(pattern)),
                Err(error) => error.to_string(),
            },
            other => format!("{} cannot be compared", a(other.type_name())),
        };
        let message = format!("`claims`: `{}`: {wrong}", escaped(claim));
        self.report
            .error(at, message, "use texts, whole numbers, true or false");
        None
    }

    fn item(&self, key: &str) -> Option<&'a Item> {
        self.table.get(key).filter(|item| !item.is_none())
    }

    /// Where the value of a key begins; the table if the key is absent.
    fn place(&self, key: &str) -> usize {
        self.item(key)
            .and_then(Item::span)
            .or_else(|| self.table.key(key).and_then(toml_edit::Key::span))
            .map_or(self.start, |span| span.start)
    }

    fn place_of(&self, key: &str, value: &Value) -> usize {
        value
            .span()
            .map_or_else(|| self.place(key), |span| span.start)
    }

    fn wrong_type(&mut self, key: &str, item: &Item, wanted: &str, help: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", a(item.type_name()));
        self.error(key, message, help);
    }
}

/// The known word nearest to what was written, if one is near enough to have been meant.
pub(super) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|word| {
            let similarity = strsim::jaro_winkler(&written.to_lowercase(), &word.to_lowercase());
            (similarity, word)
        })
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, word)| word)
}

/// The name of a type with its article.
fn a(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {type_name}")
}

/// More entries in one list are not reviewed by anybody.
const MOST_ENTRIES: usize = 256;
