//! What a shell may have here: the configuration of trusted folders, and the values of its secrets.
//!
//! Nobody is asked anything and nothing waits for long: whoever goes into a folder wants a prompt. A provider that
//! does not answer in time costs its own secrets and no others.

use std::path::PathBuf;
use std::time::Duration;

use fnox_config::trust::TrustRecord;
use fnox_config::{Config, ConfigError, EnvMode, IfMissing, SecretConfig};
use fnox_core::{Lifetime, SecretName, SecretString};
use fnox_providers::resolve::{Policy, Resolution};

use super::report::Problem;
use super::watch;
use crate::app::{App, block_on};
use crate::environment;
use crate::error::CliError;

/// How long a prompt waits unless told otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Variables that shells keep for themselves, so that setting them fails or does something else, and fnox's own.
const RESERVED: [&str; 22] = [
    "BASHOPTS",
    "EGID",
    "EUID",
    "FNOX_SHELL",
    "GID",
    "IFS",
    "OLDPWD",
    "PPID",
    "PWD",
    "SHELLOPTS",
    "SHLVL",
    "UID",
    "USERNAME",
    "_",
    "__FNOX_SESSION",
    "argv",
    "fish_pid",
    "history",
    "path",
    "pipestatus",
    "status",
    "umask",
];

/// Types of providers that release a value for one use.
const RELEASING: [&str; 2] = ["fnox-server", "vault-agent"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) values: Vec<Loading>,
    pub(crate) profiles: Vec<String>,
    pub(crate) watched: Vec<PathBuf>,
    pub(crate) problems: Vec<Problem>,
    /// Secrets to try again.
    pub(crate) failed: Vec<String>,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) name: String,
    pub(crate) value: SecretString,
    pub(crate) as_file: bool,
}

/// Loads. `only`: the secrets to resolve, where the others are there already.
pub(crate) fn load(app: &App, only: Option<&[String]>) -> Loaded {
    let trusted = TrustRecord::load(&app.folders);
    let search = app.loader();
    let config = match trusted.and_then(|trusted| search.load_trusted(trusted)) {
        Ok(config) => config,
        Err(error) => {
            let profiles = search.profiles.iter().map(ToString::to_string);
            return Loaded {
                profiles: profiles.collect(),
                ..unreadable(&error)
            };
        }
    };
    let mut loaded = Loaded {
        profiles: config.profiles.iter().map(ToString::to_string).collect(),
        watched: watch::imports(&config),
        ..Loaded::default()
    };
    let wanted = wanted(&config, only, &mut loaded);
    if wanted.is_empty() {
        return loaded;
    }
    match resolve(app, &config, &wanted) {
        Ok(resolution) => loaded.take(app, &config, resolution, &wanted),
        Err(error) => {
            loaded.failed = wanted.iter().map(ToString::to_string).collect();
            loaded
                .problems
                .push(Problem::Unavailable(error.to_string()));
        }
    }
    loaded
}

/// A configuration that cannot be read is read again once the file at fault has changed.
fn unreadable(error: &ConfigError) -> Loaded {
    if matches!(error, ConfigError::NotFound { .. }) {
        return Loaded::default();
    }
    let place = error.location();
    let mut watched: Vec<PathBuf> = place
        .map(|place| place.file.path.clone())
        .into_iter()
        .collect();
    if let ConfigError::MissingImport { path, .. } = error {
        watched.push(path.clone());
    }
    let problem = match error {
        ConfigError::FolderNotTrusted { folder } => Problem::NotTrusted(folder.clone()),
        other => Problem::Unreadable {
            reason: other.to_string(),
            file: place.map(|place| place.file.path.clone()),
        },
    };
    Loaded {
        watched,
        problems: vec![problem],
        ..Loaded::default()
    }
}

/// What every program may have, but for what a person or a policy gives to one run at a time.
fn wanted(config: &Config, only: Option<&[String]>, loaded: &mut Loaded) -> Vec<SecretName> {
    let mut names = Vec::new();
    for secret in config.secrets.values() {
        let name = secret.name.as_str();
        let is_asked_for = only.is_none_or(|only| only.iter().any(|other| other == name));
        if !is_asked_for || secret.env != EnvMode::Always || is_released(config, secret) {
            continue;
        }
        if RESERVED.contains(&name) {
            let reason = "shells keep this variable for themselves";
            loaded
                .problems
                .push(Problem::Refused(name.to_owned(), reason));
        } else {
            names.push(secret.name.clone());
        }
    }
    names
}

/// Whether a person or a policy gives it to one run at a time.
pub(crate) fn is_released(config: &Config, secret: &SecretConfig) -> bool {
    let mut providers = config.providers_of(secret);
    secret.require_approval || providers.any(|provider| RELEASING.contains(&provider.spec.name))
}

fn resolve(app: &App, config: &Config, wanted: &[SecretName]) -> Result<Resolution, CliError> {
    let limit = time_limit(app);
    let mut options = app.reading_options(config, &[])?;
    options.prompt_auth = false;
    // Each provider ends before all of them have to, so that one that hangs costs no other one's values.
    options.time_limit = options.time_limit.min(limit * 4 / 5);
    // One that fails costs no other one's values either. Which failures are worth a word, the secrets say.
    options.if_missing = Some(IfMissing::Warn);
    let resolver = fnox_providers::resolve::Resolver::new(config, options);
    block_on(async {
        let interrupted = tokio::signal::ctrl_c();
        tokio::select! {
            // The first look at it begins to listen: before a provider is asked.
            biased;
            _ = interrupted => Err(CliError::failed("interrupted")),
            resolution = resolver.resolve(wanted) => resolution.map_err(CliError::from),
            () = tokio::time::sleep(limit) => {
                Err(CliError::failed(format!("no answer within {} s", limit.as_secs())))
            }
        }
    })?
}

fn time_limit(app: &App) -> Duration {
    app.env
        .var(environment::SHELL_TIMEOUT)
        .and_then(|text| Lifetime::parse(text).ok())
        .map_or(TIME_LIMIT, Lifetime::as_duration)
}

impl Loaded {
    fn take(
        &mut self,
        app: &App,
        config: &Config,
        mut resolution: Resolution,
        wanted: &[SecretName],
    ) {
        for notice in &resolution.notices {
            let Some(secret) = config.secrets.get(&notice.secret) else {
                continue;
            };
            let policy = Policy::of(secret, config, app.if_missing, &app.env);
            if policy.action != IfMissing::Ignore {
                self.problems
                    .push(Problem::Unavailable(notice.message.clone()));
            }
        }
        for name in wanted {
            let as_file = config
                .secrets
                .get(name)
                .is_some_and(|secret| secret.as_file);
            if let Some(value) = resolution.values.swap_remove(name) {
                self.values.push(Loading {
                    name: name.to_string(),
                    value,
                    as_file,
                });
            }
            if resolution.unavailable.contains(name) {
                self.failed.push(name.to_string());
            }
        }
    }
}
