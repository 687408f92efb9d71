//! `fnox agent pending`, `approve` and `deny`: a person answers what rules ask.
//!
//! Everything that a request shows comes from the program that makes it, so nothing of it can control the terminal.

use std::time::Duration;

use fnox_core::question::{Asked, LONGEST_ACCESS, USUAL_ACCESS};

use crate::app::{App, block_on};
use crate::args::agent::{AgentApproveArgs, AgentDenyArgs, AgentPendingArgs};
use crate::error::CliError;
use crate::gateway::approvals::asking;
use crate::gateway::approvals::{For, Said};
use crate::gateway::documents::PendingQuestion;
use crate::output::Table;
use crate::output::asked::{body, described, line, why};
use crate::terminal::harmless;

/// Between two looks for new requests.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// How long "for ten minutes" is.
const TEN_MINUTES: u32 = 600;

/// How long "for five minutes" is.
const FIVE_MINUTES: u32 = 300;

pub(super) fn pending(app: &App, args: &AgentPendingArgs) -> Result<(), CliError> {
    let pending = asking::pending(&app.folders)?;
    if args.json {
        return app.printer.json(&pending);
    }
    if pending.is_empty() {
        app.printer.note("Nothing waits.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "AGENT", "REQUEST", "BODY", "WHY"], false);
    for PendingQuestion { id, asked, .. } in &pending {
        table.row(vec![
            id.clone(),
            harmless(asked.agent()),
            harmless(&line(asked)),
            body(asked),
            harmless(&why(asked)),
        ]);
    }
    app.printer.line(&table.render())
}

pub(super) fn approve(app: &App, args: &AgentApproveArgs) -> Result<(), CliError> {
    let said = Said::from(&args.yes);
    match &args.yes.id {
        Some(id) => answer(app, id, said),
        None if app.prompt.is_interactive() => watch(app),
        None => Err(CliError::usage(
            "say which request: `fnox agent pending` lists them",
        )),
    }
}

pub(super) fn deny(app: &App, args: &AgentDenyArgs) -> Result<(), CliError> {
    answer(app, &args.id, Said::Deny)
}

fn answer(app: &App, id: &str, said: Said) -> Result<(), CliError> {
    let request = harmless(&asking::answer(&app.folders, id, said)?);
    let done = match said {
        Said::Deny => format!("Denied {request}"),
        Said::Allow { .. } => format!("Allowed {request}"),
    };
    app.printer.done(&done);
    Ok(())
}

/// Asks about each request as it comes, until the person ends it.
fn watch(app: &App) -> Result<(), CliError> {
    app.printer
        .note("Requests are shown here as they come. Ctrl-C ends it.");
    let mut later: Vec<String> = Vec::new();
    loop {
        let pending = asking::pending(&app.folders)?;
        let next = pending.iter().find(|it| !later.contains(&it.id));
        let Some(PendingQuestion { id, asked, .. }) = next else {
            block_on(async { tokio::time::sleep(PAUSE).await })?;
            continue;
        };
        app.prompt.message(&format!("\n{}\n", described(asked)));
        match choose(asked)? {
            Choice::Later => later.push(id.clone()),
            Choice::End => return Ok(()),
            Choice::Said(said) => {
                // Somebody else may have been faster; the next one can still be answered.
                if let Err(error) = answer(app, id, said) {
                    crate::output::report(&error, app.printer);
                }
            }
        }
    }
}

/// What a person chooses.
pub(crate) enum Choice {
    /// An answer.
    Said(Said),
    /// Not now.
    Later,
    /// To go.
    End,
}

/// Asks the person about what was shown. The use of a credential has answers of its own.
pub(crate) fn choose(asked: &Asked) -> Result<Choice, CliError> {
    let allow = |rule, lasting| Said::Allow { rule, lasting };
    let choices: Vec<(&str, Option<Said>)> = match asked {
        Asked::Request(_) => vec![
            ("allow this request once", Some(allow(false, For::Once))),
            (
                "allow this very request for 10 minutes",
                Some(allow(false, For::Seconds(TEN_MINUTES))),
            ),
            (
                "allow all requests of this rule for 10 minutes",
                Some(allow(true, For::Seconds(TEN_MINUTES))),
            ),
            ("deny", Some(Said::Deny)),
            ("later", None),
        ],
        Asked::Access(_) => vec![
            (
                "allow all such requests for 5 minutes",
                Some(allow(false, For::Seconds(FIVE_MINUTES))),
            ),
            (
                "allow all such requests for 15 minutes",
                Some(allow(false, For::Seconds(USUAL_ACCESS))),
            ),
            (
                "allow all such requests for 1 hour",
                Some(allow(false, For::Seconds(LONGEST_ACCESS))),
            ),
            ("deny", Some(Said::Deny)),
            ("later", None),
        ],
    };
    let words: Vec<&str> = choices.iter().map(|(words, _)| *words).collect();
    let last = words.len() - 1;
    let answer = inquire::Select::new("Decide", words)
        .with_starting_cursor(last)
        .raw_prompt_skippable()
        .map(|answer| answer.map(|answer| answer.index));
    match answer {
        Ok(index) => {
            let said = index.and_then(|index| choices.get(index)?.1);
            Ok(said.map_or(Choice::Later, Choice::Said))
        }
        Err(inquire::InquireError::OperationInterrupted) => Ok(Choice::End),
        Err(error) => Err(CliError::Input {
            what: "the answer".to_owned(),
            reason: error.to_string(),
            help: None,
        }),
    }
}
