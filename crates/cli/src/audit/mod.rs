//! The local log of secret uses: which command used or changed which secret of which provider, never a value.
//!
//! It is off unless `[audit]` or `FNOX_AUDIT` turns it on. While it is on, a value whose use cannot be recorded is not
//! given out, and what cannot be recorded is not changed: whoever can fill the disk must not be able to use secrets unseen.
//! Its records are chained with a key of the state folder ([`mod@log`]). What it defends against is the careless or curious
//! program; one that runs as the same user and looks for the key can forge the log, as it could replace fnox.

#[cfg(unix)]
mod access;
mod changes;
mod lent;
pub(crate) mod log;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Clock as _, SystemClock};
use fnox_providers::resolve::{ResolveError, UseRecorder, Used};
use serde::{Deserialize, Serialize};

#[cfg(unix)]
pub(crate) use self::access::AccessStep;
pub(crate) use self::changes::{Change, Changed, begin, changing};
#[cfg(unix)]
pub(crate) use self::lent::RecordedCredentials;
pub(crate) use self::lent::{OfRun, RecordedCurrent, Way};
use self::log::{Limits, Log};
use crate::app::{App, block_on};
use crate::environment;
use crate::error::CliError;

/// The event of a used secret.
pub(crate) const SECRET_USED: &str = "secret_used";
/// The event of a lease whose credential was handed out.
pub(crate) const LEASE_USED: &str = "lease_used";
/// The event of a credential that a gateway kept out of an answer.
pub(crate) const CREDENTIAL_CAPTURED: &str = "credential_captured";
/// The event of such a credential that a request got.
pub(crate) const CAPTURED_USED: &str = "captured_used";
/// The event of a whole file that a provider gave.
pub(crate) const FILE_READ: &str = "file_read";

/// What a record says besides the secret and the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detail {
    /// The provider that keeps the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
    /// The new name, the target of a push, the file, the hardware key, or the member of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// By what a lease's credential was handed out, if not by the command itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) way: Option<String>,
    /// The active profiles, or the one that was changed.
    pub(crate) profile: String,
    /// Whether the daemon had the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) daemon: bool,
    /// The project's folder.
    pub(crate) folder: String,
}

/// Whether uses are recorded, by `FNOX_AUDIT`, `[audit] enabled`, no. What the global file turns on stays on.
fn is_on(app: &App, config: &Config) -> bool {
    let section = config.settings.sections.get("audit");
    let configured = section.and_then(|section| section.flag("enabled"));
    let variable = app.env.switch(environment::AUDIT);
    is_certain(config) || variable.or(configured).unwrap_or(false)
}

/// Whether the global file turns it on, so that nothing else has a say in it.
fn is_certain(config: &Config) -> bool {
    let section = config.settings.sections.get("audit");
    section.is_some_and(|section| {
        section.flag("enabled") == Some(true) && section.location_of("enabled").file.is_global()
    })
}

/// The log. Its place is that of `FNOX_AUDIT_PATH`, unless the global file turns the log on; `[audit] path`; `audit.log` of
/// the state folder.
pub(crate) fn log(app: &App, config: Option<&Config>) -> (PathBuf, Log) {
    let section = config.and_then(|config| config.settings.sections.get("audit"));
    let variable = app.env.var(environment::AUDIT_PATH);
    let path = match variable.filter(|_| !config.is_some_and(is_certain)) {
        Some(path) => app.cwd.join(path),
        None => section
            .and_then(|section| section.path("path", app.folders.home()))
            .unwrap_or_else(|| app.folders.state.join("audit.log")),
    };
    let count = |key| section.and_then(|section| section.count(key));
    let limits = Limits {
        max_size: count("max_size").unwrap_or(Limits::default().max_size),
        keep: count("keep"),
    };
    let log = Log::new(path.clone(), &app.folders, limits);
    (path, log)
}

/// Who records the uses of a configuration's secrets, if they are recorded.
pub(crate) fn recorder(app: &App, config: &Config) -> Option<Arc<dyn UseRecorder>> {
    Recorder::of(app, config).map(|recorder| Arc::new(recorder) as Arc<dyn UseRecorder>)
}

/// Records that leases' credentials are handed out.
pub(crate) async fn leases<'l>(
    app: &App,
    config: &Config,
    leases: impl IntoIterator<Item = &'l str>,
) -> Result<(), CliError> {
    let Some(recorder) = Recorder::of(app, config) else {
        return Ok(());
    };
    let entries = leases.into_iter().map(|lease| {
        let detail = Detail {
            lease: Some(lease.to_owned()),
            ..Detail::default()
        };
        recorder.entry(LEASE_USED, Outcome::Ok, detail)
    });
    recorder.append(entries.collect()).await
}

/// Records values that a command read by other means than the resolver.
pub(crate) async fn reads(app: &App, config: &Config, used: &[Used]) -> Result<(), CliError> {
    let Some(recorder) = Recorder::of(app, config) else {
        return Ok(());
    };
    let written = recorder.record(config, used).await;
    written.map_err(|reason| ResolveError::NotRecorded { reason }.into())
}

/// Records that providers gave whole files: the provider and the path of each.
pub(crate) fn files<'f>(
    app: &App,
    config: &Config,
    files: impl IntoIterator<Item = (&'f str, String)>,
) -> Result<(), CliError> {
    let Some(recorder) = Recorder::of(app, config) else {
        return Ok(());
    };
    let entries = files.into_iter().map(|(provider, path)| {
        let detail = Detail {
            provider: Some(provider.to_owned()),
            to: Some(path),
            ..Detail::default()
        };
        recorder.entry(FILE_READ, Outcome::Ok, detail)
    });
    block_on(recorder.append(entries.collect()))?
}

/// Records uses by one command.
#[derive(Debug, Clone)]
struct Recorder {
    log: Log,
    command: &'static str,
    profile: String,
    folder: String,
}

impl Recorder {
    /// If uses are recorded.
    fn of(app: &App, config: &Config) -> Option<Self> {
        is_on(app, config).then(|| Self {
            log: log(app, Some(config)).1,
            command: app.command,
            profile: config.profile_label(),
            folder: config.project_dir.display().to_string(),
        })
    }

    /// A record. Its profile is the recorder's, unless it has one.
    fn entry(&self, event: &str, outcome: Outcome, mut detail: Detail) -> Entry {
        if detail.profile.is_empty() {
            detail.profile.clone_from(&self.profile);
        }
        detail.folder.clone_from(&self.folder);
        let mut entry = Entry::new(event, self.command, outcome);
        entry.peer = Some(format!("pid:{}", std::process::id()));
        entry.detail = serde_json::to_string(&detail).ok();
        entry
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), CliError> {
        let appended = self.try_append(entries).await;
        appended.map_err(|reason| ResolveError::NotRecorded { reason }.into())
    }

    async fn try_append(&self, entries: Vec<Entry>) -> Result<(), String> {
        if entries.is_empty() {
            return Ok(());
        }
        let appended = self.log.append(entries, SystemClock.now()).await;
        appended.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl UseRecorder for Recorder {
    async fn record(&self, config: &Config, used: &[Used]) -> Result<(), String> {
        let profile = config.profile_label();
        let entry = |one: &Used| {
            let detail = Detail {
                provider: Some(one.provider.to_string()),
                profile: profile.clone(),
                daemon: one.kept,
                ..Detail::default()
            };
            let mut entry = self.entry(SECRET_USED, Outcome::Ok, detail);
            entry.secret = Some(one.secret.to_string());
            entry
        };
        self.try_append(used.iter().map(entry).collect()).await
    }
}
