//! The files of profiles that an environment names. The SDK would look at the process's own environment.
//!
//! "Location of the shared config and credentials files", AWS SDKs and Tools Reference Guide.

use std::path::PathBuf;

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use fnox_core::Env;

/// `AWS_CONFIG_FILE` or `~/.aws/config`.
#[must_use]
pub fn config(env: &Env) -> Option<PathBuf> {
    file(env, "AWS_CONFIG_FILE", "config")
}

/// `AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials`.
#[must_use]
pub fn credentials(env: &Env) -> Option<PathBuf> {
    file(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

/// Those that exist, for the SDK.
#[must_use]
pub fn existing(env: &Env) -> EnvConfigFiles {
    let existing = [
        (EnvConfigFileKind::Config, config(env)),
        (EnvConfigFileKind::Credentials, credentials(env)),
    ]
    .into_iter()
    .filter_map(|(kind, path)| Some((kind, path.filter(|path| path.exists())?)));
    let mut builder = EnvConfigFiles::builder();
    let mut any = false;
    for (kind, path) in existing {
        builder = builder.with_file(kind, path);
        any = true;
    }
    if any {
        builder.build()
    } else {
        // A set without files is an error of the SDK; one that is empty is not.
        EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, "")
            .build()
    }
}

fn file(env: &Env, variable: &str, name: &str) -> Option<PathBuf> {
    let home = env.home().map(PathBuf::from);
    match (env.var(variable), home) {
        (Some(path), home) => match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(PathBuf::from(path)),
        },
        (None, home) => home.map(|home| home.join(".aws").join(name)),
    }
}
