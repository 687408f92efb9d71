//! `fnox vault approvals`, `approve` and `deny`: a person answers what gateways ask at the vault.
//!
//! Everything that a request shows comes from the program that makes it, so nothing of it can control the terminal.

use std::collections::HashSet;

use fnox_core::question::Asked;
use fnox_vault_wire::methods::{
    ApprovalInfo, Breadth, DecideApproval, Decision, Lasting, ListApprovals,
};
use fnox_vault_wire::{ApprovalId, Client};

use crate::app::{App, block_on};
use crate::args::vault::{ApprovalDenyArgs, ApprovalYesArgs, ClientArgs, ConnectionArgs};
use crate::commands::agent::approve::{Choice, PAUSE, choose};
use crate::error::CliError;
use crate::gateway::approvals::{For, Said};
use crate::output::Table;
use crate::output::asked::{body, described, line, why};
use crate::terminal::harmless;
use crate::vault::connect::{call, client};

/// How many of an id's last digits tell questions apart: those before are the time.
const SHORT: usize = 8;

pub(super) fn list(app: &App, args: &ClientArgs) -> Result<(), CliError> {
    let waiting = block_on(async {
        let client = client(app, &args.connection).await?;
        waiting(&client).await
    })??;
    if args.json {
        return app.printer.json(&waiting);
    }
    if waiting.is_empty() {
        app.printer.note("Nothing waits.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "AGENT", "REQUEST", "BODY", "WHY", "GATEWAY"], false);
    for info in &waiting {
        let asked = &info.request;
        table.row(vec![
            short(info.id),
            harmless(asked.agent()),
            harmless(&line(asked)),
            body(asked),
            harmless(&why(asked)),
            harmless(&info.gateway),
        ]);
    }
    app.printer.line(&table.render())
}

pub(super) fn approve(app: &App, args: &ApprovalYesArgs) -> Result<(), CliError> {
    match &args.answer.id {
        Some(id) => {
            let said = Said::from(&args.answer);
            answer_one(app, &args.connection, (id.as_str(), said), args.yes)
        }
        None if app.prompt.is_interactive() => watch(app, &args.connection),
        None => Err(CliError::usage(
            "say which request: `fnox vault approvals` lists them",
        )),
    }
}

pub(super) fn deny(app: &App, args: &ApprovalDenyArgs) -> Result<(), CliError> {
    answer_one(app, &args.connection, (args.id.as_str(), Said::Deny), true)
}

/// Shows a request, and answers it.
fn answer_one(
    app: &App,
    connection: &ConnectionArgs,
    (id, said): (&str, Said),
    is_sure: bool,
) -> Result<(), CliError> {
    block_on(async {
        let client = client(app, connection).await?;
        let Some(info) = named(id, waiting(&client).await?)? else {
            // The vault knows whether somebody was faster, and who.
            if let Ok(id) = id.parse::<ApprovalId>() {
                let decision = decision(said);
                call(&client, &DecideApproval { id, decision }).await?;
            }
            return Err(CliError::usage(format!(
                "no request `{}` waits: `fnox vault approvals` lists them; it may be answered, taken back or older than \
                 ten minutes",
                id.escape_debug()
            )));
        };
        app.printer.note(&shown(&info));
        let decision = decided(said, &info.request)?;
        if !is_sure && app.prompt.is_interactive() {
            let question = format!("Is it to be {}?", how(decision));
            if app.prompt.confirm(&question, "yes", Some("no")) != Some(true) {
                return Err(CliError::failed("nothing was answered"));
            }
        }
        decide(app, &client, &info, decision).await
    })?
}

/// Asks about each request as it comes, until the person ends it.
fn watch(app: &App, connection: &ConnectionArgs) -> Result<(), CliError> {
    app.printer
        .note("Requests are shown here as they come. Ctrl-C ends it.");
    block_on(async {
        let client = client(app, connection).await?;
        let mut later: HashSet<ApprovalId> = HashSet::new();
        loop {
            let waiting = waiting(&client).await?;
            let Some(info) = waiting.iter().find(|it| !later.contains(&it.id)) else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            app.prompt.message(&format!("\n{}\n", shown(info)));
            match choose(&info.request)? {
                Choice::Later => {
                    later.insert(info.id);
                }
                Choice::End => return Ok(()),
                Choice::Said(said) => {
                    // Somebody else may have been faster; the next one can still be answered.
                    let answered = match decided(said, &info.request) {
                        Ok(decision) => decide(app, &client, info, decision).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = answered {
                        crate::output::report(&error, app.printer);
                    }
                }
            }
        }
    })?
}

async fn decide(
    app: &App,
    client: &Client,
    info: &ApprovalInfo,
    decision: Decision,
) -> Result<(), CliError> {
    let id = info.id;
    call(client, &DecideApproval { id, decision }).await?;
    let done = match decision {
        Decision::Deny => "Denied",
        Decision::Allow { .. } => "Allowed",
    };
    let request = harmless(&line(&info.request));
    app.printer.done(&format!("{done} {request}"));
    Ok(())
}

/// All that wait.
async fn waiting(client: &Client) -> Result<Vec<ApprovalInfo>, CliError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = call(client, &ListApprovals { after }).await?;
        all.extend(page.approvals);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// The one that an id, or its end, means.
fn named(text: &str, waiting: Vec<ApprovalInfo>) -> Result<Option<ApprovalInfo>, CliError> {
    if text.len() < SHORT {
        return Ok(None);
    }
    let text = text.to_ascii_lowercase();
    let mut meant = waiting
        .into_iter()
        .filter(|info| info.id.to_string().ends_with(&text));
    let first = meant.next();
    if meant.next().is_some() {
        return Err(CliError::usage(format!(
            "`{}` is the end of more than one id; `fnox vault approvals --json` has them whole",
            text.escape_debug()
        )));
    }
    Ok(first)
}

fn short(id: ApprovalId) -> String {
    let whole = id.to_string();
    whole[whole.len() - SHORT..].to_owned()
}

fn shown(info: &ApprovalInfo) -> String {
    let gateway = format!("{:>9}  {} ({})", "gateway", info.gateway, info.peer);
    harmless(&format!("{}\n{gateway}", described(&info.request)))
}

/// What a person said, as an answer to this.
fn decided(said: Said, asked: &Asked) -> Result<Decision, CliError> {
    match asked {
        Asked::Request(_) => Ok(decision(said)),
        Asked::Access(_) => said.of_use().map(decision).map_err(CliError::usage),
    }
}

fn decision(said: Said) -> Decision {
    match said {
        Said::Deny => Decision::Deny,
        Said::Allow { rule, lasting } => Decision::Allow {
            breadth: if rule {
                Breadth::Rule
            } else {
                Breadth::Request
            },
            lasting: match lasting {
                For::Once => Lasting::Once,
                For::Seconds(seconds) => Lasting::Seconds(seconds),
                For::Session => Lasting::Session,
            },
        },
    }
}

fn how(decision: Decision) -> String {
    let Decision::Allow { breadth, lasting } = decision else {
        return "denied".to_owned();
    };
    let what = match breadth {
        Breadth::Request => "",
        Breadth::Rule => ", with whatever else the rule allows the agent",
    };
    let time = match lasting {
        Lasting::Once => "once".to_owned(),
        Lasting::Seconds(seconds) => format!("for {seconds} seconds"),
        Lasting::Session => "for as long as the gateway runs".to_owned(),
    };
    format!("allowed {time}{what}")
}
