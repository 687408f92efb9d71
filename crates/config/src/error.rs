//! What can be wrong with a configuration.

use std::path::{Path, PathBuf};

use crate::source::Location;

/// Something is wrong with a configuration file, or there is none.
///
/// `Display` says what is wrong with which thing; [`ConfigError::help`] says what to do about it;
/// [`ConfigError::location`] is the place to underline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No file anywhere.
    #[error("no configuration found: there is no fnox.toml in {} or any folder above it", start.display())]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// A file exists but cannot be read or written.
    #[error("cannot {action} the configuration file {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not UTF-8.
    #[error("{} is not valid UTF-8: the byte at offset {offset} begins no character", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// A file is far larger than any configuration.
    #[error("{} has {size} bytes; a configuration file may have at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Not TOML.
    #[error("{} is not valid TOML: {reason}", location.file.path.display())]
    Syntax {
        /// Where.
        location: Location,
        /// What the parser said.
        reason: String,
    },
    /// A key that the table does not have.
    #[error("unknown key `{key}` in {section}")]
    UnknownKey {
        /// The key.
        location: Location,
        /// The key's text.
        key: String,
        /// The table.
        section: String,
        /// The key that was probably meant.
        suggestion: Option<String>,
        /// All keys of the table.
        known: Vec<&'static str>,
    },
    /// A table lacks a key.
    #[error("{section} needs the key `{key}`")]
    MissingKey {
        /// The table.
        location: Location,
        /// The key.
        key: &'static str,
        /// The table's name.
        section: String,
    },
    /// A value that its key cannot have.
    #[error("`{key}` {reason}")]
    InvalidValue {
        /// The value.
        location: Location,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A name that nothing has.
    #[error("there is no {kind} `{name}`{place}")]
    UnknownName {
        /// Where it was written, if in a file.
        location: Option<Location>,
        /// `provider`, `profile`, `secret`, `lease` or a type.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for, as the end of the sentence; empty if that goes without saying.
        place: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
        /// All names there are.
        known: Vec<String>,
    },
    /// A name that is already taken.
    #[error("{kind} `{name}` exists already in {}", path.display())]
    AlreadyExists {
        /// `provider` or `secret`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The file that has it.
        path: PathBuf,
    },
    /// Something that leads back to itself.
    #[error("{kind} form a cycle: {}", chain.join(" -> "))]
    Cycle {
        /// What forms the cycle: `profiles`, `defaults`, …
        kind: &'static str,
        /// The members, the first one again at the end.
        chain: Vec<String>,
        /// The place of one of them.
        location: Option<Location>,
    },
    /// An import that is not there.
    #[error("the imported file {} does not exist", path.display())]
    MissingImport {
        /// The `import` key.
        location: Location,
        /// The absolute path.
        path: PathBuf,
    },
    /// A file that somebody else could have written.
    #[error("refusing {}: {reason}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why it is not trusted.
        reason: String,
    },
    /// A folder that the shell hook may not load.
    #[error("the folder {} is not trusted, so nothing of it is loaded", folder.display())]
    FolderNotTrusted {
        /// The folder.
        folder: PathBuf,
    },
    /// A command that writes does not know which profile is meant.
    #[error("several profiles are active ({}), so it is not clear which one to write to", active.join(", "))]
    AmbiguousProfile {
        /// The profiles.
        active: Vec<String>,
    },
}

/// What helps if a file cannot be read or written, where the system's word for it leaves that open.
#[must_use]
pub fn remedy_of(error: &std::io::Error, path: &Path) -> Option<String> {
    use std::io::ErrorKind;
    let path = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => Some(format!(
            "see who may do that, and give yourself the right: `ls -ld {path}`"
        )),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("make room, and do it again".to_owned())
        }
        ErrorKind::ReadOnlyFilesystem => Some(
            "the place is read-only: name a file elsewhere, or mount it for writing".to_owned(),
        ),
        ErrorKind::IsADirectory => Some("that is a folder: name a file in it".to_owned()),
        _ => None,
    }
}

impl ConfigError {
    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "config::not_found",
            Self::Io { .. } => "config::io",
            Self::NotUtf8 { .. } => "config::not_utf8",
            Self::TooLarge { .. } => "config::too_large",
            Self::Syntax { .. } => "config::syntax",
            Self::UnknownKey { .. } => "config::unknown_key",
            Self::MissingKey { .. } => "config::missing_key",
            Self::InvalidValue { .. } => "config::invalid_value",
            Self::UnknownName { .. } => "config::unknown_name",
            Self::AlreadyExists { .. } => "config::already_exists",
            Self::Cycle { .. } => "config::cycle",
            Self::MissingImport { .. } => "config::missing_import",
            Self::Untrusted { .. } => "config::untrusted",
            Self::FolderNotTrusted { .. } => "config::folder_not_trusted",
            Self::AmbiguousProfile { .. } => "config::ambiguous_profile",
        }
    }

    /// The same, at the place where the name is written, unless one is known.
    #[must_use]
    pub fn at(mut self, place: &Location) -> Self {
        if let Self::UnknownName { location, .. } = &mut self {
            location.get_or_insert_with(|| place.clone());
        }
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => {
                Some("run `fnox init` to make one, or name one with `-c PATH`".to_owned())
            }
            Self::Io {
                action: "read",
                path,
                source,
            } if source.kind() == std::io::ErrorKind::NotFound => Some(format!(
                "see whether the path is right; `fnox init -c {}` makes the file",
                path.display()
            )),
            Self::Io { path, source, .. } => remedy_of(source, path),
            Self::Syntax { .. } | Self::InvalidValue { .. } => None,
            Self::NotUtf8 { .. } => Some("save the file as UTF-8".to_owned()),
            Self::TooLarge { .. } => Some(
                "is this the right file? Whole files belong into a provider, not into fnox.toml"
                    .to_owned(),
            ),
            Self::UnknownKey {
                suggestion: Some(key),
                ..
            } => Some(format!("did you mean `{key}`?")),
            Self::UnknownKey { known, .. } => Some(format!("known keys: {}", known.join(", "))),
            Self::MissingKey { key, .. } => Some(format!("add `{key} = …`")),
            Self::UnknownName {
                suggestion: Some(name),
                ..
            } => Some(format!("did you mean `{name}`?")),
            Self::UnknownName { known, kind, .. } if known.is_empty() => {
                Some(format!("no {kind} is configured"))
            }
            Self::UnknownName { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::AlreadyExists { .. } => {
                Some("choose another name, or remove the existing one first".to_owned())
            }
            Self::Cycle { .. } => Some("remove one of these links".to_owned()),
            Self::MissingImport { .. } => {
                Some("create the file, or remove it from `import`".to_owned())
            }
            Self::Untrusted { path, .. } => Some(format!(
                "a configuration file can run commands or hand out secrets. Read it, then mend its \
                 owner and mode with chown and chmod, or trust it as it is with: fnox trust {}",
                path.display()
            )),
            Self::FolderNotTrusted { folder } => Some(format!(
                "read its fnox.toml, then trust it with: fnox trust {}",
                folder.display()
            )),
            Self::AmbiguousProfile { .. } => {
                Some("name one with `--write-profile NAME`".to_owned())
            }
        }
    }

    /// The place to underline.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Syntax { location, .. }
            | Self::UnknownKey { location, .. }
            | Self::MissingKey { location, .. }
            | Self::InvalidValue { location, .. }
            | Self::MissingImport { location, .. } => Some(location),
            Self::UnknownName { location, .. } | Self::Cycle { location, .. } => location.as_ref(),
            _ => None,
        }
    }
}
