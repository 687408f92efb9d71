//! What is around a credential in a field.

use std::fmt;

use zeroize::Zeroizing;

/// What is around a credential in a header field, for example `Bearer {}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderFormat {
    before: String,
    after: String,
}

/// A text is not the format of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a format has `{{}}` once, where the credential goes, and visible ASCII characters and spaces around it"
)]
pub struct InvalidHeaderFormat;

impl HeaderFormat {
    /// Reads a format.
    ///
    /// # Errors
    /// [`InvalidHeaderFormat`]
    pub fn parse(text: &str) -> Result<Self, InvalidHeaderFormat> {
        let (before, after) = text.split_once("{}").ok_or(InvalidHeaderFormat)?;
        let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if after.contains("{}") || !is_plain {
            return Err(InvalidHeaderFormat);
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The field's value.
    pub(super) fn fill(&self, value: &str) -> Zeroizing<String> {
        let mut filled = Zeroizing::new(String::with_capacity(
            self.before.len() + value.len() + self.after.len(),
        ));
        filled.push_str(&self.before);
        filled.push_str(value);
        filled.push_str(&self.after);
        filled
    }
}

impl fmt::Display for HeaderFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{{}}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_one_place_for_the_credential() {
        for text in ["{}", "Bearer {}", "token {}", "Key=\"{}\", v=1"] {
            let format = HeaderFormat::parse(text).unwrap();
            assert_eq!(format.to_string(), text);
            assert_eq!(*format.fill("x"), text.replace("{}", "x"));
        }
        for text in ["", "Bearer", "{} {}", "a\n{}", "\u{fc}{}"] {
            assert!(HeaderFormat::parse(text).is_err(), "{text:?}");
        }
    }
}
