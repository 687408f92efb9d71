//! `fnox exec` and `fnox run`

mod announcer;
mod attended;
mod leases;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;

use fnox_config::{Config, Delivery, EnvMode, IfMissing, SecretConfig};
use fnox_core::{ExitStatus, LeaseName, SecretName, SecretString};
use fnox_leases::{Acquire, Acquired, Held, Manager, Skip};
use fnox_providers::resolve::{Resolution, Resolver};

use self::attended::Attended;
use self::leases::Chosen;
use crate::app::{App, block_on};
use crate::args::RunArgs;
use crate::commands::masters::Masters;
use crate::commands::selection::Selection;
use crate::environment;
use crate::error::CliError;
use crate::exec::orders::SharedOrders;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::{self, Invocation};
use crate::team::run::Asking;
use crate::team::{mask, withheld};

/// Variables with which fnox itself is opened. They never reach the program.
pub(super) const OWN_KEYS: [&str; 6] = [
    environment::AGE_KEY,
    environment::AGE_KEY_FILE,
    environment::VAULT_TOKEN,
    "ENPASS_PASSWORD",
    "FNOX_ENPASS_PASSWORD",
    environment::SHELL_SESSION,
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
        let leases = leases::chosen(self.app, &config, &selection, self.args)?;
        check_selection(&config, &selection, &leases)?;
        let redact = self.redacts(&config);
        self.check_replace(&config, &leases, &selection, redact)?;
        let program = |plan, orders| {
            exec::run(Invocation {
                folders: &self.app.folders,
                env: &self.app.env,
                plan,
                command: &self.args.command,
                redact,
                replace: self.args.replace,
                orders,
            })
        };
        let mut options = self.app.reading_options(&config, &self.args.refresh)?;
        options.if_missing = self.if_missing;
        options.required = required(&config);
        options.offline = self.args.offline;
        let asking = Asking::new(self.app, &self.args.approval, &self.args.command)?;
        let resolver = Resolver::new(&config, options).for_run(asking.request());
        let mut secrets = config.secrets.values();
        let has_work = !leases.is_empty() || secrets.any(|secret| in_scope(secret, &selection));
        if !has_work {
            let plan = self.assemble(&config, &selection, &resolver, &Gathered::default());
            return program(plan, SharedOrders::default());
        }
        let masters = Masters::new(self.app, &config, &resolver);
        let manager = masters.manager();
        let work = self.gather(&config, &selection, &leases, &manager, &resolver);
        let mut gathered = block_on(async {
            // Elsewhere a signal ends fnox at once, as it ends any program.
            if uses_server(&config) {
                asking.guard(work).await
            } else {
                work.await
            }
        })??;
        leases::check_issued(&leases, &gathered.held)?;
        gathered.order_by_override(&config);
        let plan = self.assemble(&config, &selection, &resolver, &gathered);
        let is_attended = |held: &Held| {
            let lease = leases.iter().find(|lease| *lease.name() == held.lease);
            lease.is_some_and(leases::Chosen::is_attended)
        };
        if !gathered.held.iter().any(is_attended) {
            drop(gathered);
            return program(plan, SharedOrders::default());
        }
        let attended = Attended {
            app: self.app,
            manager: &manager,
            chosen: &leases,
            selection: &selection,
        };
        attended.run(gathered.held, plan, program)
    }

    /// Mints and resolves.
    async fn gather(
        &self,
        config: &Config,
        selection: &Selection,
        leases: &[Chosen<'_>],
        manager: &Manager<'_>,
        resolver: &Resolver<'_>,
    ) -> Result<Gathered, CliError> {
        let held = self.acquire(manager, leases).await?;
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
        let values = wanted
            .into_iter()
            .filter_map(|name| Some((name.clone(), resolution.values.get(&name)?.clone())))
            .collect();
        let ways = leases
            .iter()
            .map(|lease| (lease.name().clone(), lease.ways.clone()))
            .collect();
        Ok(Gathered { held, values, ways })
    }

    async fn acquire(
        &self,
        manager: &Manager<'_>,
        leases: &[Chosen<'_>],
    ) -> Result<Vec<Held>, CliError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let requests: Vec<(LeaseName, Acquire)> = leases
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

    fn assemble(
        &self,
        config: &Config,
        selection: &Selection,
        resolver: &Resolver<'_>,
        gathered: &Gathered,
    ) -> EnvironmentPlan {
        let held = &gathered.held;
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
        for (name, value) in &gathered.values {
            let as_file = config
                .secrets
                .get(name)
                .is_some_and(|secret| secret.as_file);
            let target = if as_file {
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
                if as_variables && selection.selects(name) {
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

    /// `--replace` leaves nobody to clean up, to redact or to renew.
    fn check_replace(
        &self,
        config: &Config,
        leases: &[Chosen<'_>],
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
            let lease = lease.name();
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

/// Each name that was asked for must be there.
fn check_selection(
    config: &Config,
    selection: &Selection,
    leases: &[Chosen<'_>],
) -> Result<(), CliError> {
    let secrets = config
        .secrets
        .values()
        .filter(|secret| secret.env != EnvMode::Never);
    let mut available: Vec<String> = secrets.map(|secret| secret.name.to_string()).collect();
    available.extend(leases.iter().flat_map(|lease| lease.produces.clone()));
    selection.require(available.iter().map(String::as_str), config)
}

/// What a run's work brought.
#[derive(Debug, Default)]
struct Gathered {
    held: Vec<Held>,
    values: Vec<(SecretName, SecretString)>,
    ways: BTreeMap<LeaseName, Vec<Delivery>>,
}

impl Gathered {
    fn is_delivered(&self, lease: &LeaseName, way: Delivery) -> bool {
        self.ways.get(lease).is_some_and(|ways| ways.contains(&way))
    }

    /// What comes later wins, so leases that override others come last.
    fn order_by_override(&mut self, config: &Config) {
        self.held.sort_by_key(|held| {
            let lease = config.leases.get(&held.lease);
            lease.is_some_and(|lease| lease.overrides)
        });
    }
}

/// What the team server keeps must be there: nobody asks a person to approve a run that then does something else.
/// A secret that says what to do without a value is the exception.
fn required(config: &Config) -> BTreeSet<SecretName> {
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

/// Whether a person may have to be waited for.
fn uses_server(config: &Config) -> bool {
    config
        .secrets
        .values()
        .any(|secret| asks_server(config, secret))
}

fn asks_server(config: &Config, secret: &SecretConfig) -> bool {
    let mut providers = config.providers_of(secret);
    providers.any(|provider| provider.spec.name == "fnox-server")
}

fn in_scope(secret: &SecretConfig, selection: &Selection) -> bool {
    secret.env != EnvMode::Never && selection.selects(secret.name.as_str())
}
