//! An approval as a page shows it: every text visible, with limits that say what they left out.

use fnox_api::{
    AgentAccess, AgentRequest, Approval, ApprovalItem, Asked as What, AskedRequest, Decision,
    DecisionView,
};
use fnox_core::question::USUAL_ACCESS;
use jiff::Timestamp;

use super::time::{distance, machine, moment};
use crate::notify::{pieces, visible};
use crate::service::GATEWAY;

/// An approval for a template.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: Text,
    pub(super) principal: Text,
    pub(super) issuer: Text,
    pub(super) facts: Vec<(Text, Text)>,
    pub(super) run_url: Option<String>,
    /// What a gateway asks. Then there are no secrets and no command.
    pub(super) question: Option<Asked>,
    pub(super) project: Text,
    pub(super) profile: Text,
    pub(super) items: Vec<Item>,
    pub(super) new_count: usize,
    pub(super) command: Text,
    pub(super) command_hash: Text,
    pub(super) reason: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) asked: Moment,
    pub(super) ends: Moment,
    pub(super) needed: u32,
    pub(super) decisions: Vec<Said>,
}

/// What a gateway asks.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) agent: Text,
    /// `POST to api.github.com`; `GITHUB_TOKEN at api.github.com`
    pub(super) what: String,
    /// `POST https://api.github.com/repos/acme/app/pulls`; `GITHUB_TOKEN at https://api.github.com with GET, HEAD`
    pub(super) line: Text,
    /// Of a request.
    pub(super) sent: Option<Sent>,
    /// Of the use of a credential: what for, in the agent's words.
    pub(super) reason: Option<Text>,
    /// For how long a yes may be: seconds, the words for it, and whether it is the usual choice.
    pub(super) lasting: Vec<(u32, String, bool)>,
    /// For how long the yes is, in words.
    pub(super) covers: Option<String>,
}

/// What else there is to know of a request of an agent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) rule: Text,
    pub(super) body: String,
    pub(super) body_sha256: Text,
}

/// A text that somebody else chose.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) shown: String,
    /// The same in pieces; true for what stands for a hidden character.
    pub(super) pieces: Vec<(String, bool)>,
    /// How many characters are not shown.
    pub(super) left_out: usize,
}

/// One key.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Text,
    pub(super) version: u64,
    /// The beginning of the age file's hash.
    pub(super) hash: String,
    pub(super) is_new: bool,
    pub(super) needs_approval: bool,
}

/// A moment for people and machines.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) shown: String,
    pub(super) machine: String,
    pub(super) distance: String,
}

/// One decision.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) by: Text,
    pub(super) yes: bool,
    pub(super) at: Moment,
    pub(super) reason: Option<Text>,
}

impl Request {
    pub(super) fn of(approval: &Approval, now: Timestamp) -> Self {
        let requester = &approval.requester;
        let facts = requester.facts.iter();
        Self {
            name: Text::of(&requester.name, FACT_LIMIT),
            principal: Text::of(&requester.principal, FACT_LIMIT),
            issuer: match requester.issuer.as_str() {
                // Nobody else vouches for it.
                GATEWAY => Text::of("its token", FACT_LIMIT),
                issuer => Text::of(issuer, FACT_LIMIT),
            },
            facts: facts
                .map(|(label, value)| (Text::of(label, FACT_LIMIT), Text::of(value, FACT_LIMIT)))
                .collect(),
            question: approval.question.as_ref().map(Asked::of),
            run_url: requester.run_url.clone().filter(|url| is_plain(url)),
            project: Text::of(&approval.project, FACT_LIMIT),
            profile: Text::of(&approval.profile, FACT_LIMIT),
            items: approval.items.iter().map(Item::of).collect(),
            new_count: approval.items.iter().filter(|item| item.is_new).count(),
            command: Text::of(&approval.command_display, COMMAND_LIMIT),
            command_hash: Text::of(&approval.command_hash, FACT_LIMIT),
            reason: text(approval.reason.as_deref(), REASON_LIMIT),
            address: text(approval.address.as_deref(), FACT_LIMIT),
            asked: Moment::of(approval.created_at, now),
            ends: Moment::of(approval.expires_at, now),
            needed: approval.approvals_needed,
            decisions: said(&approval.decisions, now),
        }
    }

    /// `NPM_TOKEN`, or `3 secrets`; `POST to api.github.com`.
    pub(super) fn what(&self) -> String {
        if let Some(asked) = &self.question {
            return asked.what.clone();
        }
        match self.items.as_slice() {
            [item] => item.key.shown.clone(),
            items => format!("{} secrets", items.len()),
        }
    }

    /// Who wants it: whoever asks, or their agent.
    pub(super) fn who(&self) -> &Text {
        self.question
            .as_ref()
            .map_or(&self.name, |asked| &asked.agent)
    }

    /// Of what it is part: a project, or what a gateway asks.
    pub(super) fn place(&self) -> &Text {
        match self.question {
            Some(_) => &self.name,
            None => &self.project,
        }
    }

    /// What goes between who and what.
    pub(super) fn wants(&self) -> &'static str {
        match &self.question {
            Some(asked) if asked.sent.is_some() => "wants to send",
            Some(_) => "wants to use",
            None => "asks for",
        }
    }

    /// How many said yes so far.
    pub(super) fn yeses(&self) -> usize {
        self.decisions.iter().filter(|said| said.yes).count()
    }
}

impl Asked {
    fn of(asked: &AskedRequest) -> Self {
        match &asked.request {
            What::Request(request) => Self::of_request(asked, request),
            What::Access(access) => Self::of_access(asked, access),
        }
    }

    fn of_request(asked: &AskedRequest, request: &AgentRequest) -> Self {
        let (method, host) = (&request.method, &request.host);
        let line = format!("{method} https://{host}{}", request.target);
        Self {
            agent: Text::of(&request.agent, FACT_LIMIT),
            what: format!(
                "{} to {}",
                Text::of(method, FACT_LIMIT).shown,
                Text::of(host, FACT_LIMIT).shown
            ),
            line: Text::of(&line, COMMAND_LIMIT),
            sent: Some(Sent {
                rule: Text::of(&request.rule, FACT_LIMIT),
                body: match request.body_length {
                    0 => "none".to_owned(),
                    1 => "1 byte".to_owned(),
                    bytes => format!("{bytes} bytes"),
                },
                body_sha256: Text::of(&request.body_sha256, FACT_LIMIT),
            }),
            reason: None,
            lasting: offered(asked.longest_seconds)
                .into_iter()
                .map(|seconds| (seconds, covers(seconds), seconds == 0))
                .collect(),
            covers: asked.lasting_seconds.map(covers),
        }
    }

    fn of_access(asked: &AskedRequest, access: &AgentAccess) -> Self {
        let (credential, host) = (&access.credential, &access.host);
        let methods = access.methods.join(", ");
        let line = format!("{credential} at https://{host} with {methods}");
        let usual = asked.longest_seconds.min(USUAL_ACCESS);
        Self {
            agent: Text::of(&access.agent, FACT_LIMIT),
            what: format!(
                "{} at {}",
                Text::of(credential, FACT_LIMIT).shown,
                Text::of(host, FACT_LIMIT).shown
            ),
            line: Text::of(&line, COMMAND_LIMIT),
            sent: None,
            reason: Some(Text::of(&access.reason, COMMAND_LIMIT)),
            lasting: offered(asked.longest_seconds)
                .into_iter()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| (seconds, allows(seconds), seconds == usual))
                .collect(),
            covers: asked.lasting_seconds.map(allows),
        }
    }
}

/// For how long a yes may be, in seconds.
fn offered(longest: u32) -> Vec<u32> {
    let shorter = LASTING.into_iter().filter(|seconds| *seconds < longest);
    shorter.chain([longest]).collect()
}

/// What a yes is for.
fn covers(seconds: u32) -> String {
    match seconds {
        0 => "this request, once".to_owned(),
        _ => format!("this very request for {}", in_words(seconds)),
    }
}

/// The same of the use of a credential.
fn allows(seconds: u32) -> String {
    format!("all such requests for {}", in_words(seconds))
}

fn in_words(seconds: u32) -> String {
    match seconds {
        60 => "1 minute".to_owned(),
        _ if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

impl Text {
    pub(super) fn of(text: &str, limit: usize) -> Self {
        let kept: String = text.chars().take(limit).collect();
        let left_out = text[kept.len()..].chars().count();
        Self {
            shown: visible(&kept),
            pieces: pieces(&kept),
            left_out,
        }
    }
}

impl Item {
    fn of(item: &ApprovalItem) -> Self {
        Self {
            key: Text::of(&item.key, FACT_LIMIT),
            version: item.version,
            hash: visible(&item.ciphertext_sha256).chars().take(12).collect(),
            is_new: item.is_new,
            needs_approval: item.needs_approval,
        }
    }
}

impl Moment {
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self {
            shown: moment(at),
            machine: machine(at),
            distance: distance(at, now),
        }
    }
}

fn said(decisions: &[DecisionView], now: Timestamp) -> Vec<Said> {
    decisions
        .iter()
        .map(|decision| Said {
            by: Text::of(&decision.by, FACT_LIMIT),
            yes: decision.decision == Decision::Approve,
            at: Moment::of(decision.at, now),
            reason: text(decision.reason.as_deref(), REASON_LIMIT),
        })
        .collect()
}

fn text(text: Option<&str>, limit: usize) -> Option<Text> {
    text.map(|text| Text::of(text, limit))
}

/// Whether a link to it leads where it seems to.
fn is_plain(url: &str) -> bool {
    url.starts_with("https://") && url.len() <= 1000 && url.bytes().all(|b| b.is_ascii_graphic())
}

/// In characters.
const FACT_LIMIT: usize = 300;
const REASON_LIMIT: usize = 1000;
const COMMAND_LIMIT: usize = 8000;

/// What a page offers, in seconds; the policy says which of it.
const LASTING: [u32; 4] = [0, 300, 900, 3600];
