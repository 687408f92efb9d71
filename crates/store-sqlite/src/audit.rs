//! The audit log as rows. The writer holds the chain; readers only look.

use fnox_core::audit::{Chain, ChainKeys, Entry, ForgedHead, Head, Outcome, Record};
use fnox_server::store::AuditFilter;
use fnox_vault::store::Scanned;
use fnox_vault_wire::methods::AuditQuery;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::problem::Failure;
use crate::time;

/// The chain where the stored log ends.
pub(crate) fn chain(db: &Connection, keys: &ChainKeys) -> Result<Chain, Failure> {
    Ok(match head(db)? {
        // Records without a head: somebody took it away.
        None if db.prepare("SELECT 1 FROM audit")?.exists([])? => return Err(ForgedHead.into()),
        None => Chain::empty(keys.current().clone()),
        Some(head) => Chain::resume(keys, &head)?,
    })
}

/// Appends entries to the chain and to the table.
pub(crate) fn append(
    db: &Connection,
    chain: &mut Chain,
    entries: Vec<Entry>,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut statement = db.prepare_cached(INSERT)?;
    for entry in entries {
        let record = chain.append(entry, now);
        let entry = &record.entry;
        statement.execute(params![
            number(record.sequence),
            time::stored(record.time)?,
            entry.event,
            entry.actor,
            entry.peer,
            entry.agent,
            entry.secret,
            entry.host,
            entry.lease.as_ref().map(|id| id.as_bytes().as_slice()),
            entry.rule,
            entry.outcome.as_str(),
            entry.reason,
            record.key_id,
            record.mac.as_slice(),
            entry.project,
            entry.approval.as_ref().map(|id| id.as_bytes().as_slice()),
            entry.detail,
        ])?;
    }
    Ok(())
}

/// Stores where the log ends.
pub(crate) fn store_head(db: &Connection, head: &Head) -> Result<(), Failure> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO audit_head (id, sequence, time, mac, key_id, seal) VALUES (1, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        number(head.sequence),
        time::stored(head.time)?,
        head.mac.as_slice(),
        head.key_id,
        head.seal.as_slice(),
    ])?;
    Ok(())
}

/// Where the log ends.
pub(crate) fn head(db: &Connection) -> Result<Option<Head>, Failure> {
    let read = |row: &Row<'_>| -> Result<Head, Failure> {
        Ok(Head {
            sequence: row.get::<_, i64>(0)?.unsigned_abs(),
            time: time::of("time", row.get(1)?)?,
            mac: row.get(2)?,
            key_id: row.get(3)?,
            seal: row.get(4)?,
        })
    };
    db.prepare_cached("SELECT sequence, time, mac, key_id, seal FROM audit_head")?
        .query_row([], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

/// Records in their order, as they are.
pub(crate) fn scan(db: &Connection, after: u64, limit: usize) -> Result<Vec<Scanned>, Failure> {
    let mut statement =
        db.prepare_cached("SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![number(after), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Scanned {
            position: row.get::<_, i64>(0)?.unsigned_abs(),
            record: read(row).map_err(|problem| problem.to_string()),
        });
    }
    Ok(found)
}

/// Records that fit the query.
pub(crate) fn query(
    db: &Connection,
    query: &AuditQuery,
    limit: usize,
) -> Result<Vec<Record>, Failure> {
    let (first, last) = Page {
        since: query.since,
        until: query.until,
        after: query.from_sequence,
        newest_first: query.newest_first,
    }
    .range(db)?;
    let lease = query.lease.map(|lease| lease.0.into_bytes());
    let mut statement = db.prepare_cached(if query.newest_first {
        NEWEST_FIRST
    } else {
        OLDEST_FIRST
    })?;
    let mut rows = statement.query(params![
        first,
        last,
        query.agent,
        query.secret,
        lease.as_ref().map(<[u8; 16]>::as_slice),
        query.event,
        query.outcome.map(Outcome::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX),
    ])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

/// Records that fit the filter of a team server.
pub(crate) fn filter(
    db: &Connection,
    filter: &AuditFilter,
    limit: usize,
) -> Result<Vec<Record>, Failure> {
    let (first, last) = Page {
        since: filter.since,
        until: filter.until,
        after: filter.after,
        newest_first: filter.newest_first,
    }
    .range(db)?;
    let mut statement = db.prepare_cached(if filter.newest_first {
        FILTER_NEWEST_FIRST
    } else {
        FILTER_OLDEST_FIRST
    })?;
    let mut rows = statement.query(params![
        first,
        last,
        filter.event,
        filter.actor,
        filter.project,
        filter.approval.as_ref().map(|id| id.as_bytes().as_slice()),
        filter.outcome.map(Outcome::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX),
    ])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

/// Where in the log the wanted records lie.
struct Page {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<u64>,
    newest_first: bool,
}

impl Page {
    /// The numbers between which they are.
    fn range(&self, db: &Connection) -> Result<(i64, i64), Failure> {
        let mut first = i64::MIN;
        let mut last = i64::MAX;
        if let Some(since) = self.since {
            first = first_not_before(db, since)?;
        }
        if let Some(until) = self.until {
            last = first_not_before(db, until)?.saturating_sub(1);
        }
        if let Some(after) = self.after {
            if self.newest_first {
                last = last.min(number(after).saturating_sub(1));
            } else {
                first = first.max(number(after).saturating_add(1));
            }
        }
        Ok((first, last))
    }
}

/// The number of the first record that is not older than `moment`, found by halving: times never run back.
fn first_not_before(db: &Connection, moment: Timestamp) -> Result<i64, Failure> {
    let moment = time::nearest(moment);
    let bounds = db
        .prepare_cached("SELECT min(sequence), max(sequence) FROM audit")?
        .query_row([], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
    let (Some(mut low), Some(high)) = bounds else {
        return Ok(1);
    };
    let mut high = high.saturating_add(1);
    let mut at = db.prepare_cached(
        "SELECT sequence, time FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT 1",
    )?;
    while low < high {
        let middle = low.midpoint(high);
        let found: Option<(i64, i64)> = at
            .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((sequence, time)) if time < moment => low = sequence.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low)
}

fn read(row: &Row<'_>) -> Result<Record, Failure> {
    let sequence: i64 = row.get(0)?;
    Ok(Record {
        sequence: u64::try_from(sequence).map_err(|_| wrong("sequence"))?,
        time: match row.get_ref(1)? {
            ValueRef::Integer(stored) => time::of("time", stored)?,
            _ => return Err(wrong("time")),
        },
        entry: Entry {
            event: text(row, 2, "event")?,
            actor: text(row, 3, "actor")?,
            peer: optional(row, 4, "peer")?,
            agent: optional(row, 5, "agent")?,
            secret: optional(row, 6, "secret")?,
            host: optional(row, 7, "host")?,
            lease: id(row, 8, "lease")?,
            rule: optional(row, 9, "rule")?,
            outcome: Outcome::parse(&text(row, 10, "outcome")?).ok_or(wrong("outcome"))?,
            reason: optional(row, 11, "reason")?,
            project: optional(row, 14, "project")?,
            approval: id(row, 15, "approval")?,
            detail: optional(row, 16, "detail")?,
        },
        key_id: text(row, 12, "key_id")?,
        mac: match row.get_ref(13)? {
            ValueRef::Blob(bytes) => bytes.try_into().map_err(|_| wrong("mac"))?,
            _ => return Err(wrong("mac")),
        },
    })
}

fn text(row: &Row<'_>, index: usize, column: &'static str) -> Result<String, Failure> {
    optional(row, index, column)?.ok_or(wrong(column))
}

fn optional(row: &Row<'_>, index: usize, column: &'static str) -> Result<Option<String>, Failure> {
    match row.get_ref(index)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map(|text| Some(text.to_owned()))
            .map_err(|_| wrong(column)),
        _ => Err(wrong(column)),
    }
}

fn id(row: &Row<'_>, index: usize, column: &'static str) -> Result<Option<Uuid>, Failure> {
    match row.get_ref(index)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(Some).map_err(|_| wrong(column)),
        _ => Err(wrong(column)),
    }
}

fn wrong(column: &'static str) -> Failure {
    Failure::Unreadable { column }
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

const INSERT: &str = "INSERT INTO audit (sequence, time, event, actor, peer, agent, secret, host, \
     lease, rule, outcome, reason, key_id, mac, project, approval, detail) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

macro_rules! query {
    ($order:literal) => {
        concat!(
            "SELECT * FROM audit WHERE sequence BETWEEN ?1 AND ?2 AND (?3 IS NULL OR agent = ?3) \
             AND (?4 IS NULL OR secret = ?4) AND (?5 IS NULL OR lease = ?5) \
             AND (?6 IS NULL OR event = ?6) AND (?7 IS NULL OR outcome = ?7) ORDER BY sequence ",
            $order,
            " LIMIT ?8"
        )
    };
}

macro_rules! filter {
    ($order:literal) => {
        concat!(
            "SELECT * FROM audit WHERE sequence BETWEEN ?1 AND ?2 AND (?3 IS NULL OR event = ?3) \
             AND (?4 IS NULL OR actor = ?4) AND (?5 IS NULL OR project = ?5) \
             AND (?6 IS NULL OR approval = ?6) AND (?7 IS NULL OR outcome = ?7) ORDER BY sequence ",
            $order,
            " LIMIT ?8"
        )
    };
}

const OLDEST_FIRST: &str = query!("ASC");
const NEWEST_FIRST: &str = query!("DESC");
const FILTER_OLDEST_FIRST: &str = filter!("ASC");
const FILTER_NEWEST_FIRST: &str = filter!("DESC");
