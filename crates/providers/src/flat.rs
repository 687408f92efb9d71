//! Flat maps in JSON, YAML 1.2 and TOML: `{ NAME = value, … }`, or the same under one key `secrets`.
//!
//! Texts are taken as they are. Whole numbers and booleans are taken as they are usually written; in YAML any
//! plain scalar is taken letter for letter, so that `007` stays `007`. What has no one spelling as a text is
//! refused with its key: null, fractions in JSON and TOML, lists, maps. Errors give the line or the key, never
//! a value.

use fnox_core::SecretString;
use indexmap::IndexMap;
use serde::Deserialize;

/// A syntax of flat maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 8259.
    Json,
    /// YAML 1.2.
    Yaml,
    /// TOML 1.1.
    Toml,
}

impl Syntax {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        }
    }
}

/// A text is no flat map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlatError {
    /// The text is not of the syntax at all.
    #[error("it is not valid {syntax}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Syntax {
        /// The name of the syntax.
        syntax: &'static str,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
    },
    /// The text is no map.
    #[error("it is no map of names to values")]
    NoMap,
    /// A value is not a text and cannot be made one.
    #[error("`{key}` is {kind}; write it as a text in quotes")]
    NoText {
        /// The key.
        key: String,
        /// What its value is.
        kind: &'static str,
    },
}

impl FlatError {
    /// Whether the text would be one of [`parse_nested_json`].
    #[must_use]
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::NoText { kind, .. } if ["a list", "a map"].contains(kind))
    }
}

type Pairs = Vec<(String, SecretString)>;

/// Reads the pairs of a text in their order.
///
/// # Errors
/// [`FlatError`].
pub fn parse(text: &str, syntax: Syntax) -> Result<Pairs, FlatError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match syntax {
        Syntax::Json => json(text),
        Syntax::Yaml => yaml(text),
        Syntax::Toml => toml(text),
    }
}

fn broken(syntax: Syntax, line: Option<usize>) -> FlatError {
    FlatError::Syntax {
        syntax: syntax.name(),
        line,
    }
}

fn no_text(key: &str, kind: &'static str) -> FlatError {
    FlatError::NoText {
        key: key.escape_debug().to_string(),
        kind,
    }
}

fn json(text: &str) -> Result<Pairs, FlatError> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(text)
        .map_err(|error| broken(Syntax::Json, Some(error.line()).filter(|line| *line > 0)))?;
    let Value::Object(mut map) = value else {
        return Err(FlatError::NoMap);
    };
    if let Some(Value::Object(inner)) = map.get_mut("secrets") {
        map = std::mem::take(inner);
    }
    map.into_iter()
        .map(|(key, value)| {
            let text = json_text(&key, value)?;
            Ok((key, text))
        })
        .collect()
}

fn json_text(key: &str, value: serde_json::Value) -> Result<SecretString, FlatError> {
    use serde_json::Value;
    let text = match value {
        Value::String(text) => text,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Number(_) => return Err(no_text(key, "a fraction or a very large number")),
        Value::Null => return Err(no_text(key, "null")),
        Value::Array(_) => return Err(no_text(key, "a list")),
        Value::Object(_) => return Err(no_text(key, "a map")),
    };
    Ok(SecretString::from(text))
}

/// Values of JSON with the way to each: names of maps, numbers of lists.
///
/// # Errors
/// [`FlatError`].
pub fn parse_nested_json(text: &str) -> Result<Vec<(Vec<String>, SecretString)>, FlatError> {
    use serde_json::Value;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Its depth is limited by the parser (128).
    let value: Value = serde_json::from_str(text)
        .map_err(|error| broken(Syntax::Json, Some(error.line()).filter(|line| *line > 0)))?;
    let Value::Object(mut map) = value else {
        return Err(FlatError::NoMap);
    };
    if let Some(Value::Object(inner)) = map.get_mut("secrets") {
        map = std::mem::take(inner);
    }
    let mut leaves = Vec::new();
    collect(Value::Object(map), &mut Vec::new(), &mut leaves)?;
    Ok(leaves)
}

fn collect(
    value: serde_json::Value,
    path: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, SecretString)>,
) -> Result<(), FlatError> {
    use serde_json::Value;
    let children: Vec<(String, Value)> = match value {
        Value::Object(map) => map.into_iter().collect(),
        Value::Array(list) => {
            let numbered = list.into_iter().enumerate();
            numbered
                .map(|(number, it)| (number.to_string(), it))
                .collect()
        }
        scalar => {
            leaves.push((path.clone(), json_text(&path.join("."), scalar)?));
            return Ok(());
        }
    };
    for (name, child) in children {
        path.push(name);
        collect(child, path, leaves)?;
        path.pop();
    }
    Ok(())
}

/// `secrets:` and whatever else there is.
#[derive(Deserialize)]
struct Wrapped {
    secrets: IndexMap<String, String>,
}

fn yaml(text: &str) -> Result<Pairs, FlatError> {
    // Read as texts from the start: once a scalar is a number, its spelling is gone.
    let flat: Result<IndexMap<String, String>, _> = serde_saphyr::from_str(text);
    let map = match flat {
        Ok(map) => map,
        Err(error) => match serde_saphyr::from_str::<Wrapped>(text) {
            Ok(wrapped) => wrapped.secrets,
            Err(inner) => return Err(yaml_error(text, &error, &inner)),
        },
    };
    Ok(map
        .into_iter()
        .map(|(key, value)| (key, SecretString::from(value)))
        .collect())
}

fn yaml_error(text: &str, flat: &serde_saphyr::Error, inner: &serde_saphyr::Error) -> FlatError {
    let line = |error: &serde_saphyr::Error| {
        error
            .location()
            .and_then(|location| usize::try_from(location.line()).ok())
            .filter(|line| *line > 0)
    };
    // The library's messages quote the document; only places are taken from them.
    match serde_saphyr::from_str::<serde_json::Value>(text) {
        Err(error) => broken(Syntax::Yaml, line(&error)),
        Ok(serde_json::Value::Object(map)) => {
            let map = match map.get("secrets") {
                Some(serde_json::Value::Object(inner)) => inner,
                _ => &map,
            };
            map.iter()
                .find_map(|(key, value)| match value {
                    serde_json::Value::Null => Some(no_text(key, "null")),
                    serde_json::Value::Array(_) => Some(no_text(key, "a list")),
                    serde_json::Value::Object(_) => Some(no_text(key, "a map")),
                    _ => None,
                })
                .unwrap_or_else(|| broken(Syntax::Yaml, line(inner).or_else(|| line(flat))))
        }
        Ok(_) => FlatError::NoMap,
    }
}

fn toml(text: &str) -> Result<Pairs, FlatError> {
    let document: toml_edit::DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1);
            broken(Syntax::Toml, line)
        })?;
    let table: &dyn toml_edit::TableLike = document
        .get("secrets")
        .and_then(toml_edit::Item::as_table_like)
        .unwrap_or_else(|| document.as_table());
    table
        .iter()
        .map(|(key, item)| {
            use toml_edit::Value;
            let text = match item.as_value() {
                Some(Value::String(text)) => text.value().clone(),
                Some(Value::Boolean(flag)) => flag.value().to_string(),
                Some(Value::Integer(number)) => number.value().to_string(),
                Some(Value::Datetime(time)) => time.value().to_string(),
                Some(Value::Float(_)) => return Err(no_text(key, "a fraction")),
                Some(Value::Array(_)) => return Err(no_text(key, "a list")),
                Some(Value::InlineTable(_)) | None => return Err(no_text(key, "a table")),
            };
            Ok((key.to_owned(), SecretString::from(text)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, syntax: Syntax) -> Vec<(String, String)> {
        parse(text, syntax)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn flat_and_wrapped_maps_are_read_in_order() {
        let expected = [pair("B", "x\ny "), pair("A", "7"), pair("C", "true")];
        let texts = [
            (r#"{"B":"x\ny ","A":7,"C":true}"#, Syntax::Json),
            (r#"{"secrets":{"B":"x\ny ","A":7,"C":true}}"#, Syntax::Json),
            ("B: \"x\\ny \"\nA: 7\nC: true\n", Syntax::Yaml),
            (
                "other: 1\nsecrets:\n  B: \"x\\ny \"\n  A: 7\n  C: true\n",
                Syntax::Yaml,
            ),
            ("B = \"x\\ny \"\nA = 7\nC = true\n", Syntax::Toml),
            ("[secrets]\nB = \"x\\ny \"\nA = 7\nC = true\n", Syntax::Toml),
        ];
        for (text, syntax) in texts {
            assert_eq!(read(text, syntax), expected, "{text}");
        }
    }

    #[test]
    fn nested_json_gives_the_way_to_each_value() {
        let text = r#"{"b":{"c":"x","d":[1,true]},"a":""}"#;
        let leaves = parse_nested_json(text).unwrap();
        let shown: Vec<String> = leaves
            .iter()
            .map(|(path, value)| format!("{}={}", path.join("/"), value.expose_secret()))
            .collect();
        assert_eq!(shown, ["b/c=x", "b/d/0=1", "b/d/1=true", "a="]);
        let refused = parse_nested_json(r#"{"a":{"b":1.5}}"#).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`a.b` is a fraction or a very large number; write it as a text in quotes"
        );
    }

    #[test]
    fn yaml_scalars_keep_their_spelling() {
        let text = "A: 007\nB: 1.10\nC: yes\nD: 0x1F\nE: 12345678901234567890123\nF: ${HOME}\nG: |\n  one\n  two\n";
        assert_eq!(
            read(text, Syntax::Yaml),
            [
                pair("A", "007"),
                pair("B", "1.10"),
                pair("C", "yes"),
                pair("D", "0x1F"),
                pair("E", "12345678901234567890123"),
                pair("F", "${HOME}"),
                pair("G", "one\ntwo\n"),
            ]
        );
    }

    #[test]
    fn what_is_no_text_is_named_by_key_or_line_without_its_value() {
        let cases = [
            (
                r#"{"A":"hunter2","B":null}"#,
                Syntax::Json,
                "`B` is null; write it as a text in quotes",
            ),
            (
                "{\n\"A\":\"hunter2\",}",
                Syntax::Json,
                "it is not valid JSON (line 2)",
            ),
            (
                "[\"hunter2\"]",
                Syntax::Json,
                "it is no map of names to values",
            ),
            (
                "A: hunter2\nB: [hunter3]\n",
                Syntax::Yaml,
                "`B` is a list; write it as a text in quotes",
            ),
            (
                "A: ~\n",
                Syntax::Yaml,
                "`A` is null; write it as a text in quotes",
            ),
            (
                "A: x\nB: \"hunter2\n",
                Syntax::Yaml,
                "it is not valid YAML (line 2)",
            ),
            (
                "- hunter2\n",
                Syntax::Yaml,
                "it is no map of names to values",
            ),
            (
                "A = 1.5\n",
                Syntax::Toml,
                "`A` is a fraction; write it as a text in quotes",
            ),
            (
                "A = 1\nB = hunter2\n",
                Syntax::Toml,
                "it is not valid TOML (line 2)",
            ),
        ];
        for (text, syntax, expected) in cases {
            assert_eq!(
                parse(text, syntax).unwrap_err().to_string(),
                expected,
                "{text}"
            );
        }
    }
}
