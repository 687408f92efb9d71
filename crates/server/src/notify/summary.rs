//! A notice as words: the same for every channel, with everything that others chose visible and cut.

use fnox_api::{AgentAccess, AgentRequest, Approval, ApprovalItem, Asked};
use jiff::Timestamp;

use super::{Notice, shorten, visible};

/// A notice as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// One line.
    pub(super) title: String,
    /// What there is to know, the most important first.
    pub(super) lines: Vec<Line>,
    /// The run's page.
    pub(super) run_url: Option<String>,
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What it is, for example `Ref`.
    pub(super) label: String,
    /// What it says.
    pub(super) value: String,
    /// Whether only the requester says so.
    pub(super) claimed: bool,
}

impl Line {
    fn new(label: &str, value: &str, limit: usize) -> Self {
        Self {
            label: shorten(&visible(label), LABEL_LIMIT),
            value: shorten(&visible(value), limit),
            claimed: false,
        }
    }

    fn claimed(label: &str, value: &str, limit: usize) -> Self {
        Self {
            claimed: true,
            ..Self::new(label, value, limit)
        }
    }

    /// The label, with a word about who says so.
    pub(super) fn full_label(&self) -> String {
        if self.claimed {
            format!("{} (as the requester says)", self.label)
        } else {
            self.label.clone()
        }
    }
}

impl Summary {
    pub(super) fn of(notice: &Notice) -> Self {
        match notice {
            Notice::Asked { approval, .. } => Self {
                title: title(approval),
                lines: lines(approval),
                run_url: run_url(approval),
            },
            Notice::Alarm {
                title,
                text,
                approval,
            } => {
                let mut about = Vec::new();
                if !text.is_empty() {
                    about.push(Line::new("Alarm", text, TEXT_LIMIT));
                }
                about.extend(approval.as_deref().map(lines).unwrap_or_default());
                Self {
                    title: shorten(&visible(title), TITLE_LIMIT),
                    lines: about,
                    run_url: approval.as_deref().and_then(run_url),
                }
            }
        }
    }

    /// As plain text, one thing a line, in at most `limit` bytes.
    pub(super) fn text(&self, limit: usize) -> String {
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| format!("{}: {}", line.full_label(), line.value))
            .collect();
        if let Some(url) = &self.run_url {
            lines.push(format!("Run: {url}"));
        }
        shorten(&lines.join("\n"), limit)
    }
}

fn title(approval: &Approval) -> String {
    if let Some(question) = &approval.question {
        let part = |text: &str| shorten(&visible(text), TITLE_LIMIT / 4);
        let agent = part(question.request.agent());
        let host = shorten(&visible(question.request.host()), TITLE_LIMIT / 3);
        return match &question.request {
            Asked::Request(request) => {
                format!("{agent} wants to send {} to {host}", part(&request.method))
            }
            Asked::Access(access) => {
                format!(
                    "{agent} wants to use {} at {host}",
                    part(&access.credential)
                )
            }
        };
    }
    let name = shorten(&visible(&approval.requester.name), TITLE_LIMIT / 2);
    let what = match approval.items.as_slice() {
        [item] => shorten(&visible(&item.key), TITLE_LIMIT / 2),
        items => format!("{} secrets", items.len()),
    };
    format!("{name} asks for {what}")
}

fn lines(approval: &Approval) -> Vec<Line> {
    if let Some(question) = &approval.question {
        return match &question.request {
            Asked::Request(request) => lines_of_request(approval, request),
            Asked::Access(access) => lines_of_access(approval, access),
        };
    }
    let requester = &approval.requester;
    let who = format!("{} ({})", requester.name, requester.principal);
    let mut lines = vec![
        Line::new("Requester", &who, FACT_LIMIT),
        Line::new(
            "Project",
            &format!("{}, profile {}", approval.project, approval.profile),
            FACT_LIMIT,
        ),
        Line::new("Secrets", &keys(&approval.items), TEXT_LIMIT),
        Line::claimed("Command", &approval.command_display, TEXT_LIMIT),
    ];
    if let Some(reason) = &approval.reason {
        lines.push(Line::claimed("Reason", reason, FACT_LIMIT));
    }
    lines.extend(
        requester
            .facts
            .iter()
            .take(FACTS_SHOWN)
            .map(|(label, value)| Line::new(label, value, FACT_LIMIT)),
    );
    if let Some(address) = &approval.address {
        lines.push(Line::new("From", address, FACT_LIMIT));
    }
    lines.push(Line::new("Ends", &moment(approval.expires_at), FACT_LIMIT));
    lines
}

/// Of a request of an agent. The query stays on the page: it says more about people's data than the path does, and messages
/// pass through services of others.
fn lines_of_request(approval: &Approval, request: &AgentRequest) -> Vec<Line> {
    let requester = &approval.requester;
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, query.len()),
        None => (request.target.as_str(), 0),
    };
    let who = format!("{} ({})", requester.name, requester.principal);
    let line = format!("{} {}", request.method, request.host);
    let mut lines = vec![
        Line::new("Asked by", &who, FACT_LIMIT),
        Line::claimed("Agent", &request.agent, FACT_LIMIT),
        Line::claimed("Request", &line, FACT_LIMIT),
        Line::claimed("Path", path, TEXT_LIMIT),
    ];
    if query > 0 {
        let text = format!("{query} characters, on the page");
        lines.push(Line::claimed("Query", &text, FACT_LIMIT));
    }
    if request.body_length > 0 {
        let text = format!("{} bytes", request.body_length);
        lines.push(Line::claimed("Body", &text, FACT_LIMIT));
    }
    lines.push(Line::claimed("Rule", &request.rule, FACT_LIMIT));
    if let Some(address) = &approval.address {
        lines.push(Line::new("From", address, FACT_LIMIT));
    }
    lines.push(Line::new("Ends", &moment(approval.expires_at), FACT_LIMIT));
    lines
}

/// Of the use of a credential.
fn lines_of_access(approval: &Approval, access: &AgentAccess) -> Vec<Line> {
    let requester = &approval.requester;
    let who = format!("{} ({})", requester.name, requester.principal);
    let mut lines = vec![
        Line::new("Asked by", &who, FACT_LIMIT),
        Line::claimed("Agent", &access.agent, FACT_LIMIT),
        Line::claimed("Use of", &access.credential, FACT_LIMIT),
        Line::claimed("At", &access.host, FACT_LIMIT),
        Line::claimed("With", &access.methods.join(", "), FACT_LIMIT),
        Line::claimed("The agent's reason", &access.reason, TEXT_LIMIT),
    ];
    if let Some(address) = &approval.address {
        lines.push(Line::new("From", address, FACT_LIMIT));
    }
    lines.push(Line::new("Ends", &moment(approval.expires_at), FACT_LIMIT));
    lines
}

fn keys(items: &[ApprovalItem]) -> String {
    let mut names: Vec<String> = items
        .iter()
        .take(KEYS_SHOWN)
        .map(|item| {
            let new = if item.is_new { ", new" } else { "" };
            format!("{} (version {}{new})", item.key, item.version)
        })
        .collect();
    if items.len() > KEYS_SHOWN {
        names.push(format!("and {} more", items.len() - KEYS_SHOWN));
    }
    names.join(", ")
}

/// Only an address that a browser takes for what it is; the claims gave it.
fn run_url(approval: &Approval) -> Option<String> {
    let url = approval.requester.run_url.as_deref()?;
    let plain = url.starts_with("https://") && url.len() <= URL_LIMIT && visible(url) == url;
    plain.then(|| url.to_owned())
}

/// To the second, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

const LABEL_LIMIT: usize = 40;
const TITLE_LIMIT: usize = 160;
const FACT_LIMIT: usize = 160;
const TEXT_LIMIT: usize = 600;
const URL_LIMIT: usize = 400;
const FACTS_SHOWN: usize = 14;
const KEYS_SHOWN: usize = 12;
