//! Values that must not leak.
//!
//! [`SecretString`] and [`SecretBytes`] are the only types in which a secret crosses a crate's
//! border. They do not implement `Display` or `Serialize`, their `Debug` prints `[redacted]`, equality
//! takes the same time wherever the difference is, and the memory is overwritten when they are dropped.
//! They do not defend against a debugger that runs as the same user.

use std::fmt;

use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// Shown instead of a secret, in `Debug` output and in tables.
pub const REDACTED: &str = "[redacted]";

/// How many bytes a value must have to be replaced by [`REDACTED`] in what programs and services say: a shorter one
/// (`1`, `true`, a port) is part of ordinary words and numbers, and without them nobody knows what went wrong.
pub const SHORTEST_HIDDEN: usize = 6;

/// A secret text.
#[derive(Clone)]
pub struct SecretString(secrecy::SecretString);

impl SecretString {
    /// Takes a text over. The text's own buffer becomes the secret's, so nothing is left behind.
    #[must_use]
    pub fn new(text: String) -> Self {
        // `into_boxed_str` may reallocate to drop spare capacity and would leave a copy behind.
        if text.capacity() == text.len() {
            return Self(secrecy::SecretString::from(text));
        }
        let mut text = text;
        let exact = Box::<str>::from(text.as_str());
        text.zeroize();
        Self(secrecy::SecretString::from(exact))
    }

    /// The text itself. Call it on the last line before the value is used.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose_secret().len()
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose_secret().is_empty()
    }

    /// The first and last four characters with `...` between them; `****` for 12 characters or fewer.
    ///
    /// ```
    /// # use fnox_core::SecretString;
    /// assert_eq!(SecretString::from("ASIAXXXXXXXXXXXXF3YQ").mask(), "ASIA...F3YQ");
    /// assert_eq!(SecretString::from("hunter2").mask(), "****");
    /// ```
    #[must_use]
    pub fn mask(&self) -> String {
        let text = self.expose_secret();
        let count = text.chars().count();
        if count <= 12 {
            return "****".to_owned();
        }
        let head: String = text.chars().take(4).collect();
        let tail: String = text.chars().skip(count - 4).collect();
        format!("{head}...{tail}")
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(secrecy::SecretString::from(text))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret()
            .as_bytes()
            .ct_eq(other.expose_secret().as_bytes())
            .into()
    }
}

impl Eq for SecretString {}

/// Secret bytes.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Call it on the last line before the value is used.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes as UTF-8. On failure the bytes are overwritten and only the fact remains.
    pub fn into_string(self) -> Result<SecretString, NotUtf8> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(_) => Err(NotUtf8),
        }
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for SecretBytes {}

/// Bytes that were meant to be a text are not UTF-8. The bytes are not part of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not valid UTF-8")]
pub struct NotUtf8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        let secret = SecretString::from("hunter2");
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(
            format!("{:?}", SecretBytes::new(b"hunter2".to_vec())),
            REDACTED
        );
        assert_eq!(format!("{:?}", Some(&secret)), "Some([redacted])");
    }

    #[test]
    fn mask_counts_characters_not_bytes() {
        assert_eq!(SecretString::from("ααααxxxxxωωωω").mask(), "αααα...ωωωω");
        assert_eq!(SecretString::from("123456789012").mask(), "****");
        assert_eq!(SecretString::from("1234567890123").mask(), "1234...0123");
    }

    #[test]
    fn bytes_that_are_no_text_give_an_error_without_them() {
        let error = SecretBytes::new(vec![0xff, b'k'])
            .into_string()
            .unwrap_err();
        assert_eq!(error.to_string(), "the value is not valid UTF-8");
    }
}
