//! `[daemon]`, and the variables that beat it.

use std::time::Duration;

use fnox_config::Config;
use fnox_core::{Env, Lifetime};

use crate::app::App;
use crate::environment;

/// How long a daemon without work stays.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_hours(8);

/// Whether runs use the daemon: `--no-daemon`, `FNOX_DAEMON`, `[daemon] enabled`, no.
pub(crate) fn is_wanted(app: &App, config: &Config) -> bool {
    let section = config.settings.sections.get("daemon");
    let configured = section.and_then(|section| section.flag("enabled"));
    !app.no_daemon
        && app
            .env
            .switch(environment::DAEMON)
            .or(configured)
            .unwrap_or(false)
}

/// `[daemon]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How long a daemon without work stays.
    pub(crate) idle_timeout: Duration,
    /// How long a value is kept for which nothing else is said.
    pub(crate) ttl: Duration,
    /// Whether leases are minted anew before they end.
    pub(crate) renews_leases: bool,
}

impl Settings {
    /// What the environment and the configuration say; without a configuration, the defaults.
    pub(crate) fn of(env: &Env, config: Option<&Config>) -> Self {
        let section = config.and_then(|config| config.settings.sections.get("daemon"));
        let configured = |key| section.and_then(|section| section.lifetime(key));
        let idle = env
            .var(environment::DAEMON_IDLE_TIMEOUT)
            .and_then(|text| Lifetime::parse(text).ok())
            .or_else(|| configured("idle_timeout"));
        Self {
            idle_timeout: idle.map_or(IDLE_TIMEOUT, Lifetime::as_duration),
            ttl: configured("ttl").unwrap_or(Lifetime::DEFAULT).as_duration(),
            renews_leases: section
                .and_then(|section| section.flag("renew_leases"))
                .unwrap_or(false),
        }
    }
}
