//! The document: its values in their order, with the names on the way to each.

use serde_json::{Map, Value};

use super::SopsError;
use super::metadata::{AgeKey, Metadata, Section};

/// How deep maps and lists may be in one another.
const DEPTH: usize = 64;

/// A document without its `sops` section, and that.
pub(super) struct Document {
    pub(super) leaves: Vec<Leaf>,
    pub(super) metadata: Metadata,
    /// Whether it is a dotenv file.
    pub(super) is_dotenv: bool,
}

/// One value.
pub(super) struct Leaf {
    /// Names of maps and numbers of list elements on the way to it.
    pub(super) path: Vec<String>,
    /// Of these the names of maps alone: they are what a value is bound to.
    pub(super) names: Vec<String>,
    /// `None`: it is null.
    pub(super) scalar: Option<Scalar>,
}

/// A value as the syntax has it.
pub(super) enum Scalar {
    Text(String),
    Number(String),
    Flag(bool),
}

impl Scalar {
    /// What goes into the authentication code.
    pub(super) fn hashed(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Number(text) => text.as_bytes(),
            Self::Flag(true) => b"True",
            Self::Flag(false) => b"False",
        }
    }

    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Flag(true) => "true",
            Self::Flag(false) => "false",
        }
    }
}

/// Tells the syntax by the text: JSON begins with a brace, a dotenv file keeps the section in variables.
pub(super) fn read(text: &str) -> Result<Document, SopsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let document: Value =
            serde_json::from_str(text).map_err(|error| broken("JSON", Some(error.line())))?;
        return nested(document);
    }
    if text.lines().any(|line| line.starts_with("sops_mac=")) {
        return dotenv(text);
    }
    // `yes` is a text for sops, as it is in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    let document: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        broken("YAML", line.and_then(|line| usize::try_from(line).ok()))
    })?;
    nested(document)
}

fn broken(syntax: &'static str, line: Option<usize>) -> SopsError {
    let line = line.filter(|line| *line > 0);
    SopsError::Syntax { syntax, line }
}

fn nested(document: Value) -> Result<Document, SopsError> {
    let Value::Object(mut map) = document else {
        return Err(SopsError::NotSops);
    };
    let section = map.shift_remove("sops").ok_or(SopsError::NotSops)?;
    let section: Section = serde_json::from_value(section).map_err(|_| SopsError::Metadata {
        reason: "it is not a table of the form that sops writes".to_owned(),
    })?;
    let mut leaves = Vec::new();
    collect(map, &mut Vec::new(), &mut Vec::new(), &mut leaves)?;
    Ok(Document {
        leaves,
        metadata: section.try_into()?,
        is_dotenv: false,
    })
}

fn collect(
    map: Map<String, Value>,
    path: &mut Vec<String>,
    names: &mut Vec<String>,
    leaves: &mut Vec<Leaf>,
) -> Result<(), SopsError> {
    for (name, value) in map {
        path.push(name.clone());
        names.push(name);
        element(value, path, names, leaves)?;
        names.pop();
        path.pop();
    }
    Ok(())
}

fn element(
    value: Value,
    path: &mut Vec<String>,
    names: &mut Vec<String>,
    leaves: &mut Vec<Leaf>,
) -> Result<(), SopsError> {
    if path.len() > DEPTH {
        return Err(SopsError::Metadata {
            reason: format!("the document is more than {DEPTH} levels deep"),
        });
    }
    let scalar = match value {
        Value::Object(map) => return collect(map, path, names, leaves),
        Value::Array(list) => {
            for (number, value) in list.into_iter().enumerate() {
                path.push(number.to_string());
                element(value, path, names, leaves)?;
                path.pop();
            }
            return Ok(());
        }
        Value::Null => None,
        Value::String(text) => Some(Scalar::Text(text)),
        Value::Bool(flag) => Some(Scalar::Flag(flag)),
        Value::Number(number) => Some(Scalar::Number(number_text(&number))),
    };
    leaves.push(Leaf {
        path: path.clone(),
        names: names.clone(),
        scalar,
    });
    Ok(())
}

/// As Go prints it without an exponent, which is what the authentication code is over.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(fraction) if number.is_f64() => fraction.to_string(),
        _ => number.to_string(),
    }
}

/// `NAME=value` lines as sops reads them: no quotes, and `\n` for a line's end. Names that begin with `sops_` are the section,
/// flattened: `sops_age__list_0__map_enc`.
fn dotenv(text: &str) -> Result<Document, SopsError> {
    let mut section = Section::default();
    let mut age = Vec::new();
    let mut leaves = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| broken("dotenv", Some(number + 1)))?;
        let value = value.replace("\\n", "\n");
        match name.strip_prefix("sops_") {
            Some(key) => set(&mut section, &mut age, key, value),
            None => leaves.push(Leaf {
                path: vec![name.to_owned()],
                names: vec![name.to_owned()],
                scalar: Some(Scalar::Text(value)),
            }),
        }
    }
    section.age = Some(age);
    Ok(Document {
        leaves,
        metadata: section.try_into()?,
        is_dotenv: true,
    })
}

fn set(section: &mut Section, age: &mut Vec<AgeKey>, key: &str, value: String) {
    match key {
        "lastmodified" => section.lastmodified = Some(value),
        "mac" => section.mac = Some(value),
        "mac_only_encrypted" => section.mac_only_encrypted = Some(value == "true"),
        "unencrypted_suffix" => section.unencrypted_suffix = Some(value),
        "encrypted_suffix" => section.encrypted_suffix = Some(value),
        "unencrypted_regex" => section.unencrypted_regex = Some(value),
        "encrypted_regex" => section.encrypted_regex = Some(value),
        "unencrypted_comment_regex" => section.unencrypted_comment_regex = Some(value),
        "encrypted_comment_regex" => section.encrypted_comment_regex = Some(value),
        _ if key.starts_with("age__list_") && key.ends_with("__map_enc") => {
            age.push(AgeKey { enc: value });
        }
        _ if key.starts_with("key_groups") => {
            section.key_groups = Some(vec![serde::de::IgnoredAny]);
        }
        _ => {}
    }
}
