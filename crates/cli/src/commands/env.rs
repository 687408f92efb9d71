//! `fnox env --json`: what a program would get, for tools that start programs themselves.
//!
//! The document is a contract with such tools: one line on stdout, whatever happens, and the exit code 1 for every
//! failure but a wrong command line. Everything that is for people goes to stderr.

pub(crate) mod documents;
mod keys;

use fnox_config::Config;
use fnox_core::{ExitStatus, SecretName, SecretString};
use indexmap::IndexMap;

use self::documents::{Document, Environment, Failure, Problem, SCHEMA};
use self::keys::{Catalog, InvalidKeys};
use super::exec::gathering::{self, Gathered, Gathering, Scope};
use super::exec::leases;
use super::masters::Masters;
use super::selection::Selection;
use crate::app::{App, block_on};
use crate::args::{EnvArgs, EnvScope, RunArgs};
use crate::error::CliError;
use crate::exec::plan::EnvironmentPlan;
use crate::output::report;
use crate::team::reading::Reading;

/// Why there is no environment: in which phase, and what.
#[derive(Debug)]
enum Stop {
    Configuration(CliError),
    Keys(InvalidKeys),
    Resolution(CliError),
}

pub(crate) fn run(app: &App, args: &EnvArgs) -> Result<ExitStatus, CliError> {
    if !args.json {
        return Err(CliError::Failed {
            message: "`fnox env` prints only JSON, for programs, and wants `--json`; \
                      `fnox export` prints secrets for people and shells"
                .to_owned(),
            code: "cli::only_json",
        });
    }
    match print(app, args) {
        Ok(printed) => printed.map(|()| ExitStatus::Success),
        Err(stop) => fail(app, stop),
    }
}

/// The outer failure is the environment's, the inner one the output's.
fn print(app: &App, args: &EnvArgs) -> Result<Result<(), CliError>, Stop> {
    let config = app.load().map_err(Stop::Configuration)?;
    let scope = match args.scope {
        EnvScope::Exec => Scope::Exec,
        EnvScope::Shell => Scope::Shell,
    };
    let catalog = Catalog::new(app, &config).map_err(Stop::Configuration)?;
    let keys = args.keys.as_deref().map(distinct);
    if let Some(keys) = &keys {
        catalog.check(keys, scope).map_err(Stop::Keys)?;
    }
    if args.describe {
        let description = catalog
            .describe(keys.as_deref())
            .map_err(Stop::Configuration)?;
        let document = Document::Description(description);
        return Ok(app.printer.json_line(&document));
    }
    let got = resolve(app, &config, scope, keys.as_deref()).map_err(Stop::Resolution)?;
    Ok(app.printer.json_line(&got.document(&config, args.scope)))
}

/// The keys in their order, each once.
fn distinct(keys: &[String]) -> Vec<&str> {
    let mut seen = std::collections::BTreeSet::new();
    let keys = keys.iter().map(String::as_str);
    keys.filter(|key| seen.insert(*key)).collect()
}

/// What came of resolving.
#[derive(Debug)]
struct Got {
    plan: EnvironmentPlan,
    missing: Vec<String>,
    leases: Vec<String>,
}

fn resolve(
    app: &App,
    config: &Config,
    scope: Scope,
    keys: Option<&[&str]>,
) -> Result<Got, CliError> {
    let args = RunArgs {
        // None of them can be a pattern: each is a secret's or a lease's variable.
        only: keys
            .unwrap_or_default()
            .iter()
            .map(|key| (*key).to_owned())
            .collect(),
        ..RunArgs::default()
    };
    let selection = Selection::new(&args.only, &[])?;
    let mut leases = if scope == Scope::Exec {
        leases::chosen(app, config, &selection, &args)?
    } else {
        Vec::new()
    };
    leases.retain(|lease| {
        let is_in_environment = lease.is_in_environment();
        if !is_in_environment {
            app.printer.note(&format!(
                "the lease `{}` is left out: only fnox itself can deliver it, for `fnox exec`",
                lease.name()
            ));
        }
        is_in_environment
    });
    let mut options = app.reading_options(config, &[])?;
    options.required = gathering::required(config);
    let wanted = config
        .secrets
        .values()
        .filter(|secret| scope.has(config, secret) && selection.selects(secret.name.as_str()));
    let wanted: Vec<SecretName> = wanted.map(|secret| secret.name.clone()).collect();
    let reading = Reading::new(app, config, options, &wanted);
    let resolver = &reading.resolver;
    let gathering = Gathering {
        app,
        config,
        selection: &selection,
        leases: &leases,
        resolver,
        scope,
        require_leases: false,
        keep: &[],
    };
    let mut gathered = Gathered::default();
    if gathering.has_work() {
        let masters = Masters::new(app, config, resolver);
        gathered = block_on(reading.guard(gathering.gather(&masters.manager())))??;
        leases::check_issued(&leases, &gathered.held)?;
        gathered.order_by_override(config);
    }
    let plan = gathering.assemble(&gathered);
    plan.check()?;
    let is_set = |name: &str| plan.set.iter().any(|(other, _)| other == name);
    let missing = gathered.missing.iter().map(ToString::to_string);
    Ok(Got {
        missing: missing.filter(|name| !is_set(name)).collect(),
        leases: gathered
            .held
            .iter()
            .map(|held| held.lease.to_string())
            .collect(),
        plan,
    })
}

impl Got {
    fn document(&self, config: &Config, scope: EnvScope) -> Document<'_> {
        let is_given = |name: &str| {
            let given = self.plan.set.iter().chain(&self.plan.files);
            given.into_iter().any(|(other, _)| other == name)
        };
        Document::Environment(Environment {
            schema: SCHEMA,
            fnox_version: env!("CARGO_PKG_VERSION"),
            scope: match scope {
                EnvScope::Exec => "exec",
                EnvScope::Shell => "shell",
            },
            profile: profiles(config),
            set: texts(&self.plan.set),
            files: texts(&self.plan.files),
            remove: self
                .plan
                .remove
                .iter()
                .map(String::as_str)
                .filter(|name| !is_given(name))
                .collect(),
            missing: self.missing.clone(),
            leases: self.leases.clone(),
        })
    }
}

fn texts(list: &[(String, SecretString)]) -> IndexMap<&str, &str> {
    list.iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect()
}

fn profiles(config: &Config) -> Vec<String> {
    if config.selected_profiles.is_empty() {
        return vec!["default".to_owned()];
    }
    let selected = config.selected_profiles.iter();
    selected.map(ToString::to_string).collect()
}

/// Tells the program on stdout and the person on stderr.
fn fail(app: &App, stop: Stop) -> Result<ExitStatus, CliError> {
    let (kind, error, keys) = match stop {
        Stop::Configuration(error) => ("config", error, InvalidKeys::default()),
        Stop::Resolution(error) => ("resolution", error, InvalidKeys::default()),
        Stop::Keys(keys) => ("invalid_keys", keys.error(), keys),
    };
    report(&error, app.printer);
    app.printer.json_line(&Document::Failure(Failure {
        schema: SCHEMA,
        error: Problem {
            kind,
            message: error.to_string(),
            code: error.code(),
            unknown: keys.unknown,
            suggestions: keys.suggestions,
            not_injectable: keys.not_injectable,
        },
    }))?;
    Ok(ExitStatus::Failure)
}
