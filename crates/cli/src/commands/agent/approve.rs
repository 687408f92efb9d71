//! `fnox agent pending`, `approve` and `deny`: a person answers what rules ask.
//!
//! Everything that a request shows comes from the program that makes it, so nothing of it can control the terminal.

use std::time::Duration;

use crate::app::{App, block_on};
use crate::args::agent::{AgentApproveArgs, AgentDenyArgs, AgentPendingArgs};
use crate::error::CliError;
use crate::gateway::approvals::asking;
use crate::gateway::approvals::{For, Said};
use crate::gateway::documents::PendingRequest;
use crate::output::Table;
use crate::terminal::harmless;

/// Between two looks for new requests.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// How long "for ten minutes" is.
const TEN_MINUTES: u32 = 600;

pub(super) fn pending(app: &App, args: &AgentPendingArgs) -> Result<(), CliError> {
    let pending = asking::pending(&app.folders)?;
    if args.json {
        return app.printer.json(&pending);
    }
    if pending.is_empty() {
        app.printer.note("Nothing waits.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "AGENT", "REQUEST", "BODY", "RULE"], false);
    for request in &pending {
        table.row(vec![
            request.id.clone(),
            harmless(&request.agent),
            harmless(&line(request)),
            body(request),
            harmless(&request.rule),
        ]);
    }
    app.printer.line(&table.render())
}

pub(super) fn approve(app: &App, args: &AgentApproveArgs) -> Result<(), CliError> {
    let lasting = match (&args.lasting, args.session) {
        (Some(time), _) => For::Seconds(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
        (None, true) => For::Session,
        (None, false) => For::Once,
    };
    let said = Said::Allow {
        rule: args.rule,
        lasting,
    };
    match &args.id {
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
        let Some(request) = next else {
            block_on(async { tokio::time::sleep(PAUSE).await })?;
            continue;
        };
        app.prompt.message(&format!("\n{}\n", described(request)));
        match choose()? {
            Choice::Later => later.push(request.id.clone()),
            Choice::End => return Ok(()),
            Choice::Said(said) => {
                // Somebody else may have been faster; the next one can still be answered.
                if let Err(error) = answer(app, &request.id, said) {
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

/// Asks the person about a request that was shown.
pub(crate) fn choose() -> Result<Choice, CliError> {
    let choices = vec![
        "allow this request once",
        "allow this very request for 10 minutes",
        "allow all requests of this rule for 10 minutes",
        "deny",
        "later",
    ];
    let answer = inquire::Select::new("Decide", choices)
        .with_starting_cursor(4)
        .raw_prompt_skippable()
        .map(|answer| answer.map(|answer| answer.index));
    let allow = |rule, lasting| Ok(Choice::Said(Said::Allow { rule, lasting }));
    match answer {
        Ok(Some(0)) => allow(false, For::Once),
        Ok(Some(1)) => allow(false, For::Seconds(TEN_MINUTES)),
        Ok(Some(2)) => allow(true, For::Seconds(TEN_MINUTES)),
        Ok(Some(3)) => Ok(Choice::Said(Said::Deny)),
        Ok(_) => Ok(Choice::Later),
        Err(inquire::InquireError::OperationInterrupted) => Ok(Choice::End),
        Err(error) => Err(CliError::Input {
            what: "the answer".to_owned(),
            reason: error.to_string(),
            help: None,
        }),
    }
}

/// What would be sent, and where.
pub(crate) fn line(request: &PendingRequest) -> String {
    format!("{} {}{}", request.method, request.host, request.target)
}

/// How large its body is.
pub(crate) fn body(request: &PendingRequest) -> String {
    match request.body_length {
        0 => "none".to_owned(),
        length => format!("{length} bytes"),
    }
}

/// All that is known of a request, a line each.
pub(crate) fn described(request: &PendingRequest) -> String {
    let mut lines = vec![
        ("request", line(request)),
        ("agent", request.agent.clone()),
        ("rule", request.rule.clone()),
        ("body", body(request)),
    ];
    if request.body_length > 0 {
        lines.push(("sha256", request.body_sha256.clone()));
    }
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(name, text)| format!("{name:>8}  {text}"))
        .collect();
    lines.join("\n")
}
