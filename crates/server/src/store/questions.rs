//! Questions of gateways: approvals that are about a request and no keys. They become no grant; their yes is used here.

use std::time::Duration;

use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::approvals::{self, load};
use super::grants::closed;
use super::sql::{SqlError, Transaction};
use super::{ApprovalRecord, QuestionRecord, Refusal, Store, StoreError, Tx};

/// A yes to use up.
#[derive(Debug, Clone)]
pub struct UsedYes {
    /// Of which question.
    pub approval: Uuid,
    /// By whom: [`crate::Subject::binding`] must be the question's.
    pub binding: [u8; 32],
    /// By which session.
    pub session: Uuid,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Uses the yes to a question up, once. Answers with the question as it was.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::NotTheirs`], [`Refusal::Frozen`], [`Refusal::SessionEnded`],
    /// [`Refusal::Status`].
    pub async fn use_yes(&self, used: UsedYes, entry: Entry) -> Result<ApprovalRecord, StoreError> {
        self.change(entry, used, use_yes).await
    }
}

fn use_yes<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    used: &'t UsedYes,
) -> BoxFuture<'t, Result<Result<ApprovalRecord, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(before) = load(transaction, used.approval).await? else {
            return Ok(Err(Refusal::Missing));
        };
        approvals::about(entry, &before);
        if before.question.is_none() || before.binding != used.binding {
            return Ok(Err(Refusal::NotTheirs));
        }
        if let Some(refusal) = closed(transaction, used.session, used.now).await? {
            return Ok(Err(refusal));
        }
        let moved = transaction
            .execute(
                "UPDATE approvals SET status = 'fetched' WHERE id = $1 AND status = 'approved' AND expires_at > $2 \
                 AND question IS NOT NULL",
                &[used.approval.into(), used.now.into()],
            )
            .await?;
        if moved == 0 {
            return Ok(Err(Refusal::Status(before.status_at(used.now))));
        }
        Ok(Ok(before))
    })
}

/// Notes for how long a yes is. Of several people's the shortest counts.
pub(super) async fn shorten(
    transaction: &mut (dyn Transaction + '_),
    approval: Uuid,
    lasting: u32,
) -> Result<(), SqlError> {
    transaction
        .execute(
            "UPDATE approvals SET lasting = $2 WHERE id = $1 AND status = 'pending' \
             AND (lasting IS NULL OR lasting > $2)",
            &[approval.into(), lasting.into()],
        )
        .await?;
    Ok(())
}

/// Whoever asks and takes back again and again buries what matters, though little of it is pending at a time.
pub(super) async fn too_often(
    transaction: &mut (dyn Transaction + '_),
    asked: &ApprovalRecord,
    (limit, within): (u32, Duration),
) -> Result<Option<Refusal>, SqlError> {
    let since = asked
        .created_at
        .checked_sub(within)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    // The oldest of as many as may be: when it is old enough, there is room for one more.
    let oldest = transaction
        .first(
            "SELECT created_at FROM approvals WHERE principal = $1 AND created_at > $2 AND question IS NOT NULL
             ORDER BY created_at DESC LIMIT 1 OFFSET $3",
            &[
                asked.requester.principal.as_str().into(),
                since.into(),
                i64::from(limit.saturating_sub(1)).into(),
            ],
        )
        .await?;
    oldest
        .map(|row| {
            let until = row.time(0)?.checked_add(within).unwrap_or(asked.created_at);
            Ok(Refusal::TooOften { limit, until })
        })
        .transpose()
}

/// Says in an entry what is asked.
pub(super) fn about(entry: &mut Entry, approval: &ApprovalRecord, question: &QuestionRecord) {
    let request = &question.request;
    entry.host = Some(request.host().to_owned());
    entry.detail = Some(
        serde_json::json!({
            "request": request,
            "requester": approval.requester.principal,
        })
        .to_string(),
    );
}
