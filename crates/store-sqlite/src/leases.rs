//! Leases as rows, and their changes inside the writer's transaction.
//!
//! Every change reads first, decides by [`fnox_vault::store::moves`], and writes last: a refused change has
//! written nothing, so it needs no savepoint.

use std::sync::Arc;

use fnox_core::lease::LeaseState;
use fnox_core::{AgentId, Host, VaultName};
use fnox_vault::Lease;
use fnox_vault::store::moves::{self, Live, Withdrawn};
use fnox_vault::store::{Caps, Change, Refusal};
use fnox_vault_wire::methods::{Delivery, RevocationReason};
use fnox_vault_wire::{LeaseId, SessionId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::problem::Failure;
use crate::{access, time};

/// Makes a change, or refuses it and writes nothing. Answers with the leases that it moved.
pub(crate) fn change(db: &Connection, change: Change) -> Result<Vec<Lease>, Failure> {
    match change {
        Change::Grant { lease, caps } => grant(db, lease, caps),
        Change::Spend { id, now } => one(db, id, |lease| moves::spend(lease, now)),
        Change::Refund { id } => one(db, id, |lease| {
            moves::refund(lease);
            Ok(())
        }),
        Change::Renew {
            id,
            now,
            expires_at,
        } => one(db, id, |lease| moves::renew(lease, now, expires_at)),
        Change::Shorten { id, expires_at } => many(db, &[id], |lease| {
            let lives = moves::shorten(lease, expires_at);
            (lives, lives)
        }),
        Change::Revoke { ids, reason } => many(db, &ids, |lease| {
            let withdrawn = moves::revoke(lease, reason);
            (
                withdrawn != Withdrawn::Already,
                withdrawn == Withdrawn::Live,
            )
        }),
        Change::Expire { ids } => many(db, &ids, |lease| {
            let lived = moves::expire(lease);
            (lived, lived)
        }),
        other => access::change(db, other).map(|()| Vec::new()),
    }
}

fn grant(db: &Connection, lease: Lease, caps: Caps) -> Result<Vec<Lease>, Failure> {
    if find(db, lease.id)?.is_some() {
        return Err(Refusal::Exists.into());
    }
    moves::grant(live_beside(db, &lease)?, caps, &lease)?;
    db.prepare_cached(INSERT)?.execute(params![
        lease.id.0.as_bytes().as_slice(),
        lease.agent.as_str(),
        lease.peer.to_string(),
        lease.secret.as_str(),
        lease.host.to_string(),
        &*lease.rule,
        lease.tool.as_deref(),
        time::stored(lease.issued_at)?,
        time::stored(lease.expires_at)?,
        time::stored(lease.ends_at)?,
        lease.max_uses,
        lease.uses,
        lease.renewable,
        lease.renewals,
        lease.session.as_ref().map(|id| id.0.as_bytes().as_slice()),
        delivery_word(lease.delivery),
        state_number(lease.state),
        lease.reason.map(RevocationReason::as_str),
    ])?;
    Ok(vec![lease])
}

fn live_beside(db: &Connection, lease: &Lease) -> Result<Live, Failure> {
    let now = time::nearest(lease.issued_at);
    let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(i64, i64), Failure> {
        let mut statement = db.prepare_cached(sql)?;
        Ok(statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?)
    };
    let (of_agent, by_rule) = count(
        COUNT_OF_AGENT,
        &[&lease.agent.as_str(), &now, &lease.rule.as_ref()],
    )?;
    let of_session = match &lease.session {
        Some(session) => count(COUNT_OF_SESSION, &[&session.0.as_bytes().as_slice(), &now])?.0,
        None => 0,
    };
    Ok(Live {
        of_agent: of_agent.unsigned_abs(),
        by_rule: by_rule.unsigned_abs(),
        of_session: of_session.unsigned_abs(),
    })
}

fn one(
    db: &Connection,
    id: LeaseId,
    change: impl FnOnce(&mut Lease) -> Result<(), Refusal>,
) -> Result<Vec<Lease>, Failure> {
    let mut lease = find(db, id)?.ok_or(Refusal::NotLive(None))?;
    change(&mut lease)?;
    update(db, &lease)?;
    Ok(vec![lease])
}

/// `change` tells whether the lease was changed, and whether that is to be answered.
fn many(
    db: &Connection,
    ids: &[LeaseId],
    mut change: impl FnMut(&mut Lease) -> (bool, bool),
) -> Result<Vec<Lease>, Failure> {
    let mut moved = Vec::new();
    for id in ids {
        let Some(mut lease) = find(db, *id)? else {
            continue;
        };
        let (is_changed, is_answered) = change(&mut lease);
        if is_changed {
            update(db, &lease)?;
        }
        if is_answered {
            moved.push(lease);
        }
    }
    Ok(moved)
}

/// Writes the columns that a change can move.
fn update(db: &Connection, lease: &Lease) -> Result<(), Failure> {
    db.prepare_cached(UPDATE)?.execute(params![
        lease.id.0.as_bytes().as_slice(),
        time::stored(lease.expires_at)?,
        lease.uses,
        lease.renewals,
        state_number(lease.state),
        lease.reason.map(RevocationReason::as_str),
    ])?;
    Ok(())
}

/// One lease.
pub(crate) fn find(db: &Connection, id: LeaseId) -> Result<Option<Lease>, Failure> {
    let mut statement = db.prepare_cached(FIND)?;
    statement
        .query_row([id.0.as_bytes().as_slice()], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

/// All that are active by their state.
pub(crate) fn live(db: &Connection) -> Result<Vec<Lease>, Failure> {
    collect(db, LIVE, &[])
}

/// A page of leases in the order of their ids.
pub(crate) fn page(
    db: &Connection,
    agent: Option<&AgentId>,
    secret: Option<&VaultName>,
    after: Option<LeaseId>,
    limit: usize,
) -> Result<Vec<Lease>, Failure> {
    collect(
        db,
        PAGE,
        &[
            &agent.map(AgentId::as_str),
            &secret.map(VaultName::as_str),
            &after.as_ref().map_or(&[][..], |id| id.0.as_bytes()),
            &i64::try_from(limit).unwrap_or(i64::MAX),
        ],
    )
}

/// Forgets leases that ended before `before`, looking at no more than some thousands after `after`. Tells
/// how many went, and where to go on.
pub(crate) fn forget(
    db: &Connection,
    before: Timestamp,
    after: &[u8],
) -> Result<(u64, Option<Vec<u8>>), Failure> {
    let end: Option<Vec<u8>> = db
        .prepare_cached(CHUNK_END)?
        .query_row(params![after, CHUNK - 1], |row| row.get(0))
        .optional()?;
    let to = end.as_deref().unwrap_or(&[0xff; 16]);
    let dropped = db
        .prepare_cached(FORGET)?
        .execute(params![after, to, time::nearest(before)])?;
    Ok((dropped as u64, end))
}

/// Ends every right: the file was restored, and what was spent or withdrawn since must not come back.
pub(crate) fn revoke_all(db: &Connection) -> Result<(), Failure> {
    db.execute(REVOKE_ALL, [RevocationReason::Restored.as_str()])?;
    Ok(())
}

fn collect(
    db: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Lease>, Failure> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut leases = Vec::new();
    while let Some(row) = rows.next()? {
        leases.push(read(row)?);
    }
    Ok(leases)
}

fn read(row: &Row<'_>) -> Result<Lease, Failure> {
    let text = |index| row.get_ref(index)?.as_str().map_err(rusqlite::Error::from);
    let wrong = |column| Failure::Unreadable { column };
    let reason = match row
        .get_ref(17)?
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?
    {
        None => None,
        Some(word) => Some(RevocationReason::parse(word).ok_or(wrong("reason"))?),
    };
    Ok(Lease {
        id: LeaseId(Uuid::from_bytes(row.get(0)?)),
        agent: AgentId::parse(text(1)?).map_err(|_| wrong("agent"))?,
        peer: text(2)?.parse().map_err(|_| wrong("peer"))?,
        secret: VaultName::parse(text(3)?).map_err(|_| wrong("secret"))?,
        host: Host::parse(text(4)?).map_err(|_| wrong("host"))?,
        rule: Arc::from(text(5)?),
        tool: row
            .get_ref(6)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)?
            .map(Arc::from),
        issued_at: time::of("issued_at", row.get(7)?)?,
        expires_at: time::of("expires_at", row.get(8)?)?,
        ends_at: time::of("ends_at", row.get(9)?)?,
        max_uses: row.get(10)?,
        uses: row.get(11)?,
        renewable: row.get(12)?,
        renewals: row.get(13)?,
        session: row
            .get::<_, Option<[u8; 16]>>(14)?
            .map(|bytes| SessionId(Uuid::from_bytes(bytes))),
        delivery: delivery(text(15)?).ok_or(wrong("delivery"))?,
        state: state(row.get(16)?).ok_or(wrong("state"))?,
        reason,
    })
}

fn delivery_word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Value => "value",
        Delivery::Inject => "inject",
    }
}

fn delivery(word: &str) -> Option<Delivery> {
    [Delivery::Value, Delivery::Inject]
        .into_iter()
        .find(|delivery| delivery_word(*delivery) == word)
}

fn state_number(state: LeaseState) -> i64 {
    match state {
        LeaseState::Pending => 0,
        LeaseState::Active => 1,
        LeaseState::Expired => 2,
        LeaseState::Exhausted => 3,
        LeaseState::Revoked => 4,
    }
}

fn state(number: i64) -> Option<LeaseState> {
    LeaseState::ALL
        .into_iter()
        .find(|state| state_number(*state) == number)
}

/// How many leases one transaction of [`forget`] looks at.
const CHUNK: i64 = 2000;

const INSERT: &str = "INSERT INTO leases (id, agent, peer, secret, host, rule, tool, issued_at, \
     expires_at, ends_at, max_uses, uses, renewable, renewals, session, delivery, state, reason) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const UPDATE: &str = "UPDATE leases SET expires_at = ?2, uses = ?3, renewals = ?4, state = ?5, \
     reason = ?6 WHERE id = ?1";
const FIND: &str = "SELECT * FROM leases WHERE id = ?";
const LIVE: &str = "SELECT * FROM leases WHERE state = 1 ORDER BY id";
const PAGE: &str = "SELECT * FROM leases WHERE (?1 IS NULL OR agent = ?1) \
     AND (?2 IS NULL OR secret = ?2) AND id > ?3 ORDER BY id LIMIT ?4";
const COUNT_OF_AGENT: &str = "SELECT count(*), coalesce(sum(rule = ?3), 0) FROM leases \
     WHERE state = 1 AND agent = ?1 AND expires_at > ?2";
const COUNT_OF_SESSION: &str = "SELECT count(*), 0 FROM leases \
     WHERE state = 1 AND session IS NOT NULL AND session = ?1 AND expires_at > ?2";
const CHUNK_END: &str = "SELECT id FROM leases WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
const FORGET: &str =
    "DELETE FROM leases WHERE id > ? AND id <= ? AND state <> 1 AND expires_at < ?";
const REVOKE_ALL: &str = "UPDATE leases SET state = 4, reason = ? WHERE state IN (1, 3)";
