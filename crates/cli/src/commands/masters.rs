//! Between leases and secrets: who fetches a lease's masters, and which lease makes a variable.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fnox_config::{Config, LeaseConfig};
use fnox_core::{LeaseName, SecretName, SecretString};
use fnox_leases::{
    Acquire, Acquired, Held, Manager, ManagerOptions, MasterError, MasterSource, Registry,
};
use fnox_providers::resolve::Resolver;

use crate::app::{App, block_on};
use crate::audit;
use crate::daemon;
use crate::error::CliError;
use crate::exec::files::PrivateFolder;

/// Fetches masters with the run's resolver, so that providers are opened once for all purposes.
#[derive(Debug)]
pub(crate) struct Masters<'a> {
    pub(crate) app: &'a App,
    pub(crate) config: &'a Config,
    pub(crate) resolver: &'a Resolver<'a>,
    /// Where masters that must be files are put; gone when this is dropped, or when fnox is killed.
    pub(crate) files: tokio::sync::Mutex<Option<PrivateFolder>>,
    /// What was fetched so far. Held while fetching, so that leases with the same masters ask for them
    /// once.
    fetched: tokio::sync::Mutex<BTreeMap<SecretName, Option<SecretString>>>,
}

impl<'a> Masters<'a> {
    pub(crate) fn new(app: &'a App, config: &'a Config, resolver: &'a Resolver<'a>) -> Self {
        Self {
            app,
            config,
            resolver,
            files: tokio::sync::Mutex::new(None),
            fetched: tokio::sync::Mutex::default(),
        }
    }

    /// The manager of this configuration's leases.
    pub(crate) fn manager(&'a self) -> Manager<'a> {
        Manager::new(ManagerOptions {
            config: self.config,
            folders: &self.app.folders,
            env: &self.app.env,
            clock: std::sync::Arc::new(self.app.clock),
            prompt: std::sync::Arc::clone(&self.app.prompt),
            masters: self,
            command_name: "fnox",
            limits: self.app.lease_time_limits(),
        })
    }

    fn is_file(&self, name: &SecretName) -> bool {
        self.config
            .secrets
            .get(name)
            .is_some_and(|secret| secret.as_file)
    }

    async fn file(
        &self,
        name: &SecretName,
        value: &SecretString,
    ) -> Result<SecretString, MasterError> {
        let failed = |error: std::io::Error| {
            master_error(CliError::File {
                action: "write",
                path: self.app.folders.runtime.clone(),
                source: error,
            })
        };
        let mut folder = self.files.lock().await;
        let folder = match folder.as_mut() {
            Some(folder) => folder,
            None => folder.insert(PrivateFolder::guarded(&self.app.folders).map_err(failed)?),
        };
        let path = folder.write(name.as_str(), value).map_err(failed)?;
        Ok(SecretString::new(path.to_string_lossy().into_owned()))
    }
}

#[async_trait]
impl MasterSource for Masters<'_> {
    async fn resolve(
        &self,
        _: &LeaseName,
        names: &[SecretName],
        all_named: bool,
    ) -> Result<Vec<(SecretName, SecretString)>, MasterError> {
        let mut fetched = self.fetched.lock().await;
        let new: Vec<SecretName> = names
            .iter()
            .filter(|name| !fetched.contains_key(*name))
            .cloned()
            .collect();
        if !new.is_empty() {
            let resolved = if all_named {
                self.resolver.resolve_or_stop(&new).await
            } else {
                self.resolver.resolve(&new).await
            };
            let resolution = resolved.map_err(|error| master_error(error.into()))?;
            self.app.tell(&resolution.notices);
            for name in new {
                let value = match resolution.values.get(&name) {
                    Some(value) if self.is_file(&name) => Some(self.file(&name, value).await?),
                    value => value.cloned(),
                };
                // What a failure was let pass for one lease may be final for another one.
                if value.is_some() || all_named {
                    fetched.insert(name, value);
                }
            }
        }
        let known = |name: &SecretName| Some((name.clone(), fetched.get(name)?.clone()?));
        Ok(names.iter().filter_map(known).collect())
    }
}

fn master_error(error: CliError) -> MasterError {
    MasterError {
        exit_status: error.status(),
        help: error.help(),
        source: Box::new(error),
    }
}

/// The variables that a lease makes, as far as they are known beforehand.
pub(crate) fn produced(app: &App, lease: &LeaseConfig) -> Result<Vec<String>, CliError> {
    let mint = Registry.open(lease, app.folders.home())?;
    Ok(mint.produces())
}

/// The lease whose variables, known beforehand, include `variable`; the last such lease wins.
pub(crate) fn lease_of_variable(
    app: &App,
    config: &Config,
    variable: &str,
) -> Result<Option<LeaseName>, CliError> {
    for lease in config.leases.values().rev() {
        if produced(app, lease)?.iter().any(|name| name == variable) {
            return Ok(Some(lease.name.clone()));
        }
    }
    Ok(None)
}

/// One variable of a lease, minted if need be.
pub(crate) fn mint_variable(
    app: &App,
    config: &Config,
    lease: &LeaseName,
    variable: &str,
) -> Result<SecretString, CliError> {
    let held = acquire(app, config, lease, format!("fnox-get-{lease}"))?;
    let missing = || CliError::Input {
        what: format!("the variable `{variable}`"),
        reason: format!("the lease `{lease}` issued a credential without it"),
        help: Some(format!(
            "`fnox lease create {lease} -f json` shows what it issues"
        )),
    };
    held.credential
        .variable(variable)
        .cloned()
        .ok_or_else(missing)
}

/// A lease's credential: a cached one, or one that is minted now.
pub(crate) fn acquire(
    app: &App,
    config: &Config,
    lease: &LeaseName,
    label: String,
) -> Result<Held, CliError> {
    let resolver = app.resolver(config);
    let masters = Masters::new(app, config, &resolver);
    let request = Acquire {
        label,
        require: true,
        ..Acquire::for_exec(lease)
    };
    let work = async {
        let acquired = masters.manager().acquire(lease, request).await?;
        if let Acquired::Cached(held) | Acquired::Minted(held) = &acquired {
            audit::leases(app, config, [lease.as_str()]).await?;
            daemon::used(app, config, [held]).await;
        }
        Ok::<_, CliError>(acquired)
    };
    match block_on(work)?? {
        Acquired::Cached(held) | Acquired::Minted(held) => Ok(held),
        Acquired::Skipped(skip) => Err(CliError::Usage {
            message: skip.message,
            help: Some(skip.hint),
        }),
    }
}
