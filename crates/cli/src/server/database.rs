//! Naming the team server's database in one word.

use std::fmt;
use std::path::{Path, PathBuf};

use fnox_core::SecretString;

use crate::vault::place::StorePlace;

/// Where the server keeps what it stores.
#[derive(Debug, Clone)]
pub(crate) enum DatabasePlace {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`; may hold a password.
    Postgres(SecretString),
}

impl DatabasePlace {
    /// Reads the word. `rooted` makes paths absolute. The error does not repeat the word, which may hold a password.
    pub(crate) fn read(text: &str, rooted: impl FnOnce(&str) -> PathBuf) -> Result<Self, String> {
        const EXPECTED: &str =
            "is no database: write the path of a file, or postgres://USER@HOST/DATABASE";
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.into()));
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        if path.is_empty() || path.contains("://") || path.chars().any(char::is_control) {
            return Err(EXPECTED.to_owned());
        }
        Ok(Self::Sqlite(rooted(path)))
    }

    /// Whether the word has a password in it, which does not belong on a command line.
    pub(crate) fn has_password(&self) -> bool {
        let Self::Postgres(url) = self else {
            return false;
        };
        let url = url.expose_secret();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        user.contains(':') || rest.contains("password=")
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for DatabasePlace {
    /// Without user, password and options.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(formatter),
            Self::Postgres(url) => StorePlace::Postgres(url.clone()).fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read_and_shown_without_passwords() {
        let read = |text| DatabasePlace::read(text, |path| Path::new("/root").join(path));
        for (text, shown, has_password) in [
            ("server.db", "/root/server.db", false),
            ("sqlite:a.db", "/root/a.db", false),
            ("/var/lib/server.db", "/var/lib/server.db", false),
            ("postgres://u@h/d", "postgres://h/d", false),
            ("postgres://u:hunter2@h/d", "postgres://h/d", true),
            ("postgresql://h/d?password=hunter2", "postgres://h/d", true),
        ] {
            let place = read(text).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(place.has_password(), has_password, "{text}");
            assert!(!format!("{place:?}").contains("hunter2"));
        }
        for text in ["", "sqlite:", "mysql://u:hunter2@h/d", "a\nb"] {
            assert!(!read(text).unwrap_err().contains("hunter2"), "{text:?}");
        }
    }
}
