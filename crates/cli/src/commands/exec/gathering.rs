//! What a program gets: credentials of leases, values of secrets, and the environment that is made of them.

use std::collections::{BTreeMap, BTreeSet};

use fnox_config::{Config, Delivery, EnvMode, SecretConfig};
use fnox_core::{LeaseName, SecretName, SecretString};
use fnox_leases::{Acquire, Acquired, Held, Manager, Skip};
use fnox_providers::resolve::{Resolution, Resolver};

use super::OWN_KEYS;
use super::leases::Chosen;
use crate::app::App;
use crate::audit;
use crate::commands::selection::Selection;
use crate::daemon;
use crate::error::CliError;
use crate::exec::plan::EnvironmentPlan;
use crate::shell::load;
use crate::team::reading::asks_server;
use crate::team::{mask, withheld};

/// Whose environment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Scope {
    /// One program's.
    Exec,
    /// One program's, as far as it can be looked at again and again without asking anybody.
    Watch,
    /// That of a shell, and so of every program that it starts.
    Shell,
}

impl Scope {
    /// Whether a secret may be in it.
    pub(in crate::commands) fn has(self, config: &Config, secret: &SecretConfig) -> bool {
        match self {
            Self::Exec => secret.env != EnvMode::Never,
            Self::Watch => secret.env != EnvMode::Never && !load::is_released(config, secret),
            Self::Shell => secret.env == EnvMode::Always && !load::is_released(config, secret),
        }
    }

    /// Whether nothing in it may have a variable of a secret's name.
    fn hides(self, secret: &SecretConfig) -> bool {
        match self {
            Self::Exec | Self::Watch => secret.env == EnvMode::Never,
            Self::Shell => secret.env != EnvMode::Always,
        }
    }
}

/// What is to be gathered.
#[derive(Debug)]
pub(in crate::commands) struct Gathering<'a> {
    pub(in crate::commands) app: &'a App,
    pub(in crate::commands) config: &'a Config,
    pub(in crate::commands) selection: &'a Selection,
    pub(in crate::commands) leases: &'a [Chosen<'a>],
    pub(in crate::commands) resolver: &'a Resolver<'a>,
    pub(in crate::commands) scope: Scope,
    /// Whether a lease for which nothing is configured is an error.
    pub(in crate::commands) require_leases: bool,
    /// Variables that stay although fnox used them.
    pub(in crate::commands) keep: &'a [String],
}

impl Gathering<'_> {
    /// Whether there is anything to do.
    pub(in crate::commands) fn has_work(&self) -> bool {
        !self.leases.is_empty() || self.wanted(&BTreeSet::new()).next().is_some()
    }

    /// Mints and resolves.
    pub(in crate::commands) async fn gather(
        &self,
        manager: &Manager<'_>,
    ) -> Result<Gathered, CliError> {
        let held = self.acquire(manager).await?;
        let names = held.iter().map(|held| held.lease.as_str());
        audit::leases(self.app, self.config, names).await?;
        // One that is withdrawn when its program ends is nobody else's.
        let is_kept = |held: &&Held| {
            let lease = self.leases.iter().find(|lease| *lease.name() == held.lease);
            lease.is_some_and(|lease| !lease.revokes)
        };
        daemon::used(self.app, self.config, held.iter().filter(is_kept)).await;
        let withheld: BTreeSet<&str> = held
            .iter()
            .flat_map(|held| &held.withhold)
            .map(String::as_str)
            .collect();
        let Resolved {
            values, missing, ..
        } = self.resolve(&withheld).await?;
        let ways = self
            .leases
            .iter()
            .map(|lease| (lease.name().clone(), lease.ways.clone()))
            .collect();
        Ok(Gathered {
            held,
            values,
            missing,
            ways,
        })
    }

    /// The values of the wanted secrets.
    pub(in crate::commands) async fn resolve(
        &self,
        withheld: &BTreeSet<&str>,
    ) -> Result<Resolved, CliError> {
        let wanted: Vec<SecretName> = self.wanted(withheld).cloned().collect();
        let resolution = self.resolver.resolve(&wanted).await?;
        self.app.tell(&resolution.notices);
        mask::announce(&self.app.env, worth_masking(self.config, &resolution));
        let mut values = Vec::with_capacity(wanted.len());
        let mut missing = Vec::new();
        for name in wanted {
            match resolution.values.get(&name) {
                Some(value) => values.push((name, value.clone())),
                None => missing.push(name),
            }
        }
        Ok(Resolved {
            values,
            missing,
            unavailable: resolution.unavailable,
        })
    }

    fn wanted<'s>(&'s self, withheld: &'s BTreeSet<&str>) -> impl Iterator<Item = &'s SecretName> {
        let secrets = self.config.secrets.values();
        let wanted = secrets.filter(|secret| {
            let name = secret.name.as_str();
            self.scope.has(self.config, secret)
                && self.selection.selects(name)
                && !withheld.contains(name)
        });
        wanted.map(|secret| &secret.name)
    }

    async fn acquire(&self, manager: &Manager<'_>) -> Result<Vec<Held>, CliError> {
        if self.leases.is_empty() {
            return Ok(Vec::new());
        }
        let requests: Vec<(LeaseName, Acquire)> = self
            .leases
            .iter()
            .map(|lease| (lease.name().clone(), lease.request(self.require_leases)))
            .collect();
        let mut held = Vec::new();
        for acquired in manager.acquire_many(requests).await {
            match acquired? {
                Acquired::Cached(one) | Acquired::Minted(one) => held.push(one),
                Acquired::Skipped(skip) => self.tell_skipped(&skip),
            }
        }
        Ok(held)
    }

    /// Says that a lease is left out, and which long-lived variables the program will use instead.
    fn tell_skipped(&self, skip: &Skip) {
        let instead = if skip.remaining.is_empty() {
            String::new()
        } else {
            format!(
                "\nThe program will use {} of the environment instead.",
                skip.remaining.join(", ")
            )
        };
        self.app.printer.say(&format!("{skip}{instead}"));
    }

    /// How the program's environment differs from fnox's.
    pub(in crate::commands) fn assemble(&self, gathered: &Gathered) -> EnvironmentPlan {
        let held = &gathered.held;
        let mut plan = EnvironmentPlan::default();
        plan.remove.extend(OWN_KEYS.map(str::to_owned));
        plan.remove
            .extend(withheld::names(&self.app.env, self.config));
        plan.remove.extend(self.resolver.opened_with());
        let secrets = self.config.secrets.values();
        let hidden = secrets.filter(|secret| self.scope.hides(secret));
        plan.remove
            .extend(hidden.map(|secret| secret.name.to_string()));
        plan.remove
            .extend(held.iter().flat_map(|held| held.withhold.iter().cloned()));
        for name in self.keep {
            plan.remove.remove(name);
        }
        for (name, value) in &gathered.values {
            let secret = self.config.secrets.get(name);
            let target = if secret.is_some_and(|secret| secret.as_file) {
                &mut plan.files
            } else {
                &mut plan.set
            };
            target.push((name.to_string(), value.clone()));
        }
        for held in held {
            let as_variables = gathered.is_delivered(&held.lease, Delivery::Env);
            for (name, value) in &held.credential.variables {
                plan.files.retain(|(other, _)| other != name);
                if as_variables && self.selection.selects(name) {
                    plan.set.push((name.clone(), value.clone()));
                } else {
                    // What the program gets in another way it must not find in an older form.
                    plan.set.retain(|(other, _)| other != name);
                    plan.remove.insert(name.clone());
                    plan.elsewhere.push(value.clone());
                }
            }
        }
        plan
    }
}

/// What came of the wanted secrets.
#[derive(Debug)]
pub(in crate::commands) struct Resolved {
    pub(in crate::commands) values: Vec<(SecretName, SecretString)>,
    /// Those that have no value.
    pub(in crate::commands) missing: Vec<SecretName>,
    /// Those whose provider could not be asked, with a default or without one.
    pub(in crate::commands) unavailable: Vec<SecretName>,
}

/// What a run's work brought.
#[derive(Debug, Default)]
pub(in crate::commands) struct Gathered {
    pub(in crate::commands) held: Vec<Held>,
    values: Vec<(SecretName, SecretString)>,
    /// Wanted secrets that have no value.
    pub(in crate::commands) missing: Vec<SecretName>,
    ways: BTreeMap<LeaseName, Vec<Delivery>>,
}

impl Gathered {
    fn is_delivered(&self, lease: &LeaseName, way: Delivery) -> bool {
        self.ways.get(lease).is_some_and(|ways| ways.contains(&way))
    }

    /// Tells the values from others.
    pub(super) fn digests(&self) -> Digests {
        digests(&self.values, &self.missing)
    }

    /// What comes later wins, so leases that override others come last.
    pub(in crate::commands) fn order_by_override(&mut self, config: &Config) {
        self.held.sort_by_key(|held| {
            let lease = config.leases.get(&held.lease);
            lease.is_some_and(|lease| lease.overrides)
        });
    }
}

/// Digests of values by name, which tell a value from another one when it is gone. `None`: there is no value.
pub(super) type Digests = BTreeMap<String, Option<blake3::Hash>>;

pub(super) fn digests(values: &[(SecretName, SecretString)], missing: &[SecretName]) -> Digests {
    let digest = |value: &SecretString| blake3::hash(value.expose_secret().as_bytes());
    let there = values
        .iter()
        .map(|(name, value)| (name.to_string(), Some(digest(value))));
    let missing = missing.iter().map(|name| (name.to_string(), None));
    there.chain(missing).collect()
}

/// What the team server keeps must be there: nobody asks a person to approve a run that then does something else.
/// A secret that says what to do without a value is the exception.
pub(in crate::commands) fn required(config: &Config) -> BTreeSet<SecretName> {
    config
        .secrets
        .values()
        .filter(|secret| secret.if_missing.is_none() && secret.default.is_none())
        .filter(|secret| asks_server(config, secret))
        .map(|secret| secret.name.clone())
        .collect()
}

/// Values that a log must not show: what a provider keeps. Those that stand in the configuration in clear are no secrets.
fn worth_masking<'a>(
    config: &'a Config,
    resolution: &'a Resolution,
) -> impl Iterator<Item = &'a SecretString> {
    resolution.values.iter().filter_map(|(name, value)| {
        let secret = config.secrets.get(name)?;
        let mut providers = config.providers_of(secret);
        let is_clear = providers.all(|provider| provider.spec.name == "plain")
            || secret.default.as_deref() == Some(value.expose_secret());
        (!is_clear).then_some(value)
    })
}
