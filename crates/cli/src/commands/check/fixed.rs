//! What can be judged without asking anybody.

use std::collections::BTreeSet;

use fnox_config::{Config, LeaseConfig, ProviderConfig, SecretConfig, suggest};
use fnox_core::SecretName;
use fnox_core::age::Recipient;
use fnox_leases::LeaseError;
use fnox_providers::Registry;
use fnox_providers::resolve::{ResolveError, Resolver};

use super::Findings;
use crate::app::App;
use crate::error::CliError;
use crate::push;

/// Examines everything and returns the secrets that can be resolved as far as the configuration goes.
pub(super) fn examine(app: &App, config: &Config, findings: &mut Findings) -> Vec<SecretName> {
    for provider in config.providers.values() {
        examine_provider(app, config, provider, findings);
    }
    for lease in config.leases.values() {
        examine_lease(app, lease, findings);
    }
    #[cfg(unix)]
    examine_rules(app, config, findings);
    let resolver = app.resolver(config);
    let mut cycles = BTreeSet::new();
    let mut sound = Vec::new();
    for secret in config.secrets.values() {
        if examine_secret(config, &resolver, secret, &mut cycles, findings) {
            sound.push(secret.name.clone());
        }
    }
    sound
}

/// The rules for agents, and the leases that they use.
#[cfg(unix)]
fn examine_rules(app: &App, config: &Config, findings: &mut Findings) {
    let Some(proxy) = config.settings.sections.get("proxy") else {
        return;
    };
    if let Err(error) = crate::gateway::rules::read(config, app.folders.home()) {
        return findings.fault(&error);
    }
    let used: BTreeSet<&str> = proxy
        .tables("rules")
        .iter()
        .filter_map(|rule| rule.text("lease"))
        .collect();
    for name in used {
        let Ok(lease) = config.lease(name) else {
            continue;
        };
        let keys = lease.spec.narrowed_by();
        if keys.is_empty() || keys.iter().any(|key| lease.fields.contains(key)) {
            continue;
        }
        findings.warn(
            format!(
                "agents use the lease `{name}`, whose credential may do all that its master may: nothing narrows it"
            ),
            Some(format!("say what it needs: `{}`", keys.join("`, `"))),
            Some(lease.fields.location()),
        );
    }
}

fn examine_provider(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    findings: &mut Findings,
) {
    let name = &provider.name;
    if !Registry.has(provider.spec) {
        findings.warn(
            format!(
                "the provider `{name}` is of type `{}`, which this version of fnox cannot open",
                provider.spec.name
            ),
            None,
            Some(provider.fields.location()),
        );
    }
    if provider.spec.name == "age" {
        for text in provider.fields.list("recipients") {
            if let Err(error) = Recipient::parse(text) {
                let reason = format!("of the provider `{name}` has a wrong one: {error}");
                findings.fault(&provider.fields.invalid("recipients", reason).into());
            }
        }
    }
    for (key, secret) in provider.fields.secrets() {
        if !config.secrets.contains_key(secret) && app.env.var(secret.as_str()).is_none() {
            let names = config.secrets.keys().map(SecretName::as_str);
            let help = suggest::nearest(secret.as_str(), names)
                .map(|name| format!("did you mean `{name}`?"));
            findings.error(
                format!("`{key}` of the provider `{name}` needs `{secret}`, which is neither a secret nor in the environment"),
                help,
                Some(provider.fields.location_of(key)),
            );
        }
    }
    if let Some(identity) = provider.fields.table("identity")
        && let Some(keeper) = identity.text("provider")
        && let Err(error) = config.provider(keeper, Some(identity.location_of("provider")))
    {
        findings.fault(&error.into());
    }
}

fn examine_lease(app: &App, lease: &LeaseConfig, findings: &mut Findings) {
    let name = &lease.name;
    let place = Some(lease.fields.location());
    let mint = match fnox_leases::Registry.open(lease, app.folders.home()) {
        Ok(mint) => mint,
        Err(error) => return findings.fault(&error.into()),
    };
    let limits = mint.limits();
    if let Some(requested) = lease.duration
        && (requested < limits.minimum || requested > limits.maximum)
    {
        let error = LeaseError::DurationOutOfRange {
            lease: name.clone(),
            requested,
            minimum: limits.minimum,
            maximum: limits.maximum,
        };
        let place = Some(lease.fields.location_of("duration"));
        findings.error(error.to_string(), error.help(), place);
    }
    if lease.spec.name == "command" && !lease.fields.contains("consumes") {
        findings.warn(
            format!("the lease `{name}` does not say what it `consumes`: its commands get every secret, and programs get its masters too"),
            Some("list the secrets that it needs: `consumes = [\"NAME\"]`".to_owned()),
            place,
        );
    }
}

/// `true`: nothing fixed keeps it from being resolved.
fn examine_secret(
    config: &Config,
    resolver: &Resolver<'_>,
    secret: &SecretConfig,
    cycles: &mut BTreeSet<BTreeSet<String>>,
    findings: &mut Findings,
) -> bool {
    let name = &secret.name;
    if let Err(error) = resolver.closure(std::slice::from_ref(name)) {
        // Every member of a circle has it, and whoever needs a broken secret has that one's error.
        let is_known = match &error {
            ResolveError::Cycle { chain, .. } => !cycles.insert(chain.iter().cloned().collect()),
            ResolveError::Unfit { name: other, .. } => other != name,
            _ => false,
        };
        let error = CliError::from(error);
        if !is_known
            && !findings
                .errors
                .iter()
                .any(|finding| is_the_same(finding, &error))
        {
            findings.fault(&error);
        }
        return false;
    }
    examine_chain(config, secret, findings);
    for target in &secret.push {
        if !config.settings.targets.contains_key(target) {
            let error = push::unknown(config, target);
            findings.error(
                format!("`push` of the secret `{name}`: {error}"),
                error.help(),
                Some(secret.location_of("push")),
            );
        }
    }
    let provider = config
        .provider_of(secret)
        .and_then(|name| config.providers.get(&name));
    match (&secret.value, provider) {
        (Some(value), Some(provider)) if value.is_empty() && provider.spec.name != "plain" => {
            let help = Some(format!("set it with `fnox set {name}`"));
            findings.error(
                format!("the secret `{name}` has an empty value"),
                help,
                Some(&secret.location),
            );
            return false;
        }
        (Some(_), Some(provider))
            if provider.spec.name == "plain" && !provider.fields.contains("file") =>
        {
            plain_text(secret, findings);
        }
        (Some(_), None) => plain_text(secret, findings),
        _ => {}
    }
    true
}

/// All providers of a chain are asked for the same reference, and one that only repeats it has no value to give.
fn examine_chain(config: &Config, secret: &SecretConfig, findings: &mut Findings) {
    if secret.fallbacks().is_empty() {
        return;
    }
    let repeats = |provider: &&ProviderConfig| {
        provider.spec.name == "plain" && !provider.fields.contains("file")
    };
    for provider in config.providers_of(secret).filter(repeats) {
        findings.error(
            format!(
                "the secret `{}` has `{}` in its list of providers, which would give the reference itself as the value",
                secret.name, provider.name
            ),
            Some("take it out; a value for want of a better one is a `default`".to_owned()),
            Some(secret.location_of("provider")),
        );
    }
}

/// The same thing, found from another secret.
fn is_the_same(finding: &crate::output::documents::Finding, error: &CliError) -> bool {
    let line = error.location().map(fnox_config::Location::line);
    finding.message == error.to_string() && finding.line == line
}

fn plain_text(secret: &SecretConfig, findings: &mut Findings) {
    let name = &secret.name;
    findings.warn(
        format!("the secret `{name}` stands in the file as plain text"),
        Some(format!(
            "if it is secret, store it with a provider: `fnox set {name} --provider NAME`"
        )),
        Some(&secret.location),
    );
}
