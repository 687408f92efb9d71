//! Sessions, and the CI tokens that opened them.

use fnox_core::TokenHash;
use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::names::{self, KnownName};
use super::sql::{Row, SqlError, Value};
use super::{Refusal, SessionRecord, Store, StoreError, Tx};
use crate::subject::Subject;

/// A session to open.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session.
    pub session: SessionRecord,
    /// The token that it is opened with, which opens nothing else. `None` for tokens of this server's own.
    pub replay: Option<Replay>,
    /// What the subject is called at present.
    pub name: Option<KnownName>,
    /// Lower-case words by which an identity provider may name the person: subject, name, mail.
    pub logins: [Option<String>; 3],
    /// Whether somebody must have provisioned the person.
    pub must_be_provisioned: bool,
}

/// A CI's token that was used.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// SHA-256 that names it.
    pub id: [u8; 32],
    /// Until when it must be remembered.
    pub keep_until: Timestamp,
}

impl Store {
    /// Opens a session. Answers with the name that the subject had before, if it had another one.
    ///
    /// # Errors
    /// Refused with [`Refusal::Replayed`], [`Refusal::Resurrected`], [`Refusal::Deactivated`].
    pub async fn open_session(
        &self,
        new: NewSession,
        entry: Entry,
    ) -> Result<Option<String>, StoreError> {
        self.change(entry, new, open).await
    }

    /// The session of a token, if it may be used at `now`.
    ///
    /// # Errors
    /// As every read.
    pub async fn session(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.find((hash, now), |transaction, (hash, now)| {
            Box::pin(async move {
                let row = transaction
                    .first(
                        "SELECT id, hash, subject, created_at, expires_at, ended FROM sessions \
                         WHERE hash = $1 AND ended = 0 AND expires_at > $2",
                        &[(*hash).into(), (*now).into()],
                    )
                    .await?;
                row.as_ref().map(record).transpose()
            })
        })
        .await
    }

    /// Whose session it is or was; `None` once it is forgotten.
    ///
    /// # Errors
    /// As every read.
    pub async fn subject_of(&self, session: Uuid) -> Result<Option<Subject>, StoreError> {
        self.find(session, |transaction, session| {
            Box::pin(async move {
                let row = transaction
                    .first(
                        "SELECT subject FROM sessions WHERE id = $1",
                        &[(*session).into()],
                    )
                    .await?;
                row.as_ref().map(|row| row.json::<Subject>(0)).transpose()
            })
        })
        .await
    }

    /// What is known of a principal by its newest login; `None` once that is forgotten.
    ///
    /// # Errors
    /// As every read.
    pub async fn newest_subject(&self, principal: &str) -> Result<Option<Subject>, StoreError> {
        self.find(principal.to_owned(), |transaction, principal| {
            Box::pin(async move {
                let row = transaction
                    .first(
                        "SELECT subject FROM sessions WHERE principal = $1 \
                         ORDER BY created_at DESC, id DESC LIMIT 1",
                        &[principal.as_str().into()],
                    )
                    .await?;
                row.as_ref().map(|row| row.json::<Subject>(0)).transpose()
            })
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`] if it has ended.
    pub async fn end_session(&self, id: Uuid, entry: Entry) -> Result<(), StoreError> {
        self.change(entry, id, |transaction, _, id| {
            Box::pin(async move {
                let ended = transaction
                    .execute(
                        "UPDATE sessions SET ended = 1 WHERE id = $1 AND ended = 0",
                        &[(*id).into()],
                    )
                    .await?;
                Ok(if ended == 1 {
                    Ok(())
                } else {
                    Err(Refusal::Missing)
                })
            })
        })
        .await
    }
}

fn open<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    new: &'t NewSession,
) -> BoxFuture<'t, Result<Result<Option<String>, Refusal>, SqlError>> {
    Box::pin(async move {
        if !may_log_in(transaction, new).await? {
            return Ok(Err(Refusal::Deactivated));
        }
        if let Some(replay) = new.replay {
            // The unique column decides, also between two servers.
            let stored = transaction
                .execute(
                    "INSERT INTO used_tokens (id, keep_until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                    &[replay.id.into(), replay.keep_until.into()],
                )
                .await?;
            if stored == 0 {
                return Ok(Err(Refusal::Replayed));
            }
        }
        let renamed = match &new.name {
            None => None,
            Some(name) => match names::note(transaction, name, new.session.created_at).await? {
                Ok(renamed) => renamed,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let session = &new.session;
        let [subject, name, mail] = new.logins.clone();
        transaction
            .execute(
                "INSERT INTO sessions (id, hash, principal, subject, login_subject, login_name, login_email, \
                 created_at, expires_at, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)",
                &[
                    session.id.into(),
                    session.hash.into(),
                    session.subject.principal().into(),
                    Value::json(&session.subject)?,
                    subject.into(),
                    name.into(),
                    mail.into(),
                    session.created_at.into(),
                    session.expires_at.into(),
                ],
            )
            .await?;
        if let Some(from) = &renamed {
            entry.reason = Some(format!("it was known as {from} before"));
        }
        Ok(Ok(renamed))
    })
}

/// Whether nobody deactivated the person, and somebody provisioned it if that is required.
async fn may_log_in(
    transaction: &mut (dyn super::sql::Transaction + '_),
    new: &NewSession,
) -> Result<bool, SqlError> {
    let [subject, name, mail] = new.logins.clone();
    if subject.is_none() && name.is_none() && mail.is_none() {
        return Ok(true);
    }
    let rows = transaction
        .query(
            "SELECT active FROM users WHERE user_name_folded = $1 OR user_name_folded = $2 \
             OR user_name_folded = $3 OR lower(email) = $3 OR lower(external_id) = $1",
            &[subject.into(), name.into(), mail.into()],
        )
        .await?;
    let mut known = false;
    for row in &rows {
        if !row.flag(0)? {
            return Ok(false);
        }
        known = true;
    }
    Ok(known || !new.must_be_provisioned)
}

pub(super) fn record(row: &Row) -> Result<SessionRecord, SqlError> {
    Ok(SessionRecord {
        id: row.id(0)?,
        hash: TokenHash(row.digest(1)?),
        subject: row.json(2)?,
        created_at: row.time(3)?,
        expires_at: row.time(4)?,
        ended: row.flag(5)?,
    })
}

/// Whether a session may be used.
pub(super) async fn is_live(
    transaction: &mut (dyn super::sql::Transaction + '_),
    id: Uuid,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let live = transaction
        .number(
            "SELECT count(*) FROM sessions WHERE id = $1 AND ended = 0 AND expires_at > $2",
            &[id.into(), now.into()],
        )
        .await?;
    Ok(live == 1)
}
