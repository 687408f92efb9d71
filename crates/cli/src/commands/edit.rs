//! `fnox edit`: the configuration, or one value, in the person's editor.
//!
//! What the editor gets is a private file that goes away with the command, even if that is killed. Nothing is written before
//! all of it can be, and what was typed is not lost over a mistake: the editor opens again.

mod document;
mod editor;

use fnox_config::Config;
use fnox_config::spec::Capability;
use fnox_core::{SecretName, SecretString};

use self::document::Document;
use self::editor::Session;
use super::export::plural;
use super::reencrypt::{self, Candidate};
use super::sync::apart;
use crate::app::{App, block_on};
use crate::args::EditArgs;
use crate::error::CliError;
use crate::output::report;

pub(crate) fn run(app: &App, args: &EditArgs) -> Result<(), CliError> {
    match &args.key {
        Some(key) => one(app, key),
        None => whole(app, args.global),
    }
}

/// The whole file, with the values that can be read in the place of ciphertexts.
fn whole(app: &App, global: bool) -> Result<(), CliError> {
    let profile = app.write_target()?;
    let (path, kind) = app.file_to_write(global, profile.as_ref());
    let document = Document::open(app, &path, kind)?;
    let session = Session::start(app, "fnox.toml", &document.shown)?;
    let changed = edited(app, &session, &document.shown, |text| {
        document.take_back(app, text)
    })?;
    match changed {
        None => app.printer.note("Nothing was changed."),
        Some(count) => app.printer.done(&format!(
            "Wrote {} ({count} value{} encrypted)",
            path.display(),
            plural(count)
        )),
    }
    Ok(())
}

/// One value, exactly as it is stored.
fn one(app: &App, key: &str) -> Result<(), CliError> {
    let config = app.load()?;
    let candidate = reencrypt::editable(&config, config.secret(key)?)
        .map_err(|reason| CliError::usage(format!("`{key}` cannot be edited: {reason}")))?;
    let before = read(app, &config, &candidate)?;
    let name = candidate.name().clone();
    let session = Session::start(app, name.as_str(), &before)?;
    let changed = edited(app, &session, &before, |text| {
        let value = without_added_line_end(&before, text);
        if value == before {
            return Ok(false);
        }
        store(app, &config, &candidate, &name, value)?;
        apart::forget(config.secret(key)?)?;
        Ok(true)
    })?;
    if changed == Some(true) {
        app.printer.done(&format!("Set {name}"));
    } else {
        app.printer.note("Nothing was changed.");
    }
    Ok(())
}

/// Lets the person edit until what they made can be used, or they give up. `None`: they changed nothing.
fn edited<T>(
    app: &App,
    session: &Session,
    before: &SecretString,
    mut take: impl FnMut(&SecretString) -> Result<T, CliError>,
) -> Result<Option<T>, CliError> {
    loop {
        let text = session.edit(app)?;
        if text == *before {
            return Ok(None);
        }
        let error = match take(&text) {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        if !app.prompt.is_interactive() {
            return Err(error);
        }
        report(&error, app.printer);
        if app.prompt.confirm("Edit it again?", "yes", Some("no")) != Some(true) {
            return Err(CliError::failed("nothing was written"));
        }
    }
}

fn read(app: &App, config: &Config, candidate: &Candidate<'_>) -> Result<SecretString, CliError> {
    let failed = |error| CliError::Provider {
        provider: candidate.provider().to_string(),
        action: "read the value",
        error,
    };
    block_on(async {
        let resolver = app.resolver(config);
        let opened = resolver.open(candidate.provider().as_str()).await?;
        let value =
            fnox_providers::provider::get(opened.provider.as_ref(), candidate.request()).await;
        value.map_err(failed)
    })?
}

fn store(
    app: &App,
    config: &Config,
    candidate: &Candidate<'_>,
    name: &SecretName,
    value: SecretString,
) -> Result<(), CliError> {
    let provider = config.provider(candidate.provider().as_str(), None)?;
    let profile = candidate.definition().profile.as_ref();
    let stored = if provider.capability == Capability::StoresRemotely {
        let failed = |error| CliError::Provider {
            provider: provider.name.to_string(),
            action: "store the value",
            error,
        };
        block_on(async {
            let resolver = app.resolver(config);
            let opened = resolver.open(provider.name.as_str()).await?;
            let put = opened.provider.put(candidate.stored(), &value).await;
            put.map_err(failed)
        })??
    } else {
        let values = [(name.clone(), value)];
        let work = reencrypt::store(app, config, &provider.name, profile, &values);
        // There is one for each value, and there was one value.
        block_on(work)??.pop().unwrap_or_default()
    };
    reencrypt::write(&[(candidate.clone(), stored)])
}

/// Editors end a file with a line end, whether the value has one or not.
fn without_added_line_end(before: &SecretString, after: &SecretString) -> SecretString {
    let text = after.expose_secret();
    match text.strip_suffix('\n') {
        Some(shorter) if !before.expose_secret().ends_with('\n') => SecretString::from(shorter),
        _ => after.clone(),
    }
}
