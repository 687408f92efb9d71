//! What Vault answers.

use fnox_core::SecretString;
use fnox_http::Answer;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::ProviderError;

/// An answer's JSON. The parser's own words may quote a secret, so only the place is told.
pub(super) fn json(answer: &Answer) -> Result<Value, ProviderError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        ProviderError::unavailable(format!(
            "Vault answered with something else than JSON, at line {}, column {} (status {})",
            error.line(),
            error.column(),
            answer.status()
        ))
        .with_remedy("is the address really that of Vault's API?")
    })
}

/// The fields of a secret, wiped when dropped, and its version where there are versions.
pub(super) struct Stored {
    fields: Map<String, Value>,
    version: Option<u64>,
}

impl Stored {
    /// Reads an answer of a `GET`, 404 included: version 2 tells there the version that was deleted.
    pub(super) fn read(answer: &Answer, is_second: bool) -> Result<Self, ProviderError> {
        let mut body = json(answer)?;
        let mut data = body["data"].take();
        wipe(&mut body);
        if !is_second {
            return Self::from(data, answer, None);
        }
        let version = data["metadata"]["version"].as_u64().unwrap_or(0);
        let fields = match data.get_mut("data") {
            Some(fields) => fields.take(),
            None => Value::Null,
        };
        Self::from(fields, answer, Some(version))
    }

    fn from(fields: Value, answer: &Answer, version: Option<u64>) -> Result<Self, ProviderError> {
        match fields {
            Value::Object(fields) => Ok(Self { fields, version }),
            Value::Null if answer.status() == 404 => Ok(Self {
                fields: Map::new(),
                version,
            }),
            mut other => {
                wipe(&mut other);
                Err(ProviderError::unavailable(
                    "Vault's answer has no fields where a KV engine has them",
                )
                .with_remedy("is `path` that of a KV engine?"))
            }
        }
    }

    /// A field. What is no text is its JSON.
    pub(super) fn text(&self, field: &str) -> Option<SecretString> {
        match self.fields.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(SecretString::from(text.as_str())),
            other => Some(SecretString::new(other.to_string())),
        }
    }

    pub(super) fn set(&mut self, field: &str, value: &SecretString) {
        let value = Value::String(value.expose_secret().to_owned());
        if let Some(mut old) = self.fields.insert(field.to_owned(), value) {
            wipe(&mut old);
        }
    }

    /// Takes a field away, and says whether it was there.
    pub(super) fn remove(&mut self, field: &str) -> bool {
        match self.fields.remove(field) {
            Some(mut old) => {
                wipe(&mut old);
                true
            }
            None => false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The body that writes it, in the form of the engine's version.
    pub(super) fn body(&self) -> Zeroizing<Vec<u8>> {
        let mut body = match self.version {
            Some(version) => {
                serde_json::json!({ "options": { "cas": version }, "data": self.fields })
            }
            None => Value::Object(self.fields.clone()),
        };
        let bytes = Zeroizing::new(body.to_string().into_bytes());
        wipe(&mut body);
        bytes
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        for (_, value) in &mut self.fields {
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
