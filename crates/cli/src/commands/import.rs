//! `fnox import`
//!
//! All or nothing: the input is read, its names checked and its values encrypted in one batch before the
//! file is touched, and the file is written once.

mod declared;
mod encrypted;
mod input;
mod vendor;

use std::path::Path;

use fnox_config::edit::{Change, Editor};
use fnox_config::spec::Capability;
use fnox_config::{Config, FileKind, ProviderConfig};
use fnox_core::{ProfileName, SecretName, SecretString};
use fnox_providers::ProviderError;
use indexmap::IndexMap;
use regex::Regex;

pub(super) use self::input::read_pairs;
use super::export::plural;
use crate::app::{App, block_on};
use crate::args::{ImportArgs, ImportFormat};
use crate::audit::{self, Changed};
use crate::commands::difference::Difference;
use crate::error::CliError;
use crate::output::documents::ImportPlan;

/// How many names the question shows.
const NAMES_SHOWN: usize = 10;

type Values = IndexMap<SecretName, SecretString>;

pub(crate) fn run(app: &App, args: &ImportArgs) -> Result<(), CliError> {
    if args.input.is_none() && !args.force && !args.dry_run {
        return Err(CliError::Usage {
            message: "stdin brings the secrets, so it cannot answer a question too".to_owned(),
            help: Some(
                "add `--force` to import without asking, or `-n` to see what would be imported"
                    .to_owned(),
            ),
        });
    }
    if declared::is_declared(args.format) {
        return declared::run(app, args);
    }
    let Some(provider) = &args.provider else {
        return Err(no_provider());
    };
    let (config, profile) = app.load_for_adding()?;
    let provider = encrypting_provider(&config, provider)?;
    let file = args.input.as_ref().map(|path| app.cwd.join(path));
    let values = chosen(args, read_pairs(app, file.as_deref(), args.format)?)?;
    if values.is_empty() && !args.json {
        app.printer.note("There is nothing to import.");
        return Ok(());
    }
    if args.format == ImportFormat::Env {
        tell_references(app, &values);
    }
    let (path, kind) = app.file_to_write(args.global, profile.as_ref());
    let what = format!(
        "{} secret{} into profile {}",
        values.len(),
        plural(values.len()),
        profile.as_ref().map_or("default", ProfileName::as_str)
    );
    if args.dry_run {
        let difference = Difference::of(app, &config, &values)?;
        if args.json {
            return app.printer.json(&ImportPlan {
                profile: profile.as_ref().map_or("default", ProfileName::as_str),
                provider: provider.name.as_str(),
                file: path.display().to_string(),
                secrets: difference.documents(),
            });
        }
        app.printer.line(&format!(
            "[dry-run] would import {what}, encrypted by {}, in {}",
            provider.name,
            path.display()
        ))?;
        return difference.print(app);
    }
    let names: Vec<String> = values
        .keys()
        .map(|name| match config.secrets.get(name) {
            Some(secret) if secret.value.is_some() => format!("{name} (replaces its value)"),
            _ => name.to_string(),
        })
        .collect();
    if !args.force && !confirmed(app, &what, &names)? {
        app.printer.note("Import cancelled.");
        return Ok(());
    }
    let changed = values
        .keys()
        .map(|name| Changed::secret(name, Some(&provider.name), profile.as_ref()));
    audit::changing(app, Some(&config), audit::Change::Import, changed, || {
        let stored = encrypt(app, &config, provider, &values)?;
        write(
            app,
            &config,
            (provider, profile.as_ref()),
            (&path, kind),
            &stored,
        )
    })?;
    let global = if args.global { " (global)" } else { "" };
    app.printer.done(&format!(
        "Imported {what} using provider {}{global}",
        provider.name
    ));
    Ok(())
}

fn no_provider() -> CliError {
    CliError::Usage {
        message: "the provider that encrypts the values is missing: `--provider NAME`".to_owned(),
        help: Some(
            "`fnox provider list` shows the names; `fnox provider add age age` makes one"
                .to_owned(),
        ),
    }
}

fn encrypting_provider<'a>(config: &'a Config, name: &str) -> Result<&'a ProviderConfig, CliError> {
    let provider = config.provider(name, None)?;
    let reads_a_file = provider.spec.name == "plain" && provider.fields.contains("file");
    if provider.capability == Capability::EncryptsInConfig && !reads_a_file {
        return Ok(provider);
    }
    Err(CliError::Usage {
        message: format!(
            "the provider `{name}` ({}) does not encrypt values into fnox.toml, so nothing can be imported with it",
            provider.spec.label
        ),
        help: Some("name a provider that does, such as one of type `age`".to_owned()),
    })
}

/// Tells of values that a shell or another reader of such files would put together from other variables: fnox does not, since
/// a secret may well have a `$` in it.
fn tell_references(app: &App, values: &Values) {
    let refers = |value: &SecretString| {
        let mut parts = value.expose_secret().split('$').skip(1);
        parts.any(|part| {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            part.starts_with('{') || values.contains_key(&part[..end.unwrap_or(part.len())])
        })
    };
    let found = values.iter().filter(|(_, value)| refers(value));
    let names: Vec<String> = found.map(|(name, _)| format!("`{name}`")).collect();
    if !names.is_empty() {
        app.printer.warn(&format!(
            "{} name other variables with `$`, and are stored as they are written: a value of fnox refers to nothing. Where a \
             secret is put together from others, give it `default = \"…${{NAME}}…\"` instead",
            names.join(", ")
        ));
    }
}

/// Filter, prefix, and names that can be environment variables. A name that comes twice has its last value.
fn chosen(args: &ImportArgs, pairs: Vec<(String, SecretString)>) -> Result<Values, CliError> {
    let filter = args.filter.as_deref().map(pattern).transpose()?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let mut values = Values::new();
    let mut refused = Vec::new();
    for (name, value) in pairs {
        if filter
            .as_ref()
            .is_some_and(|filter| !filter.is_match(&name))
        {
            continue;
        }
        let name = format!("{prefix}{name}");
        match SecretName::parse(&name) {
            Ok(name) => {
                values.insert(name, value);
            }
            Err(_) => refused.push(format!("`{}`", name.escape_debug())),
        }
    }
    match refused.as_slice() {
        [] => Ok(values),
        names => Err(not_variables(names)),
    }
}

fn not_variables(names: &[String]) -> CliError {
    CliError::Input {
        what: "the input".to_owned(),
        reason: format!("these names cannot be environment variables: {}", names.join(", ")),
        help: Some(
            "names have letters, digits and `_`, and begin with no digit; `--filter` leaves others out".to_owned(),
        ),
    }
}

/// The regular expression of `--filter`.
pub(super) fn pattern(text: &str) -> Result<Regex, CliError> {
    Regex::new(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        CliError::usage(format!(
            "`{}` is not a regular expression: {reason}",
            text.escape_debug()
        ))
    })
}

fn confirmed(app: &App, what: &str, names: &[String]) -> Result<bool, CliError> {
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to import".to_owned(),
            help: Some("add `--force` to import without asking".to_owned()),
        });
    }
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let shown = names.iter().take(NAMES_SHOWN);
    let mut lines: Vec<String> = shown.map(|name| format!("  {name}")).collect();
    if more > 0 {
        lines.push(format!("  … and {more} more"));
    }
    app.prompt.message(&lines.join("\n"));
    Ok(app
        .prompt
        .confirm(&format!("Import {what}?"), "yes", Some("no"))
        == Some(true))
}

fn encrypt(
    app: &App,
    config: &Config,
    provider: &ProviderConfig,
    values: &Values,
) -> Result<Vec<(SecretName, String)>, CliError> {
    let failed = |error| CliError::Provider {
        provider: provider.name.to_string(),
        action: "encrypt the values",
        error,
    };
    let batch: Vec<(SecretName, SecretString)> = values
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let work = async {
        let opened = app.resolver(config).open(provider.name.as_str()).await?;
        let stored = opened.provider.encrypt(&batch).await.map_err(failed)?;
        if stored.len() != batch.len() {
            return Err(failed(ProviderError::unavailable(
                "it did not answer for every value",
            )));
        }
        Ok::<_, CliError>(stored)
    };
    let stored = block_on(work)??;
    Ok(batch
        .into_iter()
        .map(|(name, _)| name)
        .zip(stored)
        .collect())
}

fn write(
    app: &App,
    config: &Config,
    (provider, profile): (&ProviderConfig, Option<&ProfileName>),
    (path, kind): (&Path, FileKind),
    stored: &[(SecretName, String)],
) -> Result<(), CliError> {
    let mut editor = Editor::open(path, kind)?;
    for (name, value) in stored {
        let table = editor.secrets_table(profile, name.as_str());
        let mut table: Vec<&str> = table.iter().map(String::as_str).collect();
        let is_new_here = !editor.has(&table, name.as_str());
        table.push(name.as_str());
        let (uses_ref, has_copy) = (editor.has(&table, "ref"), editor.has(&table, "sync"));
        table.pop();
        let mut changes = vec![
            ("provider", Change::text(provider.name.as_str())),
            (if uses_ref { "ref" } else { "value" }, Change::text(value)),
        ];
        if is_new_here {
            changes.extend(super::set::inherited(config.secrets.get(name)));
        }
        if has_copy {
            // The copy is of the old value.
            changes.push(("sync", Change::Remove));
        }
        editor.set(&table, name.as_str(), &changes)?;
    }
    Ok(editor.save(&app.folders)?)
}
