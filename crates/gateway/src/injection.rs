//! Where in a request a credential goes.

use std::fmt;

use http::HeaderName;
use http::header::AUTHORIZATION;

/// The one place of a rule's credential. Nothing else of a request may hold its placeholder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Injection {
    /// A header field.
    Header {
        /// Which.
        name: HeaderName,
        /// What is around the credential. `None`: what is around the placeholder, or `Bearer` if there is no
        /// placeholder and the field is `authorization`.
        format: Option<HeaderFormat>,
    },
    /// The password of `authorization: Basic` (RFC 7617).
    Basic {
        /// The user name, instead of the client's.
        username: Option<String>,
    },
    /// The value of a query parameter.
    Query {
        /// Its name.
        name: String,
    },
    /// A segment of the path, or a part of one. There is nothing to set, so a client must send a placeholder.
    Path,
    /// The value of a cookie.
    Cookie {
        /// Its name.
        name: String,
    },
    /// A text in a body of JSON.
    Json {
        /// Where, as a JSON pointer (RFC 6901), for example `/auth/token`.
        pointer: String,
    },
    /// A field of a form's body (`application/x-www-form-urlencoded`).
    Form {
        /// Its name.
        name: String,
    },
}

impl Default for Injection {
    fn default() -> Self {
        Self::Header {
            name: AUTHORIZATION,
            format: None,
        }
    }
}

/// What is around a credential in a header field, for example `Bearer {}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderFormat {
    before: String,
    after: String,
}

/// A text is not the format of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a format has `{{}}` once, where the credential goes, and nothing but visible ASCII characters and spaces around it"
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
            assert_eq!(HeaderFormat::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Bearer", "{} {}", "a\n{}", "\u{fc}{}"] {
            assert!(HeaderFormat::parse(text).is_err(), "{text:?}");
        }
    }
}
