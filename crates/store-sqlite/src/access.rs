//! Tokens and sessions as rows, and their changes inside the writer's transaction.

use fnox_vault::store::{Change, Refusal, SessionRecord, TokenRecord, moves};
use fnox_vault_wire::{Role, SessionId, TokenId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::problem::Failure;
use crate::time;

/// Makes a change of a token or session, or refuses it and writes nothing.
pub(crate) fn change(db: &Connection, change: Change) -> Result<(), Failure> {
    match change {
        Change::CreateToken(token) => create_token(db, &token),
        Change::UseToken { id, now } => {
            let mut token = token_by_id(db, id)?.ok_or(Refusal::NotLive(None))?;
            moves::use_token(&mut token, now)?;
            db.prepare_cached("UPDATE tokens SET uses = ? WHERE id = ?")?
                .execute(params![token.uses, id.0.as_bytes().as_slice()])?;
            Ok(())
        }
        Change::RevokeToken { id } => must_change_one(
            db.prepare_cached("UPDATE tokens SET revoked = 1 WHERE id = ?")?
                .execute([id.0.as_bytes().as_slice()])?,
        ),
        Change::OpenSession(session) => open_session(db, &session),
        Change::CloseSession { id } => must_change_one(
            db.prepare_cached("UPDATE sessions SET closed = 1 WHERE id = ?")?
                .execute([id.0.as_bytes().as_slice()])?,
        ),
        // The other changes are those of leases.
        _ => Ok(()),
    }
}

fn must_change_one(rows: usize) -> Result<(), Failure> {
    if rows == 0 {
        return Err(Refusal::Missing.into());
    }
    Ok(())
}

fn create_token(db: &Connection, token: &TokenRecord) -> Result<(), Failure> {
    if is_taken(
        db,
        "SELECT 1 FROM tokens WHERE id = ? OR hash = ?",
        token.id.0,
        &token.hash,
    )? {
        return Err(Refusal::Exists.into());
    }
    db.prepare_cached(
        "INSERT INTO tokens (id, hash, agent, role, created_at, expires_at, max_uses, uses, peer, revoked) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        token.id.0.as_bytes().as_slice(),
        token.hash.as_slice(),
        token.agent,
        token.role.as_str(),
        time::stored(token.created_at)?,
        time::stored(token.expires_at)?,
        token.max_uses,
        token.uses,
        token.peer.map(|peer| peer.to_string()),
        token.revoked,
    ])?;
    Ok(())
}

fn open_session(db: &Connection, session: &SessionRecord) -> Result<(), Failure> {
    let taken = "SELECT 1 FROM sessions WHERE id = ? OR hash = ?";
    if is_taken(db, taken, session.id.0, &session.hash)? {
        return Err(Refusal::Exists.into());
    }
    let bindings = serde_json::to_string(&session.tool_bindings).map_err(|_| Failure::TooFar {
        what: "these tool bindings",
    })?;
    db.prepare_cached(
        "INSERT INTO sessions (id, hash, user, channel, owner, created_at, expires_at, \
         max_concurrent_leases, max_renewals_per_lease, tool_bindings, closed) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        session.id.0.as_bytes().as_slice(),
        session.hash.as_slice(),
        session.user,
        session.channel,
        session.owner.to_string(),
        time::stored(session.created_at)?,
        time::stored(session.expires_at)?,
        session.max_concurrent_leases,
        session.max_renewals_per_lease,
        bindings,
        session.closed,
    ])?;
    Ok(())
}

fn is_taken(db: &Connection, sql: &str, id: Uuid, hash: &[u8; 32]) -> Result<bool, Failure> {
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.exists(params![id.as_bytes().as_slice(), hash.as_slice()])?)
}

fn token_by_id(db: &Connection, id: TokenId) -> Result<Option<TokenRecord>, Failure> {
    db.prepare_cached("SELECT * FROM tokens WHERE id = ?")?
        .query_row([id.0.as_bytes().as_slice()], |row| Ok(read_token(row)))
        .optional()?
        .transpose()
}

/// The token with this hash.
pub(crate) fn token(db: &Connection, hash: &[u8; 32]) -> Result<Option<TokenRecord>, Failure> {
    db.prepare_cached("SELECT * FROM tokens WHERE hash = ?")?
        .query_row([hash.as_slice()], |row| Ok(read_token(row)))
        .optional()?
        .transpose()
}

/// All tokens, oldest first.
pub(crate) fn tokens(db: &Connection) -> Result<Vec<TokenRecord>, Failure> {
    let mut statement = db.prepare_cached("SELECT * FROM tokens ORDER BY created_at, id")?;
    let mut rows = statement.query([])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(read_token(row)?);
    }
    Ok(tokens)
}

/// The session whose token has this hash.
pub(crate) fn session(db: &Connection, hash: &[u8; 32]) -> Result<Option<SessionRecord>, Failure> {
    db.prepare_cached("SELECT * FROM sessions WHERE hash = ?")?
        .query_row([hash.as_slice()], |row| Ok(read_session(row)))
        .optional()?
        .transpose()
}

/// One session, open or not.
pub(crate) fn session_by_id(
    db: &Connection,
    id: SessionId,
) -> Result<Option<SessionRecord>, Failure> {
    db.prepare_cached("SELECT * FROM sessions WHERE id = ?")?
        .query_row([id.0.as_bytes().as_slice()], |row| Ok(read_session(row)))
        .optional()?
        .transpose()
}

/// All sessions that are open.
pub(crate) fn sessions(db: &Connection) -> Result<Vec<SessionRecord>, Failure> {
    let mut statement = db.prepare_cached("SELECT * FROM sessions WHERE closed = 0 ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        sessions.push(read_session(row)?);
    }
    Ok(sessions)
}

/// Forgets tokens and sessions that ended before `before`.
pub(crate) fn forget(db: &Connection, before: Timestamp) -> Result<u64, Failure> {
    let before = time::nearest(before);
    let tokens = db.execute("DELETE FROM tokens WHERE expires_at < ?", [before])?;
    let sessions = db.execute("DELETE FROM sessions WHERE expires_at < ?", [before])?;
    Ok((tokens + sessions) as u64)
}

/// Withdraws every token and closes every session: the file was restored.
pub(crate) fn revoke_all(db: &Connection) -> Result<(), Failure> {
    db.execute("UPDATE tokens SET revoked = 1", [])?;
    db.execute("UPDATE sessions SET closed = 1", [])?;
    Ok(())
}

fn read_token(row: &Row<'_>) -> Result<TokenRecord, Failure> {
    let wrong = |column| Failure::Unreadable { column };
    let peer: Option<String> = row.get(8)?;
    Ok(TokenRecord {
        id: TokenId(Uuid::from_bytes(row.get(0)?)),
        hash: row.get(1)?,
        agent: row.get(2)?,
        role: Role::parse(&row.get::<_, String>(3)?).ok_or(wrong("role"))?,
        created_at: time::of("created_at", row.get(4)?)?,
        expires_at: time::of("expires_at", row.get(5)?)?,
        max_uses: row.get(6)?,
        uses: row.get(7)?,
        peer: peer
            .map(|peer| peer.parse())
            .transpose()
            .map_err(|_| wrong("peer"))?,
        revoked: row.get(9)?,
    })
}

fn read_session(row: &Row<'_>) -> Result<SessionRecord, Failure> {
    let wrong = |column| Failure::Unreadable { column };
    let bindings: String = row.get(9)?;
    let owner: String = row.get(4)?;
    Ok(SessionRecord {
        id: SessionId(Uuid::from_bytes(row.get(0)?)),
        hash: row.get(1)?,
        user: row.get(2)?,
        channel: row.get(3)?,
        owner: owner.parse().map_err(|_| wrong("owner"))?,
        created_at: time::of("created_at", row.get(5)?)?,
        expires_at: time::of("expires_at", row.get(6)?)?,
        max_concurrent_leases: row.get(7)?,
        max_renewals_per_lease: row.get(8)?,
        tool_bindings: serde_json::from_str(&bindings).map_err(|_| wrong("tool_bindings"))?,
        closed: row.get(10)?,
    })
}
