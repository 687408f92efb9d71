//! Random values.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fnox_core::SecretString;
use rand::RngCore as _;
use uuid::Builder;
use zeroize::Zeroizing;

use crate::args::GenerateType;

/// A new value. `length` counts the characters of a password, and the bytes behind digits.
pub(super) fn value(kind: GenerateType, length: u16) -> SecretString {
    let length = usize::from(length);
    let text = match kind {
        // Each character of base64url stands for six random bits, none more likely than another.
        GenerateType::Password => {
            let mut text = Zeroizing::new(URL_SAFE_NO_PAD.encode(random(length)));
            text.truncate(length);
            std::mem::take(&mut *text)
        }
        GenerateType::Hex => hex::encode(random(length)),
        GenerateType::Base64 => STANDARD.encode(random(length)),
        GenerateType::Uuid => {
            let mut bytes = Zeroizing::new([0; 16]);
            rand::rng().fill_bytes(&mut *bytes);
            Builder::from_random_bytes(*bytes).into_uuid().to_string()
        }
    };
    SecretString::new(text)
}

fn random(length: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_kind_and_never_the_same() {
        for (kind, length, wanted) in [
            (GenerateType::Password, 32, "^[A-Za-z0-9_-]{32}$"),
            (GenerateType::Password, 9, "^[A-Za-z0-9_-]{9}$"),
            (GenerateType::Hex, 16, "^[0-9a-f]{32}$"),
            (GenerateType::Base64, 32, "^[A-Za-z0-9+/]{43}=$"),
            (
                GenerateType::Uuid,
                32,
                "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
            ),
        ] {
            let (one, other) = (value(kind, length), value(kind, length));
            let pattern = regex::Regex::new(wanted).unwrap();
            assert!(pattern.is_match(one.expose_secret()), "{kind:?}");
            assert!(one != other, "{kind:?}");
        }
    }
}
