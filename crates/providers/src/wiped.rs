//! Reading a secret text out of JSON or TOML.

use fnox_core::SecretString;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A text that becomes a [`SecretString`] without a stop on the way.
#[derive(Debug)]
pub struct Wiped(pub SecretString);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WipedVisitor)
    }
}

struct WipedVisitor;

impl Visitor<'_> for WipedVisitor {
    type Value = Wiped;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Wiped, E> {
        Ok(Wiped(SecretString::from(text)))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Wiped, E> {
        Ok(Wiped(SecretString::from(text)))
    }
}
