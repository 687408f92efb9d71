//! Questions of gateways for people: left, listed, decided, heard, taken back.
//!
//! What is asked and what is answered is on record before anybody hears of it, and at one vault all of it happens one after another: of two
//! people who decide at once, one is told what the other said. A vault that ends loses the questions of its memory, and their gateways
//! ask anew; nothing of that can become a yes.

mod checked;
mod questions;

use std::time::Duration;

use fnox_core::audit::{Entry, Outcome};
use fnox_core::question::{Asked, LONGEST_ACCESS};
use fnox_vault_wire::ApprovalId;
use fnox_vault_wire::methods::{
    ApprovalAsked, ApprovalInfo, ApprovalList, ApprovalState, AskApproval, AwaitApproval, Breadth,
    DecideApproval, Decision, LONGEST_QUESTION, LONGEST_WAIT, LONGEST_YES, Lasting, ListApprovals,
    TakeBackApproval,
};
use tokio::time::{Instant, timeout_at};

use self::checked::checked;
pub(super) use self::questions::Questions;
use self::questions::{CAPS, asked, asker, info, room, same};
use super::Engine;
use super::audit::entry;
use super::page::fitting;
use super::request::later;
use super::requests::shortened;
use crate::error::VaultError;
use crate::identity::Identity;
use crate::store::{QuestionChange, QuestionRecord, Said};

impl Engine {
    /// Leaves a question. The same question of the same gateway, while it waits, is one.
    ///
    /// # Errors
    /// `Invalid`, `OutOfRange`; `TooManyQuestions`; `Store`, `Audit`.
    pub async fn ask_approval(
        &self,
        identity: &Identity,
        params: AskApproval,
    ) -> Result<ApprovalAsked, VaultError> {
        let request = checked(params.request)?;
        if !(1..=LONGEST_QUESTION).contains(&params.ttl_secs) {
            let message = format!("ttl_secs must be between 1 and {LONGEST_QUESTION}");
            return Err(VaultError::OutOfRange(message));
        }
        let _one_at_a_time = self.shared.questions.order().await;
        let all = self.questions(None).await?;
        if let Some(question) = same(&all, identity, &request) {
            return Ok(asked(question));
        }
        let entry = about("approval_asked", identity, &request);
        if let Err(error) = room(&all, identity) {
            return self.deny(entry, error).await;
        }
        let now = self.now().wall;
        let question = QuestionRecord {
            id: ApprovalId::generate(),
            request,
            gateway: identity.agent.clone(),
            peer: identity.peer,
            asked_at: now,
            expires_at: later(now, params.ttl_secs.into())?,
            said: None,
        };
        let left = asked(&question);
        let mentioned = mentioning(entry.clone(), left.id);
        let caps = CAPS;
        let question = Box::new(question);
        let change = QuestionChange::Ask { question, caps };
        match self.change_question(change, mentioned).await {
            Ok(_) => Ok(left),
            Err(error @ VaultError::TooManyQuestions { .. }) => self.deny(entry, error).await,
            Err(error) => Err(error),
        }
    }

    /// Waits a while for what was said of a question of the caller's own.
    ///
    /// # Errors
    /// `OutOfRange`; `ApprovalNotFound`, also for another gateway's and for one whose time is over; `Store`, `Audit`.
    pub async fn await_approval(
        &self,
        identity: &Identity,
        params: AwaitApproval,
    ) -> Result<ApprovalState, VaultError> {
        if params.wait_secs > LONGEST_WAIT {
            let message = format!("wait_secs is {LONGEST_WAIT} at the most");
            return Err(VaultError::OutOfRange(message));
        }
        let mut moved = self.shared.questions.moved();
        let end = Instant::now() + Duration::from_secs(params.wait_secs.into());
        loop {
            // Before the look, so that no decision is missed between the two.
            moved.mark_unchanged();
            let decision = match self.own_question(identity, params.id).await {
                Ok(question) => question.said.map(|said| said.decision),
                Err(error) => return self.no_question(identity, params.id, error).await,
            };
            let waits = decision.is_none() && Instant::now() < end;
            if !waits || !matches!(timeout_at(end, moved.changed()).await, Ok(Ok(()))) {
                return Ok(ApprovalState { decision });
            }
        }
    }

    /// Takes a question of the caller's own back, decided or not.
    ///
    /// # Errors
    /// `ApprovalNotFound`; `Store`, `Audit`.
    pub async fn take_back_approval(
        &self,
        identity: &Identity,
        params: TakeBackApproval,
    ) -> Result<(), VaultError> {
        let id = params.id;
        let _one_at_a_time = self.shared.questions.order().await;
        let question = match self.own_question(identity, id).await {
            Ok(question) => question,
            Err(error) => return self.no_question(identity, id, error).await,
        };
        let entry = about("approval_taken_back", identity, &question.request);
        let change = QuestionChange::TakeBack { id };
        if self.change_question(change, mentioning(entry, id)).await? {
            return Ok(());
        }
        let error = VaultError::ApprovalNotFound(id);
        self.no_question(identity, id, error).await
    }

    /// What waits, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn list_approvals(&self, params: ListApprovals) -> Result<ApprovalList, VaultError> {
        let mut approvals: Vec<ApprovalInfo> = self
            .questions(None)
            .await?
            .into_iter()
            .filter(|it| it.said.is_none() && params.after.is_none_or(|after| it.id > after))
            .map(info)
            .collect();
        // Pages go on after an id, which holds the time of asking.
        approvals.sort_unstable_by_key(|it| it.id);
        let count = approvals.len();
        approvals.truncate(fitting(&approvals));
        let next = approvals
            .last()
            .filter(|_| approvals.len() < count)
            .map(|last| last.id);
        Ok(ApprovalList { approvals, next })
    }

    /// Answers a question.
    ///
    /// # Errors
    /// `OutOfRange`; `ApprovalNotFound`; `Decided` if somebody was faster; `Store`, `Audit`, and then nothing was answered.
    pub async fn decide_approval(
        &self,
        identity: &Identity,
        params: DecideApproval,
    ) -> Result<(), VaultError> {
        let DecideApproval { id, decision } = params;
        if let Decision::Allow {
            lasting: Lasting::Seconds(seconds),
            ..
        } = decision
            && !(1..=LONGEST_YES).contains(&seconds)
        {
            let message = format!("a yes lasts between 1 and {LONGEST_YES} seconds (30 days)");
            return Err(VaultError::OutOfRange(message));
        }
        let _one_at_a_time = self.shared.questions.order().await;
        let question = match self.undecided(id).await {
            Ok(question) => question,
            Err(error) => return self.no_question(identity, id, error).await,
        };
        fits(&question.request, decision)?;
        let change = QuestionChange::Answer {
            id,
            said: Said {
                decision,
                by: identity.actor(),
            },
            now: self.now().wall,
        };
        let entry = answer_entry(identity, &question, decision);
        if self.change_question(change, entry).await? {
            return Ok(());
        }
        // At another vault, between the look and the change.
        let lost = self.undecided(id).await.map(drop);
        let error = lost.err().unwrap_or(VaultError::ApprovalNotFound(id));
        self.no_question(identity, id, error).await
    }

    async fn undecided(&self, id: ApprovalId) -> Result<QuestionRecord, VaultError> {
        let mut question = self.question(id).await?;
        match question.said.take() {
            None => Ok(question),
            Some(Said { decision, by }) => Err(VaultError::Decided {
                id,
                how: in_words(&question.request, decision),
                by,
            }),
        }
    }

    async fn no_question<T>(
        &self,
        identity: &Identity,
        id: ApprovalId,
        error: VaultError,
    ) -> Result<T, VaultError> {
        let mut entry = entry("approval_denied", identity);
        entry.reason = Some(format!("question {id}"));
        self.deny(entry, error).await
    }
}

/// What goes on record before the gateway can hear of an answer.
fn answer_entry(identity: &Identity, question: &QuestionRecord, decision: Decision) -> Entry {
    let mut entry = about("approval_decided", identity, &question.request);
    let what = entry.reason.take().unwrap_or_default();
    entry.reason = Some(format!(
        "{}: {what}; asked by {}",
        in_words(&question.request, decision),
        asker(question)
    ));
    if decision == Decision::Deny {
        entry.outcome = Outcome::Denied;
    }
    mentioning(entry, question.id)
}

/// An entry about what is asked: a request in the words of `gateway_request`, without the query.
fn about(event: &str, identity: &Identity, asked: &Asked) -> Entry {
    let mut entry = entry(event, identity);
    entry.agent = Some(asked.agent().to_owned());
    entry.host = Some(asked.host().to_owned());
    match asked {
        Asked::Request(request) => {
            entry.rule = Some(request.rule.clone());
            let path = request.target.split('?').next().unwrap_or_default();
            let (path, length) = (shortened(path.to_owned()), request.body_length);
            let body = if length > 0 {
                format!(" with {length} bytes, sha256 {}", request.body_sha256)
            } else {
                String::new()
            };
            entry.reason = Some(format!("{} {path}{body}", request.method));
        }
        Asked::Access(access) => {
            let (methods, reason) = (access.methods.join(", "), &access.reason);
            entry.reason = Some(shortened(format!(
                "the use of {} with {methods}, because \"{reason}\"",
                access.credential
            )));
        }
    }
    entry
}

fn mentioning(mut entry: Entry, id: ApprovalId) -> Entry {
    let what = entry.reason.take().unwrap_or_default();
    entry.reason = Some(format!("{what} (question {id})"));
    entry
}

/// Whether an answer is one to what was asked: a yes to the use of a credential is for a time, and short.
fn fits(asked: &Asked, decision: Decision) -> Result<(), VaultError> {
    match (asked, decision) {
        (Asked::Request(_), _) | (_, Decision::Deny) => Ok(()),
        (
            Asked::Access(_),
            Decision::Allow {
                breadth: Breadth::Request,
                lasting: Lasting::Seconds(seconds),
            },
        ) if seconds <= LONGEST_ACCESS => Ok(()),
        (Asked::Access(_), Decision::Allow { .. }) => Err(VaultError::OutOfRange(format!(
            "the use of a credential is allowed for so many seconds, {LONGEST_ACCESS} at the most"
        ))),
    }
}

fn in_words(asked: &Asked, decision: Decision) -> String {
    let Decision::Allow { breadth, lasting } = decision else {
        return "denied".to_owned();
    };
    let what = match (asked, breadth) {
        (Asked::Access(_), _) => "this use",
        (Asked::Request(_), Breadth::Request) => "this request",
        (Asked::Request(_), Breadth::Rule) => "whatever the rule allows the agent",
    };
    let time = match lasting {
        Lasting::Once => "once".to_owned(),
        Lasting::Seconds(seconds) => format!("for {seconds} s"),
        Lasting::Session => "as long as the gateway runs".to_owned(),
    };
    format!("allowed {what}, {time}")
}
