//! What unit tests of this crate share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_config::{Config, Folders, LeaseConfig, Loader};
use fnox_core::prompt::NoPrompt;
use fnox_core::{Env, SystemClock};

use crate::mint::MintContext;

/// The configuration of a file, with its folder as the project folder.
pub(crate) fn config(folder: &Path, toml: &str) -> Config {
    config_of(folder, toml, &[])
}

/// The same for active profiles.
pub(crate) fn config_of(folder: &Path, toml: &str, profiles: &[&str]) -> Config {
    std::fs::write(folder.join("fnox.toml"), toml).unwrap();
    let env = env_in(folder, &[]);
    Loader {
        env: &env,
        folders: &Folders::from_env(&env),
        cwd: folder,
        explicit: None,
        profiles: profiles.iter().map(|name| name.parse().unwrap()).collect(),
        may_create: None,
        no_defaults: false,
    }
    .load()
    .unwrap()
}

/// One lease called `x` from its keys.
pub(crate) fn lease(keys: &str) -> LeaseConfig {
    let folder = tempfile::tempdir().unwrap();
    config(folder.path(), &format!("[leases.x]\n{keys}\n")).leases["x"].clone()
}

/// An environment whose home is a folder.
pub(crate) fn env_in(home: &Path, variables: &[(&str, &str)]) -> Env {
    let mut all = vec![("HOME", home.to_str().unwrap()), ("PATH", "/usr/bin:/bin")];
    all.extend_from_slice(variables);
    all.into_iter().collect()
}

/// What a mint may use, with these variables.
pub(crate) fn context(variables: &[(&str, &str)]) -> MintContext {
    let env = env_in(Path::new("/nonexistent"), variables);
    MintContext {
        folders: Folders::from_env(&env),
        env,
        masters: Vec::new(),
        prompt: Arc::new(NoPrompt),
        clock: Arc::new(SystemClock),
        connect_limit: Duration::from_secs(2),
        call_limit: Duration::from_secs(20),
        firmware_vendor: PathBuf::from("/nonexistent"),
    }
}
