//! Providers, age identities, the keychain and the lease ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fnox_config::file::FileConfig;
use fnox_config::{Config, FileKind, LedgerKey, ProviderConfig, SourceFile, spec};
use fnox_core::ProviderName;
use fnox_core::lease::LeaseState;
use fnox_core::prompt::NoPrompt;
use fnox_providers::backend::age::{SourceReport, identity_sources};
use fnox_providers::resolve::Resolver;
use fnox_providers::{Context, ProviderError, Registry, Settings};

use super::Examinations;
use crate::app::App;
use crate::commands::export::plural;
use crate::commands::masters::Masters;
use crate::commands::provider::tested;
use crate::output::documents::Outcome;

pub(super) async fn examine(app: &App, config: Option<&Config>, found: &mut Examinations) {
    if let Some(config) = config {
        // Nobody is asked anything, and no login is offered.
        let mut options = app.resolver_options(config);
        options.prompt = Arc::new(NoPrompt);
        options.prompt_auth = false;
        let resolver = Resolver::new(config, options);
        providers(app, config, &resolver, found).await;
        chains(config, found);
        types(found);
        leases(app, config, found);
        let masters = Masters::new(app, config, &resolver);
        ledger(&masters, found).await;
    } else {
        types(found);
    }
    identities(app, config, found);
    keychain(app, config, found).await;
}

async fn providers(app: &App, config: &Config, resolver: &Resolver<'_>, found: &mut Examinations) {
    let (built, not_built): (Vec<&ProviderConfig>, Vec<&ProviderConfig>) = config
        .providers
        .values()
        .partition(|provider| Registry.has(provider.spec));
    let names: Vec<ProviderName> = built.iter().map(|provider| provider.name.clone()).collect();
    for (name, outcome) in tested(app, resolver, &names).await {
        match outcome {
            Ok(()) => {
                let kind = config
                    .providers
                    .get(&name)
                    .map_or("", |provider| provider.spec.label);
                found.add("providers", name.as_str(), Outcome::Ok, kind);
            }
            Err(error) => found.fault("providers", name.as_str(), &error),
        }
    }
    for provider in not_built {
        let detail = format!(
            "type `{}` cannot be opened by this version of fnox",
            provider.spec.name
        );
        found.add(
            "providers",
            provider.name.as_str(),
            Outcome::Warning,
            detail,
        );
    }
}

fn chains(config: &Config, found: &mut Examinations) {
    for chain in crate::commands::check::chains(config) {
        let several = plural(chain.secrets);
        found.add(
            "providers",
            chain.providers.join(", then "),
            Outcome::Information,
            format!("asked in this order for {} secret{several}", chain.secrets),
        );
    }
}

fn types(found: &mut Examinations) {
    let providers = spec::PROVIDERS
        .iter()
        .filter(|spec| !Registry.has(spec))
        .map(|spec| spec.name);
    let names: Vec<&str> = providers.collect();
    if !names.is_empty() {
        found.add(
            "providers",
            "types not built yet",
            Outcome::Information,
            names.join(", "),
        );
    }
}

/// What is wrong with a lease before anybody is asked for it.
fn leases(app: &App, config: &Config, found: &mut Examinations) {
    for lease in config.leases.values() {
        if let Err(error) = fnox_leases::Registry.open(lease, app.folders.home()) {
            found.fault("leases", lease.name.as_str(), &error.into());
        }
    }
}

async fn ledger(masters: &Masters<'_>, found: &mut Examinations) {
    let leases = match masters.manager().list().await {
        Ok(leases) => leases,
        Err(error) => return found.fault("leases", "ledger", &error.into()),
    };
    let active = leases
        .iter()
        .filter(|lease| lease.state == LeaseState::Active)
        .count();
    found.add(
        "leases",
        "ledger",
        Outcome::Ok,
        format!("{} on record, {active} active", leases.len()),
    );
    let stuck = leases
        .iter()
        .filter(|lease| lease.revocation_failure.is_some())
        .count();
    if stuck > 0 {
        found.add(
            "leases",
            "revocations",
            Outcome::Warning,
            format!("{stuck} did not succeed"),
        );
        found.remedy(Some("try again with `fnox lease cleanup`".to_owned()));
    }
}

/// Where identities are. A place that nobody named and that holds none is not worth a line.
fn identities(app: &App, config: Option<&Config>, found: &mut Examinations) {
    let configured: Vec<ProviderConfig> = config
        .into_iter()
        .flat_map(|config| config.providers.values())
        .filter(|provider| provider.spec.name == "age")
        .cloned()
        .collect();
    let providers = if configured.is_empty() {
        stand_in(app, "age").into_iter().collect()
    } else {
        configured
    };
    let mut seen = BTreeSet::new();
    for provider in providers {
        let Ok(settings) = settings(app, &provider) else {
            continue;
        };
        let mut context = context(app);
        context.age_identities_file =
            config.and_then(|config| config.settings.age_identities_file.clone());
        for report in identity_sources(&settings, &context) {
            if seen.insert(report.source.clone()) {
                identity(report, found);
            }
        }
    }
    if !found.0.iter().any(|one| one.group == IDENTITIES) {
        found.add(IDENTITIES, "sources", Outcome::Information, "none");
        found.remedy(Some("`fnox age keygen` makes one".to_owned()));
    }
}

const IDENTITIES: &str = "age identities";

fn identity(report: SourceReport, found: &mut Examinations) {
    match report.outcome {
        Ok(recipients) if recipients.is_empty() => {
            found.add(
                IDENTITIES,
                report.source,
                Outcome::Ok,
                "identities of a plugin",
            );
        }
        Ok(recipients) => found.add(
            IDENTITIES,
            report.source,
            Outcome::Ok,
            recipients.join(", "),
        ),
        // Another provider keeps it; whether that works, the provider's own line says.
        Err(_)
            if report.is_set
                && report.path.is_none()
                && report.source.starts_with("`identity`") => {}
        Err(reason) if report.is_set => {
            found.add(IDENTITIES, report.source, Outcome::Failure, reason);
        }
        Err(_) => {}
    }
}

/// The keychain matters only to whoever uses it; its providers have lines of their own.
async fn keychain(app: &App, config: Option<&Config>, found: &mut Examinations) {
    let seals =
        config.is_some_and(|config| config.settings.ledger_key == Some(LedgerKey::Keychain));
    let outcome = match probe_keychain(app).await {
        Ok(()) => return found.add("keychain", "service", Outcome::Ok, "it answers"),
        Err(error) => error,
    };
    let severity = if seals {
        Outcome::Failure
    } else {
        Outcome::Information
    };
    found.add("keychain", "service", severity, outcome.to_string());
    if seals {
        found.remedy(outcome.remedy);
    }
}

async fn probe_keychain(app: &App) -> Result<(), ProviderError> {
    let Some(provider) = stand_in(app, "keychain") else {
        return Err(ProviderError::unavailable("it is not built"));
    };
    let opened = Registry.open(&settings(app, &provider)?, &context(app))?;
    tokio::time::timeout(app.provider_time_limit(), opened.check())
        .await
        .unwrap_or_else(|_| Err(ProviderError::unavailable("it does not answer")))
}

fn settings(app: &App, provider: &ProviderConfig) -> Result<Settings, ProviderError> {
    Settings::new(provider.clone(), &BTreeMap::new(), &app.folders, |text| {
        Ok(text.to_owned())
    })
}

fn context(app: &App) -> Context {
    Context::new(app.env.clone(), app.folders.clone(), Arc::new(NoPrompt))
}

/// A provider of a type that nobody configured.
fn stand_in(app: &App, kind: &str) -> Option<ProviderConfig> {
    let keys = if kind == "keychain" {
        "\nservice = \"fnox\""
    } else {
        ""
    };
    let source = SourceFile {
        path: app.cwd.join("fnox.toml"),
        text: format!("[providers.doctor]\ntype = \"{kind}\"{keys}\n"),
        kind: FileKind::Project,
        imported_by: None,
    };
    let file = FileConfig::parse(Arc::new(source)).ok()?;
    file.base.providers.into_values().next()
}
