//! From TOML to checked [`Fields`].

use std::sync::Arc;

use fnox_core::{Lifetime, SecretName};
use indexmap::IndexMap;
use toml_edit::{Item, TableLike};

use crate::error::ConfigError;
use crate::fields::{Fields, OptionValue, TextOrSecret, Value};
use crate::json;
use crate::source::{Location, SourceFile};
use crate::spec::{Field, Kind, Section};
use crate::suggest::nearest;

/// Reads tables of one file.
pub(crate) struct Reader {
    pub(crate) file: Arc<SourceFile>,
}

impl Reader {
    /// Checks every key of `table` against `fields`. `what` names the table in errors.
    pub(crate) fn fields(
        &self,
        table: &dyn TableLike,
        location: Location,
        fields: &[&'static [Field]],
        what: &str,
    ) -> Result<Fields, ConfigError> {
        let mut out = Fields::empty(location);
        for (key, item) in table.iter() {
            let known = fields
                .iter()
                .flat_map(|list| list.iter())
                .find(|field| field.name == key);
            let Some(field) = known else {
                return Err(self.unknown_key(table, key, fields, what));
            };
            let place = self
                .locate(item)
                .unwrap_or_else(|| self.key_location(table, key));
            out.insert(field.name, self.value(field, item, &place)?, place);
        }
        for field in fields
            .iter()
            .flat_map(|list| list.iter())
            .filter(|field| field.required)
        {
            if !out.contains(field.name) {
                return Err(ConfigError::MissingKey {
                    location: out.location().clone(),
                    key: field.name,
                    section: what.to_owned(),
                });
            }
        }
        Ok(out)
    }

    /// The item as a table, or an error that says what it should have been.
    pub(crate) fn table<'a>(
        &self,
        item: &'a Item,
        key: &str,
        location: &Location,
        wanted: &str,
    ) -> Result<&'a dyn TableLike, ConfigError> {
        item.as_table_like()
            .ok_or_else(|| self.wrong_type(key, location, wanted, item))
    }

    pub(crate) fn key_location(&self, table: &dyn TableLike, key: &str) -> Location {
        let span = table
            .key(key)
            .and_then(toml_edit::Key::span)
            .unwrap_or(0..0);
        Location {
            file: Arc::clone(&self.file),
            span,
        }
    }

    pub(crate) fn locate(&self, item: &Item) -> Option<Location> {
        Some(Location {
            file: Arc::clone(&self.file),
            span: item.span()?,
        })
    }

    fn value(&self, field: &Field, item: &Item, place: &Location) -> Result<Value, ConfigError> {
        let wrong = |wanted: &str| self.wrong_type(field.name, place, wanted, item);
        let lifetime = |wanted: &str| {
            let text = item.as_str().ok_or_else(|| wrong(wanted))?;
            Lifetime::parse(text)
                .map(Value::Lifetime)
                .map_err(|error| invalid(field, place, &error))
        };
        match field.kind {
            Kind::Text | Kind::Path(_) | Kind::Place => {
                let text = item.as_str().ok_or_else(|| wrong("a string"))?;
                Ok(Value::Text(TextOrSecret::Text(text.to_owned())))
            }
            Kind::Reference | Kind::ReferencePath(_) => self.reference(field, item, place),
            Kind::Flag => item
                .as_bool()
                .map(Value::Flag)
                .ok_or_else(|| wrong("`true` or `false`")),
            Kind::Count => item
                .as_integer()
                .and_then(|number| u64::try_from(number).ok())
                .map(Value::Count)
                .ok_or_else(|| wrong("a whole number, zero or more")),
            Kind::Lifetime => lifetime("a duration such as \"15m\""),
            Kind::FlagOrLifetime => match item.as_bool() {
                Some(flag) => Ok(Value::Flag(flag)),
                None => lifetime("`true`, `false` or a duration such as \"15m\""),
            },
            Kind::TextList => texts(item)
                .map(Value::TextList)
                .ok_or_else(|| wrong("a list of strings")),
            Kind::TextOrList => match item.as_str() {
                Some(text) => Ok(Value::Text(TextOrSecret::Text(text.to_owned()))),
                None => texts(item)
                    .map(Value::TextList)
                    .ok_or_else(|| wrong("a string or a list of strings")),
            },
            Kind::Counts => counts(item)
                .map(Value::Counts)
                .ok_or_else(|| wrong("a list of whole numbers, zero or more")),
            Kind::TextMap => {
                let strings = item.as_table_like().and_then(|table| {
                    table
                        .iter()
                        .map(|(key, value)| Some((key.to_owned(), value.as_str()?.to_owned())))
                        .collect::<Option<IndexMap<_, _>>>()
                });
                strings
                    .map(Value::TextMap)
                    .ok_or_else(|| wrong("a table of strings"))
            }
            Kind::Options => self.options(field, item, place),
            Kind::Json => {
                let table = self.table(item, field.name, place, "a table")?;
                let object =
                    json::object(table).map_err(|(key, problem)| ConfigError::InvalidValue {
                        location: place.clone(),
                        key: field.name.to_owned(),
                        reason: format!("has in `{key}` {problem}"),
                    })?;
                Ok(Value::Json(object))
            }
            Kind::Choice(words) => self.choice(field, item, place, words),
            Kind::EnvMode => match (item.as_bool(), item.as_str()) {
                (Some(flag), _) => Ok(Value::Flag(flag)),
                (None, Some("exec")) => Ok(Value::Text(TextOrSecret::Text("exec".to_owned()))),
                _ => Err(wrong("`true`, `false` or `\"exec\"`")),
            },
            Kind::Table(section) => {
                let table = self.table(item, field.name, place, "a table")?;
                Ok(Value::Table(self.fields(
                    table,
                    place.clone(),
                    &[section.fields],
                    section.heading,
                )?))
            }
            Kind::Tables(section) => self.tables(field, item, place, section),
            Kind::Opaque => Ok(Value::Opaque(Box::new(item.clone()))),
        }
    }

    fn reference(
        &self,
        field: &Field,
        item: &Item,
        place: &Location,
    ) -> Result<Value, ConfigError> {
        if let Some(text) = item.as_str() {
            return Ok(Value::Text(TextOrSecret::Text(text.to_owned())));
        }
        let wrong = || {
            self.wrong_type(
                field.name,
                place,
                "a string or `{ secret = \"NAME\" }`",
                item,
            )
        };
        let table = item.as_table_like().ok_or_else(wrong)?;
        if let Some((key, _)) = table.iter().find(|(key, _)| *key != "secret") {
            return Err(self.unknown_key(
                table,
                key,
                &[&SECRET_REFERENCE],
                &format!("`{}`", field.name),
            ));
        }
        let name = table
            .get("secret")
            .and_then(Item::as_str)
            .ok_or_else(wrong)?;
        let name = SecretName::parse(name).map_err(|error| invalid(field, place, &error))?;
        Ok(Value::Text(TextOrSecret::Secret(name)))
    }

    fn options(&self, field: &Field, item: &Item, place: &Location) -> Result<Value, ConfigError> {
        let table = self.table(item, field.name, place, "a table")?;
        let mut options = IndexMap::new();
        for (key, item) in table.iter() {
            let place = self
                .locate(item)
                .unwrap_or_else(|| self.key_location(table, key));
            let option = if let Some(flag) = item.as_bool() {
                OptionValue::Flag(flag)
            } else if let Some(number) = item.as_integer() {
                OptionValue::Number(number)
            } else {
                match self.reference(field, item, &place)? {
                    Value::Text(text) => OptionValue::Text(text),
                    _ => continue,
                }
            };
            options.insert(key.to_owned(), option);
        }
        Ok(Value::Options(options))
    }

    fn choice(
        &self,
        field: &Field,
        item: &Item,
        place: &Location,
        words: &'static [&'static str],
    ) -> Result<Value, ConfigError> {
        let text = item
            .as_str()
            .ok_or_else(|| self.wrong_type(field.name, place, "a string", item))?;
        // Other tools write `managed_identity`.
        let meant = text.replace('_', "-");
        if let Some(word) = words.iter().find(|word| **word == text || **word == meant) {
            return Ok(Value::Text(TextOrSecret::Text((*word).to_owned())));
        }
        let meant =
            nearest(text, words.iter().copied()).map(|word| format!("; did you mean `{word}`?"));
        Err(ConfigError::InvalidValue {
            location: place.clone(),
            key: field.name.to_owned(),
            reason: format!(
                "cannot be `{text}`: use {}{}",
                words.join(", "),
                meant.unwrap_or_default()
            ),
        })
    }

    fn tables(
        &self,
        field: &Field,
        item: &Item,
        place: &Location,
        section: &'static Section,
    ) -> Result<Value, ConfigError> {
        let wrong = || self.wrong_type(field.name, place, "a list of tables", item);
        let mut out = Vec::new();
        if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                let location = table.span().map_or_else(
                    || place.clone(),
                    |span| Location {
                        span,
                        ..place.clone()
                    },
                );
                out.push(self.fields(table, location, &[section.fields], section.heading)?);
            }
        } else {
            for value in item.as_array().ok_or_else(wrong)? {
                let table = value.as_inline_table().ok_or_else(wrong)?;
                out.push(self.fields(table, place.clone(), &[section.fields], section.heading)?);
            }
        }
        Ok(Value::Tables(out))
    }

    pub(crate) fn unknown_key(
        &self,
        table: &dyn TableLike,
        key: &str,
        fields: &[&'static [Field]],
        what: &str,
    ) -> ConfigError {
        let known: Vec<&'static str> = fields
            .iter()
            .flat_map(|list| list.iter())
            .map(|field| field.name)
            .collect();
        ConfigError::UnknownKey {
            location: self.key_location(table, key),
            key: key.to_owned(),
            section: what.to_owned(),
            suggestion: nearest(key, known.iter().copied()).map(str::to_owned),
            known,
        }
    }

    fn wrong_type(&self, key: &str, place: &Location, wanted: &str, item: &Item) -> ConfigError {
        let _ = self;
        ConfigError::InvalidValue {
            location: place.clone(),
            key: key.to_owned(),
            reason: format!("must be {wanted}, not {}", type_in_words(item)),
        }
    }
}

static SECRET_REFERENCE: [Field; 1] = [Field::required(
    "secret",
    Kind::Text,
    "The secret whose value it is.",
)];

fn invalid(field: &Field, place: &Location, error: &dyn std::error::Error) -> ConfigError {
    ConfigError::InvalidValue {
        location: place.clone(),
        key: field.name.to_owned(),
        reason: format!("is not acceptable: {error}"),
    }
}

fn type_in_words(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a string",
        "integer" => "an integer",
        "float" => "a float",
        "boolean" => "a boolean",
        "datetime" => "a date",
        "array" | "array of tables" => "a list",
        "table" | "inline table" => "a table",
        _ => "that",
    }
}

fn texts(item: &Item) -> Option<Vec<String>> {
    let values = item.as_array()?.iter();
    values
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn counts(item: &Item) -> Option<Vec<u64>> {
    let numbers = item.as_array()?.iter();
    numbers
        .map(|value| u64::try_from(value.as_integer()?).ok())
        .collect()
}
