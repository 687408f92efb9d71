//! `fnox lifecycle`

use crate::app::App;
use crate::args::{LifecycleArgs, LifecycleCommand, OffboardArgs};
use crate::error::CliError;
use crate::lifecycle::apply::{apply, has_work};
use crate::lifecycle::documents::{By, Offboarding, State, Step};
use crate::lifecycle::plan::Plan;

pub(crate) fn run(app: &App, args: &LifecycleArgs) -> Result<(), CliError> {
    match &args.command {
        LifecycleCommand::Offboard(args) => offboard(app, args),
    }
}

fn offboard(app: &App, args: &OffboardArgs) -> Result<(), CliError> {
    let mut plan = Plan::make(app, &args.user)?;
    if args.mode.apply && has_work(&plan) {
        if !args.force {
            confirm(app, &args.user)?;
        }
        apply(app, &mut plan);
    }
    let document = &plan.document;
    if args.json {
        app.printer.json(document)?;
    } else {
        show(app, document)?;
    }
    let failed = |step: &Step| step.state == State::Failed;
    if document.steps.iter().any(failed) {
        return Err(CliError::failed(
            "not everything could be done: correct what the list says and run it again",
        ));
    }
    Ok(())
}

fn confirm(app: &App, user: &str) -> Result<(), CliError> {
    if !app.prompt.is_interactive() {
        return Err(CliError::Usage {
            message: "nobody can be asked whether to go on".to_owned(),
            help: Some(
                "add `--force` to do it without asking, or `--plan` to see what would be done"
                    .to_owned(),
            ),
        });
    }
    let question = format!("Take {user} out of the configuration and withdraw leases?");
    match app.prompt.confirm(&question, "yes", Some("no")) {
        Some(true) => Ok(()),
        _ => Err(CliError::failed("cancelled: nothing was changed")),
    }
}

fn show(app: &App, document: &Offboarding) -> Result<(), CliError> {
    let line = |text: &str| app.printer.line(text);
    line(&format!("Offboarding {}", document.user))?;
    if document.steps.is_empty() {
        return line("\nThis configuration gives the person nothing.");
    }
    for (number, step) in document.steps.iter().enumerate() {
        let state = match (step.state, step.by) {
            (State::Done, _) => " (done)",
            (State::Failed, _) => " (not all of it could be done)",
            (State::Open, By::Fnox) => " (`--apply` does it)",
            (State::Open, By::Person) => "",
        };
        line(&format!("\n{}. {}{state}", number + 1, step.title))?;
        for item in &step.items {
            let mark = match (step.state, &item.problem) {
                (State::Open, _) => "[ ]",
                (_, None) => "[x]",
                (_, Some(_)) => "[!]",
            };
            line(&format!("   {mark} {}", item.what))?;
            if let Some(place) = &item.place {
                line(&format!("       {place}"))?;
            }
            if let Some(problem) = &item.problem {
                line(&format!("       {problem}"))?;
            }
            for command in item.command.iter().flat_map(|command| command.lines()) {
                line(&format!("       $ {command}"))?;
            }
        }
    }
    Ok(())
}
