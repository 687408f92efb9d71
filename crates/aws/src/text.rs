//! Text that travels in JSON, and is secret.

use std::fmt;

use fnox_core::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A secret text of an answer or a request. `Debug` does not print it; memory is overwritten on drop.
#[derive(Debug, Clone)]
pub struct Text(SecretString);

impl Text {
    /// Takes a text.
    #[must_use]
    pub fn new(text: SecretString) -> Self {
        Self(text)
    }

    /// The text, to keep.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(SecretString::from(text)))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(SecretString::new(text)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
