//! What a use of a lease of a mint answers with.
//!
//! A lease has one value, a credential may have several variables. One variable is answered as its value. Several are
//! answered together as a JSON object of names and values, since a key of one credential with the secret of another
//! is of no use; unless one of them is asked for.

use fnox_core::{Credential, Length, SecretBytes, SecretString};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use crate::engine::MAX_VALUE;
use crate::error::VaultError;

/// A value that may be sent.
#[derive(Debug)]
pub(in crate::engine) struct Answer(pub SecretBytes);

impl Answer {
    /// One variable if one is wanted, else the only one, else all of them.
    pub(super) fn of(
        name: &str,
        credential: &Credential,
        wanted: Option<&str>,
    ) -> Result<Self, VaultError> {
        let value = match (wanted, credential.variables.as_slice()) {
            (Some(wanted), variables) => {
                let value = credential.variable(wanted);
                let value = value.ok_or_else(|| missing(name, wanted, variables))?;
                plain(value)
            }
            (None, [(_, value)]) => plain(value),
            (None, variables) => object(variables)
                .map_err(|_| VaultError::Invalid(format!("`{name}` made no usable value")))?,
        };
        if value.expose_secret().len() > MAX_VALUE {
            return Err(VaultError::Invalid(format!(
                "the credential `{name}` is longer than the {MAX_VALUE} bytes that a vault hands out"
            )));
        }
        Ok(Self(value))
    }
}

fn plain(value: &SecretString) -> SecretBytes {
    SecretBytes::new(value.expose_secret().as_bytes().to_vec())
}

fn missing(name: &str, wanted: &str, variables: &[(String, SecretString)]) -> VaultError {
    let known: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    VaultError::Invalid(format!(
        "the credential `{name}` has no variable `{}`; it has {}",
        wanted.escape_debug(),
        known.join(", ")
    ))
}

/// In a buffer that never grows: growing would leave copies behind.
fn object(variables: &[(String, SecretString)]) -> Result<SecretBytes, serde_json::Error> {
    let mut size = Length::default();
    serde_json::to_writer(&mut size, &Object(variables))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.bytes()));
    serde_json::to_writer(&mut *bytes, &Object(variables))?;
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

struct Object<'a>(&'a [(String, SecretString)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value.expose_secret())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(variables: &[(&str, &str)], wanted: Option<&str>) -> Result<String, VaultError> {
        let credential = Credential {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
                .collect(),
            expires_at: None,
            id: "id".to_owned(),
            private: vec![("LOGIN".to_owned(), SecretString::from("private"))],
        };
        let answer = Answer::of("aws", &credential, wanted)?;
        Ok(String::from_utf8(answer.0.expose_secret().to_vec()).unwrap())
    }

    #[test]
    fn one_variable_is_its_value_and_several_are_an_object() {
        assert_eq!(answer(&[("A", "1\n")], None).unwrap(), "1\n");
        let both = [("KEY", "k\"1"), ("TOKEN", "t")];
        assert_eq!(
            answer(&both, None).unwrap(),
            r#"{"KEY":"k\"1","TOKEN":"t"}"#
        );
        assert_eq!(answer(&both, Some("TOKEN")).unwrap(), "t");
    }

    #[test]
    fn what_only_the_mint_needs_cannot_be_asked_for() {
        let error = answer(&[("A", "value")], Some("LOGIN"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no variable `LOGIN`; it has A"), "{error}");
        assert!(!error.contains("value") && !error.contains("private"));
    }

    #[test]
    fn what_is_too_long_is_not_handed_out() {
        let long = "x".repeat(MAX_VALUE + 1);
        assert!(answer(&[("A", &long)], None).is_err());
        assert!(answer(&[("A", &long), ("B", "b")], Some("B")).is_ok());
    }
}
