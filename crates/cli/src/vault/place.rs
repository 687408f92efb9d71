//! Naming a vault's store in one word.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fnox_core::SecretString;

use super::settings::Word;

/// Where a vault keeps what it stores.
#[derive(Debug, Clone)]
pub(crate) enum StorePlace {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://…`; may hold a password.
    Postgres(SecretString),
    /// `aws-sm:PREFIX`: secrets only.
    AwsSm(String),
}

impl FromStr for StorePlace {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.into()));
        }
        let after = |scheme: &str| {
            text.strip_prefix(scheme)
                .filter(|rest| !rest.chars().any(char::is_control))
        };
        match (after("sqlite:"), after("aws-sm:")) {
            (Some(path), _) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            (_, Some(prefix)) => Ok(Self::AwsSm(prefix.to_owned())),
            _ => Err(InvalidStore),
        }
    }
}

impl fmt::Display for StorePlace {
    /// Without user, password and options.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::AwsSm(prefix) => write!(formatter, "aws-sm:{prefix}"),
            Self::Postgres(url) => {
                let url = url.expose_secret();
                let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
                let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(formatter, "postgres://{host}")
            }
        }
    }
}

impl Word for StorePlace {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|error: InvalidStore| error.to_string())
    }

    fn rooted(self, root: &dyn Fn(&Path) -> PathBuf) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(root(&path)),
            other => other,
        }
    }
}

/// A text names no store. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store: write sqlite:PATH, postgres://USER@HOST/DATABASE or aws-sm:PREFIX")]
pub(crate) struct InvalidStore;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read_and_shown_without_passwords() {
        for (text, shown) in [
            ("sqlite:/var/lib/vault.db", "sqlite:/var/lib/vault.db"),
            ("aws-sm:fnox/", "aws-sm:fnox/"),
            ("aws-sm:", "aws-sm:"),
            (
                "postgres://u:hunter2@db.internal/v?password=hunter2",
                "postgres://db.internal/v",
            ),
            ("postgresql://h/v", "postgres://h/v"),
        ] {
            let place: StorePlace = text.parse().unwrap();
            assert_eq!(place.to_string(), shown);
            assert!(!format!("{place:?}").contains("hunter2"));
        }
        for text in ["", "sqlite:", "vault.db", "mysql://h/v", "sqlite:a\nb"] {
            assert!(text.parse::<StorePlace>().is_err(), "{text:?}");
        }
    }
}
