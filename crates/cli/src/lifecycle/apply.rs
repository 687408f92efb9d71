//! The part of a plan that fnox can do.

use fnox_config::edit::{Change, Editor, write_atomically};
use toml_edit::Value;

use super::documents::{By, State, Step};
use super::plan::{Plan, Removal};
use crate::app::{App, block_on};
use crate::args::ReencryptArgs;
use crate::commands::definition::{Definition, Section};
use crate::commands::masters::Masters;
use crate::commands::reencrypt;
use crate::error::CliError;

/// Does what it can. A step that fails holds up no other one; its state says so.
pub(crate) fn apply(app: &App, plan: &mut Plan) {
    plan.document.applied = true;
    let removals: Vec<Result<(), CliError>> = plan
        .removals
        .iter()
        .map(|removal| remove(app, removal))
        .collect();
    settle(&mut plan.document.steps, "recipients", removals);
    let leases = plan.leases.iter().map(|id| withdraw(app, id)).collect();
    settle(&mut plan.document.steps, "leases", leases);
}

fn settle(steps: &mut [Step], name: &str, outcomes: Vec<Result<(), CliError>>) {
    let Some(step) = steps.iter_mut().find(|step| step.name == name) else {
        return;
    };
    step.state = State::Done;
    for (item, outcome) in step.items.iter_mut().zip(outcomes) {
        match outcome {
            Ok(()) => item.command = None,
            Err(error) => {
                item.problem = Some(error.to_string());
                step.state = State::Failed;
            }
        }
    }
}

/// Takes the recipients out and encrypts the values to the others. If that fails, the file is as it was.
fn remove(app: &App, removal: &Removal) -> Result<(), CliError> {
    if removal.remaining.is_empty() {
        return Err(CliError::failed(format!(
            "`{}` has no other recipient: add one, so that its values stay readable",
            removal.provider
        )));
    }
    let place = Definition::find(&removal.location, Section::Providers, &removal.provider)
        .ok_or_else(|| CliError::failed("the file that defines the provider was not found"))?;
    let mut editor = Editor::open(place.path(), place.kind.clone())?;
    let before = editor.text().to_owned();
    let remaining: Value = removal.remaining.iter().map(String::as_str).collect();
    editor.set(
        &place.table(),
        &removal.provider,
        &[("recipients", Change::Set(remaining))],
    )?;
    editor.save()?;
    let arguments = ReencryptArgs {
        keys: Vec::new(),
        force: true,
        dry_run: false,
        check: false,
        provider: Some(removal.provider.clone()),
        filter: None,
    };
    let app = app.for_profile(removal.profile.as_ref());
    reencrypt::run(&app, &arguments).inspect_err(|_| {
        let mode = std::fs::metadata(place.path()).ok();
        let mode = mode.map(|metadata| metadata.permissions());
        if let Err(error) = write_atomically(place.path(), before.as_bytes(), mode) {
            tracing::warn!("{} could not be put back: {error}", place.path().display());
        }
    })
}

fn withdraw(app: &App, id: &str) -> Result<(), CliError> {
    let config = app.load()?;
    let resolver = app.resolver(&config);
    let masters = Masters::new(app, &config, &resolver);
    let manager = masters.manager();
    let done = block_on(manager.revoke(id))??;
    match done.iter().find_map(fnox_leases::Revocation::failure) {
        Some(error) => Err(CliError::failed(error.to_string())),
        None => Ok(()),
    }
}

/// Whether fnox has anything to do.
pub(crate) fn has_work(plan: &Plan) -> bool {
    let mut steps = plan.document.steps.iter();
    steps.any(|step| step.by == By::Fnox)
}
