//! JSON documents with secrets in them, written once into memory that is overwritten afterwards.

use fnox_core::{Length, SecretString};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use crate::manager::Held;

/// A secret as a JSON text. Only for what a program is given.
pub(super) struct Shown<'a>(pub(super) &'a SecretString);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

/// The variables of a credential as one JSON object, in their order.
pub(super) struct Variables<'a>(pub(super) &'a Held);

impl Serialize for Variables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let variables = &self.0.credential.variables;
        let mut map = serializer.serialize_map(Some(variables.len()))?;
        for (name, value) in variables {
            map.serialize_entry(name, &Shown(value))?;
        }
        map.end()
    }
}

/// A document as text. The length is found first, so that no buffer grows and leaves a copy behind.
pub(super) fn render<T: Serialize>(document: &T) -> serde_json::Result<Zeroizing<String>> {
    let mut length = Length::default();
    serde_json::to_writer(&mut length, document)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.bytes()));
    serde_json::to_writer(&mut *text, document)?;
    let text = String::from_utf8(std::mem::take(&mut *text)).map_err(serde::ser::Error::custom)?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_fits_its_buffer() {
        let secret = SecretString::from("a\"b\u{1F600}");
        let text = render(&Shown(&secret)).unwrap();
        assert_eq!(text.as_str(), "\"a\\\"b\u{1F600}\"");
        assert_eq!(text.capacity(), text.len());
    }
}
