//! `fnox copy` and `fnox rename`
//!
//! Within the table that defines the secret. A ciphertext may be bound to its name, so the value is encrypted anew; one that
//! is kept elsewhere stays there, under the reference that it has. The file is written once, or not at all.

use fnox_config::Config;
use fnox_config::edit::{Change, Editor};
use fnox_core::{ProviderName, SecretName};
use regex::Regex;

use super::definition::{Definition, Section};
use super::reencrypt;
use crate::app::{App, block_on};
use crate::args::CopyArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;

pub(crate) fn copy(app: &App, args: &CopyArgs) -> Result<(), CliError> {
    run(app, args, false)
}

pub(crate) fn rename(app: &App, args: &CopyArgs) -> Result<(), CliError> {
    run(app, args, true)
}

fn run(app: &App, args: &CopyArgs, goes_away: bool) -> Result<(), CliError> {
    let new = SecretName::parse(&args.new).map_err(|error| CliError::usage(error.to_string()))?;
    let (config, profile) = app.load_for_writing()?;
    let place = definition(app, &config, args)?;
    if new.as_str() == args.key || !args.force && config.secrets.contains_key(&new) {
        return Err(CliError::Usage {
            message: format!("there is a secret `{new}` already"),
            help: (new.as_str() != args.key).then(|| "add `--force` to replace it".to_owned()),
        });
    }
    let suffix = super::set::suffix(profile.as_ref(), false);
    let (would, done) = if goes_away {
        ("rename", "Renamed")
    } else {
        ("copy", "Copied")
    };
    let what = format!("{} to {new}{suffix}", args.key);
    if args.dry_run {
        let file = place.path().display();
        let line = format!("[dry-run] would {would} {what} in {file}");
        return app.printer.line(&line);
    }
    let stored = stored(app, &config, &args.key, &new)?;
    let provider = match &stored {
        Some((provider, _)) => Some(provider.clone()),
        None => config.provider_of(config.secret(&args.key)?),
    };
    let stored = stored.map(|(_, stored)| stored);
    let changed = Changed::secret(&args.key, provider, profile.as_ref()).to(&new);
    let change = if goes_away {
        audit::Change::Rename
    } else {
        audit::Change::Copy
    };
    audit::changing(app, Some(&config), change, [changed], || {
        let stored = stored.as_deref();
        written(app, (&args.key, &new), stored, &place, goes_away)
    })?;
    app.printer.done(&format!("{done} {what}"));
    Ok(())
}

/// Writes the entry under its new name, and takes the old one out if it goes away.
fn written(
    app: &App,
    (key, new): (&str, &SecretName),
    stored: Option<&str>,
    place: &Definition,
    goes_away: bool,
) -> Result<(), CliError> {
    let mut editor = Editor::open(place.path(), place.kind.clone())?;
    let table = place.table();
    editor.remove(&table, new.as_str())?;
    let mut changes = Vec::new();
    for (field, value) in editor.entry(&table, key).unwrap_or_default() {
        let change = match (stored, field.as_str()) {
            // What is beside it is bound to the old name.
            (_, "sync") if goes_away => Change::Remove,
            (_, "sync") => continue,
            (Some(stored), "value" | "ref") => Change::text(stored),
            _ if goes_away => continue,
            _ => Change::Set(value),
        };
        changes.push((field, change));
    }
    let changes: Vec<(&str, Change)> = changes
        .iter()
        .map(|(field, change)| (field.as_str(), change.clone()))
        .collect();
    if goes_away {
        editor.rename(&table, key, new.as_str())?;
    }
    editor.set(&table, new.as_str(), &changes)?;
    if goes_away {
        tell_mentions(app, key, editor.text());
    }
    Ok(editor.save(&app.folders)?)
}

/// Where the secret stands, which must be the file that writing commands write to.
fn definition(app: &App, config: &Config, args: &CopyArgs) -> Result<Definition, CliError> {
    let secret = config.secret(&args.key)?;
    let is_on_server = secret.value.is_none()
        && config.server().is_some()
        && config.provider_of(secret).as_ref() == config.server();
    if is_on_server {
        return Err(CliError::usage(format!(
            "`{}` is kept on the team server under its name: store it there under the other one with `fnox secret set`",
            args.key
        )));
    }
    let profile = app.write_target()?;
    let (path, _) = app.file_to_write(false, profile.as_ref());
    let path = path.canonicalize().unwrap_or(path);
    let place = Definition::find(&secret.location, Section::Secrets, &args.key);
    place
        .filter(|place| {
            let file = place.path().canonicalize();
            file.is_ok_and(|file| file == path) && place.profile == profile
        })
        .ok_or_else(|| CliError::Usage {
            message: format!(
                "the secret `{}` is not defined in {}{}",
                args.key,
                path.display(),
                profile.as_ref().map(|profile| format!(", profile {profile}")).unwrap_or_default()
            ),
            help: Some(format!(
                "it stands in {}, line {}: change to that folder, name the file with `-c`, or its profile with `-P` (none for the base)",
                secret.location.file.path.display(),
                secret.location.line()
            )),
        })
}

/// The ciphertext for the new name, and whose it is. `None`: nothing is encrypted.
fn stored(
    app: &App,
    config: &Config,
    key: &str,
    new: &SecretName,
) -> Result<Option<(ProviderName, String)>, CliError> {
    let Ok(candidate) = reencrypt::candidate(config, config.secret(key)?) else {
        return Ok(None);
    };
    let profile = candidate.definition().profile.clone();
    let profile = profile.as_ref();
    block_on(async {
        let resolver = app.resolver(config);
        let read = reencrypt::read(&resolver, vec![candidate.clone()]).await?;
        let Some((candidate, outcome)) = read.into_iter().next() else {
            return Ok(None);
        };
        let given = match outcome {
            Ok(given) => given,
            // What another of its providers knows it by is bound to no name.
            Err(_) if candidate.may_be_reference() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let values = [(new.clone(), given.value)];
        let stored = reencrypt::store(app, config, &given.provider, profile, &values).await?;
        let stored = stored.into_iter().next();
        Ok(stored.map(|stored| (given.provider, stored)))
    })?
}

/// What a file still says about the old name, which nobody but the person can judge.
fn tell_mentions(app: &App, key: &str, text: &str) {
    let Ok(pattern) = Regex::new(&format!(r"\b{}\b", regex::escape(key))) else {
        return;
    };
    let lines = text.lines().zip(1..);
    let lines: Vec<String> = lines
        .filter(|(line, _)| pattern.is_match(line))
        .map(|(_, number)| number.to_string())
        .collect();
    if !lines.is_empty() {
        app.printer.warn(&format!(
            "`{key}` is still named in line {} of the file",
            lines.join(", ")
        ));
    }
}
