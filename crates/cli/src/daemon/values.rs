//! The daemon as the store of a run's values.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::{SecretBytes, SecretName, SecretString};
use fnox_providers::resolve::{Keeping, KeptValues};
use indexmap::IndexMap;

use super::error::DaemonFailure;
use super::key::Keys;
use super::place::Place;
use super::protocol::{Entry, Key, MAX_VALUE, Name, to_wire};
use super::settings::Settings;
use super::{client, launch};
use crate::app::App;

/// Looks values up in the daemon, which is started if none is running, and hands it those that are new. Whatever goes
/// wrong with it costs the run nothing but a line of `--verbose`.
#[derive(Debug)]
pub(super) struct DaemonValues {
    place: Place,
    keys: Keys,
    settings: Settings,
    launcher: launch::Launcher,
    /// Secrets that are fetched anew.
    fresh: BTreeSet<SecretName>,
    /// What the daemon told before anything was resolved. `None`: there is nobody to hand values to.
    generation: Mutex<Option<u64>>,
    /// It did not answer once, so it is not waited for again.
    is_given_up: AtomicBool,
}

impl DaemonValues {
    pub(super) fn new(
        app: &App,
        config: &Config,
        place: Place,
        fresh: BTreeSet<SecretName>,
    ) -> Self {
        let settings = Settings::of(&app.env, Some(config));
        Self {
            keys: Keys::new(config, &app.env),
            launcher: launch::Launcher::new(&app.env, settings.idle_timeout),
            settings,
            place,
            fresh,
            generation: Mutex::new(None),
            is_given_up: AtomicBool::new(false),
        }
    }

    async fn look_up(
        &self,
        wanted: &[Keeping],
    ) -> Result<IndexMap<SecretName, SecretString>, DaemonFailure> {
        let asked: Vec<&SecretName> = wanted
            .iter()
            .map(|wanted| &wanted.name)
            .filter(|name| !self.fresh.contains(*name))
            .collect();
        let keys: Vec<_> = asked.iter().map(|name| self.keys.of(name)).collect();
        let mut lookup = match self.ask(&keys).await {
            Err(DaemonFailure::NotRunning) => {
                self.launcher.start().await?;
                self.ask(&keys).await?
            }
            Err(DaemonFailure::Version { .. }) => {
                tracing::debug!("a daemon of another version is replaced");
                client::stop(&self.place).await?;
                self.launcher.start().await?;
                self.ask(&keys).await?
            }
            lookup => lookup?,
        };
        *self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(lookup.generation);
        let mut found = IndexMap::new();
        for name in asked {
            let Some(value) = lookup.values.remove(&self.keys.of(name)) else {
                continue;
            };
            if let Ok(text) = SecretBytes::into_string(value.0) {
                found.insert(name.clone(), text);
            }
        }
        Ok(found)
    }

    /// Asks for values. What is to be fetched anew is forgotten first, so that nobody gets the old value after this.
    async fn ask(&self, keys: &[Key]) -> Result<client::Lookup, DaemonFailure> {
        if !self.fresh.is_empty() {
            let names = self.fresh.iter().cloned().collect();
            client::clear(&self.place, Some(names)).await?;
        }
        client::find(&self.place, keys).await
    }
}

#[async_trait]
impl KeptValues for DaemonValues {
    async fn find(&self, _: &Config, wanted: &[Keeping]) -> IndexMap<SecretName, SecretString> {
        if self.is_given_up.load(Ordering::Relaxed) {
            return IndexMap::new();
        }
        match self.look_up(wanted).await {
            Ok(found) => {
                tracing::debug!("the daemon had {} of {} values", found.len(), wanted.len());
                found
            }
            Err(error) => {
                tracing::debug!("resolving without the daemon: {error}");
                self.is_given_up.store(true, Ordering::Relaxed);
                IndexMap::new()
            }
        }
    }

    async fn keep(&self, _: &Config, values: Vec<(Keeping, SecretString)>) {
        let generation = *self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(generation) = generation else {
            return;
        };
        let usual = self.settings.ttl;
        let entries: Vec<Entry> = values
            .iter()
            .filter(|(_, value)| value.len() <= MAX_VALUE)
            .map(|(keeping, value)| Entry {
                key: self.keys.of(&keeping.name),
                name: Name(keeping.name.clone()),
                seconds: keeping.lifetime.unwrap_or(usual).as_secs(),
                value: to_wire(value),
            })
            .collect();
        if let Err(error) = client::keep(&self.place, generation, entries).await {
            tracing::debug!("the daemon keeps nothing of this run: {error}");
        }
    }
}
