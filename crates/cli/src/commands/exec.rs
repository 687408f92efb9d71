//! `fnox exec` and `fnox run`

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use fnox_config::{Config, EnvMode, IfMissing, SecretConfig};
use fnox_core::{ExitStatus, LeaseName, SecretName, SecretString};
use fnox_leases::{Acquire, Acquired, Held, Skip};
use fnox_providers::resolve::{Resolution, Resolver};

use crate::app::{App, block_on};
use crate::args::RunArgs;
use crate::commands::masters::{Masters, produced};
use crate::commands::selection::Selection;
use crate::environment;
use crate::error::CliError;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Invocation};
use crate::team::run::Asking;
use crate::team::{mask, withheld};

/// Variables with which fnox itself is opened. They never reach the program.
pub(super) const OWN_KEYS: [&str; 5] = [
    environment::AGE_KEY,
    environment::AGE_KEY_FILE,
    environment::VAULT_TOKEN,
    "ENPASS_PASSWORD",
    "FNOX_ENPASS_PASSWORD",
];

/// Like `exec`, but nothing may be missing.
pub(crate) fn run(app: &App, args: &RunArgs) -> Result<ExitStatus, CliError> {
    Run {
        app,
        args,
        require_leases: true,
        if_missing: Some(IfMissing::Error),
    }
    .run()
}

pub(crate) fn exec(
    app: &App,
    args: &RunArgs,
    require_leases: bool,
) -> Result<ExitStatus, CliError> {
    Run {
        app,
        args,
        require_leases,
        if_missing: app.if_missing,
    }
    .run()
}

struct Run<'a> {
    app: &'a App,
    args: &'a RunArgs,
    require_leases: bool,
    if_missing: Option<IfMissing>,
}

impl Run<'_> {
    fn run(&self) -> Result<ExitStatus, CliError> {
        let config = self.app.load()?;
        let selection = Selection::new(&self.args.only, &self.args.except)?;
        let leases = selected_leases(self.app, &config, &selection)?;
        self.check_selection(&config, &selection, &leases)?;
        let redact = self.redacts(&config);
        self.check_replace(&config, &leases, &selection, redact)?;
        let plan = self.plan(&config, &selection, &leases)?;
        exec::run(Invocation {
            folders: &self.app.folders,
            env: &self.app.env,
            plan,
            command: &self.args.command,
            redact,
            replace: self.args.replace,
        })
    }

    /// Mints, resolves and decides what the program's environment will be.
    fn plan(
        &self,
        config: &Config,
        selection: &Selection,
        leases: &[LeaseName],
    ) -> Result<EnvironmentPlan, CliError> {
        let mut options = self.app.resolver_options(config);
        options.if_missing = self.if_missing;
        options.required = required(config);
        let asking = Asking::new(self.app, &self.args.approval, &self.args.command)?;
        let resolver = Resolver::new(config, options).for_run(asking.request());
        let has_work = !leases.is_empty()
            || config
                .secrets
                .values()
                .any(|secret| in_scope(secret, selection));
        if !has_work {
            return Ok(self.assemble(config, selection, &resolver, &[], Vec::new()));
        }
        let work = async {
            let masters = Masters::new(self.app, config, &resolver);
            let held = self.acquire(&masters, leases).await?;
            let withheld: BTreeSet<&str> = held
                .iter()
                .flat_map(|held| &held.withhold)
                .map(String::as_str)
                .collect();
            let wanted: Vec<SecretName> = config
                .secrets
                .values()
                .filter(|secret| {
                    in_scope(secret, selection) && !withheld.contains(secret.name.as_str())
                })
                .map(|secret| secret.name.clone())
                .collect();
            let resolution = resolver.resolve(&wanted).await?;
            self.app.tell(&resolution.notices);
            mask::announce(&self.app.env, worth_masking(config, &resolution));
            let values: Vec<(SecretName, SecretString)> = wanted
                .into_iter()
                .filter_map(|name| Some((name.clone(), resolution.values.get(&name)?.clone())))
                .collect();
            Ok::<_, CliError>((held, values))
        };
        let (held, values) = block_on(async {
            // Elsewhere a signal ends fnox at once, as it ends any program.
            if uses_server(config) {
                asking.guard(work).await
            } else {
                work.await
            }
        })??;
        Ok(self.assemble(config, selection, &resolver, &held, values))
    }

    async fn acquire(
        &self,
        masters: &Masters<'_>,
        leases: &[LeaseName],
    ) -> Result<Vec<Held>, CliError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let requests: Vec<(LeaseName, Acquire)> = leases
            .iter()
            .map(|name| {
                let request = Acquire {
                    require: self.require_leases,
                    ..Acquire::for_exec(name)
                };
                (name.clone(), request)
            })
            .collect();
        let mut held = Vec::new();
        for acquired in masters.manager().acquire_many(requests).await {
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

    fn assemble(
        &self,
        config: &Config,
        selection: &Selection,
        resolver: &Resolver<'_>,
        held: &[Held],
        values: Vec<(SecretName, SecretString)>,
    ) -> EnvironmentPlan {
        let mut plan = EnvironmentPlan::default();
        plan.remove.extend(OWN_KEYS.map(str::to_owned));
        plan.remove.extend(withheld::names(&self.app.env, config));
        plan.remove.extend(resolver.opened_with());
        let hidden = config
            .secrets
            .values()
            .filter(|secret| secret.env == EnvMode::Never);
        plan.remove
            .extend(hidden.map(|secret| secret.name.to_string()));
        plan.remove
            .extend(held.iter().flat_map(|held| held.withhold.iter().cloned()));
        for name in &self.args.keep {
            plan.remove.remove(name);
        }
        for (name, value) in values {
            let as_file = config
                .secrets
                .get(&name)
                .is_some_and(|secret| secret.as_file);
            let target = if as_file {
                &mut plan.files
            } else {
                &mut plan.set
            };
            target.push((name.to_string(), value));
        }
        for (name, value) in held.iter().flat_map(|held| &held.credential.variables) {
            if selection.selects(name) {
                plan.files.retain(|(other, _)| other != name);
                plan.set.push((name.clone(), value.clone()));
            }
        }
        plan
    }

    fn redacts(&self, config: &Config) -> bool {
        let asked = match (self.args.redact, self.args.no_redact) {
            (true, _) => true,
            (_, true) => false,
            _ => self
                .app
                .env
                .switch(environment::EXEC_REDACT)
                .or(config.settings.redact_exec)
                .unwrap_or(false),
        };
        asked && !(std::io::stdout().is_terminal() && std::io::stderr().is_terminal())
    }

    fn check_selection(
        &self,
        config: &Config,
        selection: &Selection,
        leases: &[LeaseName],
    ) -> Result<(), CliError> {
        let secrets = config
            .secrets
            .values()
            .filter(|secret| secret.env != EnvMode::Never);
        let mut available: Vec<String> = secrets.map(|secret| secret.name.to_string()).collect();
        for name in leases {
            available.extend(produced(self.app, config.lease(name.as_str())?)?);
        }
        selection.require(available.iter().map(String::as_str), config)
    }

    /// `--replace` leaves nobody to clean up, to redact or to renew.
    fn check_replace(
        &self,
        config: &Config,
        leases: &[LeaseName],
        selection: &Selection,
        redact: bool,
    ) -> Result<(), CliError> {
        if !self.args.replace {
            return Ok(());
        }
        let files: Vec<&str> = config
            .secrets
            .values()
            .filter(|secret| secret.as_file && in_scope(secret, selection))
            .map(|secret| secret.name.as_str())
            .collect();
        let reason = if !files.is_empty() {
            format!(
                "these secrets are files that must be removed afterwards: {}",
                files.join(", ")
            )
        } else if let Some(lease) = leases.first() {
            format!("the lease `{lease}` needs a parent that looks after it")
        } else if redact {
            "the output is redacted".to_owned()
        } else {
            return Ok(());
        };
        Err(CliError::Usage {
            message: format!("`--replace` is not possible: {reason}"),
            help: Some(
                "leave `--replace` away; exit codes and signals are passed on without it too"
                    .to_owned(),
            ),
        })
    }
}

/// What the team server keeps must be there: nobody asks a person to approve a run that then does something else.
/// A secret that says what to do without a value is the exception.
fn required(config: &Config) -> BTreeSet<SecretName> {
    config
        .secrets
        .values()
        .filter(|secret| secret.if_missing.is_none() && secret.default.is_none())
        .filter(|secret| provider_type(config, secret) == Some("fnox-server"))
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
        let is_clear = provider_type(config, secret).is_none_or(|kind| kind == "plain")
            || secret.default.as_deref() == Some(value.expose_secret());
        (!is_clear).then_some(value)
    })
}

/// Whether a person may have to be waited for.
fn uses_server(config: &Config) -> bool {
    config
        .secrets
        .values()
        .any(|secret| provider_type(config, secret) == Some("fnox-server"))
}

fn provider_type(config: &Config, secret: &SecretConfig) -> Option<&'static str> {
    let name = config.provider_of(secret)?;
    Some(config.providers.get(&name)?.spec.name)
}

fn in_scope(secret: &SecretConfig, selection: &Selection) -> bool {
    secret.env != EnvMode::Never && selection.selects(secret.name.as_str())
}

/// All leases; with a filter those that make a selected variable, as far as that is known beforehand.
fn selected_leases(
    app: &App,
    config: &Config,
    selection: &Selection,
) -> Result<Vec<LeaseName>, CliError> {
    let mut out = Vec::new();
    for lease in config.leases.values() {
        let wanted = !selection.is_filtered()
            || produced(app, lease)?
                .iter()
                .any(|name| selection.selects(name));
        if wanted {
            out.push(lease.name.clone());
        }
    }
    Ok(out)
}
