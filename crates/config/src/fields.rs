//! A table's values after they were checked against their [`Field`](crate::spec::Field)s.

use std::path::{Path, PathBuf};

use fnox_core::{Lifetime, SecretName};
use indexmap::IndexMap;

use crate::error::ConfigError;
use crate::source::Location;

/// A string, or the name of the secret whose value it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrSecret {
    /// Written out.
    Text(String),
    /// `{ secret = "NAME" }`
    Secret(SecretName),
}

/// One value of a table whose keys fnox does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// A string or `{ secret = … }`.
    Text(TextOrSecret),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
}

/// A checked value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string or `{ secret = … }`.
    Text(TextOrSecret),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// A duration.
    Lifetime(Lifetime),
    /// A list of strings.
    TextList(Vec<String>),
    /// A list of whole numbers.
    Counts(Vec<u64>),
    /// A table of strings.
    TextMap(IndexMap<String, String>),
    /// A table whose keys somebody else knows.
    Options(IndexMap<String, OptionValue>),
    /// A table that is handed on as a JSON object.
    Json(serde_json::Map<String, serde_json::Value>),
    /// A table with known keys.
    Table(Fields),
    /// A list of such tables.
    Tables(Vec<Fields>),
    /// Anything, for its reader to make sense of.
    Opaque(Box<toml_edit::Item>),
}

/// The checked keys of one table and where they stand.
#[derive(Debug, Clone)]
pub struct Fields {
    location: Location,
    values: IndexMap<&'static str, (Value, Location)>,
}

impl Fields {
    /// A table without keys at a place.
    #[must_use]
    pub fn empty(location: Location) -> Self {
        Self {
            location,
            values: IndexMap::new(),
        }
    }

    /// Adds a key, or replaces it.
    pub fn insert(&mut self, name: &'static str, value: Value, location: Location) {
        self.values.insert(name, (value, location));
    }

    /// Where the table stands.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Where a key's value stands; the table's place if it has no such key.
    #[must_use]
    pub fn location_of(&self, name: &str) -> &Location {
        self.values
            .get(name)
            .map_or(&self.location, |(_, location)| location)
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, (value, _))| (*name, value))
    }

    /// A string that is written out.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(TextOrSecret::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A string or the secret that it comes from.
    #[must_use]
    pub fn reference(&self, name: &str) -> Option<&TextOrSecret> {
        match self.value(name)? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// A path that is written out, relative to the declaring file's folder, `~` expanded with `home`.
    #[must_use]
    pub fn path(&self, name: &str, home: Option<&Path>) -> Option<PathBuf> {
        let (_, location) = self.values.get(name)?;
        self.text(name)
            .map(|text| resolve_path(text, location.file.folder(), home))
    }

    /// A flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A whole number.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    /// A duration.
    #[must_use]
    pub fn lifetime(&self, name: &str) -> Option<Lifetime> {
        match self.value(name)? {
            Value::Lifetime(lifetime) => Some(*lifetime),
            _ => None,
        }
    }

    /// A list of strings; empty if the key is not there.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::TextList(list)) => list,
            _ => &[],
        }
    }

    /// A string that is written out, or the strings of a list; empty if the key is not there.
    #[must_use]
    pub fn one_or_more(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::TextList(list)) => list,
            Some(Value::Text(TextOrSecret::Text(text))) => std::slice::from_ref(text),
            _ => &[],
        }
    }

    /// A list of whole numbers; empty if the key is not there.
    #[must_use]
    pub fn counts(&self, name: &str) -> &[u64] {
        match self.value(name) {
            Some(Value::Counts(numbers)) => numbers,
            _ => &[],
        }
    }

    /// A table of strings.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&IndexMap<String, String>> {
        match self.value(name)? {
            Value::TextMap(map) => Some(map),
            _ => None,
        }
    }

    /// A table whose keys somebody else knows.
    #[must_use]
    pub fn options(&self, name: &str) -> Option<&IndexMap<String, OptionValue>> {
        match self.value(name)? {
            Value::Options(options) => Some(options),
            _ => None,
        }
    }

    /// A table that is handed on as a JSON object.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<&serde_json::Map<String, serde_json::Value>> {
        match self.value(name)? {
            Value::Json(object) => Some(object),
            _ => None,
        }
    }

    /// The secrets whose values the keys are to have: each key with the secret's name.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretName)> {
        self.iter().flat_map(|(key, value)| {
            let names: Vec<&SecretName> = match value {
                Value::Text(TextOrSecret::Secret(name)) => vec![name],
                Value::Options(options) => options
                    .values()
                    .filter_map(|option| match option {
                        OptionValue::Text(TextOrSecret::Secret(name)) => Some(name),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            names.into_iter().map(move |name| (key, name))
        })
    }

    /// A table with known keys.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Fields> {
        match self.value(name)? {
            Value::Table(fields) => Some(fields),
            _ => None,
        }
    }

    /// A list of tables with known keys; empty if the key is not there.
    #[must_use]
    pub fn tables(&self, name: &str) -> &[Fields] {
        match self.value(name) {
            Some(Value::Tables(tables)) => tables,
            _ => &[],
        }
    }

    /// An unchecked value.
    #[must_use]
    pub fn opaque(&self, name: &str) -> Option<&toml_edit::Item> {
        match self.value(name)? {
            Value::Opaque(item) => Some(item),
            _ => None,
        }
    }

    /// The error that a key's value is not acceptable.
    #[must_use]
    pub fn invalid(&self, name: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::InvalidValue {
            location: self.location_of(name).clone(),
            key: name.to_owned(),
            reason: reason.into(),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).map(|(value, _)| value)
    }
}

/// An absolute path from a text: `~` and `~/…` are the home folder, relative paths start at `folder`.
#[must_use]
pub fn resolve_path(text: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => folder.join(text),
    }
}
