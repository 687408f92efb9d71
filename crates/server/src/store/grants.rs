//! Grants: an approval becomes one, once; and that one fetch, once.

use fnox_api::ApprovalStatus;
use fnox_core::TokenHash;
use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::approvals::{about, changed, load, place_of};
use super::sql::{SqlError, Transaction};
use super::{ApprovalRecord, GrantRecord, Refusal, SecretRecord, Store, StoreError, Tx};
use super::{housekeeping, secrets, sessions};

/// A grant to make of an approval.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Of which approval.
    pub approval: Uuid,
    /// For whom: [`crate::Subject::binding`] must be the approval's.
    pub binding: [u8; 32],
    /// By which session.
    pub session: Uuid,
    /// The grant.
    pub grant: GrantRecord,
    /// When.
    pub now: Timestamp,
}

/// What a grant released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// The approval that it came from.
    pub approval: ApprovalRecord,
    /// The secrets with their age files, in the approval's order.
    pub secrets: Vec<SecretRecord>,
}

impl Store {
    /// Exchanges an approval for a grant.
    ///
    /// # Errors
    /// Refused with [`Refusal::Frozen`], [`Refusal::SessionEnded`], [`Refusal::Missing`], [`Refusal::NotTheirs`],
    /// [`Refusal::Status`], [`Refusal::Changed`].
    pub async fn grant(&self, new: NewGrant, entry: Entry) -> Result<ApprovalRecord, StoreError> {
        self.change(entry, new, grant).await
    }

    /// Uses a grant up and reads what it releases.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::GrantUsed`], [`Refusal::GrantExpired`], [`Refusal::Frozen`],
    /// [`Refusal::SessionEnded`], [`Refusal::Changed`].
    pub async fn redeem(
        &self,
        hash: TokenHash,
        now: Timestamp,
        entry: Entry,
    ) -> Result<Redeemed, StoreError> {
        self.change(entry, (hash, now), redeem).await
    }
}

fn grant<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    new: &'t NewGrant,
) -> BoxFuture<'t, Result<Result<ApprovalRecord, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(approval) = load(transaction, new.approval).await? else {
            return Ok(Err(Refusal::Missing));
        };
        about(entry, &approval);
        // A yes to a request of an agent is one to nothing else.
        if approval.question.is_some() {
            return Ok(Err(Refusal::NotTheirs));
        }
        if approval.binding != new.binding {
            return Ok(Err(Refusal::NotTheirs));
        }
        if let Some(refusal) = closed(transaction, new.session, new.now).await? {
            return Ok(Err(refusal));
        }
        if let Some(refusal) = changed(transaction, &approval).await? {
            return Ok(Err(refusal));
        }
        let moved = transaction
            .execute(
                "UPDATE approvals SET status = 'granted' WHERE id = $1 AND status = 'approved' AND expires_at > $2",
                &[new.approval.into(), new.now.into()],
            )
            .await?;
        if moved == 0 {
            return Ok(Err(Refusal::Status(approval.status_at(new.now))));
        }
        transaction
            .execute(
                "INSERT INTO grants (id, hash, approval, session, created_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    new.grant.id.into(),
                    new.grant.hash.into(),
                    new.approval.into(),
                    new.session.into(),
                    new.now.into(),
                    new.grant.expires_at.into(),
                ],
            )
            .await?;
        Ok(Ok(approval))
    })
}

fn redeem<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (hash, now): &'t (TokenHash, Timestamp),
) -> BoxFuture<'t, Result<Result<Redeemed, Refusal>, SqlError>> {
    Box::pin(async move {
        let found = transaction
            .first(
                "SELECT approval, session, expires_at, used_at FROM grants WHERE hash = $1",
                &[(*hash).into()],
            )
            .await?;
        let Some(row) = found else {
            return Ok(Err(Refusal::Missing));
        };
        let id = row.id(0)?;
        let approval = load(transaction, id)
            .await?
            .ok_or_else(|| SqlError::Corrupt("a grant has no approval".to_owned()))?;
        about(entry, &approval);
        entry.actor.clone_from(&approval.requester.principal);
        // Where a database was put back, grants that nobody used count as used too: their approvals have expired.
        let is_spent = row.optional_integer(3)?.is_some();
        if is_spent && approval.status != ApprovalStatus::Expired {
            return Ok(Err(Refusal::GrantUsed { approval: id }));
        }
        // A clock that was set back does not bring back what ended.
        if row.time(2)? <= *now || approval.status == ApprovalStatus::Expired {
            return Ok(Err(Refusal::GrantExpired));
        }
        if approval.status != ApprovalStatus::Granted {
            return Ok(Err(Refusal::Status(approval.status)));
        }
        if let Some(refusal) = closed(transaction, row.id(1)?, *now).await? {
            return Ok(Err(refusal));
        }
        let secrets = match released(transaction, &approval).await? {
            Ok(secrets) => secrets,
            Err(refusal) => return Ok(Err(refusal)),
        };
        burn(transaction, *hash, id, *now).await?;
        remember(transaction, &approval).await?;
        Ok(Ok(Redeemed { approval, secrets }))
    })
}

/// The one statement that uses a grant up. The rest of the transaction stands or falls with it.
async fn burn(
    transaction: &mut (dyn Transaction + '_),
    hash: TokenHash,
    approval: Uuid,
    now: Timestamp,
) -> Result<(), SqlError> {
    let burnt = transaction
        .execute(
            "UPDATE grants SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2",
            &[hash.into(), now.into()],
        )
        .await?;
    let moved = transaction
        .execute(
            "UPDATE approvals SET status = 'fetched' WHERE id = $1 AND status = 'granted'",
            &[approval.into()],
        )
        .await?;
    if burnt == 1 && moved == 1 {
        return Ok(());
    }
    // Transactions are one after the other, so what was read above still holds. If it does not, nothing is released.
    Err(SqlError::Corrupt(
        "a grant and its approval contradict one another".to_owned(),
    ))
}

/// What is stored now, if it is still what was approved.
async fn released(
    transaction: &mut (dyn Transaction + '_),
    approval: &ApprovalRecord,
) -> Result<Result<Vec<SecretRecord>, Refusal>, SqlError> {
    let mut released = Vec::with_capacity(approval.items.len());
    for item in &approval.items {
        let newest = secrets::newest(transaction, &place_of(approval, item), true).await?;
        match newest {
            Some(record)
                if record.version == item.version
                    && hex::encode(record.sha256) == item.ciphertext_sha256 =>
            {
                released.push(record);
            }
            _ => {
                return Ok(Err(Refusal::Changed {
                    key: item.key.clone(),
                }));
            }
        }
    }
    Ok(Ok(released))
}

/// Notes what the requester has now, for "new since the last approval".
async fn remember(
    transaction: &mut (dyn Transaction + '_),
    approval: &ApprovalRecord,
) -> Result<(), SqlError> {
    for item in approval.items.iter().filter(|item| item.is_new) {
        let [project, profile, key] = secrets::keys(&place_of(approval, item));
        transaction
            .execute(
                "INSERT INTO released (principal, project, profile, key, version) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (principal, project, profile, key) DO UPDATE SET version = excluded.version",
                &[
                    approval.requester.principal.as_str().into(),
                    project,
                    profile,
                    key,
                    item.version.into(),
                ],
            )
            .await?;
    }
    Ok(())
}

/// Why nothing is released to a session at the moment.
pub(super) async fn closed(
    transaction: &mut (dyn Transaction + '_),
    session: Uuid,
    now: Timestamp,
) -> Result<Option<Refusal>, SqlError> {
    if housekeeping::is_frozen(transaction).await? {
        return Ok(Some(Refusal::Frozen));
    }
    Ok((!sessions::is_live(transaction, session, now).await?).then_some(Refusal::SessionEnded))
}
