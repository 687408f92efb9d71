//! What Vault answers, and how variables are found in it.

use fnox_core::SecretString;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

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

    /// The variables that a map of names to dotted paths asks for.
    ///
    /// # Errors
    /// [`MintError`] that lists the names that are there, never a value.
    pub(super) fn variables(
        &self,
        map: &IndexMap<String, String>,
        path: &str,
    ) -> Result<Vec<(String, SecretString)>, MintError> {
        let fields = self.fields();
        map.iter()
            .map(|(variable, key)| match text_at(fields, key) {
                Some(text) => Ok((variable.clone(), text)),
                None => {
                    let mut there: Vec<&str> = fields.keys().map(String::as_str).collect();
                    there.sort_unstable();
                    let there: String = there
                        .join(", ")
                        .chars()
                        .filter(|character| !character.is_control())
                        .take(300)
                        .collect();
                    Err(MintError::misconfigured(
                        "env_map",
                        format!(
                            "`{path}` has no `{}` for {variable}; it has: {there}",
                            key.escape_debug()
                        ),
                    ))
                }
            })
            .collect()
    }
}

/// The value of a key, or at a dotted path. What is no text becomes JSON.
fn text_at(fields: &Map<String, Value>, key: &str) -> Option<SecretString> {
    let value = match fields.get(key) {
        Some(value) => value,
        None => {
            let (first, rest) = key.split_once('.')?;
            return text_at(fields.get(first)?.as_object()?, rest);
        }
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
        Ok(found[0].1.expose_secret().to_owned())
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
}
