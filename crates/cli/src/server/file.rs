//! `server.toml` as it was read, before anything is made of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::fields::resolve_path;
use fnox_config::trust::Trust;
use fnox_config::{Fields, standalone};
use fnox_core::{Lifetime, SecretString};

use super::{private, spec};
use crate::app::App;
use crate::environment;
use crate::error::CliError;

/// The name of the file in fnox's config folder.
pub(crate) const FILE_NAME: &str = "server.toml";

/// The file.
#[derive(Debug)]
pub(crate) struct ServerFile {
    /// Where it is or would be.
    pub path: PathBuf,
    home: Option<PathBuf>,
    fields: Option<Fields>,
}

impl ServerFile {
    /// Finds and reads the file. Only one that was named must be there.
    pub(crate) fn read(app: &App, named: Option<&Path>) -> Result<Self, CliError> {
        let variable = app.env.var(environment::SERVER_CONFIG).map(Path::new);
        match named.or(variable) {
            Some(path) => Self::open(app, app.cwd.join(path)),
            None => Self::read_or_new(app, app.folders.config.join(FILE_NAME)),
        }
    }

    /// Reads a file that need not be there yet.
    pub(crate) fn read_or_new(app: &App, path: PathBuf) -> Result<Self, CliError> {
        if path.symlink_metadata().is_ok() {
            return Self::open(app, path);
        }
        Ok(Self {
            path,
            home: app.folders.home().map(Path::to_owned),
            fields: None,
        })
    }

    fn open(app: &App, path: PathBuf) -> Result<Self, CliError> {
        // Who can write it chooses who is an administrator.
        let text = Trust::new(&app.folders, &app.cwd).read_checked(&path)?;
        let fields = standalone::read(&path, text, &spec::SERVER)?;
        Ok(Self {
            path,
            home: app.folders.home().map(Path::to_owned),
            fields: Some(fields),
        })
    }

    /// Whether the file is there.
    pub(crate) fn exists(&self) -> bool {
        self.fields.is_some()
    }

    /// The keys before the first table.
    pub(crate) fn top(&self) -> Part<'_> {
        Part {
            file: self,
            fields: self.fields.as_ref(),
        }
    }

    /// The tables of a list.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = Part<'_>> {
        let tables = self
            .fields
            .as_ref()
            .map_or(&[][..], |fields| fields.tables(name));
        tables.iter().map(|fields| Part {
            file: self,
            fields: Some(fields),
        })
    }

    /// A path of the file, absolute.
    pub(crate) fn resolved(&self, text: &str) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        resolve_path(text, folder, self.home.as_deref())
    }
}

/// One table of the file; all keys are absent in one that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    file: &'a ServerFile,
    fields: Option<&'a Fields>,
}

impl<'a> Part<'a> {
    /// Whether the table is there.
    pub(crate) fn exists(self) -> bool {
        self.fields.is_some()
    }

    /// Its keys, if it is there.
    pub(crate) fn fields(self) -> Option<&'a Fields> {
        self.fields
    }

    /// A table in it.
    pub(crate) fn table(self, name: &str) -> Self {
        Self {
            file: self.file,
            fields: self.fields.and_then(|fields| fields.table(name)),
        }
    }

    pub(crate) fn text(self, key: &str) -> Option<&'a str> {
        self.fields?.text(key)
    }

    pub(crate) fn owned(self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    pub(crate) fn flag(self, key: &str) -> bool {
        self.fields.and_then(|fields| fields.flag(key)) == Some(true)
    }

    pub(crate) fn list(self, key: &str) -> &'a [String] {
        self.fields.map_or(&[], |fields| fields.list(key))
    }

    pub(crate) fn path(self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|text| self.file.resolved(text))
    }

    /// How long; within limits that the reference page gives.
    pub(crate) fn time(
        self,
        key: &str,
        usual: Duration,
        longest: Option<Duration>,
    ) -> Result<Duration, CliError> {
        let Some(lifetime) = self.fields.and_then(|fields| fields.lifetime(key)) else {
            return Ok(usual);
        };
        let time = lifetime.as_duration();
        match longest.filter(|longest| time > *longest) {
            None => Ok(time),
            Some(longest) => {
                let longest = Lifetime::from_secs(longest.as_secs());
                Err(self.invalid(key, format!("must be at most {longest}")))
            }
        }
    }

    /// A number of at least one.
    pub(crate) fn number<T: TryFrom<u64>>(self, key: &str, usual: T) -> Result<T, CliError> {
        match self.fields.and_then(|fields| fields.count(key)) {
            None => Ok(usual),
            Some(0) => Err(self.invalid(key, "must be at least 1")),
            Some(number) => T::try_from(number).map_err(|_| self.invalid(key, "is too large")),
        }
    }

    /// The secret in the file that a key names.
    pub(crate) fn secret(self, key: &str) -> Result<Option<SecretString>, CliError> {
        self.path(key)
            .map(|path| private::read(&path, &format!("`{key}`")))
            .transpose()
    }

    /// The error that a key of the file is wrong, with its line.
    pub(crate) fn invalid(self, key: &str, reason: impl Into<String>) -> CliError {
        match self.fields {
            Some(fields) => fields.invalid(key, reason).into(),
            // invariant: only what stands in the file is called wrong.
            None => CliError::usage(format!("`{key}` {}", reason.into())),
        }
    }
}
