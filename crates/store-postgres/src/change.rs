//! One change of leases, tokens or sessions as one statement, which can be refused without ending the transaction.
//!
//! A statement both judges and changes, so there is nothing between the two. The caller holds the lock of the
//! audit log's head: nobody else changes these rows meanwhile, and counts of live leases are exact.

use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use fnox_vault::Lease;
use fnox_vault::store::{Caps, Change, Refusal, SessionRecord, TokenRecord};
use fnox_vault_wire::LeaseId;
use fnox_vault_wire::methods::RevocationReason;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::problem::{Failure, Trouble};
use crate::rows::{self, LEASE, column};
use crate::time;

/// Makes a change. Answers with the leases that moved.
pub(crate) async fn apply(client: &ClientWrapper, change: &Change) -> Result<Vec<Lease>, Trouble> {
    match change {
        Change::Grant { lease, caps } => grant(client, lease, *caps).await,
        Change::Spend { id, now } => {
            let condition =
                "state = 'active' AND expires_at > $2 AND (max_uses IS NULL OR uses < max_uses)";
            let assignment = "uses = uses + 1, state = CASE WHEN uses + 1 >= max_uses THEN 'exhausted' ELSE state END";
            live(client, assignment, condition, &[&id.0, &time::stored(*now)]).await
        }
        Change::Renew {
            id,
            now,
            expires_at,
        } => {
            let assignment = "expires_at = greatest(expires_at, $3), renewals = renewals + 1";
            let condition = "state = 'active' AND expires_at > $2";
            let parameters: [&(dyn ToSql + Sync); 3] =
                [&id.0, &time::stored(*now), &time::stored(*expires_at)];
            live(client, assignment, condition, &parameters).await
        }
        Change::Refund { id } => {
            let assignment = "uses = greatest(uses - 1, 0),
                state = CASE state WHEN 'exhausted' THEN 'active' ELSE state END";
            live(client, assignment, "true", &[&id.0]).await
        }
        Change::Shorten { id, expires_at } => {
            let sql = format!(
                "UPDATE fnox_vault.lease SET expires_at = least(expires_at, $2)
                 WHERE id = $1 AND state = 'active' RETURNING {LEASE}"
            );
            moved(client, &sql, &[&id.0, &time::stored(*expires_at)]).await
        }
        Change::Revoke { ids, reason } => {
            moved(client, &revoke(), &[&plain(ids), &reason.as_str()]).await
        }
        Change::Expire { ids } => {
            let sql = format!(
                "UPDATE fnox_vault.lease SET state = 'expired'
                 WHERE id = ANY($1) AND state = 'active' RETURNING {LEASE}"
            );
            moved(client, &sql, &[&plain(ids)]).await
        }
        Change::CreateToken(token) => create_token(client, token).await,
        Change::UseToken { id, now } => {
            let sql = "UPDATE fnox_vault.token SET uses = uses + 1
                       WHERE id = $1 AND NOT revoked AND expires_at > $2
                         AND (max_uses IS NULL OR uses < max_uses)";
            let parameters: [&(dyn ToSql + Sync); 2] = [&id.0, &time::stored(*now)];
            one(client, sql, &parameters, Refusal::NotLive(None)).await
        }
        Change::RevokeToken { id } => {
            let sql = "UPDATE fnox_vault.token SET revoked = true WHERE id = $1";
            one(client, sql, &[&id.0], Refusal::Missing).await
        }
        Change::OpenSession(session) => open_session(client, session).await,
        Change::CloseSession { id } => {
            let sql = "UPDATE fnox_vault.session SET closed = true WHERE id = $1";
            one(client, sql, &[&id.0], Refusal::Missing).await
        }
    }
}

/// Live leases become `revoked` and are told; those that are over otherwise become it silently.
fn revoke() -> String {
    format!(
        "WITH before AS (SELECT id AS was, state = 'active' AS live FROM fnox_vault.lease WHERE id = ANY($1)),
              moved AS (UPDATE fnox_vault.lease SET state = 'revoked', reason = $2 FROM before
                        WHERE id = was AND state <> 'revoked' RETURNING live, {LEASE})
         SELECT {LEASE} FROM moved WHERE live ORDER BY id"
    )
}

const GRANT: &str = "
    WITH counted AS (
        SELECT (SELECT count(*) FROM fnox_vault.lease
                WHERE agent = $2 AND state = 'active' AND expires_at > $8) AS of_agent,
               (SELECT count(*) FROM fnox_vault.lease
                WHERE agent = $2 AND rule = $6 AND state = 'active' AND expires_at > $8) AS of_rule,
               (SELECT count(*) FROM fnox_vault.lease
                WHERE session = $15 AND state = 'active' AND expires_at > $8) AS of_session,
               EXISTS (SELECT FROM fnox_vault.lease WHERE id = $1) AS known,
               EXISTS (SELECT FROM fnox_vault.session WHERE id = $15 AND closed)
               OR EXISTS (SELECT FROM fnox_vault.token WHERE id = $22 AND revoked) AS ended),
    made AS (
        INSERT INTO fnox_vault.lease (id, agent, peer, secret, host, rule, tool, issued_at, expires_at, ends_at,
                                      max_uses, uses, renewable, renewals, session, delivery, state, reason)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18 FROM counted
        WHERE NOT known AND NOT ended AND of_agent < $19 AND ($20::bigint IS NULL OR of_rule < $20)
          AND ($21::bigint IS NULL OR of_session < $21)
        RETURNING id)
    SELECT of_agent, of_rule, of_session, known, ended, EXISTS (SELECT FROM made) AS granted FROM counted";

/// A new lease. Besides what the caps say, one whose session or token another vault has ended by now is refused:
/// the other vault has withdrawn what it saw, and would not see this one.
async fn grant(client: &ClientWrapper, lease: &Lease, caps: Caps) -> Result<Vec<Lease>, Trouble> {
    let stored = Lease {
        issued_at: time::storable(lease.issued_at),
        expires_at: time::storable(lease.expires_at),
        ends_at: time::storable(lease.ends_at),
        ..lease.clone()
    };
    let token = match stored.peer {
        fnox_vault::PeerBinding::Token(token) => Some(token.0),
        _ => None,
    };
    let statement = client.prepare_cached(GRANT).await?;
    let per_session = caps.per_session.filter(|_| stored.session.is_some());
    let caps = Caps {
        per_session,
        ..caps
    };
    let row = client
        .query_one(
            &statement,
            &[
                &stored.id.0,
                &stored.agent.as_str(),
                &stored.peer.to_string(),
                &stored.secret.as_str(),
                &stored.host.to_string(),
                &&*stored.rule,
                &stored.tool.as_deref(),
                &time::stored(stored.issued_at),
                &time::stored(stored.expires_at),
                &time::stored(stored.ends_at),
                &stored.max_uses.map(i64::from),
                &i64::from(stored.uses),
                &stored.renewable,
                &i64::from(stored.renewals),
                &stored.session.map(|session| session.0),
                &rows::delivery_word(stored.delivery),
                &stored.state.to_string(),
                &stored.reason.map(RevocationReason::as_str),
                &i64::from(caps.per_agent),
                &caps.per_rule.map(i64::from),
                &caps.per_session.map(i64::from),
                &token,
            ],
        )
        .await?;
    if column(&row, "granted")? {
        return Ok(vec![stored]);
    }
    if column(&row, "known")? {
        return Err(Refusal::Exists.into());
    }
    if column(&row, "ended")? {
        return Err(Refusal::NotLive(None).into());
    }
    Err(reached(&row, caps)?.into())
}

fn reached(row: &Row, caps: Caps) -> Result<Refusal, Failure> {
    let limits = [
        ("of_agent", Some(caps.per_agent), Caps::OF_AGENT),
        ("of_rule", caps.per_rule, Caps::BY_RULE),
        ("of_session", caps.per_session, Caps::OF_SESSION),
    ];
    for (name, limit, what) in limits {
        let live: i64 = column(row, name)?;
        if let Some(limit) = limit.filter(|limit| live >= i64::from(*limit)) {
            return Ok(Refusal::Cap { what, limit });
        }
    }
    Err(Failure::Corrupt(
        "a lease was neither stored nor refused".to_owned(),
    ))
}

/// Changes one lease if it fulfils a condition, and otherwise tells how it is.
async fn live(
    client: &ClientWrapper,
    assignment: &str,
    condition: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Lease>, Trouble> {
    let sql = format!(
        "WITH moved AS (UPDATE fnox_vault.lease SET {assignment} WHERE id = $1 AND {condition} RETURNING {LEASE})
         SELECT true AS made, {LEASE} FROM moved
         UNION ALL
         SELECT false, {LEASE} FROM fnox_vault.lease WHERE id = $1 AND NOT EXISTS (SELECT FROM moved)"
    );
    let statement = client.prepare_cached(&sql).await?;
    let Some(row) = client.query_opt(&statement, parameters).await? else {
        return Err(Refusal::NotLive(None).into());
    };
    let lease = rows::lease(&row)?;
    if column(&row, "made")? {
        Ok(vec![lease])
    } else {
        Err(Refusal::NotLive(Some(Arc::new(lease))).into())
    }
}

async fn moved(
    client: &ClientWrapper,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Lease>, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    Ok(rows::leases(&client.query(&statement, parameters).await?)?)
}

async fn create_token(client: &ClientWrapper, token: &TokenRecord) -> Result<Vec<Lease>, Trouble> {
    let sql = "INSERT INTO fnox_vault.token
                   (id, hash, agent, role, created_at, expires_at, max_uses, uses, peer, revoked)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let parameters: [&(dyn ToSql + Sync); 10] = [
        &token.id.0,
        &token.hash.as_slice(),
        &token.agent,
        &token.role.as_str(),
        &time::stored(token.created_at),
        &time::stored(token.expires_at),
        &token.max_uses.map(i64::from),
        &i64::from(token.uses),
        &token.peer.map(|peer| peer.to_string()),
        &token.revoked,
    ];
    one(client, sql, &parameters, Refusal::Exists).await
}

async fn open_session(
    client: &ClientWrapper,
    session: &SessionRecord,
) -> Result<Vec<Lease>, Trouble> {
    let sql = "INSERT INTO fnox_vault.session
                   (id, hash, user_name, channel, owner, created_at, expires_at, max_concurrent_leases,
                    max_renewals_per_lease, tool_bindings, closed)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
    let bindings = serde_json::to_string(&session.tool_bindings)
        .map_err(|_| Failure::Corrupt("tool bindings that are no JSON".to_owned()))?;
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &session.id.0,
        &session.hash.as_slice(),
        &session.user,
        &session.channel,
        &session.owner.to_string(),
        &time::stored(session.created_at),
        &time::stored(session.expires_at),
        &i64::from(session.max_concurrent_leases),
        &i64::from(session.max_renewals_per_lease),
        &bindings,
        &session.closed,
    ];
    one(client, sql, &parameters, Refusal::Exists).await
}

/// A statement that changes one row or is refused.
async fn one(
    client: &ClientWrapper,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    otherwise: Refusal,
) -> Result<Vec<Lease>, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    if client.execute(&statement, parameters).await? == 0 {
        return Err(otherwise.into());
    }
    Ok(Vec::new())
}

fn plain(ids: &[LeaseId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}
