//! The local log of secret uses: which command used which secret of which provider, never a value.
//!
//! It is off unless `[audit]` or `FNOX_AUDIT` turns it on. While it is on, a value whose use cannot be recorded is not
//! given out: whoever can fill the disk must not be able to use secrets unseen. Its records are chained with a key of the
//! state folder ([`log`]). What it defends against is the careless or curious program; one that runs as the same user and
//! looks for the key can forge the log, as it could replace fnox.

pub(crate) mod log;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Clock as _, SystemClock};
use fnox_providers::resolve::{ResolveError, UseRecorder, Used};
use serde::{Deserialize, Serialize};

use self::log::Log;
use crate::app::App;
use crate::environment;
use crate::error::CliError;

/// The event of a used secret.
pub(crate) const SECRET_USED: &str = "secret_used";
/// The event of a lease whose credential was handed out.
pub(crate) const LEASE_USED: &str = "lease_used";

/// What a record says besides the secret and the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detail {
    /// The provider that keeps the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
    /// The active profiles.
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

/// Where the log is: `FNOX_AUDIT_PATH`, unless the global file turns the log on; `[audit] path`; `audit.log` of the state
/// folder.
pub(crate) fn path(app: &App, config: Option<&Config>) -> PathBuf {
    let variable = app.env.var(environment::AUDIT_PATH);
    if let Some(path) = variable.filter(|_| !config.is_some_and(is_certain)) {
        return app.cwd.join(path);
    }
    config
        .and_then(|config| config.settings.sections.get("audit"))
        .and_then(|section| section.path("path", app.folders.home()))
        .unwrap_or_else(|| app.folders.state.join("audit.log"))
}

/// Who records the uses of a configuration's secrets, if they are recorded.
pub(crate) fn recorder(app: &App, config: &Config) -> Option<Arc<dyn UseRecorder>> {
    is_on(app, config).then(|| Arc::new(Recorder::new(app, config)) as Arc<dyn UseRecorder>)
}

/// Records that leases' credentials are handed out.
pub(crate) async fn leases<'l>(
    app: &App,
    config: &Config,
    leases: impl IntoIterator<Item = &'l str>,
) -> Result<(), CliError> {
    if !is_on(app, config) {
        return Ok(());
    }
    let recorder = Recorder::new(app, config);
    let entries: Vec<Entry> = leases
        .into_iter()
        .map(|lease| {
            let detail = Detail {
                lease: Some(lease.to_owned()),
                ..Detail::default()
            };
            recorder.entry(LEASE_USED, config, detail)
        })
        .collect();
    let written = recorder.append(entries).await;
    written.map_err(|reason| ResolveError::NotRecorded { reason }.into())
}

/// Records uses by one command.
#[derive(Debug)]
struct Recorder {
    log: Log,
    command: &'static str,
}

impl Recorder {
    fn new(app: &App, config: &Config) -> Self {
        Self {
            log: Log::new(path(app, Some(config)), &app.folders),
            command: app.command,
        }
    }

    fn entry(&self, event: &str, config: &Config, detail: Detail) -> Entry {
        let detail = Detail {
            profile: config.profile_label(),
            folder: config.project_dir.display().to_string(),
            ..detail
        };
        let mut entry = Entry::new(event, self.command, Outcome::Ok);
        entry.peer = Some(format!("pid:{}", std::process::id()));
        entry.detail = serde_json::to_string(&detail).ok();
        entry
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), String> {
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
        let entry = |one: &Used| {
            let detail = Detail {
                provider: Some(one.provider.to_string()),
                daemon: one.kept,
                ..Detail::default()
            };
            let mut entry = self.entry(SECRET_USED, config, detail);
            entry.secret = Some(one.secret.to_string());
            entry
        };
        self.append(used.iter().map(entry).collect()).await
    }
}
