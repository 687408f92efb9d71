//! The audit log: reading it, and the columns that the writer inserts.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::audit::{Chain, ChainKeys, Entry, Head, Outcome, Record};
use fnox_vault::store::{AuditLog, Scanned, StoreError};
use fnox_vault_wire::methods::AuditQuery;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::PostgresStore;
use crate::problem::Failure;
use crate::writer::Work;
use crate::{rows, time};

/// Inserts many records at once.
pub(crate) const INSERT: &str = "
    INSERT INTO fnox_vault.audit (sequence, time, event, actor, peer, agent, secret, host, lease, rule, outcome,
                                  reason, key_id, mac)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[])";

/// Moves the head.
pub(crate) const SET_HEAD: &str =
    "UPDATE fnox_vault.audit_head SET sequence = $1, time = $2, mac = $3, key_id = $4, seal = $5";

const COLUMNS: &str = "sequence, time, event, actor, peer, agent, secret, host, lease, rule, outcome, reason, key_id, mac";

/// Records by columns, as [`INSERT`] takes them.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    sequence: Vec<i64>,
    time: Vec<i64>,
    event: Vec<&'a str>,
    actor: Vec<&'a str>,
    peer: Vec<Option<&'a str>>,
    agent: Vec<Option<&'a str>>,
    secret: Vec<Option<&'a str>>,
    host: Vec<Option<&'a str>>,
    lease: Vec<Option<Uuid>>,
    rule: Vec<Option<&'a str>>,
    outcome: Vec<&'static str>,
    reason: Vec<Option<&'a str>>,
    key_id: Vec<&'a str>,
    mac: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// Turns records into columns.
    pub(crate) fn of(records: &'a [Record]) -> Self {
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
            columns.lease.push(entry.lease);
            columns.rule.push(entry.rule.as_deref());
            columns.outcome.push(entry.outcome.as_str());
            columns.reason.push(entry.reason.as_deref());
            columns.key_id.push(&record.key_id);
            columns.mac.push(&record.mac);
        }
        columns
    }

    /// As parameters.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 14] {
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
        ]
    }
}

/// A head by columns, as [`SET_HEAD`] takes them.
#[derive(Debug)]
pub(crate) struct HeadColumns {
    sequence: i64,
    time: i64,
    mac: Vec<u8>,
    key_id: String,
    seal: Vec<u8>,
}

impl HeadColumns {
    /// Turns a head into columns.
    pub(crate) fn of(head: &Head) -> Self {
        Self {
            sequence: number(head.sequence),
            time: time::stored(head.time),
            mac: head.mac.to_vec(),
            key_id: head.key_id.clone(),
            seal: head.seal.to_vec(),
        }
    }

    /// As parameters.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 5] {
        [
            &self.sequence,
            &self.time,
            &self.mac,
            &self.key_id,
            &self.seal,
        ]
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    fn describe(&self) -> String {
        self.connections.name().to_owned()
    }

    async fn unlock(&self, keys: ChainKeys) -> Result<(), StoreError> {
        let corrupt = |problem: String| Failure::Corrupt(problem).of(self.connections.name());
        match self.head().await? {
            Some(head) => {
                Chain::resume(&keys, &head).map_err(|forged| corrupt(forged.to_string()))?;
            }
            None if self.scan(0, 1).await?.is_empty() => {}
            // Another vault may have written the first record between the two questions.
            None => match self.head().await? {
                Some(head) => {
                    Chain::resume(&keys, &head).map_err(|forged| corrupt(forged.to_string()))?;
                }
                None => return Err(corrupt("the audit log has records and no head".to_owned())),
            },
        }
        self.keys.send_replace(Some(Arc::new(keys)));
        Ok(())
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.queue.write(Work::Record, entries).await.map(|_| ())
    }

    async fn query(&self, query: &AuditQuery, limit: usize) -> Result<Vec<Record>, StoreError> {
        let conditions = Conditions::of(query);
        if conditions.impossible {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM fnox_vault.audit{} ORDER BY sequence {} LIMIT {limit}",
            conditions.sql,
            if query.newest_first { "DESC" } else { "ASC" },
        );
        self.connections
            .query(&sql, &conditions.parameters())
            .await?
            .iter()
            .map(|row| {
                rows::record(row)
                    .map_err(|unreadable| Failure::from(unreadable).of(self.connections.name()))
            })
            .collect()
    }

    async fn scan(&self, after: u64, limit: usize) -> Result<Vec<Scanned>, StoreError> {
        // Numbers below 1 are nobody's but an intruder's; they are found too.
        let after = if after == 0 { i64::MIN } else { number(after) };
        let sql = format!(
            "SELECT {COLUMNS} FROM fnox_vault.audit WHERE sequence > $1 ORDER BY sequence LIMIT $2"
        );
        let found = self
            .connections
            .query(&sql, &[&after, &limited(limit)])
            .await?;
        Ok(found
            .iter()
            .map(|row| {
                let position = rows::column::<i64>(row, "sequence").unwrap_or(0);
                Scanned {
                    position: u64::try_from(position).unwrap_or(0),
                    record: rows::record(row).map_err(|unreadable| unreadable.0),
                }
            })
            .collect())
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        let sql = "SELECT sequence, time, mac, key_id, seal FROM fnox_vault.audit_head";
        let row = self.connections.query_one(sql, &[]).await?;
        row.map_or(Ok(None), |row| rows::head(&row))
            .map_err(|unreadable| Failure::from(unreadable).of(self.connections.name()))
    }
}

/// A query as SQL.
#[derive(Default)]
pub(crate) struct Conditions {
    /// `WHERE …`, or nothing.
    pub(crate) sql: String,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    /// No record can fit: PostgreSQL cannot even be asked.
    pub(crate) impossible: bool,
}

impl Conditions {
    fn of(query: &AuditQuery) -> Self {
        let mut conditions = Self::default();
        conditions.text("agent", query.agent.as_deref());
        conditions.text("secret", query.secret.as_deref());
        conditions.text("event", query.event.as_deref());
        conditions.text("outcome", query.outcome.map(Outcome::as_str));
        if let Some(lease) = query.lease {
            conditions.and("lease =", lease.0);
        }
        if let Some(since) = query.since {
            conditions.and("time >=", time::stored(since));
        }
        if let Some(until) = query.until {
            conditions.and("time <", time::stored(until));
        }
        if let Some(from) = query.from_sequence {
            let comparison = if query.newest_first {
                "sequence <"
            } else {
                "sequence >"
            };
            conditions.and(comparison, number(from));
        }
        conditions
    }

    /// A text that has to be equal, if there is one.
    pub(crate) fn text(&mut self, column: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.impossible |= text.contains('\0');
            self.and(&format!("{column} ="), text.to_owned());
        }
    }

    /// A comparison with a value.
    pub(crate) fn and(&mut self, comparison: &str, value: impl ToSql + Sync + Send + 'static) {
        self.parameters.push(Box::new(value));
        let word = if self.sql.is_empty() { "WHERE" } else { "AND" };
        let _ = write!(self.sql, " {word} {comparison} ${}", self.parameters.len());
    }

    /// The values, as a statement takes them.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters
            .iter()
            .map(|parameter| -> &(dyn ToSql + Sync) { parameter.as_ref() })
            .collect()
    }
}

/// A number as PostgreSQL has it.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit as PostgreSQL has it.
pub(crate) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
