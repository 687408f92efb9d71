//! Whether this is the database that was written last, or one that was put back.
//!
//! What was used up or withdrawn must not come back with an older copy. A database is known by its *place*: the
//! cluster, its timeline, the database and the table that the place is written in. A dump that is played back, a
//! recovery to a point in time and a stand-by that took over all have another place. Whoever finds one first ends
//! every session, approval and unused grant, in one transaction before anything else. A server that runs records it
//! in that transaction; a server that starts has no keys for a record yet, and is told of it.
//!
//! A copy of the cluster's files that is put back while no server runs has the same place. It is known only to
//! servers that run meanwhile, which remember how far the audit log was; otherwise, and after rows were written back
//! into the same tables, the operator has to say so. [`QUIET_SINCE_START`] tells when that may have happened.

use std::cmp::Ordering;

use deadpool_postgres::{GenericClient, Object};
use fnox_core::audit::{Entry, Head, Outcome};
use jiff::Timestamp;
use uuid::Uuid;

use super::CHANNEL;
use crate::problem::Failure;
use crate::rows::column;
use crate::time;

/// `here` is what the place of this database is, `epoch` what was written down.
const LOOK: &str = "
    SELECT here.place AS here, epoch, restored_at
    FROM (SELECT substr(encode(sha256(convert_to(concat_ws('/', 'fnox place',
                     (SELECT system_identifier FROM pg_control_system()),
                     substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                     (SELECT oid FROM pg_database WHERE datname = current_database()),
                     'history'::regclass::oid), 'UTF8')), 'hex'), 1, 32)::uuid AS place) AS here
    LEFT JOIN history ON id = 1";

/// Whether PostgreSQL was started after the last record and after the last restoration that is known: files are put back
/// while it is down. Times are nanoseconds since 1970, the server's own time has microseconds.
pub(super) const QUIET_SINCE_START: &str = "
    SELECT greatest(time, coalesce(restored_at, 0)) / 1000
           < (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS quiet
    FROM audit_head LEFT JOIN history ON history.id = 1 WHERE sequence > 0";

const SETTLE: &str = "
    INSERT INTO history (id, epoch, restored_at) VALUES (1, $1, $2)
    ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, restored_at = excluded.restored_at";

const END_SESSIONS: &str = "UPDATE sessions SET ended = 1 WHERE ended = 0";

const END_OPEN: &str =
    "UPDATE approvals SET status = 'cancelled' WHERE status IN ('pending', 'approved')";

const END_GRANTED: &str = "UPDATE approvals SET status = 'expired' WHERE status = 'granted'";

/// A grant that is not used yet counts as used: it may have been, in what was lost.
const END_GRANTS: &str = "UPDATE grants SET used_at = $1 WHERE used_at IS NULL";

/// What is written about a database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    here: Uuid,
    written: Option<Uuid>,
    /// When it was put back last.
    restored_at: Option<i64>,
}

impl Place {
    /// Reads it. Costs a question to the server, so it is done once a connection: a database cannot be exchanged
    /// under one that lives.
    pub(super) async fn look(client: &impl GenericClient) -> Result<Self, Failure> {
        let look = client.prepare_cached(LOOK).await?;
        let row = client.query_one(&look, &[]).await?;
        Ok(Self {
            here: column(&row, "here")?,
            written: column(&row, "epoch")?,
            restored_at: column(&row, "restored_at")?,
        })
    }

    /// Whether the database was put back. One without a history was never used.
    pub(super) fn is_another(&self) -> bool {
        self.written.is_some_and(|written| written != self.here)
    }

    /// Whether nothing is written yet.
    fn is_new(&self) -> bool {
        self.written.is_none()
    }

    async fn write(&self, client: &impl GenericClient) -> Result<(), Failure> {
        client
            .execute(SETTLE, &[&self.here, &self.restored_at])
            .await?;
        Ok(())
    }
}

/// Whether a connection is used for the first time.
pub(super) fn is_fresh(client: &Object) -> bool {
    Object::metrics(client).recycle_count == 0
}

/// What this server knows of the database from its transactions before.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Whether the present connection was looked at.
    looked: bool,
    end: Option<(u64, [u8; 32])>,
    restored_at: Option<i64>,
}

impl Known {
    /// That the connection is another one.
    pub(super) fn reconnected(&mut self) {
        self.looked = false;
    }

    /// Where the log ends after a commit.
    pub(super) fn went_on(&mut self, head: &Head) {
        self.end = Some((head.sequence, head.mac));
    }

    /// Whether [`settle`] has something to do.
    pub(super) fn doubts(&self, head: Option<&Head>) -> bool {
        !self.looked || self.goes_back(head)
    }

    /// Whether the log goes back behind what was seen.
    fn goes_back(&self, head: Option<&Head>) -> bool {
        let Some((sequence, mac)) = self.end else {
            return false;
        };
        let Some(head) = head else { return true };
        match head.sequence.cmp(&sequence) {
            Ordering::Less => true,
            Ordering::Equal => head.mac != mac,
            Ordering::Greater => false,
        }
    }
}

/// Looks at a database before it is used: one that was put back, or of which the operator says so (`told`), loses all
/// rights.
pub(super) async fn enter(client: &mut Object, told: bool, now: Timestamp) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute("SELECT FROM audit_head FOR UPDATE")
        .await?;
    let mut place = Place::look(&transaction).await?;
    if told || place.is_another() {
        place.restored_at = Some(after(place.restored_at, now));
        end_all(&transaction, &place).await?;
        let notify = "SELECT pg_notify($1, 'restored')";
        transaction.query(notify, &[&CHANNEL]).await?;
    } else if place.is_new() {
        place.write(&transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Looks whether the database was put back, within a transaction that holds the head's lock, and ends all rights if
/// so. What is `known` changes with it, once it is committed.
///
/// Answers with the entry to record.
pub(super) async fn settle(
    client: &impl GenericClient,
    known: &mut Known,
    head: Option<&Head>,
    now: Timestamp,
) -> Result<Option<Entry>, Failure> {
    let mut place = Place::look(client).await?;
    // Another server may have seen it first, and dealt with it.
    let goes_back = known.goes_back(head) && place.restored_at <= known.restored_at;
    let before = known.restored_at.max(place.restored_at);
    let restored = place.is_another() || goes_back;
    if restored {
        place.restored_at = Some(after(before, now));
    }
    *known = Known {
        looked: true,
        end: head.map(|head| (head.sequence, head.mac)),
        restored_at: place.restored_at,
    };
    if restored {
        return end_all(client, &place).await.map(Some);
    }
    if place.is_new() {
        place.write(client).await?;
    }
    Ok(None)
}

/// A time later than one before, so that other servers see that it is another one.
fn after(before: Option<i64>, now: Timestamp) -> i64 {
    let now = time::stored(now);
    before.map_or(now, |before| now.max(before.saturating_add(1)))
}

async fn end_all(client: &impl GenericClient, place: &Place) -> Result<Entry, Failure> {
    tracing::warn!(
        "the database was put back to an older state: all its sessions, approvals and grants end"
    );
    place.write(client).await?;
    let sessions = client.execute(END_SESSIONS, &[]).await?;
    let open = client.execute(END_OPEN, &[]).await?;
    let granted = client.execute(END_GRANTED, &[]).await?;
    let grants = client.execute(END_GRANTS, &[&place.restored_at]).await?;
    let mut entry = Entry::new("database_restored", "system", Outcome::Ok);
    entry.reason = Some("all sessions, approvals and grants in it have ended".to_owned());
    entry.detail = Some(
        serde_json::json!({"sessions": sessions, "approvals": open + granted, "grants": grants})
            .to_string(),
    );
    Ok(entry)
}
