//! Whether secrets have values now.

use std::collections::BTreeSet;

use fnox_config::{Config, IfMissing, SecretConfig};
use fnox_core::SecretName;
use fnox_providers::ErrorKind;
use fnox_providers::resolve::{Notice, Policy, Resolution, Resolver};

use super::Findings;
use crate::app::{App, block_on};
use crate::commands::partial;
use crate::error::CliError;

/// The shortest value that a gateway looks for in answers.
const SHORTEST_LOOKED_FOR: usize = 8;

/// Resolves the secrets that must have a value, or all, and says which have none. Of the others nobody is asked.
pub(super) fn examine(
    app: &App,
    config: &Config,
    sound: &[SecretName],
    all: bool,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let secrets: Vec<&SecretConfig> = sound
        .iter()
        .filter_map(|name| config.secrets.get(name))
        .collect();
    let (wanted, others): (Vec<&SecretConfig>, Vec<&SecretConfig>) = secrets
        .into_iter()
        .partition(|secret| all || stops_a_run(app, config, secret, ErrorKind::NotFound));
    examine_sources(app, config, &others, findings);
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<SecretName> = wanted.iter().map(|secret| secret.name.clone()).collect();
    let mut options = app.resolver_options(config);
    options.if_missing = Some(IfMissing::Warn);
    let resolver = Resolver::new(config, options);
    let work = partial::resolve(&resolver, names, |error| {
        findings.fault(&error.into());
        Ok(())
    });
    let resolution = block_on(work)??;
    too_short(config, &resolution, findings);
    for secret in wanted {
        if !resolution.missing.contains(&secret.name) {
            continue;
        }
        let why = reason(&resolution.notices, &secret.name);
        let could_be_asked = !resolution.unavailable.contains(&secret.name);
        let help = Some(
            match config.provider_of(secret).filter(|_| !could_be_asked) {
                Some(provider) => format!("`fnox provider test {provider}` says what it needs"),
                None => format!(
                    "set it with `fnox set {}`, or export it in the environment",
                    secret.name
                ),
            },
        );
        let message = format!("the secret `{}` cannot be resolved: {why}", secret.name);
        let kind = if could_be_asked {
            ErrorKind::NotFound
        } else {
            ErrorKind::Unavailable
        };
        if stops_a_run(app, config, secret, kind) {
            findings.error(message, help, Some(&secret.location));
        } else {
            findings.warn(message, help, Some(&secret.location));
        }
    }
    for notice in resolution
        .notices
        .iter()
        .filter(|notice| !resolution.missing.contains(&notice.secret))
    {
        let location = config
            .secrets
            .get(&notice.secret)
            .map(|secret| &secret.location);
        findings.warn(notice.message.clone(), None, location);
    }
    Ok(())
}

/// Whether a run would stop if the secret cannot be had for this reason.
fn stops_a_run(app: &App, config: &Config, secret: &SecretConfig, kind: ErrorKind) -> bool {
    Policy::of(secret, config, app.if_missing, &app.env).stops(kind)
}

/// Of secrets that are not resolved: whether they have a source, and where a run would stop otherwise, whether its settings
/// are right.
fn examine_sources(app: &App, config: &Config, secrets: &[&SecretConfig], findings: &mut Findings) {
    let resolver = app.resolver(config);
    let mut examined = BTreeSet::new();
    for secret in secrets {
        if let Some(message) = without_source(app, config, secret) {
            findings.warn(message, None, Some(&secret.location));
            continue;
        }
        let has_default = secret.default.is_some();
        if has_default || !stops_a_run(app, config, secret, ErrorKind::Misconfigured) {
            continue;
        }
        let Ok(Some((provider, _))) = resolver.source(&secret.name) else {
            continue;
        };
        if examined.insert(provider.clone())
            && let Err(error) = resolver.examine(provider.as_str())
        {
            findings.fault(&error.into());
        }
    }
}

/// The secrets of `[[proxy.rules]]` whose values are too short to be looked for in answers.
fn too_short(config: &Config, resolution: &Resolution, findings: &mut Findings) {
    let proxy = config.settings.sections.get("proxy");
    let rules = proxy.map_or(&[][..], |proxy| proxy.tables("rules"));
    for rule in rules {
        let Some(name) = rule.text("secret") else {
            continue;
        };
        let value = resolution.values.get(name);
        if value.is_some_and(|value| value.expose_secret().len() < SHORTEST_LOOKED_FOR) {
            findings.warn(
                format!(
                    "the secret `{name}` has fewer than {SHORTEST_LOOKED_FOR} bytes: the gateway does not look for it in answers, \
                     so one that repeats it shows it to the program"
                ),
                Some("use a longer one".to_owned()),
                Some(rule.location_of("secret")),
            );
        }
    }
}

fn reason(notices: &[Notice], name: &SecretName) -> String {
    let notice = notices.iter().find(|notice| notice.secret == *name);
    let message = notice.map_or("it has no value", |notice| notice.message.as_str());
    let head = format!("the secret `{name}` is left out: ");
    message.strip_prefix(&head).unwrap_or(message).to_owned()
}

/// A secret that neither a provider nor a default nor the environment has.
fn without_source(app: &App, config: &Config, secret: &SecretConfig) -> Option<String> {
    let on_server =
        config.provider_of(secret).as_ref() == config.server() && config.server().is_some();
    let has_source = secret.sync.is_some()
        || (secret.value.is_some() && config.provider_of(secret).is_some())
        || secret.default.is_some()
        || on_server
        || app.env.var(secret.name.as_str()).is_some();
    let named = config.provider_of(secret);
    (!has_source).then(|| match named {
        Some(provider) => format!(
            "the secret `{name}` has no value yet: `fnox set {name}` gives one to the provider `{provider}`",
            name = secret.name
        ),
        None => format!(
            "the secret `{}` has no source: no provider, no default, and the variable is not set",
            secret.name
        ),
    })
}
