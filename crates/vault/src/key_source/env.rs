//! A wrapping key in an environment variable, for machines without anything better.

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_core::seal::SealingKey;

use super::local::parse_key;
use super::{KeySource, KeySourceError, NewKey, StoredKey};

/// One key, as 64 hex digits in a variable. The program reads the variable once and takes it away from everything
/// that it starts.
#[derive(Debug)]
pub struct EnvKey {
    name: String,
    key: SealingKey,
}

impl EnvKey {
    /// The key in the variable `variable`, whose value the program has read.
    ///
    /// # Errors
    /// If it is not set, or not 64 hex digits.
    pub fn new(variable: &str, value: Option<SecretString>) -> Result<Self, KeySourceError> {
        let name = format!("env:{variable}");
        let remedy = format!("make a key with `openssl rand -hex 32`, and set {variable} to it");
        let value = value
            .ok_or_else(|| KeySourceError::new(&name, "is not set").with_remedy(remedy.clone()))?;
        let key = parse_key(value.expose_secret().trim()).map_err(|problem| {
            KeySourceError::new(&name, format!("is wrong: {problem}")).with_remedy(remedy)
        })?;
        Ok(Self { name, key })
    }
}

#[async_trait]
impl KeySource for EnvKey {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn can_rotate(&self) -> bool {
        false
    }

    async fn load(&self, _: &[StoredKey]) -> Result<Vec<SealingKey>, KeySourceError> {
        Ok(vec![self.key.clone()])
    }

    async fn add(&self, _: &str) -> Result<NewKey, KeySourceError> {
        Err(
            KeySourceError::new(&self.name, "holds one key and cannot be given another")
                .with_remedy(
                    "put the same key into a file with mode 0600, as one line of 64 hex digits, open the vault with file:PATH, and run `fnox vault key rotate --source`",
                ),
        )
    }

    async fn retain(&self, _: &str) -> Result<(), KeySourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_holds_no_key_is_named_and_its_value_is_not() {
        assert!(
            EnvKey::new("KEY", None)
                .unwrap_err()
                .to_string()
                .contains("env:KEY is not set")
        );
        for value in ["", "hunter2", &"ß".repeat(32), &"g".repeat(64)] {
            let error = EnvKey::new("KEY", Some(SecretString::from(value)))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("the key source env:KEY is wrong"),
                "{error}"
            );
            assert!(value.is_empty() || !error.contains(value), "{error}");
        }
        assert!(EnvKey::new("KEY", Some(SecretString::from("0A".repeat(32)))).is_ok());
    }
}
