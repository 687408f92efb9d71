//! What Vault answers, and how variables are found in it.

use fnox_core::SecretString;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::wrapping::WrapInfo;
use crate::mint::MintError;
use crate::wiped::Wiped;

/// The response of Vault's API (`logical.Response`), as far as it is of use here.
#[derive(Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    pub(super) lease_id: String,
    #[serde(default)]
    pub(super) lease_duration: i64,
    #[serde(default)]
    pub(super) renewable: bool,
    pub(super) data: Option<Data>,
    pub(super) auth: Option<Login>,
    pub(super) wrap_info: Option<WrapInfo>,
}

/// `auth` of a login.
#[derive(Deserialize)]
pub(super) struct Login {
    pub(super) client_token: Wiped,
    /// Seconds; 0 is a token that does not expire.
    pub(super) lease_duration: i64,
}

/// `data`, wiped when it is dropped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Data(Map<String, Value>);

impl Drop for Data {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            wipe(value);
        }
    }
}

pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What was found of what the lease asks for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) variables: Vec<(String, SecretString)>,
    /// What was not, in words for a person, with the names that are there.
    pub(super) missing: Option<String>,
}

impl Data {
    /// The fields. Version 2 of KV has them one floor lower, beside its `metadata`.
    fn fields(&self) -> &Map<String, Value> {
        match (self.0.get("data"), self.0.get("metadata")) {
            (Some(Value::Object(fields)), Some(Value::Object(_))) => fields,
            _ => &self.0,
        }
    }

    /// A number of `data`, such as the `ttl` of a token.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A text of `data` that is no secret.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The variables that a map of names to dotted paths asks for, as far as they are there.
    ///
    /// # Errors
    /// [`MintError`] if none is there. It lists the names that are, never a value.
    pub(super) fn variables(
        &self,
        map: &IndexMap<String, String>,
        path: &str,
    ) -> Result<Found, MintError> {
        let fields = self.fields();
        let mut variables = Vec::new();
        let mut missing = Vec::new();
        for (variable, key) in map {
            match text_at(fields, key) {
                Some(text) => variables.push((variable.clone(), text)),
                None => missing.push(format!("no `{}` for {variable}", key.escape_debug())),
            }
        }
        let missing = (!missing.is_empty()).then(|| {
            let missing = missing.join(" and ");
            format!("`{path}` has {missing}; it has: {}", names(fields))
        });
        match missing {
            Some(missing) if variables.is_empty() => {
                Err(MintError::misconfigured("env_map", missing))
            }
            missing => Ok(Found { variables, missing }),
        }
    }
}

/// The names of fields, for people.
fn names(fields: &Map<String, Value>) -> String {
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
        .join(", ")
        .chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect()
}

/// The value of a key, or at a dotted path. What is no text becomes JSON.
fn text_at(fields: &Map<String, Value>, key: &str) -> Option<SecretString> {
    let Some(value) = fields.get(key) else {
        let (first, rest) = key.split_once('.')?;
        return text_at(fields.get(first)?.as_object()?, rest);
    };
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| SecretString::from(text.as_str())),
        other => Some(SecretString::new(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: &str, key: &str) -> Result<String, MintError> {
        let data: Data = serde_json::from_str(data).unwrap();
        let map = IndexMap::from([("A".to_owned(), key.to_owned())]);
        let found = data.variables(&map, "kv/data/x")?;
        Ok(found.variables[0].1.expose_secret().to_owned())
    }

    #[test]
    fn keys_are_found_in_all_shapes() {
        assert_eq!(found(r#"{"a": "1"}"#, "a").unwrap(), "1");
        assert_eq!(found(r#"{"a.b": "1"}"#, "a.b").unwrap(), "1");
        assert_eq!(found(r#"{"a": {"b": {"c": 2}}}"#, "a.b.c").unwrap(), "2");
        assert_eq!(
            found(r#"{"a": {"b": true}}"#, "a").unwrap(),
            r#"{"b":true}"#
        );
        assert_eq!(
            found(r#"{"data": {"a": "1"}, "metadata": {}}"#, "a").unwrap(),
            "1"
        );
        // Version 1 of KV may have a key that is called `data`.
        assert_eq!(found(r#"{"data": {"a": "1"}}"#, "data.a").unwrap(), "1");
    }

    #[test]
    fn what_is_missing_lists_names_and_no_values() {
        for key in ["c", "a.b", "n", "e"] {
            let error = found(r#"{"b": "v2", "a": "v1", "n": null, "e": ""}"#, key).unwrap_err();
            assert!(error.message.contains("it has: a, b, e, n"), "{error}");
            assert!(!error.message.contains("v1"), "{error}");
        }
    }

    #[test]
    fn what_is_there_is_given_and_what_is_missing_is_told() {
        let data: Data = serde_json::from_str(r#"{"b": "v2", "a": "v1"}"#).unwrap();
        let map = [("A", "a"), ("C", "c"), ("B", "b"), ("D", "d.e")];
        let map = map.map(|(variable, key)| (variable.to_owned(), key.to_owned()));
        let found = data.variables(&IndexMap::from(map), "kv/data/x").unwrap();
        let names: Vec<&str> = found
            .variables
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(
            found.missing.unwrap(),
            "`kv/data/x` has no `c` for C and no `d.e` for D; it has: a, b"
        );
        let map = [("B".to_owned(), "b".to_owned())];
        let found = data.variables(&IndexMap::from(map), "kv/data/x").unwrap();
        assert!(found.missing.is_none());
    }
}
