//! Finding and reading all layers.

use std::path::{Path, PathBuf};

use fnox_core::{Env, ProfileName};

use crate::error::ConfigError;
use crate::layers::Config;
use crate::paths::Folders;

/// What to load.
#[derive(Debug)]
pub struct Loader<'a> {
    /// The environment, for [`Folders`] and switches.
    pub env: &'a Env,
    /// fnox's folders.
    pub folders: &'a Folders,
    /// Where the search begins.
    pub cwd: &'a Path,
    /// The file named by `--config`.
    pub explicit: Option<PathBuf>,
    /// Profiles asked for; `default` and an empty list mean the base.
    pub profiles: Vec<ProfileName>,
    /// Leave out the base's secrets when a profile is active.
    pub no_defaults: bool,
}

impl Loader<'_> {
    /// Reads and merges all layers.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Err(ConfigError::NotFound {
            start: self.cwd.to_owned(),
        })
    }
}
