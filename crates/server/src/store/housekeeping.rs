//! Emergencies, what ends by time, and what is forgotten.

use std::time::Duration;

use fnox_core::audit::{Entry, Outcome};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::approvals::{about, load};
use super::sql::{SqlError, Transaction};
use super::{Store, StoreError, Swept, Tx};

/// How many sessions and approvals were ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Sessions.
    pub sessions: u64,
    /// Approvals.
    pub approvals: u64,
}

impl Store {
    /// Whether nothing is released at the moment.
    ///
    /// # Errors
    /// As every read.
    pub async fn frozen(&self) -> Result<bool, StoreError> {
        self.find((), |transaction, ()| {
            Box::pin(async move { is_frozen(transaction).await })
        })
        .await
    }

    /// Writes something that changes nothing, durably: shows whether writing works.
    ///
    /// # Errors
    /// As every write.
    pub async fn probe(&self) -> Result<(), StoreError> {
        // A disk without room for a decision may have some for a page. Where a server keeps the database, what such a
        // write takes is its business.
        if self.database.is_shared() {
            self.sweep((), touch).await
        } else {
            self.sweep((), fill_and_empty).await
        }
    }

    /// Stops releasing, or starts again.
    ///
    /// # Errors
    /// As every write.
    pub async fn set_frozen(&self, frozen: bool, entry: Entry) -> Result<(), StoreError> {
        self.change(entry, frozen, |transaction, _, frozen| {
            Box::pin(async move {
                transaction
                    .execute(
                        "UPDATE server_state SET frozen = $1 WHERE id = 1",
                        &[(*frozen).into()],
                    )
                    .await?;
                Ok(Ok(()))
            })
        })
        .await
    }

    /// Ends all sessions but one, all approvals and all grants.
    ///
    /// # Errors
    /// As every write.
    pub async fn revoke_all(
        &self,
        but: Option<Uuid>,
        now: Timestamp,
        entry: Entry,
    ) -> Result<Ended, StoreError> {
        self.change(
            entry,
            (but.unwrap_or_default(), now),
            |transaction, entry, (but, now)| {
                Box::pin(async move {
                    let ended = end_all(transaction, *but, *now).await?;
                    entry.detail = Some(
                    serde_json::json!({"sessions": ended.sessions, "approvals": ended.approvals})
                        .to_string(),
                );
                    Ok(Ok(ended))
                })
            },
        )
        .await
    }

    /// Moves what is over by time to `expired`, at most `limit` approvals. Answers with them.
    ///
    /// # Errors
    /// As every write.
    pub async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        // Most of the time there is nothing, and nothing is written then.
        let due = self.find((now, limit), due).await?;
        if due.is_empty() {
            return Ok(due);
        }
        self.sweep((now, due), expire).await
    }

    /// Forgets used tokens that nobody would take any more, sessions that ended a day ago, and approvals that ended
    /// `keep` ago. The audit log keeps what happened.
    ///
    /// # Errors
    /// As every write.
    pub async fn forget(&self, now: Timestamp, keep: Duration) -> Result<(), StoreError> {
        self.sweep((now, keep), forget).await
    }
}

fn touch<'t>(transaction: Tx<'t>, (): &'t ()) -> BoxFuture<'t, Result<Swept<()>, SqlError>> {
    Box::pin(async move {
        transaction
            .execute("UPDATE server_state SET frozen = frozen WHERE id = 1", &[])
            .await?;
        Ok(((), Vec::new()))
    })
}

/// Stores as many pages as a change does, and frees them: the next time needs no more of the disk.
fn fill_and_empty<'t>(
    transaction: Tx<'t>,
    (): &'t (),
) -> BoxFuture<'t, Result<Swept<()>, SqlError>> {
    Box::pin(async move {
        // A session of nobody, that ended long ago. Nobody sees it.
        let id = Uuid::nil();
        transaction
            .execute(
                "INSERT INTO sessions (id, hash, principal, subject, created_at, expires_at, ended) \
                 VALUES ($1, $2, '', $3, 0, 0, 1)",
                &[id.into(), [0_u8; 32].into(), "x".repeat(CHANGE).into()],
            )
            .await?;
        transaction
            .execute("DELETE FROM sessions WHERE id = $1", &[id.into()])
            .await?;
        Ok(((), Vec::new()))
    })
}

/// About as many bytes as a login, a decision or a fetch writes, most of them in indexes and the audit log.
const CHANGE: usize = 32 * 1024;

pub(super) async fn is_frozen(transaction: &mut (dyn Transaction + '_)) -> Result<bool, SqlError> {
    let frozen = transaction
        .number("SELECT frozen FROM server_state WHERE id = 1", &[])
        .await?;
    Ok(frozen != 0)
}

async fn end_all(
    transaction: &mut (dyn Transaction + '_),
    but: Uuid,
    now: Timestamp,
) -> Result<Ended, SqlError> {
    let sessions = transaction
        .execute(
            "UPDATE sessions SET ended = 1 WHERE ended = 0 AND expires_at > $1 AND id <> $2",
            &[now.into(), but.into()],
        )
        .await?;
    let approvals = transaction
        .execute(
            "UPDATE approvals SET status = 'cancelled' WHERE status IN ('pending', 'approved')",
            &[],
        )
        .await?;
    transaction
        .execute(
            "UPDATE grants SET expires_at = $1 WHERE used_at IS NULL AND expires_at > $1",
            &[now.into()],
        )
        .await?;
    Ok(Ended {
        sessions,
        approvals,
    })
}

fn due<'t>(
    transaction: Tx<'t>,
    (now, limit): &'t (Timestamp, u32),
) -> BoxFuture<'t, Result<Vec<Uuid>, SqlError>> {
    Box::pin(async move {
        let rows = transaction
            .query(
                "SELECT a.id FROM approvals a LEFT JOIN grants g ON g.approval = a.id \
                 WHERE (a.status IN ('pending', 'approved') AND a.expires_at <= $1) \
                 OR (a.status = 'granted' AND g.expires_at <= $1) ORDER BY a.expires_at LIMIT $2",
                &[(*now).into(), (*limit).into()],
            )
            .await?;
        rows.iter().map(|row| row.id(0)).collect()
    })
}

fn expire<'t>(
    transaction: Tx<'t>,
    (now, due): &'t (Timestamp, Vec<Uuid>),
) -> BoxFuture<'t, Result<Swept<Vec<Uuid>>, SqlError>> {
    Box::pin(async move {
        let mut expired = Vec::new();
        let mut entries = Vec::new();
        for id in due {
            let moved = transaction
                .execute(
                    "UPDATE approvals SET status = 'expired' WHERE id = $1 AND ( \
                     (status IN ('pending', 'approved') AND expires_at <= $2) OR (status = 'granted' AND EXISTS \
                     (SELECT 1 FROM grants WHERE approval = $1 AND used_at IS NULL AND expires_at <= $2)))",
                    &[(*id).into(), (*now).into()],
                )
                .await?;
            if moved == 1
                && let Some(approval) = load(transaction, *id).await?
            {
                let mut entry = Entry::new("approval_expired", "system", Outcome::Ok);
                about(&mut entry, &approval);
                entries.push(entry);
                expired.push(*id);
            }
        }
        Ok((expired, entries))
    })
}

fn forget<'t>(
    transaction: Tx<'t>,
    (now, keep): &'t (Timestamp, Duration),
) -> BoxFuture<'t, Result<((), Vec<Entry>), SqlError>> {
    Box::pin(async move {
        let before = |ago: Duration| now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        transaction
            .execute(
                "DELETE FROM used_tokens WHERE keep_until < $1",
                &[(*now).into()],
            )
            .await?;
        transaction
            .execute(
                "DELETE FROM sessions WHERE expires_at < $1",
                &[before(Duration::from_hours(24)).into()],
            )
            .await?;
        transaction
            .execute(
                "DELETE FROM approvals WHERE created_at < $1 \
                 AND status IN ('denied', 'expired', 'cancelled', 'fetched')",
                &[before(*keep).into()],
            )
            .await?;
        Ok(((), Vec::new()))
    })
}
