//! `fnox edit`: the configuration, or one value, in the person's editor.
//!
//! What the editor gets is a private file that goes away with the command, even if that is killed. Nothing is written before
//! all of it can be, and what was typed is not lost over a mistake: the editor opens again.

mod document;
mod editor;

use fnox_config::spec::Capability;
use fnox_config::{Config, ProviderConfig};
use fnox_core::SecretString;
use fnox_providers::resolve::{Given, Original, Purpose};

use self::document::Document;
use self::editor::Session;
use super::export::plural;
use super::reencrypt::{self, Candidate, Fresh};
use super::sync::apart;
use super::{chain, files};
use crate::app::{App, block_on};
use crate::args::EditArgs;
use crate::audit;
use crate::error::CliError;
use crate::output::report;

pub(crate) fn run(app: &App, args: &EditArgs) -> Result<(), CliError> {
    match (&args.key, &args.file) {
        (_, Some(path)) => files::value::edit(app, path),
        (Some(key), None) => one(app, key),
        (None, None) => whole(app, args.global),
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
    let secret = config.secret(key)?;
    let refused = |reason: String| CliError::usage(format!("`{key}` cannot be edited: {reason}"));
    let stored = reencrypt::stored(&config, secret).map_err(refused)?;
    let chain = config.chain_of(secret);
    if let Some(reason) = chain::only_reads(&config, &chain) {
        return Err(refused(reason));
    }
    let given = read(app, &config, stored.original())?;
    let writer = chain::writer(&config, &chain, &given.provider).map_err(refused)?;
    let is_changed = content(app, key, &given.value, |value| {
        let changed = [stored.changed(&writer.name)];
        audit::changing(app, Some(&config), audit::Change::Edit, changed, || {
            store(app, &config, &stored, writer, value)?;
            apart::forget(app, secret)
        })
    })?;
    if !is_changed {
        app.printer.note("Nothing was changed.");
        return Ok(());
    }
    if chain.len() == 1 {
        app.printer.done(&format!("Set {key}"));
        return Ok(());
    }
    let (to, from) = (&writer.name, &given.provider);
    app.printer.done(&if to == from {
        format!("Set {key} in {to}, which gave its value")
    } else {
        format!("Set {key} in {to}, because {from}, which gave its value, only reads")
    });
    for other in given.failed.iter().filter(|other| *other != to) {
        app.printer.warn(&format!(
            "`{other}` is asked before `{to}` and could not be: it still has the value that it had, if any"
        ));
    }
    Ok(())
}

/// Lets the person edit a value, and stores it if it is another one then; whether it is.
pub(super) fn content(
    app: &App,
    title: &str,
    before: &SecretString,
    mut store: impl FnMut(SecretString) -> Result<(), CliError>,
) -> Result<bool, CliError> {
    let session = Session::start(app, title, before)?;
    let changed = edited(app, &session, before, |text| {
        let value = without_added_line_end(before, text);
        if value == *before {
            return Ok(false);
        }
        store(value).map(|()| true)
    })?;
    Ok(changed == Some(true))
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
        // Esc is no answer: what was written is not dropped by accident.
        if app.prompt.agree("Edit it again?") == Some(false) {
            return Err(CliError::failed("nothing was written"));
        }
    }
}

/// The value, from the first provider that has it, on record. Who failed before it is told.
fn read(app: &App, config: &Config, wanted: Original) -> Result<Given, CliError> {
    let name = wanted.name.clone();
    let resolver = app.resolver(config);
    let mut found = block_on(resolver.originals(vec![wanted], Purpose::Use))??;
    app.tell(&found.notices);
    // There is an answer for whatever has a provider.
    let answer = found.answers.swap_remove(&name);
    let given = answer.ok_or_else(|| CliError::usage(format!("`{name}` has no provider")))??;
    block_on(audit::reads(app, config, &[given.used(&name)]))??;
    Ok(given)
}

fn store(
    app: &App,
    config: &Config,
    candidate: &Candidate<'_>,
    provider: &ProviderConfig,
    value: SecretString,
) -> Result<(), CliError> {
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
        let values = [(candidate.name().clone(), value)];
        let work = reencrypt::store(app, config, &provider.name, profile, &values);
        // There is one for each value, and there was one value.
        block_on(work)??.pop().unwrap_or_default()
    };
    reencrypt::write(
        &app.folders,
        &[Fresh {
            candidate: candidate.clone(),
            provider: provider.name.clone(),
            stored,
        }],
    )
}

/// Editors end a file with a line end, whether the value has one or not.
fn without_added_line_end(before: &SecretString, after: &SecretString) -> SecretString {
    let text = after.expose_secret();
    match text.strip_suffix('\n') {
        Some(shorter) if !before.expose_secret().ends_with('\n') => SecretString::from(shorter),
        _ => after.clone(),
    }
}
