//! An approval as a page shows it: every text visible, with limits that say what they left out.

use fnox_api::{Approval, ApprovalItem, Decision, DecisionView};
use jiff::Timestamp;

use super::time::{distance, machine, moment};
use crate::notify::{pieces, visible};

/// An approval for a template.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: Text,
    pub(super) principal: Text,
    pub(super) issuer: Text,
    pub(super) facts: Vec<(Text, Text)>,
    pub(super) run_url: Option<String>,
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
            issuer: Text::of(&requester.issuer, FACT_LIMIT),
            facts: facts
                .map(|(label, value)| (Text::of(label, FACT_LIMIT), Text::of(value, FACT_LIMIT)))
                .collect(),
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

    /// `NPM_TOKEN`, or `3 secrets`.
    pub(super) fn what(&self) -> String {
        match self.items.as_slice() {
            [item] => item.key.shown.clone(),
            items => format!("{} secrets", items.len()),
        }
    }

    /// How many said yes so far.
    pub(super) fn yeses(&self) -> usize {
        self.decisions.iter().filter(|said| said.yes).count()
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
