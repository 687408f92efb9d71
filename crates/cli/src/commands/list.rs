//! `fnox list`

use fnox_config::{Config, IfMissing, SecretConfig};
use fnox_core::{SecretName, SecretString};
use fnox_providers::resolve::{Policy, ResolveError};
use indexmap::IndexMap;

use super::partial;
use crate::app::{App, block_on};
use crate::args::ListArgs;
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::{ListedSecret, env_mode};
use crate::team::reading::Reading;

pub(crate) fn run(app: &App, args: &ListArgs) -> Result<(), CliError> {
    let config = app.load()?;
    if args.complete {
        return config
            .secrets
            .keys()
            .try_for_each(|name| app.printer.line(name.as_str()));
    }
    let values = if args.values {
        Some(resolve(app, &config)?)
    } else {
        None
    };
    let value_of = |name: &SecretName| values.as_ref().and_then(|values| values.get(name));
    if args.json {
        let listed: Vec<ListedSecret> = config
            .secrets
            .values()
            .map(|secret| ListedSecret {
                name: secret.name.to_string(),
                kind: kind(&config, secret).0,
                provider: config
                    .provider_of(secret)
                    .filter(|_| secret.value.is_some())
                    .map(|name| name.to_string()),
                fallbacks: secret.fallbacks().iter().map(ToString::to_string).collect(),
                reference: reference(&config, secret),
                description: secret.description.clone(),
                env: env_mode(secret.env),
                as_file: secret.as_file,
                source: secret.location.file.path.display().to_string(),
                value: value_of(&secret.name).map(|value| value.expose_secret().to_owned()),
            })
            .collect();
        return app.printer.json(&listed);
    }
    if config.secrets.is_empty() {
        app.printer.note(&format!(
            "No secrets in profile {}.",
            config.profile_label()
        ));
        return Ok(());
    }
    let mut headings = vec!["Key", "Type"];
    if args.sources {
        headings.push("Source File");
    }
    headings.extend(["Provider Key", "Description"]);
    if args.values {
        headings.push("Value");
    }
    let mut table = Table::new(&headings, args.full);
    for secret in config.secrets.values() {
        let mut cells = vec![secret.name.to_string(), kind(&config, secret).1];
        if args.sources {
            cells.push(secret.location.file.path.display().to_string());
        }
        cells.push(shortened(
            &reference(&config, secret).unwrap_or_default(),
            args.full,
        ));
        cells.push(secret.description.clone().unwrap_or_default());
        if args.values {
            cells.push(value_of(&secret.name).map_or_else(
                || "<not available>".to_owned(),
                |value| value.expose_secret().to_owned(),
            ));
        }
        table.row(cells);
    }
    app.printer.line(&table.render())
}

/// The values that can be had. Why the others cannot is told as if all of them might be missing: a table with holes says more
/// than none. Only `--if-missing error` asks for the opposite.
fn resolve(app: &App, config: &Config) -> Result<IndexMap<SecretName, SecretString>, CliError> {
    let is_strict = app.if_missing == Some(IfMissing::Error);
    let mut options = app.reading_options(config, &[])?;
    if !is_strict {
        options.if_missing = Some(IfMissing::Warn);
    }
    let wanted: Vec<SecretName> = config.secrets.keys().cloned().collect();
    let reading = Reading::new(app, config, options, &wanted);
    let resolver = &reading.resolver;
    let tell = |error: ResolveError| {
        if is_strict || ends_the_run(&error) {
            return Err(CliError::from(error));
        }
        app.printer.warn(&error.to_string());
        Ok(())
    };
    let mut names = Vec::new();
    for name in config.secrets.keys() {
        match resolver.closure(std::slice::from_ref(name)) {
            Ok(_) => names.push(name.clone()),
            Err(error) => tell(error)?,
        }
    }
    let resolution = block_on(reading.guard(partial::resolve(resolver, names, tell)))??;
    let is_ignored = |name: &SecretName| {
        let secret = config.secrets.get(name);
        let policy = secret.map(|secret| Policy::of(secret, config, app.if_missing, &app.env));
        policy.is_some_and(|policy| policy.action == IfMissing::Ignore)
    };
    let mut notices = resolution.notices;
    notices.retain(|notice| {
        !resolution.missing.contains(&notice.secret) || !is_ignored(&notice.secret)
    });
    app.tell(&notices);
    Ok(resolution.values)
}

/// Whether it is no matter of one secret.
fn ends_the_run(error: &ResolveError) -> bool {
    match error {
        ResolveError::NotRecorded { .. } => true,
        ResolveError::Provider { error, .. } => error.kind.ends_the_run(),
        _ => false,
    }
}

/// Where the value comes from: a word for programs and one for people.
fn kind(config: &Config, secret: &SecretConfig) -> (&'static str, String) {
    let (word, mut shown) = match (&secret.value, config.provider_of(secret), &secret.default) {
        (Some(_), Some(provider), _) => {
            let later = secret.fallbacks().iter();
            let chain = later.fold(provider.to_string(), |chain, name| {
                format!("{chain}, then {name}")
            });
            ("provider", format!("provider ({chain})"))
        }
        (Some(_), None, _) => ("stored value", "stored value".to_owned()),
        (None, _, Some(_)) => ("default value", "default value".to_owned()),
        (None, Some(provider), None) if Some(&provider) == config.server() => {
            ("provider", format!("provider ({provider})"))
        }
        (None, Some(provider), None) if !secret.providers.is_empty() => {
            ("provider", format!("provider ({provider}), no value yet"))
        }
        (None, _, None) => ("env var", "env var".to_owned()),
    };
    if secret.as_file {
        shown.push_str(" [file]");
    }
    (word, shown)
}

/// The reference under which the provider knows it. A plain value is a value, not a reference.
fn reference(config: &Config, secret: &SecretConfig) -> Option<String> {
    let provider = config.provider_of(secret)?;
    let spec = config.providers.get(&provider)?.spec;
    match (&secret.value, spec.name) {
        (Some(_), "plain") => Some("(plain value)".to_owned()),
        (value, _) => value.clone(),
    }
}

/// Cut to 40 characters.
fn shortened(text: &str, full: bool) -> String {
    if full || text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(37).chain("...".chars()).collect()
}
