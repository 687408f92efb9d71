//! `id`, `title`, `id/field` and `title/field`.

use std::fmt;

use crate::error::ProviderError;

/// What one value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) which: Which,
    pub(super) field: Field,
}

/// Which password.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Id(String),
    Title(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Password,
    UserName,
    Title,
    Url,
    Description,
    Notes,
}

impl Reference {
    /// Titles may have slashes: the last part is a field only if it is called like one.
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let (which, field) = match text.rsplit_once('/') {
            Some((which, last)) => match Field::named(last) {
                Some(field) => (which, field),
                None => (text, Field::Password),
            },
            None => (text, Field::Password),
        };
        if which.trim().is_empty() || which.contains(char::is_control) {
            return Err(ProviderError::misconfigured(format!(
                "`{}` names no password of Passwordstate",
                text.escape_debug()
            ))
            .with_remedy(
                "a reference is an id or a title, and perhaps a field: `Router/username`",
            ));
        }
        let is_id = which.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Self {
            which: if is_id {
                Which::Id(which.to_owned())
            } else {
                Which::Title(which.to_owned())
            },
            field,
        })
    }
}

impl Field {
    fn named(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "password" => Self::Password,
            "username" | "user" => Self::UserName,
            "title" => Self::Title,
            "url" => Self::Url,
            "description" => Self::Description,
            "notes" => Self::Notes,
            _ => return None,
        })
    }
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(formatter, "id {id}"),
            Self::Title(title) => write!(formatter, "title `{}`", title.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Which, Field) {
        let reference = Reference::parse(text).unwrap();
        (reference.which, reference.field)
    }

    #[test]
    fn a_reference_is_an_id_or_a_title_and_a_field() {
        let id = |id: &str| Which::Id(id.to_owned());
        let title = |title: &str| Which::Title(title.to_owned());
        assert_eq!(parsed("12"), (id("12"), Field::Password));
        assert_eq!(parsed("12/user"), (id("12"), Field::UserName));
        assert_eq!(parsed("Router"), (title("Router"), Field::Password));
        assert_eq!(parsed("Router/URL"), (title("Router"), Field::Url));
        assert_eq!(parsed("a/b"), (title("a/b"), Field::Password));
        assert_eq!(parsed("a/b/notes"), (title("a/b"), Field::Notes));
        for wrong in ["", " ", "/notes", "a\nb"] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
