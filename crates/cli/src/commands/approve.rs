//! `fnox approve`: deciding about requests in the terminal.
//!
//! Everything that a request shows comes from elsewhere, so nothing of it can control the terminal. The match code is
//! never shown here: it has to come from the log of whoever asks, or a person could say yes to somebody else's request.

use fnox_api::client::ApiClient;
use fnox_api::{Approval, ApprovalStatus, Asked, AskedRequest, Decide, Decision};
use fnox_core::Clock as _;
use fnox_core::question::USUAL_ACCESS;
use jiff::Timestamp;
use uuid::Uuid;

use crate::app::{App, block_on};
use crate::args::team::{ApproveArgs, ApproveCommand};
use crate::durations::seconds;
use crate::error::CliError;
use crate::output::Table;
use crate::output::asked;
use crate::team::documents::ShownApproval;
use crate::team::error::TeamFailure;
use crate::team::run::parse_id;
use crate::team::server::{self, Server};
use crate::terminal::harmless;

pub(crate) fn run(app: &App, args: &ApproveArgs) -> Result<(), CliError> {
    let url = server::url(app, &args.server)?;
    let command = Run {
        app,
        json: args.json,
    };
    block_on(async {
        match &args.command {
            None => {
                let server = Server::connect(app, &url).await?;
                command.interactive(&server).await
            }
            Some(ApproveCommand::List { all }) => {
                let server = Server::connect(app, &url).await?;
                command.list(&server, *all).await
            }
            Some(ApproveCommand::Show { id }) => {
                let id = parse_id(id)?;
                let server = Server::connect(app, &url).await?;
                let approval = server.approval(id, None).await.map_err(TeamFailure::from)?;
                command.show(&approval)
            }
            Some(ApproveCommand::Approve {
                id,
                code,
                lasting,
                reason,
            }) => {
                let id = parse_id(id)?;
                let yes = Yes {
                    code: code.clone(),
                    lasting: lasting.as_deref().map(lasting_seconds).transpose()?,
                    reason: reason.clone(),
                };
                let server = Server::connect(app, &url).await?;
                command.approve(&server, id, yes).await
            }
            Some(ApproveCommand::Deny { id, reason }) => {
                let id = parse_id(id)?;
                let server = Server::connect(app, &url).await?;
                command.deny(&server, id, reason.clone()).await
            }
        }
    })?
}

struct Run<'a> {
    app: &'a App,
    json: bool,
}

impl Run<'_> {
    async fn list(&self, server: &ApiClient, all: bool) -> Result<(), CliError> {
        let approvals = fetch(server, all).await?;
        self.print_list(&approvals)
    }

    fn print_list(&self, approvals: &[Approval]) -> Result<(), CliError> {
        if self.json {
            let documents: Vec<ShownApproval> = approvals.iter().map(ShownApproval::from).collect();
            return self.app.printer.json(&documents);
        }
        if approvals.is_empty() {
            self.app.printer.note("Nothing is pending.");
            return Ok(());
        }
        let mut table = Table::new(
            &["ID", "STATUS", "WHO", "PROJECT", "KEYS", "COMMAND", "ENDS"],
            false,
        );
        let now = self.app.clock.now();
        for approval in approvals {
            let (keys, command) = wanted(approval);
            table.row(vec![
                approval.id.to_string(),
                approval.status.as_str().to_owned(),
                approval.requester.name.clone(),
                place(approval),
                keys,
                command,
                ends(approval, now),
            ]);
        }
        self.app.printer.line(&table.render())
    }

    fn show(&self, approval: &Approval) -> Result<(), CliError> {
        if self.json {
            return self.app.printer.json(&ShownApproval::from(approval));
        }
        self.app
            .printer
            .line(&described(approval, self.app.clock.now()))
    }

    async fn approve(&self, server: &ApiClient, id: Uuid, yes: Yes) -> Result<(), CliError> {
        let code = if let Some(code) = yes.code {
            code
        } else {
            // Who types a code without having seen the request cannot know what it is for.
            let approval = server.approval(id, None).await.map_err(TeamFailure::from)?;
            let shown = described(&approval, self.app.clock.now());
            self.app.prompt.message(&shown);
            self.ask_code().ok_or_else(no_code)?
        };
        let code = normal(&code)?;
        let decided = server
            .decide(
                id,
                &Decide {
                    decision: Decision::Approve,
                    code: Some(code),
                    lasting_seconds: yes.lasting,
                    reason: yes.reason,
                },
            )
            .await
            .map_err(TeamFailure::from)?;
        self.decided(&decided)
    }

    async fn deny(
        &self,
        server: &ApiClient,
        id: Uuid,
        reason: Option<String>,
    ) -> Result<(), CliError> {
        let decide = Decide {
            decision: Decision::Deny,
            code: None,
            lasting_seconds: None,
            reason,
        };
        let decided = server
            .decide(id, &decide)
            .await
            .map_err(TeamFailure::from)?;
        self.decided(&decided)
    }

    fn decided(&self, approval: &Approval) -> Result<(), CliError> {
        if self.json {
            return self.app.printer.json(&ShownApproval::from(approval));
        }
        let who = harmless(&approval.requester.name);
        let message = match approval.status {
            ApprovalStatus::Pending => {
                let given = approval
                    .decisions
                    .iter()
                    .filter(|decision| decision.decision == Decision::Approve)
                    .count();
                format!(
                    "Your yes for {who} counts: {given} of {}",
                    approval.approvals_needed
                )
            }
            ApprovalStatus::Denied => format!("Denied the request of {who}"),
            ApprovalStatus::Approved | ApprovalStatus::Granted | ApprovalStatus::Fetched => {
                format!("Approved the request of {who}")
            }
            other => format!("The request of {who} is {}", other.as_str()),
        };
        self.app.printer.done(&message);
        Ok(())
    }

    /// Lists what is pending and, on a terminal, asks about one after the other.
    async fn interactive(&self, server: &ApiClient) -> Result<(), CliError> {
        let approvals = fetch(server, false).await?;
        if self.json || !self.app.prompt.is_interactive() || approvals.is_empty() {
            return self.print_list(&approvals);
        }
        let prompt = &self.app.prompt;
        for approval in &approvals {
            prompt.message(&format!(
                "\n{}\n",
                described(approval, self.app.clock.now())
            ));
            match choose()? {
                Choice::Later => {}
                Choice::Deny => {
                    let reason = prompt
                        .text("Why (may be empty)")
                        .filter(|text| !text.trim().is_empty());
                    self.deny(server, approval.id, reason).await?;
                }
                Choice::Approve => {
                    let Some(code) = self.ask_code() else {
                        continue;
                    };
                    let yes = Yes {
                        code: Some(code),
                        ..Yes::default()
                    };
                    let outcome = self.approve(server, approval.id, yes).await;
                    if let Err(error) = outcome {
                        // The next one may still be decided.
                        crate::output::report(&error, self.app.printer);
                    }
                }
            }
        }
        Ok(())
    }

    fn ask_code(&self) -> Option<String> {
        self.app
            .prompt
            .text("Match code, as the log of whoever asks shows it")
            .filter(|text| !text.trim().is_empty())
    }
}

/// A yes as it was given on the command line.
#[derive(Default)]
struct Yes {
    code: Option<String>,
    /// In seconds; of a gateway's question.
    lasting: Option<u32>,
    reason: Option<String>,
}

fn lasting_seconds(text: &str) -> Result<u32, CliError> {
    let lasting = seconds(text, "--for")?;
    u32::try_from(lasting).map_err(|_| CliError::usage("--for: is longer than any policy allows"))
}

enum Choice {
    Approve,
    Deny,
    Later,
}

fn choose() -> Result<Choice, CliError> {
    let answer = inquire::Select::new("Decide", vec!["later", "approve", "deny"])
        .raw_prompt_skippable()
        .map_err(|error| CliError::Input {
            what: "the answer".to_owned(),
            reason: error.to_string(),
            help: None,
        })?;
    Ok(match answer.map(|answer| answer.index) {
        Some(1) => Choice::Approve,
        Some(2) => Choice::Deny,
        _ => Choice::Later,
    })
}

async fn fetch(server: &ApiClient, all: bool) -> Result<Vec<Approval>, CliError> {
    let status = (!all).then_some(ApprovalStatus::Pending);
    Ok(server.approvals(status).await.map_err(TeamFailure::from)?)
}

/// Six characters; case and what people put between them do not count.
fn normal(code: &str) -> Result<String, CliError> {
    let code: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if code.is_empty() || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(no_code());
    }
    Ok(code)
}

fn no_code() -> CliError {
    TeamFailure::NoCode.into()
}

/// Keys and command; of a gateway's question, the agent and the request.
fn wanted(approval: &Approval) -> (String, String) {
    if let Some(question) = &approval.question {
        return (String::new(), line(&question.request));
    }
    let keys: Vec<&str> = approval
        .items
        .iter()
        .map(|item| item.key.as_str())
        .collect();
    (keys.join(", "), approval.command_display.clone())
}

fn line(asked: &Asked) -> String {
    match asked {
        Asked::Request(request) => {
            let (method, host, target) = (&request.method, &request.host, &request.target);
            format!("{method} https://{host}{target}")
        }
        Asked::Access(_) => asked::line(asked),
    }
}

fn place(approval: &Approval) -> String {
    if let Some(question) = &approval.question {
        return format!("agent {}", question.request.agent());
    }
    if approval.profile == "default" {
        approval.project.clone()
    } else {
        format!("{} ({})", approval.project, approval.profile)
    }
}

fn ends(approval: &Approval, now: Timestamp) -> String {
    if approval.status.is_final() {
        return String::new();
    }
    let left = approval.expires_at.as_second() - now.as_second();
    if left <= 0 {
        "now".to_owned()
    } else if left < 120 {
        format!("in {left} s")
    } else {
        format!("in {} min", left / 60)
    }
}

/// What a gateway asks. All of it is what the gateway says.
fn asked(question: &AskedRequest) -> Vec<(&'static str, String)> {
    let mut lines = vec![("agent, it says", question.request.agent().to_owned())];
    match &question.request {
        asked @ Asked::Request(request) => {
            lines.push(("request, it says", line(asked)));
            lines.push(("rule, it says", request.rule.clone()));
            if request.body_length > 0 {
                let (length, sha256) = (request.body_length, &request.body_sha256);
                lines.push(("body, it says", format!("{length} bytes, SHA-256 {sha256}")));
            }
        }
        Asked::Access(access) => {
            lines.push(("use of, it says", access.credential.clone()));
            lines.push(("at, it says", access.host.clone()));
            lines.push(("with, it says", access.methods.join(", ")));
            lines.push(("the agent's words", access.reason.clone()));
        }
    }
    lines.push(("a yes is for", covered(question)));
    lines
}

/// What a yes is for.
fn covered(question: &AskedRequest) -> String {
    let longest = question.longest_seconds;
    if question.request.as_access().is_some() {
        return match question.lasting_seconds {
            Some(seconds) => format!("all such requests for {seconds} s"),
            None => format!(
                "all such requests for {} s; with --for up to {longest} s",
                longest.min(USUAL_ACCESS)
            ),
        };
    }
    match (question.lasting_seconds, longest) {
        (Some(0), _) | (None, 0) => "this request, once".to_owned(),
        (Some(seconds), _) => format!("this very request for {seconds} s"),
        (None, longest) => format!("this request, once; with --for up to {longest} s"),
    }
}

/// Everything about a request. What the requester says is marked as such: nobody has checked it.
fn described(approval: &Approval, now: Timestamp) -> String {
    let mut lines = vec![
        ("approval", approval.id.to_string()),
        ("status", approval.status.as_str().to_owned()),
        ("who", approval.requester.name.clone()),
    ];
    for (name, value) in &approval.requester.facts {
        lines.push((name, value.clone()));
    }
    if let Some(url) = &approval.requester.run_url {
        lines.push(("run", url.clone()));
    }
    if let Some(address) = &approval.address {
        lines.push(("address", address.clone()));
    }
    match &approval.question {
        Some(question) => lines.extend(asked(question)),
        None => lines.push(("project", place(approval))),
    }
    for item in &approval.items {
        let new = if item.is_new { ", new to it" } else { "" };
        let policy = if item.needs_approval {
            ""
        } else {
            ", needs no yes"
        };
        lines.push((
            "key",
            format!("{} version {}{new}{policy}", item.key, item.version),
        ));
    }
    if approval.question.is_none() {
        lines.push(("command, it says", approval.command_display.clone()));
    }
    if let Some(reason) = &approval.reason {
        lines.push(("reason, it says", reason.clone()));
    }
    if approval.approvals_needed > 1 {
        lines.push(("needs", format!("{} people", approval.approvals_needed)));
    }
    for decision in &approval.decisions {
        let why = decision
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        lines.push((decision.decision.as_str(), format!("{}{why}", decision.by)));
    }
    let ends = ends(approval, now);
    if !ends.is_empty() {
        lines.push(("ends", ends));
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(name, value)| {
            let text = format!("{name:width$}  {value}").replace('\n', "\u{fffd}");
            harmless(&text)
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use fnox_api::{ApprovalItem, Requester};

    use super::*;

    #[test]
    fn a_request_cannot_draw_lines_of_its_own() {
        let approval = Approval {
            id: Uuid::nil(),
            status: ApprovalStatus::Pending,
            question: None,
            project: "my-app".to_owned(),
            profile: "prod".to_owned(),
            items: vec![ApprovalItem {
                key: "NPM_TOKEN".to_owned(),
                version: 7,
                ciphertext_sha256: String::new(),
                needs_approval: true,
                is_new: true,
            }],
            command_display: "npm publish\nwho  somebody else\u{1b}[2J".to_owned(),
            command_hash: String::new(),
            reason: Some("release\rwho  x".to_owned()),
            requester: Requester {
                issuer: "github".to_owned(),
                principal: "github:1".to_owned(),
                name: "octo-org/hello".to_owned(),
                facts: vec![("ref".to_owned(), "refs/heads/main\nref  evil".to_owned())],
                run_url: None,
            },
            address: None,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_second(90).unwrap(),
            approvals_needed: 1,
            decisions: Vec::new(),
        };
        let shown = described(&approval, Timestamp::UNIX_EPOCH);
        assert_eq!(
            shown.lines().filter(|line| line.starts_with("who")).count(),
            1
        );
        assert_eq!(
            shown.lines().filter(|line| line.starts_with("ref")).count(),
            1
        );
        assert!(!shown.contains(['\u{1b}', '\r']), "{shown}");
        assert!(shown.contains("NPM_TOKEN version 7, new to it"), "{shown}");
        assert!(shown.contains("my-app (prod)"), "{shown}");
        assert!(shown.contains("in 90 s"), "{shown}");
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        assert_eq!(normal(" abc-12d ").unwrap(), "ABC12D");
        assert!(normal(" - ").is_err());
        assert!(normal("abc\u{e4}").is_err());
    }
}
