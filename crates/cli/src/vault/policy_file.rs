//! The policy's file, which is read only if nobody else could have written it.
//!
//! Who can write it lends the vault's secrets to whom they like. So it is held to the rule of `vault.toml`, at the
//! start of the vault and each time that it is read again. The file that was opened is judged, not its name.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use fnox_config::trust::Trust;
use fnox_config::{ConfigError, Folders};
use fnox_vault::policy::PolicySource;

use crate::app::App;

/// The file that holds a vault's policy.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    folders: Folders,
    cwd: PathBuf,
}

impl PolicyFile {
    /// The file of this path, as this process may trust it.
    pub(crate) fn new(app: &App, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            folders: app.folders.clone(),
            cwd: app.cwd.clone(),
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// `Untrusted` if somebody else could have written it; what reading can answer.
    pub(crate) fn text(&self) -> Result<String, ConfigError> {
        Trust::new(&self.folders, &self.cwd).read_checked(&self.path)
    }
}

impl PolicySource for PolicyFile {
    fn origin(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> Result<String, String> {
        self.text().map_err(|error| in_words(&error))
    }
}

/// All that is known of an error, for a line of a log.
fn in_words(error: &ConfigError) -> String {
    let mut words = error.to_string();
    if let Some(cause) = error.source() {
        words = format!("{words}: {cause}");
    }
    if let Some(help) = error.help() {
        words = format!("{words} ({help})");
    }
    words
}
