//! Approvals: `pending` once becomes `approved`, `denied`, `expired` or `cancelled`.
//!
//! A no wins over a yes that came before it, as long as nothing was granted. The same decision by the same person
//! again changes nothing and is no error: people tap twice.

mod rows;

use std::time::Duration;

use fnox_api::{ApprovalItem, ApprovalStatus, Decision, DecisionView};
use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use self::rows::{gone, insert, insert_decision};
use super::sql::{SqlError, Transaction};
use super::{ApprovalRecord, Refusal, SecretPlace, Store, StoreError, Tx};
use super::{housekeeping, questions, secrets, sessions};

pub(super) use self::rows::load;

/// An approval to ask for.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// It, `Pending` or, if nobody has to be asked, `Approved`. `is_new` of its items is filled in.
    pub approval: ApprovalRecord,
    /// Digest of exactly this request by exactly this requester: the same again is the same approval.
    pub request: [u8; 32],
    /// Digest of requester, keys and command: what was denied may not be asked again at once.
    pub quiet: [u8; 32],
    /// How many of one requester may be pending.
    pub pending_limit: u32,
    /// How long what was denied may not be asked again.
    pub quiet_time: Duration,
    /// Of a question: how many of one requester may be asked in how long, whatever became of them.
    pub often: Option<(u32, Duration)>,
}

/// An approval that is pending now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// It.
    pub approval: ApprovalRecord,
    /// Whether it is new, so that people have to be told.
    pub is_new: bool,
}

/// A decision to make.
#[derive(Debug, Clone)]
pub struct NewDecision {
    /// About which approval.
    pub approval: Uuid,
    /// Who decides: a principal, or `link holder`.
    pub by: String,
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub now: Timestamp,
    /// When a yes ends.
    pub approved_until: Timestamp,
    /// Of a question: for how many seconds a yes covers the same request.
    pub lasting: u32,
    /// How many have to say yes as the policy is now; `None`: as many as when it was asked.
    pub approvals_needed: Option<u32>,
}

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The approval afterwards.
    pub approval: ApprovalRecord,
    /// Whether anything changed: not if the same person said the same before.
    pub changed: bool,
}

impl Store {
    /// Asks for an approval, or finds the same one pending.
    ///
    /// # Errors
    /// Refused with [`Refusal::Frozen`], [`Refusal::SessionEnded`], [`Refusal::Changed`], [`Refusal::Quiet`],
    /// [`Refusal::TooManyPending`], [`Refusal::TooOften`].
    pub async fn ask(&self, new: NewApproval, entry: Entry) -> Result<Asked, StoreError> {
        self.change(entry, new, ask).await
    }

    /// An approval.
    ///
    /// # Errors
    /// As every read.
    pub async fn approval(&self, id: Uuid) -> Result<Option<ApprovalRecord>, StoreError> {
        self.find(id, |transaction, id| {
            Box::pin(async move { load(transaction, *id).await })
        })
        .await
    }

    /// The newest approvals, or only those that are pending at `now`; newest first.
    ///
    /// # Errors
    /// As every read.
    pub async fn approvals(
        &self,
        pending_at: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ApprovalRecord>, StoreError> {
        self.find((pending_at, limit), list).await
    }

    /// Makes a decision.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::SelfApproval`], [`Refusal::Status`].
    pub async fn decide(&self, decision: NewDecision, entry: Entry) -> Result<Decided, StoreError> {
        self.change(entry, decision, decide).await
    }

    /// Counts a wrong code; the second one denies. Answers with the approval afterwards.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::Status`].
    pub async fn wrong_code(
        &self,
        id: Uuid,
        now: Timestamp,
        entry: Entry,
    ) -> Result<ApprovalRecord, StoreError> {
        self.change(entry, (id, now), wrong_code).await
    }

    /// Takes a request back.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::NotTheirs`], [`Refusal::Status`].
    pub async fn cancel(
        &self,
        id: Uuid,
        binding: [u8; 32],
        now: Timestamp,
        entry: Entry,
    ) -> Result<ApprovalRecord, StoreError> {
        self.change(entry, (id, binding, now), cancel).await
    }
}

fn ask<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    new: &'t NewApproval,
) -> BoxFuture<'t, Result<Result<Asked, Refusal>, SqlError>> {
    Box::pin(async move {
        let asked = &new.approval;
        about(entry, asked);
        let now = asked.created_at;
        if let Some(refusal) = cannot_ask(transaction, new, now).await? {
            return Ok(Err(refusal));
        }
        let same = transaction
            .first(
                "SELECT id FROM approvals WHERE request = $1 AND status = 'pending' AND expires_at > $2",
                &[new.request.into(), now.into()],
            )
            .await?;
        if let Some(row) = same {
            let approval = load(transaction, row.id(0)?).await?.ok_or_else(gone)?;
            entry.approval = Some(approval.id);
            entry.reason = Some("the same request is pending already".to_owned());
            return Ok(Ok(Asked {
                approval,
                is_new: false,
            }));
        }
        if asked.status == ApprovalStatus::Pending
            && let Some(refusal) = too_often(transaction, new, now).await?
        {
            return Ok(Err(refusal));
        }
        insert(transaction, new).await?;
        let approval = load(transaction, asked.id).await?.ok_or_else(gone)?;
        Ok(Ok(Asked {
            approval,
            is_new: true,
        }))
    })
}

async fn cannot_ask(
    transaction: &mut (dyn Transaction + '_),
    new: &NewApproval,
    now: Timestamp,
) -> Result<Option<Refusal>, SqlError> {
    if housekeeping::is_frozen(transaction).await? {
        return Ok(Some(Refusal::Frozen));
    }
    if !sessions::is_live(transaction, new.approval.session, now).await? {
        return Ok(Some(Refusal::SessionEnded));
    }
    changed(transaction, &new.approval).await
}

/// The first item that is not what is stored now.
pub(super) async fn changed(
    transaction: &mut (dyn Transaction + '_),
    approval: &ApprovalRecord,
) -> Result<Option<Refusal>, SqlError> {
    for item in &approval.items {
        let place = place_of(approval, item);
        let newest = secrets::newest(transaction, &place, false).await?;
        let is_same = newest.is_some_and(|newest| {
            newest.version == item.version && hex::encode(newest.sha256) == item.ciphertext_sha256
        });
        if !is_same {
            return Ok(Some(Refusal::Changed {
                key: item.key.clone(),
            }));
        }
    }
    Ok(None)
}

pub(super) fn place_of(approval: &ApprovalRecord, item: &ApprovalItem) -> SecretPlace {
    SecretPlace {
        project: approval.project.clone(),
        profile: approval.profile.clone(),
        key: item.key.clone(),
    }
}

async fn too_often(
    transaction: &mut (dyn Transaction + '_),
    new: &NewApproval,
    now: Timestamp,
) -> Result<Option<Refusal>, SqlError> {
    let earliest = now
        .checked_sub(new.quiet_time)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let denied = transaction
        .first(
            "SELECT max(denied_at) FROM approvals WHERE quiet = $1 AND status = 'denied' AND denied_at > $2",
            &[new.quiet.into(), earliest.into()],
        )
        .await?;
    if let Some(row) = denied
        && row.optional_integer(0)?.is_some()
    {
        let until = row.time(0)?.checked_add(new.quiet_time).unwrap_or(now);
        return Ok(Some(Refusal::Quiet { until }));
    }
    let pending = transaction
        .number(
            "SELECT count(*) FROM approvals WHERE principal = $1 AND status = 'pending' AND expires_at > $2",
            &[
                new.approval.requester.principal.as_str().into(),
                now.into(),
            ],
        )
        .await?;
    if pending >= i64::from(new.pending_limit) {
        return Ok(Some(Refusal::TooManyPending {
            limit: new.pending_limit,
        }));
    }
    match new.often {
        None => Ok(None),
        Some(often) => questions::too_often(transaction, &new.approval, often).await,
    }
}

fn decide<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    new: &'t NewDecision,
) -> BoxFuture<'t, Result<Result<Decided, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(before) = load(transaction, new.approval).await? else {
            return Ok(Err(Refusal::Missing));
        };
        about(entry, &before);
        if before.requester.principal == new.by && !before.may_be_own() {
            return Ok(Err(Refusal::SelfApproval));
        }
        let said = before.decisions.iter().find(|said| said.by == new.by);
        if said.is_some_and(|said| said.decision == new.decision) {
            entry.reason = Some("it was decided so before".to_owned());
            return Ok(Ok(Decided {
                approval: before,
                changed: false,
            }));
        }
        let status = before.status_at(new.now);
        let moved = match new.decision {
            Decision::Deny => deny(transaction, new).await?,
            Decision::Approve if status != ApprovalStatus::Pending => false,
            Decision::Approve => approve(transaction, &before, new).await?,
        };
        if !moved {
            return Ok(Err(Refusal::Status(status)));
        }
        let approval = load(transaction, new.approval).await?.ok_or_else(gone)?;
        Ok(Ok(Decided {
            approval,
            changed: true,
        }))
    })
}

/// A no. It also ends a yes that was not granted yet.
async fn deny(
    transaction: &mut (dyn Transaction + '_),
    new: &NewDecision,
) -> Result<bool, SqlError> {
    let moved = transaction
        .execute(
            "UPDATE approvals SET status = 'denied', denied_at = $2 \
             WHERE id = $1 AND status IN ('pending', 'approved') AND expires_at > $2",
            &[new.approval.into(), new.now.into()],
        )
        .await?;
    if moved == 1 {
        insert_decision(transaction, new.approval, &view(new)).await?;
    }
    Ok(moved == 1)
}

/// A yes. The last one that is needed moves the approval.
async fn approve(
    transaction: &mut (dyn Transaction + '_),
    before: &ApprovalRecord,
    new: &NewDecision,
) -> Result<bool, SqlError> {
    insert_decision(transaction, new.approval, &view(new)).await?;
    if before.question.is_some() {
        questions::shorten(transaction, new.approval, new.lasting).await?;
    }
    let needed = new.approvals_needed.unwrap_or(before.approvals_needed);
    if needed != before.approvals_needed {
        transaction
            .execute(
                "UPDATE approvals SET approvals_needed = $2 WHERE id = $1",
                &[new.approval.into(), needed.into()],
            )
            .await?;
    }
    let yes = before
        .decisions
        .iter()
        .filter(|said| said.decision == Decision::Approve && said.by != new.by)
        .count()
        + 1;
    if yes < needed as usize {
        return Ok(true);
    }
    let moved = transaction
        .execute(
            "UPDATE approvals SET status = 'approved', expires_at = $3 \
             WHERE id = $1 AND status = 'pending' AND expires_at > $2",
            &[
                new.approval.into(),
                new.now.into(),
                new.approved_until.into(),
            ],
        )
        .await?;
    Ok(moved == 1)
}

fn view(new: &NewDecision) -> DecisionView {
    DecisionView {
        by: new.by.clone(),
        decision: new.decision,
        at: new.now,
        reason: new.reason.clone(),
    }
}

fn wrong_code<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (id, now): &'t (Uuid, Timestamp),
) -> BoxFuture<'t, Result<Result<ApprovalRecord, Refusal>, SqlError>> {
    Box::pin(async move {
        let moved = transaction
            .execute(
                "UPDATE approvals SET wrong_codes = wrong_codes + 1, \
                 denied_at = CASE WHEN wrong_codes >= 1 THEN $2 ELSE denied_at END, \
                 status = CASE WHEN wrong_codes >= 1 THEN 'denied' ELSE status END \
                 WHERE id = $1 AND status = 'pending' AND expires_at > $2",
                &[(*id).into(), (*now).into()],
            )
            .await?;
        let Some(approval) = load(transaction, *id).await? else {
            return Ok(Err(Refusal::Missing));
        };
        about(entry, &approval);
        if moved == 0 {
            return Ok(Err(Refusal::Status(approval.status_at(*now))));
        }
        if approval.status == ApprovalStatus::Denied {
            "approval_denied_by_wrong_codes".clone_into(&mut entry.event);
        }
        Ok(Ok(approval))
    })
}

fn cancel<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (id, binding, now): &'t (Uuid, [u8; 32], Timestamp),
) -> BoxFuture<'t, Result<Result<ApprovalRecord, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(before) = load(transaction, *id).await? else {
            return Ok(Err(Refusal::Missing));
        };
        about(entry, &before);
        if before.binding != *binding {
            return Ok(Err(Refusal::NotTheirs));
        }
        let moved = transaction
            .execute(
                "UPDATE approvals SET status = 'cancelled' \
                 WHERE id = $1 AND status IN ('pending', 'approved') AND expires_at > $2",
                &[(*id).into(), (*now).into()],
            )
            .await?;
        if moved == 0 {
            return Ok(Err(Refusal::Status(before.status_at(*now))));
        }
        Ok(Ok(ApprovalRecord {
            status: ApprovalStatus::Cancelled,
            ..before
        }))
    })
}

fn list<'t>(
    transaction: Tx<'t>,
    (pending_at, limit): &'t (Option<Timestamp>, u32),
) -> BoxFuture<'t, Result<Vec<ApprovalRecord>, SqlError>> {
    Box::pin(async move {
        let rows = match pending_at {
            Some(now) => {
                transaction
                    .query(
                        "SELECT id FROM approvals WHERE status = 'pending' AND expires_at > $1 \
                         ORDER BY created_at DESC, id DESC LIMIT $2",
                        &[(*now).into(), (*limit).into()],
                    )
                    .await?
            }
            None => {
                transaction
                    .query(
                        "SELECT id FROM approvals ORDER BY created_at DESC, id DESC LIMIT $1",
                        &[(*limit).into()],
                    )
                    .await?
            }
        };
        let mut approvals = Vec::with_capacity(rows.len());
        for row in rows {
            approvals.extend(load(transaction, row.id(0)?).await?);
        }
        Ok(approvals)
    })
}

/// Says in an entry which approval it is about, and what was asked for.
pub(super) fn about(entry: &mut Entry, approval: &ApprovalRecord) {
    entry.approval = Some(approval.id);
    if let Some(question) = &approval.question {
        questions::about(entry, approval, question);
        return;
    }
    entry.project = Some(approval.project.clone());
    let items: Vec<_> = approval
        .items
        .iter()
        .map(|item| {
            serde_json::json!({
                "key": item.key,
                "version": item.version,
                "sha256": item.ciphertext_sha256,
            })
        })
        .collect();
    entry.detail = Some(
        serde_json::json!({
            "profile": approval.profile,
            "keys": items,
            "command_hash": approval.command_hash,
            "requester": approval.requester.principal,
        })
        .to_string(),
    );
}
