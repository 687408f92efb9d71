//! What the team server would be asked, without asking anybody.
//!
//! Resolving its secrets here would push a request to people's phones each time somebody checks a file.

use std::collections::{BTreeMap, BTreeSet};

use fnox_config::{Config, ProviderConfig, SecretConfig};
use fnox_core::SecretName;
use fnox_providers::provider::Preview;
use fnox_providers::resolve::{ResolveError, Resolver};
use fnox_providers::{ErrorKind, ProviderError, Request};

use super::Findings;
use crate::app::{App, block_on};
use crate::error::CliError;
use crate::output::documents::CheckedServerSecret;

/// The secrets that a team server keeps.
#[derive(Debug, Default)]
pub(super) struct ServerSecrets<'a> {
    by_provider: BTreeMap<&'a str, Vec<&'a SecretConfig>>,
}

impl<'a> ServerSecrets<'a> {
    pub(super) fn of(config: &'a Config, sound: &[SecretName]) -> Self {
        let mut by_provider: BTreeMap<&str, Vec<&SecretConfig>> = BTreeMap::new();
        let secrets = sound.iter().filter_map(|name| config.secrets.get(name));
        // A synced copy is read here, not there.
        for secret in secrets.filter(|secret| secret.sync.is_none()) {
            if let Some(provider) = server_of(config, secret) {
                by_provider
                    .entry(provider.name.as_str())
                    .or_default()
                    .push(secret);
            }
        }
        Self { by_provider }
    }

    /// Whether resolving a secret would ask the server for anything.
    pub(super) fn concern(&self, resolver: &Resolver<'_>, name: &SecretName) -> bool {
        if self.by_provider.is_empty() {
            return false;
        }
        let names: BTreeSet<&SecretName> = self
            .by_provider
            .values()
            .flatten()
            .map(|secret| &secret.name)
            .collect();
        resolver
            .closure(std::slice::from_ref(name))
            .is_ok_and(|all| all.iter().any(|name| names.contains(name)))
    }

    /// Asks the servers what they would do.
    pub(super) fn examine(
        &self,
        app: &App,
        config: &Config,
        findings: &mut Findings,
    ) -> Result<Vec<CheckedServerSecret>, CliError> {
        if self.by_provider.is_empty() {
            return Ok(Vec::new());
        }
        examine_writers(config, findings);
        let mut checked = Vec::new();
        let resolver = app.resolver(config);
        block_on(async {
            for (provider, secrets) in &self.by_provider {
                let answers = ask(&resolver, provider, secrets).await;
                let answers = match answers {
                    Ok(answers) => answers,
                    Err(error) => {
                        findings.fault(&error.into());
                        continue;
                    }
                };
                // That nobody is logged in is told once, not for each secret.
                let mut told = BTreeSet::new();
                for (secret, answer) in secrets.iter().zip(answers) {
                    match answer {
                        Ok(preview) => checked.push(shown(provider, secret, preview)),
                        Err(error) => tell(secret, provider, &error, &mut told, findings),
                    }
                }
            }
        })?;
        Ok(checked)
    }
}

fn server_of<'a>(config: &'a Config, secret: &SecretConfig) -> Option<&'a ProviderConfig> {
    let provider = config.providers.get(&config.provider_of(secret)?)?;
    (provider.spec.name == "fnox-server").then_some(provider)
}

async fn ask(
    resolver: &Resolver<'_>,
    provider: &str,
    secrets: &[&SecretConfig],
) -> Result<Vec<Result<Preview, ProviderError>>, ResolveError> {
    let opened = resolver.open(provider).await?;
    let mut requests: Vec<Request> = Vec::with_capacity(secrets.len());
    for secret in secrets {
        requests.extend(resolver.source(&secret.name)?.map(|(_, request)| request));
    }
    Ok(opened.provider.preview(&requests).await)
}

fn examine_writers(config: &Config, findings: &mut Findings) {
    let Some(project) = &config.settings.project else {
        return;
    };
    if project.fields.list("writers").is_empty() {
        findings.warn(
            "nobody checks who wrote the values of the team server: `[project] writers` names no key",
            Some(
                "`fnox age keygen` makes a writer key and prints its public part, `fxwp_…`"
                    .to_owned(),
            ),
            Some(project.fields.location()),
        );
    }
}

fn shown(provider: &str, secret: &SecretConfig, preview: Preview) -> CheckedServerSecret {
    CheckedServerSecret {
        name: secret.name.to_string(),
        provider: provider.to_owned(),
        version: preview.version,
        needs_approval: preview.needs_approval || secret.require_approval,
        notes: preview.notes,
    }
}

fn tell(
    secret: &SecretConfig,
    provider: &str,
    error: &ProviderError,
    told: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let is_about_us = matches!(
        error.kind,
        ErrorKind::AuthenticationNeeded | ErrorKind::Unavailable
    );
    if is_about_us {
        if told.insert(error.to_string()) {
            findings.warn(
                format!("what `{provider}` would ask is not known: {error}"),
                error.remedy.clone(),
                None,
            );
        }
        return;
    }
    let message = format!("the secret `{}` would be refused: {error}", secret.name);
    let is_required = secret.if_missing.is_none() && secret.default.is_none();
    if is_required {
        findings.error(message, error.remedy.clone(), Some(&secret.location));
    } else {
        findings.warn(message, error.remedy.clone(), Some(&secret.location));
    }
}
