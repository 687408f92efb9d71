//! The audit log's rows.

use fnox_core::audit::{Entry, Head, Outcome, Record};
use fnox_server::store::{AuditFilter, ScannedRecord};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::audit::{Conditions, number};
use crate::rows::{self, Unreadable, column, digest, word, wrong};
use crate::time;

/// Inserts many records at once.
pub(super) const INSERT: &str = "
    INSERT INTO audit (sequence, time, event, actor, peer, agent, secret, host, lease, rule, outcome, reason, key_id,
                       mac, project, approval, detail)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[],
                         $15::text[], $16::bytea[], $17::text[])";

/// Moves the head.
pub(super) const SET_HEAD: &str =
    "UPDATE audit_head SET sequence = $1, time = $2, mac = $3, key_id = $4, seal = $5";

/// Asks for the head.
pub(super) const HEAD: &str = "SELECT sequence, time, mac, key_id, seal FROM audit_head";

/// The columns, as [`record`] needs them.
const COLUMNS: &str = "sequence, time, event, actor, peer, agent, secret, host, lease, rule, outcome, reason, key_id, mac, \
     project, approval, detail";

/// Records by columns, as [`INSERT`] takes them.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    sequence: Vec<i64>,
    time: Vec<i64>,
    event: Vec<&'a str>,
    actor: Vec<&'a str>,
    peer: Vec<Option<&'a str>>,
    agent: Vec<Option<&'a str>>,
    secret: Vec<Option<&'a str>>,
    host: Vec<Option<&'a str>>,
    lease: Vec<Option<&'a [u8]>>,
    rule: Vec<Option<&'a str>>,
    outcome: Vec<&'static str>,
    reason: Vec<Option<&'a str>>,
    key_id: Vec<&'a str>,
    mac: Vec<&'a [u8]>,
    project: Vec<Option<&'a str>>,
    approval: Vec<Option<&'a [u8]>>,
    detail: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    /// Turns records into columns.
    pub(super) fn of(records: &'a [Record]) -> Self {
        let bytes = |id: &'a Option<Uuid>| id.as_ref().map(|id| id.as_bytes().as_slice());
        let mut columns = Self::default();
        for record in records {
            let entry = &record.entry;
            columns.sequence.push(number(record.sequence));
            columns.time.push(time::stored(record.time));
            columns.event.push(&entry.event);
            columns.actor.push(&entry.actor);
            columns.peer.push(entry.peer.as_deref());
            columns.agent.push(entry.agent.as_deref());
            columns.secret.push(entry.secret.as_deref());
            columns.host.push(entry.host.as_deref());
            columns.lease.push(bytes(&entry.lease));
            columns.rule.push(entry.rule.as_deref());
            columns.outcome.push(entry.outcome.as_str());
            columns.reason.push(entry.reason.as_deref());
            columns.key_id.push(&record.key_id);
            columns.mac.push(&record.mac);
            columns.project.push(entry.project.as_deref());
            columns.approval.push(bytes(&entry.approval));
            columns.detail.push(entry.detail.as_deref());
        }
        columns
    }

    /// As parameters.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 17] {
        [
            &self.sequence,
            &self.time,
            &self.event,
            &self.actor,
            &self.peer,
            &self.agent,
            &self.secret,
            &self.host,
            &self.lease,
            &self.rule,
            &self.outcome,
            &self.reason,
            &self.key_id,
            &self.mac,
            &self.project,
            &self.approval,
            &self.detail,
        ]
    }
}

/// The head. `None` if the log was never written.
pub(super) fn head(row: &Row) -> Result<Option<Head>, Unreadable> {
    let never_written =
        column::<i64>(row, "sequence")? == 0 && column::<&[u8]>(row, "seal")?.is_empty();
    if never_written {
        return Ok(None);
    }
    rows::head(row)
}

/// One row of [`scan`].
pub(super) fn scanned(row: &Row) -> ScannedRecord {
    let position = column::<i64>(row, "sequence").unwrap_or(0);
    ScannedRecord {
        position: u64::try_from(position).unwrap_or(0),
        record: record(row).map_err(|unreadable| unreadable.0),
    }
}

/// The question for the records after a number, in their order.
pub(super) fn scan() -> String {
    format!("SELECT {COLUMNS} FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2")
}

/// The question for the records that fit. `None` if none can.
pub(super) fn question(filter: &AuditFilter, limit: usize) -> Option<(String, Conditions)> {
    let mut conditions = Conditions::default();
    conditions.text("event", filter.event.as_deref());
    conditions.text("actor", filter.actor.as_deref());
    conditions.text("project", filter.project.as_deref());
    conditions.text("outcome", filter.outcome.map(Outcome::as_str));
    if let Some(approval) = filter.approval {
        conditions.and("approval =", approval.as_bytes().to_vec());
    }
    if let Some(since) = filter.since {
        conditions.and("time >=", time::stored(since));
    }
    if let Some(until) = filter.until {
        conditions.and("time <", time::stored(until));
    }
    let (comparison, order) = if filter.newest_first {
        ("sequence <", "DESC")
    } else {
        ("sequence >", "ASC")
    };
    if let Some(after) = filter.after {
        conditions.and(comparison, number(after));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM audit{} ORDER BY sequence {order} LIMIT {limit}",
        conditions.sql
    );
    (!conditions.impossible).then_some((sql, conditions))
}

/// A record.
pub(super) fn record(row: &Row) -> Result<Record, Unreadable> {
    Ok(Record {
        sequence: u64::try_from(column::<i64>(row, "sequence")?).map_err(|_| wrong("sequence"))?,
        time: time::read(column(row, "time")?),
        entry: Entry {
            event: column(row, "event")?,
            actor: column(row, "actor")?,
            peer: column(row, "peer")?,
            agent: column(row, "agent")?,
            secret: column(row, "secret")?,
            host: column(row, "host")?,
            lease: id(row, "lease")?,
            rule: column(row, "rule")?,
            outcome: word(row, "outcome", Outcome::parse)?,
            reason: column(row, "reason")?,
            project: column(row, "project")?,
            approval: id(row, "approval")?,
            detail: column(row, "detail")?,
        },
        key_id: column(row, "key_id")?,
        mac: digest(row, "mac")?,
    })
}

fn id(row: &Row, name: &str) -> Result<Option<Uuid>, Unreadable> {
    column::<Option<&[u8]>>(row, name)?
        .map(|bytes| Uuid::from_slice(bytes).map_err(|_| wrong(name)))
        .transpose()
}
