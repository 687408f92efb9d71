//! `fnox check`: what is wrong with the configuration, all of it, and whether required secrets resolve.
//!
//! First everything that can be judged without asking a provider ([`fixed`]), then the secrets that must
//! have a value, in one batch ([`values`]). A secret with an error of the first kind is not resolved.

mod fixed;
mod team;
mod values;

use fnox_config::{Config, Location};

use super::export::plural;
use crate::app::App;
use crate::args::CheckArgs;
use crate::error::CliError;
use crate::output::documents::{CheckReport, CheckedServerSecret, Finding, ProviderChain};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Findings {
    fn error(
        &mut self,
        message: impl Into<String>,
        help: Option<String>,
        location: Option<&Location>,
    ) {
        self.errors.push(finding(message.into(), help, location));
    }

    fn warn(
        &mut self,
        message: impl Into<String>,
        help: Option<String>,
        location: Option<&Location>,
    ) {
        self.warnings.push(finding(message.into(), help, location));
    }

    fn fault(&mut self, error: &CliError) {
        self.error(error.to_string(), error.help(), error.location());
    }
}

fn finding(message: String, help: Option<String>, location: Option<&Location>) -> Finding {
    let location = location.filter(|location| !location.file.text.is_empty());
    Finding {
        message,
        help,
        file: location.map(|location| location.file.path.display().to_string()),
        line: location.map(Location::line),
    }
}

pub(crate) fn run(app: &App, args: &CheckArgs) -> Result<(), CliError> {
    let config = app.load()?;
    let mut findings = Findings::default();
    let sound = fixed::examine(app, &config, &mut findings);
    let on_server = team::ServerSecrets::of(&config, &sound);
    let checked = on_server.examine(app, &config, &mut findings)?;
    let resolver = app.resolver(&config);
    let here: Vec<_> = sound
        .into_iter()
        .filter(|name| !on_server.concern(&resolver, name))
        .collect();
    values::examine(app, &config, &here, args.all, &mut findings)?;
    let report = report(&config, findings, checked);
    let errors = report.errors.len();
    if args.json {
        app.printer.json(&report)?;
    } else {
        print(app, &report)?;
    }
    if errors > 0 {
        return Err(CliError::failed(format!(
            "the configuration has {errors} error{}",
            plural(errors)
        )));
    }
    Ok(())
}

fn report(
    config: &Config,
    findings: Findings,
    team_server: Vec<CheckedServerSecret>,
) -> CheckReport {
    let mut profiles: Vec<String> = config.profiles.iter().map(ToString::to_string).collect();
    if profiles.is_empty() {
        profiles.push("default".to_owned());
    }
    CheckReport {
        healthy: findings.errors.is_empty(),
        profiles,
        secrets: config.secrets.len(),
        providers: config.providers.len(),
        leases: config.leases.len(),
        chains: chains(config),
        team_server,
        errors: findings.errors,
        warnings: findings.warnings,
    }
}

/// The chains of providers that secrets name, each once.
pub(super) fn chains(config: &Config) -> Vec<ProviderChain> {
    let mut chains: indexmap::IndexMap<Vec<String>, usize> = indexmap::IndexMap::new();
    for secret in config.secrets.values() {
        if !secret.fallbacks().is_empty() {
            let names = secret.providers.iter().map(ToString::to_string).collect();
            *chains.entry(names).or_default() += 1;
        }
    }
    let chains = chains.into_iter();
    chains
        .map(|(providers, secrets)| ProviderChain { providers, secrets })
        .collect()
}

fn print(app: &App, report: &CheckReport) -> Result<(), CliError> {
    let several = plural(report.profiles.len());
    app.printer
        .line(&format!("Profile{several}: {}", report.profiles.join(", ")))?;
    app.printer.line(&format!("Secrets: {}", report.secrets))?;
    app.printer
        .line(&format!("Providers: {}", report.providers))?;
    if report.leases > 0 {
        app.printer.line(&format!("Leases: {}", report.leases))?;
    }
    for chain in &report.chains {
        app.printer.line(&format!(
            "Chain: {} ({} secret{})",
            chain.providers.join(", then "),
            chain.secrets,
            plural(chain.secrets)
        ))?;
    }
    for secret in &report.team_server {
        app.printer.line(&would_be(secret))?;
    }
    for (word, list) in [("error", &report.errors), ("warning", &report.warnings)] {
        if !list.is_empty() {
            let count = list.len();
            let entries: Vec<String> = list.iter().map(entry).collect();
            // Also with `--quiet`: it is what the command was run for.
            app.printer.say(&format!(
                "{count} {word}{}:\n{}",
                plural(count),
                entries.join("\n")
            ));
        }
    }
    match (report.healthy, report.warnings.is_empty()) {
        (true, true) => app.printer.done("The configuration is healthy"),
        (true, false) => app.printer.done("The configuration is OK, with warnings"),
        (false, _) => {}
    }
    Ok(())
}

/// `Team server: NPM_TOKEN (version 7): a person would be asked`
fn would_be(secret: &CheckedServerSecret) -> String {
    let version = secret
        .version
        .map(|version| format!(" (version {version})"))
        .unwrap_or_default();
    let what = if secret.needs_approval {
        "a person would be asked"
    } else {
        "would be given without asking"
    };
    let mut parts = vec![what.to_owned()];
    let notes = secret.notes.iter();
    parts.extend(notes.map(|note| crate::terminal::harmless(note)));
    let parts = parts.join("; ");
    format!("Team server: {}{version}: {parts}", secret.name)
}

fn entry(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        _ => String::new(),
    };
    let help = finding
        .help
        .as_ref()
        .map(|help| format!("\n    help: {}", help.replace('\n', "\n    ")));
    format!(
        "  - {}{place}{}",
        finding.message.replace('\n', "\n    "),
        help.unwrap_or_default()
    )
}
