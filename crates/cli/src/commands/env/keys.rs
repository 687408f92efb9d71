//! The keys that `fnox env` knows: which there are, who may have them, where they come from.

use fnox_config::{Config, EnvMode, LeaseConfig, ProviderConfig, SecretConfig, suggest};
use fnox_core::{LeaseName, SecretName};
use fnox_leases::Registry;
use fnox_leases::mint::Consumes;
use fnox_providers::resolve::Resolver;
use indexmap::IndexMap;

use super::documents::{
    DescribedKey, Description, EnvWord, Injectable, NotInjectable, SCHEMA, Source,
};
use super::profiles;
use crate::app::App;
use crate::args::RunArgs;
use crate::commands::exec::gathering::Scope;
use crate::commands::exec::leases;
use crate::commands::selection::Selection;
use crate::daemon;
use crate::error::CliError;

/// Keys that were asked for and cannot be had.
#[derive(Debug, Default)]
pub(super) struct InvalidKeys {
    pub(super) unknown: Vec<String>,
    pub(super) suggestions: IndexMap<String, Vec<String>>,
    pub(super) not_injectable: Vec<NotInjectable>,
}

impl InvalidKeys {
    /// All of them in one sentence.
    pub(super) fn error(&self) -> CliError {
        let shown = |key: &str| format!("`{}`", key.escape_debug());
        let list = |keys: Vec<String>| keys.join(", ");
        let mut parts = Vec::new();
        if !self.unknown.is_empty() {
            let keys = self.unknown.iter().map(|key| shown(key)).collect();
            parts.push(format!("nothing is called {}", list(keys)));
        }
        if !self.not_injectable.is_empty() {
            let keys = self.not_injectable.iter().map(|one| shown(&one.key));
            let keys = list(keys.collect());
            parts.push(format!("`env` or `deliver` keeps {keys} out of this scope"));
        }
        CliError::Failed {
            message: format!("`--keys` cannot be provided: {}", parts.join("; ")),
            code: "cli::unknown_keys",
        }
    }
}

/// Every key of a configuration.
#[derive(Debug)]
pub(super) struct Catalog<'c> {
    app: &'c App,
    config: &'c Config,
    /// Leases with the variables that they are known to make.
    leases: Vec<(&'c LeaseConfig, Vec<String>, bool)>,
}

impl<'c> Catalog<'c> {
    pub(super) fn new(app: &'c App, config: &'c Config) -> Result<Self, CliError> {
        let everything = Selection::new(&[], &[])?;
        let chosen = leases::chosen(app, config, &everything, &RunArgs::default())?;
        let leases = chosen.into_iter().map(|lease| {
            let is_in_environment = lease.is_in_environment();
            (lease.config, lease.produces, is_in_environment)
        });
        Ok(Self {
            app,
            config,
            leases: leases.collect(),
        })
    }

    /// The lease that makes a variable. Of several the one that overrides, else the last.
    fn lease_of(&self, key: &str) -> Option<(&'c LeaseConfig, bool)> {
        let makers = self
            .leases
            .iter()
            .filter(|(_, produces, _)| produces.iter().any(|name| name == key));
        makers
            .max_by_key(|(lease, _, _)| lease.overrides)
            .map(|(lease, _, is_in_environment)| (*lease, *is_in_environment))
    }

    /// Refuses keys that are not there, or not in this scope.
    pub(super) fn check(&self, keys: &[&str], scope: Scope) -> Result<(), InvalidKeys> {
        let mut invalid = InvalidKeys::default();
        for key in keys {
            let secret = self.config.secrets.get(*key);
            if secret.is_some_and(|secret| scope.has(self.config, secret)) {
                continue;
            }
            let lease = self.lease_of(key);
            if scope == Scope::Exec && lease.is_some_and(|(_, is_in_environment)| is_in_environment)
            {
                continue;
            }
            let env = match (secret, lease) {
                (Some(secret), _) => env_word(secret.env),
                (None, Some((_, true))) => EnvWord::Word("exec"),
                (None, Some((_, false))) => EnvWord::Flag(false),
                (None, None) => {
                    self.add_unknown(key, &mut invalid);
                    continue;
                }
            };
            invalid.not_injectable.push(NotInjectable {
                key: (*key).to_owned(),
                env,
            });
        }
        if invalid.unknown.is_empty() && invalid.not_injectable.is_empty() {
            Ok(())
        } else {
            Err(invalid)
        }
    }

    fn add_unknown(&self, key: &str, invalid: &mut InvalidKeys) {
        let names = self.names();
        if let Some(near) = suggest::nearest(key, names.iter().map(String::as_str)) {
            let near = vec![near.to_owned()];
            invalid.suggestions.insert(key.to_owned(), near);
        }
        invalid.unknown.push(key.to_owned());
    }

    /// Secrets in the order of the configuration, then what only leases make.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .config
            .secrets
            .keys()
            .map(ToString::to_string)
            .collect();
        for name in self.leases.iter().flat_map(|(_, produces, _)| produces) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The document of `--describe`. Resolves nothing.
    pub(super) fn describe(&self, keys: Option<&[&str]>) -> Result<Description, CliError> {
        let names = match keys {
            Some(keys) => keys.iter().map(|key| (*key).to_owned()).collect(),
            None => self.names(),
        };
        let described: Result<Vec<DescribedKey>, CliError> =
            names.into_iter().map(|name| self.key(name)).collect();
        let dynamic = self
            .leases
            .iter()
            .filter(|(_, produces, _)| produces.is_empty());
        Ok(Description {
            schema: SCHEMA,
            fnox_version: env!("CARGO_PKG_VERSION"),
            profile: profiles(self.config),
            keys: described?,
            dynamic_leases: dynamic
                .map(|(lease, _, _)| lease.name.to_string())
                .collect(),
            daemon_enabled: daemon::is_wanted(self.app, self.config),
        })
    }

    fn key(&self, name: String) -> Result<DescribedKey, CliError> {
        let secret = self.config.secrets.get(name.as_str());
        let lease = self.lease_of(&name);
        let has = |scope: Scope| secret.is_some_and(|secret| scope.has(self.config, secret));
        let made = lease.is_some_and(|(_, is_in_environment)| is_in_environment);
        Ok(DescribedKey {
            kind: if lease.is_some() { "lease" } else { "secret" },
            lease: lease.map(|(lease, _)| lease.name.to_string()),
            env: secret.map(|secret| env_word(secret.env)),
            as_file: secret.map(|secret| secret.as_file),
            description: secret.and_then(|secret| secret.description.clone()),
            injectable: Injectable {
                exec: has(Scope::Exec) || made,
                shell: has(Scope::Shell),
            },
            source: self.source(secret, lease.map(|(lease, _)| lease))?,
            key: name,
        })
    }

    fn source(
        &self,
        secret: Option<&SecretConfig>,
        lease: Option<&LeaseConfig>,
    ) -> Result<Option<Source>, CliError> {
        let place = match (lease, secret) {
            (Some(lease), _) => lease.fields.location(),
            (None, Some(secret)) => &secret.location,
            (None, None) => return Ok(None),
        };
        let mut global = place.file.is_global();
        let mut names: Vec<SecretName> = secret
            .map(|secret| secret.name.clone())
            .into_iter()
            .collect();
        if let Some(lease) = lease {
            let (of_lease, is_global) = self.suppliers(&lease.name, self.config.leases.len())?;
            names.extend(of_lease);
            global = global || is_global;
        }
        Ok(Some(Source {
            path: place.file.path.display().to_string(),
            global: global || self.any_global(&names)?,
        }))
    }

    /// The secrets that a lease may take its masters from, and whether it or a lease before it is global. `depth` bounds
    /// a circle, which is an error only when it is minted.
    fn suppliers(
        &self,
        lease: &LeaseName,
        depth: usize,
    ) -> Result<(Vec<SecretName>, bool), CliError> {
        let Some(config) = self.config.leases.get(lease) else {
            return Ok((Vec::new(), false));
        };
        let mint = Registry.open(config, self.app.folders.home())?;
        let secrets = self.config.secrets.keys();
        let mut names: Vec<SecretName> = match mint.consumes() {
            Consumes::Everything => secrets.cloned().collect(),
            Consumes::Names(wanted) => secrets
                .filter(|name| wanted.iter().any(|one| one == name.as_str()))
                .cloned()
                .collect(),
        };
        let mut global = config.fields.location().file.is_global();
        if let (Some(via), Some(depth)) = (mint.via(), depth.checked_sub(1)) {
            let (more, is_global) = self.suppliers(via, depth)?;
            names.extend(more);
            global = global || is_global;
        }
        Ok((names, global))
    }

    /// Whether any of these secrets, of those that they need, or of their providers stands in the global file.
    fn any_global(&self, names: &[SecretName]) -> Result<bool, CliError> {
        let resolver = Resolver::new(self.config, self.app.resolver_options(self.config));
        let touched = resolver.closure(names)?;
        let mut secrets = touched
            .iter()
            .filter_map(|name| self.config.secrets.get(name));
        Ok(secrets.any(|secret| {
            secret.location.file.is_global()
                || self.providers_of(secret).any(|provider| {
                    let place = provider.fields.location();
                    place.file.is_global()
                })
        }))
    }

    fn providers_of(&self, secret: &SecretConfig) -> impl Iterator<Item = &'c ProviderConfig> {
        let copy = secret.sync.as_ref().map(|copy| copy.provider.clone());
        let names = self.config.chain_of(secret).into_iter().chain(copy);
        names.filter_map(|name| self.config.providers.get(&name))
    }
}

fn env_word(mode: EnvMode) -> EnvWord {
    match mode {
        EnvMode::Always => EnvWord::Flag(true),
        EnvMode::Exec => EnvWord::Word("exec"),
        EnvMode::Never => EnvWord::Flag(false),
    }
}
