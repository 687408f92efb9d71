//! Secret bytes in JSON: standard base64 with padding (RFC 4648, section 4).

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::SecretBytes;
use schemars::JsonSchema;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A secret that a frame carries. The frame's own buffer is overwritten by whoever read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretValue(pub SecretBytes);

impl Serialize for SecretValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(BASE64.encode(self.0.expose_secret()));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SecretValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("standard base64 with padding")
            }

            // serde's own message would quote the text, which is the secret.
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretValue, E> {
                let bytes = BASE64
                    .decode(text)
                    .map_err(|_| E::custom("the value is not standard base64 with padding"))?;
                Ok(SecretValue(SecretBytes::new(bytes)))
            }
        }

        deserializer
            .deserialize_str(Text)
            .map_err(|_| D::Error::custom("the value is not standard base64 with padding"))
    }
}

impl JsonSchema for SecretValue {
    fn schema_name() -> Cow<'static, str> {
        "SecretValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "contentEncoding": "base64",
            "description": "The secret's bytes as standard base64 with padding"
        })
    }
}

/// A secret text that may be absent, in the few messages that carry one.
pub(crate) mod secret_text {
    use fnox_core::SecretString;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(
        text: &Option<SecretString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_ref()
            .map(SecretString::expose_secret)
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SecretString>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
    }
}
