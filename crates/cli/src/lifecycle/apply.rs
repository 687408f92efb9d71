//! The part of a plan that fnox can do.

use super::documents::{By, State, Step};
use super::plan::Plan;
use crate::app::{App, block_on};
use crate::commands::masters::Masters;
use crate::error::CliError;

/// Does what it can. A step that fails holds up no other one; its state says so.
pub(crate) fn apply(app: &App, plan: &mut Plan) {
    plan.document.applied = true;
    let ends = plan.memberships.iter();
    let ends = ends.map(|membership| membership.end(app, &plan.person).map(|_| ()));
    settle(&mut plan.document.steps, "recipients", ends.collect());
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
