//! Several values by one call of a program that fills templates in.
//!
//! Each reference stands on a line of its own between lines that carry a random word of this run, so that values
//! with newlines, `=` or braces come back exactly.

use std::fmt::Write as _;

use fnox_core::{SecretBytes, SecretString};
use rand::TryRngCore as _;

use crate::error::ProviderError;

/// A template of references in double braces, as `op inject` and `pass-cli inject` fill them in.
///
/// ```text
/// fnox-RANDOM-0
/// {{ op://vault/item/field }}
/// fnox-RANDOM-1
/// …
/// ```
#[derive(Debug)]
pub(crate) struct Template {
    word: String,
    count: usize,
    text: SecretString,
}

impl Template {
    pub(crate) fn of(uris: &[String]) -> Result<Self, ProviderError> {
        let mut random = [0u8; 16];
        rand::rngs::OsRng
            .try_fill_bytes(&mut random)
            .map_err(|_| ProviderError::unavailable("the system gives no random numbers"))?;
        let word = format!("fnox-{}-", hex::encode(random));
        let mut text = String::new();
        for (index, uri) in uris.iter().enumerate() {
            let _ = write!(text, "{word}{index}\n{{{{ {uri} }}}}\n");
        }
        let _ = writeln!(text, "{word}{}", uris.len());
        Ok(Self {
            word,
            count: uris.len(),
            text: SecretString::from(text),
        })
    }

    pub(crate) fn text(&self) -> &SecretString {
        &self.text
    }

    /// The values in their order, to the byte.
    ///
    /// # Errors
    /// `Misconfigured` if a value is no UTF-8 text; `Unavailable` if the lines of the template are not in what
    /// was printed.
    pub(crate) fn values(
        &self,
        program: &str,
        printed: SecretBytes,
    ) -> Result<Vec<SecretString>, ProviderError> {
        let printed = printed
            .into_string()
            .map_err(|_| ProviderError::misconfigured("a value is not UTF-8 text"))?;
        let mut rest = printed.expose_secret();
        let strange = || {
            ProviderError::unavailable(format!("`{program} inject` did not fill in the template"))
        };
        let mut values = Vec::with_capacity(self.count);
        rest = rest
            .strip_prefix(&format!("{}0\n", self.word))
            .ok_or_else(strange)?;
        for index in 1..=self.count {
            let (value, after) = rest
                .split_once(&format!("\n{}{index}", self.word))
                .ok_or_else(strange)?;
            values.push(SecretString::from(value));
            rest = after.strip_prefix('\n').unwrap_or(after);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injected_values_come_back_to_the_byte() {
        let uris = ["op://V/a/p", "op://V/b/p", "op://V/c/p"].map(str::to_owned);
        let template = Template::of(&uris).unwrap();
        let values = ["", "two\nlines\n\n", " {{ x }} = \n fnox-0\n"];
        let mut printed = template.text().expose_secret().to_owned();
        for (uri, value) in uris.iter().zip(values) {
            printed = printed.replace(&format!("{{{{ {uri} }}}}"), value);
        }
        let read = template
            .values("op", SecretBytes::new(printed.clone().into_bytes()))
            .unwrap();
        let read: Vec<_> = read.iter().map(SecretString::expose_secret).collect();
        assert_eq!(read, values);
        // `op` may leave the last line end out.
        assert!(
            template
                .values("op", SecretBytes::new(printed.trim_end().into()))
                .is_ok()
        );
        assert!(
            template
                .values("op", SecretBytes::new(b"Usage: op".to_vec()))
                .is_err()
        );
    }
}
