//! Where the questions are, and what holds for them.
//!
//! A vault that has its store to itself keeps them in memory. Vaults that share a store keep them there, so that people can
//! answer at any of them; the store judges each change once more, because two vaults look at the same time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnox_core::audit::Entry;
use fnox_core::question::Asked;
use fnox_vault_wire::methods::{ApprovalAsked, ApprovalInfo};
use fnox_vault_wire::{ApprovalId, TokenId};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::error::VaultError;
use crate::identity::{Identity, PeerBinding};
use crate::lease_table::Moment;
use crate::store::{QuestionCaps, QuestionChange, QuestionRecord, Refusal, StoreError};

/// More questions would only bury the people.
pub(super) const CAPS: QuestionCaps = QuestionCaps {
    per_gateway: 32,
    in_all: 256,
};

/// Questions of this process, and who waits for what.
#[derive(Debug)]
pub(in crate::engine) struct Questions {
    /// In the order of asking, each with its end on the clock that nobody can set. Empty where a shared store has them. What was
    /// answered stays until its time is over, so that a gateway whose connection broke hears it, and whoever comes late is told.
    kept: Mutex<Vec<(QuestionRecord, Duration)>>,
    /// Moves when something was asked, answered or taken back, here or at another vault.
    moved: watch::Sender<()>,
    /// Held from the look at a question until what is done about it is on record.
    order: tokio::sync::Mutex<()>,
}

impl Questions {
    pub(in crate::engine) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            moved: watch::channel(()).0,
            order: tokio::sync::Mutex::default(),
        }
    }

    /// Whoever has it changes questions; the others wait.
    pub(super) async fn order(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.order.lock().await
    }

    pub(super) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Has whoever waits look again.
    pub(in crate::engine) fn stir(&self) {
        self.moved.send_replace(());
    }

    /// A token that was withdrawn asks no more. A shared store leaves its questions out by itself.
    pub(in crate::engine) fn forget_token(&self, token: TokenId) {
        self.lock()
            .retain(|(it, _)| it.peer != PeerBinding::Token(token));
        self.stir();
    }

    fn all(&self, id: Option<ApprovalId>, now: Moment) -> Vec<QuestionRecord> {
        let kept = self.kept(now);
        let is_meant = |it: &&QuestionRecord| id.is_none_or(|id| it.id == id);
        kept.iter()
            .map(|(it, _)| it)
            .filter(is_meant)
            .cloned()
            .collect()
    }

    fn kept(&self, now: Moment) -> MutexGuard<'_, Vec<(QuestionRecord, Duration)>> {
        let mut kept = self.lock();
        kept.retain(|(_, ends)| now.monotonic < *ends);
        kept
    }

    fn apply(&self, change: QuestionChange, now: Moment) {
        let mut kept = self.kept(now);
        match change {
            QuestionChange::Ask { question, .. } => {
                let lasts = question.expires_at.duration_since(question.asked_at);
                let lasts = Duration::try_from(lasts).unwrap_or_default();
                kept.push((*question, now.monotonic.saturating_add(lasts)));
            }
            QuestionChange::Answer { id, said, .. } => {
                if let Some((question, _)) = kept.iter_mut().find(|(it, _)| it.id == id) {
                    question.said = Some(said);
                }
            }
            QuestionChange::TakeBack { id } => kept.retain(|(it, _)| it.id != id),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(QuestionRecord, Duration)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Questions whose time is not over, one or all.
    pub(super) async fn questions(
        &self,
        id: Option<ApprovalId>,
    ) -> Result<Vec<QuestionRecord>, VaultError> {
        let now = self.now();
        if !self.shared.stores.leases.is_shared() {
            return Ok(self.shared.questions.all(id, now));
        }
        let found = self.shared.stores.leases.questions(id).await;
        let mut found = found.map_err(|error| self.failed(error))?;
        found.retain(|it| it.expires_at > now.wall);
        Ok(found)
    }

    /// One of them.
    pub(super) async fn question(&self, id: ApprovalId) -> Result<QuestionRecord, VaultError> {
        let found = self.questions(Some(id)).await?;
        let found = found.into_iter().next();
        found.ok_or(VaultError::ApprovalNotFound(id))
    }

    /// One that the caller itself has asked.
    pub(super) async fn own_question(
        &self,
        identity: &Identity,
        id: ApprovalId,
    ) -> Result<QuestionRecord, VaultError> {
        let question = self.question(id).await?;
        if !is_of(&question, identity) {
            return Err(VaultError::ApprovalNotFound(id));
        }
        Ok(question)
    }

    /// Makes a change that is allowed by what was seen, and puts it on record: both or neither. `false`: another vault was
    /// faster, and nothing was changed.
    pub(super) async fn change_question(
        &self,
        change: QuestionChange,
        entry: Entry,
    ) -> Result<bool, VaultError> {
        let shared = &self.shared;
        if shared.stores.leases.is_shared() {
            let entries = self.entries(vec![entry]);
            let changed = shared.stores.leases.change_question(change, entries).await;
            match shared.troubles.watch(changed) {
                Ok(()) => {}
                Err(StoreError::Refused(Refusal::Cap { what, limit })) => {
                    return Err(VaultError::TooManyQuestions { what, limit });
                }
                Err(StoreError::Refused(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        } else {
            self.record(vec![entry]).await?;
            shared.questions.apply(change, self.now());
        }
        shared.questions.stir();
        Ok(true)
    }
}

/// Whether the caller has asked it.
pub(super) fn is_of(question: &QuestionRecord, identity: &Identity) -> bool {
    question.peer == identity.peer && question.gateway == identity.agent
}

/// Whether one more of the caller's may wait beside these.
pub(super) fn room(all: &[QuestionRecord], identity: &Identity) -> Result<(), VaultError> {
    let waiting = || all.iter().filter(|it| it.said.is_none());
    let of_one = waiting().filter(|it| is_of(it, identity)).count();
    let limits = [
        (of_one, CAPS.per_gateway, QuestionCaps::OF_GATEWAY),
        (waiting().count(), CAPS.in_all, QuestionCaps::IN_ALL),
    ];
    for (count, limit, what) in limits {
        if count >= limit as usize {
            return Err(VaultError::TooManyQuestions { what, limit });
        }
    }
    Ok(())
}

/// The caller's same question, if it waits already.
pub(super) fn same<'a>(
    all: &'a [QuestionRecord],
    identity: &Identity,
    request: &Asked,
) -> Option<&'a QuestionRecord> {
    all.iter()
        .find(|it| it.said.is_none() && is_of(it, identity) && it.request == *request)
}

pub(super) fn asked(question: &QuestionRecord) -> ApprovalAsked {
    ApprovalAsked {
        id: question.id,
        expires_at: question.expires_at,
    }
}

pub(super) fn info(question: QuestionRecord) -> ApprovalInfo {
    let gateway = question.gateway;
    ApprovalInfo {
        id: question.id,
        request: question.request,
        gateway: gateway.map_or_else(String::new, |name| name.to_string()),
        peer: question.peer.to_string(),
        asked_at: question.asked_at,
        expires_at: question.expires_at,
    }
}

/// Who asked, for people.
pub(super) fn asker(question: &QuestionRecord) -> String {
    match &question.gateway {
        Some(name) => format!("{name} ({})", question.peer),
        None => question.peer.to_string(),
    }
}
