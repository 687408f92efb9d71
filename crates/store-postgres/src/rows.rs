//! Rows to values. A row that is not what this program writes is an error, never a default.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnox_core::audit::{Entry, Head, Outcome, Record};
use fnox_core::lease::LeaseState;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_core::{AgentId, Host, VaultName};
use fnox_vault::Lease;
use fnox_vault::store::{SecretRecord, SessionRecord, StoredSecret, TokenRecord};
use fnox_vault_wire::methods::{Delivery, RevocationReason};
use fnox_vault_wire::{LeaseId, Role, SecretId, SessionId, TokenId};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::problem::Failure;
use crate::time;

/// A row that cannot be read: which column is wrong.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) String);

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Corrupt(unreadable.0)
    }
}

/// The columns of `lease`, as [`lease`] needs them.
pub(crate) const LEASE: &str = "id, agent, peer, secret, host, rule, tool, issued_at, expires_at, ends_at, max_uses, uses, \
     renewable, renewals, session, delivery, state, reason";

/// A lease.
pub(crate) fn lease(row: &Row) -> Result<Lease, Unreadable> {
    Ok(Lease {
        id: LeaseId(column(row, "id")?),
        agent: word(row, "agent", |text| AgentId::parse(text).ok())?,
        peer: word(row, "peer", |text| text.parse().ok())?,
        secret: word(row, "secret", |text| VaultName::parse(text).ok())?,
        host: word(row, "host", |text| Host::parse(text).ok())?,
        rule: Arc::from(column::<&str>(row, "rule")?),
        tool: column::<Option<&str>>(row, "tool")?.map(Arc::from),
        issued_at: time::read(column(row, "issued_at")?),
        expires_at: time::read(column(row, "expires_at")?),
        ends_at: time::read(column(row, "ends_at")?),
        max_uses: optional_count(row, "max_uses")?,
        uses: count(row, "uses")?,
        renewable: column(row, "renewable")?,
        renewals: count(row, "renewals")?,
        session: column::<Option<Uuid>>(row, "session")?.map(SessionId),
        delivery: word(row, "delivery", delivery)?,
        state: word(row, "state", |text| {
            LeaseState::ALL
                .into_iter()
                .find(|state| state.to_string() == text)
        })?,
        reason: optional_word(row, "reason", RevocationReason::parse)?,
    })
}

/// Several leases.
pub(crate) fn leases(rows: &[Row]) -> Result<Vec<Lease>, Unreadable> {
    rows.iter().map(lease).collect()
}

/// How a delivery is stored.
pub(crate) fn delivery_word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Value => "value",
        Delivery::Inject => "inject",
    }
}

fn delivery(text: &str) -> Option<Delivery> {
    [Delivery::Value, Delivery::Inject]
        .into_iter()
        .find(|delivery| delivery_word(*delivery) == text)
}

/// A token.
pub(crate) fn token(row: &Row) -> Result<TokenRecord, Unreadable> {
    Ok(TokenRecord {
        id: TokenId(column(row, "id")?),
        hash: digest(row, "hash")?,
        agent: column(row, "agent")?,
        role: word(row, "role", Role::parse)?,
        created_at: time::read(column(row, "created_at")?),
        expires_at: time::read(column(row, "expires_at")?),
        max_uses: optional_count(row, "max_uses")?,
        uses: count(row, "uses")?,
        peer: optional_word(row, "peer", |text| text.parse().ok())?,
        revoked: column(row, "revoked")?,
    })
}

/// A session.
pub(crate) fn session(row: &Row) -> Result<SessionRecord, Unreadable> {
    Ok(SessionRecord {
        id: SessionId(column(row, "id")?),
        hash: digest(row, "hash")?,
        user: column(row, "user_name")?,
        channel: column(row, "channel")?,
        owner: word(row, "owner", |text| text.parse().ok())?,
        created_at: time::read(column(row, "created_at")?),
        expires_at: time::read(column(row, "expires_at")?),
        max_concurrent_leases: count(row, "max_concurrent_leases")?,
        max_renewals_per_lease: count(row, "max_renewals_per_lease")?,
        tool_bindings: word(row, "tool_bindings", |text| serde_json::from_str(text).ok())?,
        closed: column(row, "closed")?,
    })
}

/// An audit record.
pub(crate) fn record(row: &Row) -> Result<Record, Unreadable> {
    let sequence: i64 = column(row, "sequence")?;
    Ok(Record {
        sequence: u64::try_from(sequence).map_err(|_| wrong("sequence"))?,
        time: time::read(column(row, "time")?),
        entry: Entry {
            event: column(row, "event")?,
            actor: column(row, "actor")?,
            peer: column(row, "peer")?,
            agent: column(row, "agent")?,
            secret: column(row, "secret")?,
            host: column(row, "host")?,
            lease: column(row, "lease")?,
            rule: column(row, "rule")?,
            outcome: word(row, "outcome", Outcome::parse)?,
            reason: column(row, "reason")?,
            project: None,
            approval: None,
            detail: None,
        },
        key_id: column(row, "key_id")?,
        mac: digest(row, "mac")?,
    })
}

/// The audit log's head. `None` if the log was never written.
pub(crate) fn head(row: &Row) -> Result<Option<Head>, Unreadable> {
    if column::<Option<&[u8]>>(row, "seal")?.is_none() {
        return Ok(None);
    }
    let sequence: i64 = column(row, "sequence")?;
    Ok(Some(Head {
        sequence: u64::try_from(sequence).map_err(|_| wrong("sequence"))?,
        time: time::read(column(row, "time")?),
        mac: digest(row, "mac")?,
        key_id: column(row, "key_id")?,
        seal: digest(row, "seal")?,
    }))
}

/// A secret's description.
pub(crate) fn secret_record(row: &Row) -> Result<SecretRecord, Unreadable> {
    let tags = word(row, "tags", |text| {
        serde_json::from_str::<BTreeMap<String, String>>(text).ok()
    })?;
    Ok(SecretRecord {
        id: SecretId(column(row, "id")?),
        name: word(row, "name", |text| VaultName::parse(text).ok())?,
        kind: word(row, "kind", |text| serde_json::from_str(text).ok())?,
        description: column(row, "description")?,
        tags,
        created_at: time::read(column(row, "created_at")?),
        updated_at: time::read(column(row, "updated_at")?),
        version: count(row, "version")?,
        algorithm: word(row, "algorithm", Algorithm::parse)?,
    })
}

/// One version of a secret.
pub(crate) fn stored_secret(row: &Row) -> Result<StoredSecret, Unreadable> {
    Ok(StoredSecret {
        record: secret_record(row)?,
        key_id: column(row, "key_id")?,
        sealed_kind: word(row, "sealed_kind", |text| serde_json::from_str(text).ok())?,
        sealed: Sealed {
            nonce: column(row, "nonce")?,
            ciphertext: column(row, "ciphertext")?,
        },
    })
}

/// One column.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, Unreadable> {
    row.try_get(name).map_err(|_| wrong(name))
}

/// A column that holds one of a few words.
pub(crate) fn word<T>(
    row: &Row,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, Unreadable> {
    read(column(row, name)?).ok_or_else(|| wrong(name))
}

/// The same where there may be none.
pub(crate) fn optional_word<T>(
    row: &Row,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    column::<Option<&str>>(row, name)?
        .map(|text| read(text).ok_or_else(|| wrong(name)))
        .transpose()
}

fn count(row: &Row, name: &str) -> Result<u32, Unreadable> {
    u32::try_from(column::<i64>(row, name)?).map_err(|_| wrong(name))
}

fn optional_count(row: &Row, name: &str) -> Result<Option<u32>, Unreadable> {
    column::<Option<i64>>(row, name)?
        .map(|number| u32::try_from(number).map_err(|_| wrong(name)))
        .transpose()
}

/// A column of 32 bytes.
pub(crate) fn digest(row: &Row, name: &str) -> Result<[u8; 32], Unreadable> {
    column::<&[u8]>(row, name)?
        .try_into()
        .map_err(|_| wrong(name))
}

/// That a column cannot be read.
pub(crate) fn wrong(name: &str) -> Unreadable {
    Unreadable(format!("the column `{name}` cannot be read"))
}
