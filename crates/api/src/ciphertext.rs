//! An age file in JSON: standard base64 of its bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The bytes of a binary age file (age-encryption.org/v1). Not secret: whoever has it needs an identity to open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ciphertext(Vec<u8>);

/// Not an age file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCiphertext {
    /// The text is not base64.
    #[error("it is not standard base64 with padding (RFC 4648, section 4)")]
    NotBase64,
    /// The bytes do not begin as an age file does.
    #[error("it is not a binary age file: it does not begin with `age-encryption.org/v1`")]
    NotAge,
    /// The header is not complete.
    #[error("it is not a whole age file: its header has no end")]
    NoHeaderEnd,
    /// There is nothing after the header.
    #[error("it is not a whole age file: nothing follows its header")]
    NoBody,
}

impl Ciphertext {
    /// Checks that bytes look like a binary age file. Whether they can be decrypted is for whoever has an identity.
    ///
    /// # Errors
    /// [`InvalidCiphertext`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, InvalidCiphertext> {
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidCiphertext::NotAge);
        }
        // The header's last line is `--- ` and 43 characters of its MAC.
        let end = bytes
            .windows(MAC_LINE.len())
            .position(|window| window == MAC_LINE)
            .ok_or(InvalidCiphertext::NoHeaderEnd)?;
        let body = end + MAC_LINE.len() + 43 + 1;
        if bytes.get(body - 1) != Some(&b'\n') {
            return Err(InvalidCiphertext::NoHeaderEnd);
        }
        // A nonce of 16 bytes and at least one tag of 16.
        if bytes.len() < body + 32 {
            return Err(InvalidCiphertext::NoBody);
        }
        Ok(Self(bytes))
    }

    /// The bytes as they were stored, unchecked: for what this program checked when it stored it.
    #[must_use]
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The age file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The age file.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// SHA-256 of the age file.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ciphertext({} bytes)", self.0.len())
    }
}

impl Serialize for Ciphertext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Ciphertext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(text.as_bytes())
            .map_err(|_| serde::de::Error::custom(InvalidCiphertext::NotBase64))?;
        Self::parse(bytes).map_err(serde::de::Error::custom)
    }
}

const MAGIC: &[u8] = b"age-encryption.org/v1\n";
const MAC_LINE: &[u8] = b"\n--- ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_age_files_pass() {
        let mac = "x".repeat(43);
        let header = format!("age-encryption.org/v1\n-> X25519 abc\nbody\n--- {mac}\n");
        let whole = [header.as_bytes(), &[7; 32]].concat();
        assert!(Ciphertext::parse(whole.clone()).is_ok());
        let cases: [(Vec<u8>, InvalidCiphertext); 4] = [
            (b"hello".to_vec(), InvalidCiphertext::NotAge),
            (
                b"-----BEGIN AGE ENCRYPTED FILE-----".to_vec(),
                InvalidCiphertext::NotAge,
            ),
            (
                b"age-encryption.org/v1\n-> X25519 a\n".to_vec(),
                InvalidCiphertext::NoHeaderEnd,
            ),
            (whole[..whole.len() - 1].to_vec(), InvalidCiphertext::NoBody),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Ciphertext::parse(bytes).unwrap_err(), expected);
        }
    }
}
