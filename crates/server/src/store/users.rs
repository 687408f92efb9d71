//! People that an identity provider told of. Whoever is deactivated there loses sessions, requests and votes here, in
//! one transaction.

use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::sql::{Row, SqlError, Transaction, Value};
use super::{Ended, Refusal, Store, StoreError, Tx, UserRecord};

/// What of a person is changed. `None`: as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// `userName`
    pub user_name: Option<String>,
    /// `externalId`
    pub external_id: Option<Option<String>>,
    /// `displayName`
    pub display_name: Option<Option<String>>,
    /// The primary mail.
    pub email: Option<Option<String>>,
    /// Whether the person may log in.
    pub active: Option<bool>,
}

impl Store {
    /// Stores a person.
    ///
    /// # Errors
    /// Refused with [`Refusal::Exists`] if somebody has the user name.
    pub async fn create_user(&self, user: UserRecord, entry: Entry) -> Result<(), StoreError> {
        self.change(entry, user, create).await
    }

    /// Changes a person. Answers with the person afterwards and with what ended.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::Exists`].
    pub async fn change_user(
        &self,
        id: Uuid,
        change: UserChange,
        now: Timestamp,
        entry: Entry,
    ) -> Result<(UserRecord, Ended), StoreError> {
        self.change(entry, (id, change, now), change_user).await
    }

    /// Deletes a person, with the same consequences as deactivating.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`].
    pub async fn delete_user(
        &self,
        id: Uuid,
        now: Timestamp,
        entry: Entry,
    ) -> Result<Ended, StoreError> {
        self.change(entry, (id, now), delete).await
    }

    /// A person.
    ///
    /// # Errors
    /// As every read.
    pub async fn user(&self, id: Uuid) -> Result<Option<UserRecord>, StoreError> {
        self.find(id, |transaction, id| {
            Box::pin(async move { load(transaction, *id).await })
        })
        .await
    }

    /// People in the order of their ids, perhaps only the one with this user name or external id: at most `limit` from
    /// the position `offset` on, and how many there are in all.
    ///
    /// # Errors
    /// As every read.
    pub async fn users(
        &self,
        user_name: Option<String>,
        external_id: Option<String>,
        offset: u32,
        limit: u32,
    ) -> Result<(Vec<UserRecord>, u64), StoreError> {
        self.find((user_name, external_id, offset, limit), list)
            .await
    }
}

fn create<'t>(
    transaction: Tx<'t>,
    _entry: &'t mut Entry,
    user: &'t UserRecord,
) -> BoxFuture<'t, Result<Result<(), Refusal>, SqlError>> {
    Box::pin(async move {
        let made = transaction
            .execute(
                "INSERT INTO users (id, user_name, user_name_folded, external_id, display_name, email, active, \
                 created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (user_name_folded) DO NOTHING",
                &columns(user),
            )
            .await?;
        Ok(if made == 1 {
            Ok(())
        } else {
            Err(Refusal::Exists)
        })
    })
}

fn columns(user: &UserRecord) -> [Value; 9] {
    [
        user.id.into(),
        user.user_name.as_str().into(),
        user.user_name.to_lowercase().into(),
        user.external_id.clone().into(),
        user.display_name.clone().into(),
        user.email.clone().into(),
        user.active.into(),
        user.created_at.into(),
        user.updated_at.into(),
    ]
}

/// A person afterwards, and what ended.
type Changed = (UserRecord, Ended);

fn change_user<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (id, change, now): &'t (Uuid, UserChange, Timestamp),
) -> BoxFuture<'t, Result<Result<Changed, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(before) = load(transaction, *id).await? else {
            return Ok(Err(Refusal::Missing));
        };
        let change = change.clone();
        let after = UserRecord {
            id: before.id,
            user_name: change.user_name.unwrap_or_else(|| before.user_name.clone()),
            external_id: change
                .external_id
                .unwrap_or_else(|| before.external_id.clone()),
            display_name: change
                .display_name
                .unwrap_or_else(|| before.display_name.clone()),
            email: change.email.unwrap_or_else(|| before.email.clone()),
            active: change.active.unwrap_or(before.active),
            created_at: before.created_at,
            updated_at: *now,
        };
        let taken = transaction
            .number(
                "SELECT count(*) FROM users WHERE user_name_folded = $1 AND id <> $2",
                &[after.user_name.to_lowercase().into(), after.id.into()],
            )
            .await?;
        if taken > 0 {
            return Ok(Err(Refusal::Exists));
        }
        transaction
            .execute(
                "UPDATE users SET user_name = $2, user_name_folded = $3, external_id = $4, display_name = $5, \
                 email = $6, active = $7, created_at = $8, updated_at = $9 WHERE id = $1",
                &columns(&after),
            )
            .await?;
        // Under the names that the sessions were opened with, which the change may have taken away.
        let ended = if after.active {
            Ended::default()
        } else {
            "user_deactivated".clone_into(&mut entry.event);
            end_person(transaction, &before).await?
        };
        tell(entry, &after, ended);
        Ok(Ok((after, ended)))
    })
}

fn delete<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (id, _now): &'t (Uuid, Timestamp),
) -> BoxFuture<'t, Result<Result<Ended, Refusal>, SqlError>> {
    Box::pin(async move {
        let Some(user) = load(transaction, *id).await? else {
            return Ok(Err(Refusal::Missing));
        };
        let ended = end_person(transaction, &user).await?;
        transaction
            .execute("DELETE FROM users WHERE id = $1", &[(*id).into()])
            .await?;
        tell(entry, &user, ended);
        Ok(Ok(ended))
    })
}

fn tell(entry: &mut Entry, user: &UserRecord, ended: Ended) {
    entry.agent = Some(user.user_name.clone());
    entry.detail = Some(
        serde_json::json!({
            "user": user.id,
            "active": user.active,
            "sessions_ended": ended.sessions,
            "approvals_cancelled": ended.approvals,
        })
        .to_string(),
    );
}

/// Ends everything of a person: sessions, requests, and yeses that have not been used yet.
async fn end_person(
    transaction: &mut (dyn Transaction + '_),
    user: &UserRecord,
) -> Result<Ended, SqlError> {
    let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
    let names = [
        Value::from(user.user_name.to_lowercase()),
        lower(&user.external_id).into(),
        lower(&user.email).into(),
    ];
    let principals = transaction
        .query(
            "SELECT DISTINCT principal FROM sessions WHERE login_subject IN ($1, $2, $3) \
             OR login_name IN ($1, $2, $3) OR login_email IN ($1, $2, $3)",
            &names,
        )
        .await?;
    let mut ended = Ended::default();
    for row in principals {
        let principal = row.text(0)?;
        ended.sessions += transaction
            .execute(
                "UPDATE sessions SET ended = 1 WHERE principal = $1 AND ended = 0",
                &[principal.as_str().into()],
            )
            .await?;
        ended.approvals += transaction
            .execute(
                "UPDATE approvals SET status = 'cancelled' \
                 WHERE principal = $1 AND status IN ('pending', 'approved')",
                &[principal.as_str().into()],
            )
            .await?;
        // A yes of somebody who has gone counts for nothing that is still open.
        transaction
            .execute(
                "DELETE FROM decisions WHERE decided_by = $1 AND approval IN \
                 (SELECT id FROM approvals WHERE status = 'pending')",
                &[principal.as_str().into()],
            )
            .await?;
        ended.approvals += transaction
            .execute(
                "UPDATE approvals SET status = 'cancelled' WHERE status = 'approved' AND EXISTS \
                 (SELECT 1 FROM decisions WHERE approval = approvals.id AND decided_by = $1 AND decision = 'approve')",
                &[principal.as_str().into()],
            )
            .await?;
    }
    Ok(ended)
}

async fn load(
    transaction: &mut (dyn Transaction + '_),
    id: Uuid,
) -> Result<Option<UserRecord>, SqlError> {
    let row = transaction
        .first(
            "SELECT id, user_name, external_id, display_name, email, active, created_at, updated_at FROM users \
             WHERE id = $1",
            &[id.into()],
        )
        .await?;
    row.as_ref().map(record).transpose()
}

type Wanted = (Option<String>, Option<String>, u32, u32);

fn list<'t>(
    transaction: Tx<'t>,
    (user_name, external_id, offset, limit): &'t Wanted,
) -> BoxFuture<'t, Result<(Vec<UserRecord>, u64), SqlError>> {
    Box::pin(async move {
        let folded: Value = user_name.as_ref().map(|name| name.to_lowercase()).into();
        let external: Value = external_id.clone().into();
        let rows = transaction
            .query(
                "SELECT id, user_name, external_id, display_name, email, active, created_at, updated_at FROM users \
                 WHERE (CAST($1 AS TEXT) IS NULL OR user_name_folded = $1) \
                 AND (CAST($2 AS TEXT) IS NULL OR external_id = $2) ORDER BY id LIMIT $3 OFFSET $4",
                &[
                    folded.clone(),
                    external.clone(),
                    (*limit).into(),
                    (*offset).into(),
                ],
            )
            .await?;
        let count = transaction
            .number(
                "SELECT count(*) FROM users WHERE (CAST($1 AS TEXT) IS NULL OR user_name_folded = $1) \
                 AND (CAST($2 AS TEXT) IS NULL OR external_id = $2)",
                &[folded, external],
            )
            .await?;
        let users = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok((users, count.unsigned_abs()))
    })
}

fn record(row: &Row) -> Result<UserRecord, SqlError> {
    Ok(UserRecord {
        id: row.id(0)?,
        user_name: row.text(1)?,
        external_id: row.optional_text(2)?,
        display_name: row.optional_text(3)?,
        email: row.optional_text(4)?,
        active: row.flag(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}
