//! The ring of wrapped keys: one document, replaced as a whole.

use fnox_vault::store::{Refusal, RingRecord};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::problem::Failure;

/// The ring.
pub(crate) fn load(db: &Connection) -> Result<Option<RingRecord>, Failure> {
    let document: Option<String> = db
        .prepare_cached("SELECT document FROM ring")?
        .query_row([], |row| row.get(0))
        .optional()?;
    document
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| Failure::Unreadable { column: "document" })
}

/// Replaces the ring by its next generation.
pub(crate) fn save(db: &Connection, ring: &RingRecord) -> Result<(), Failure> {
    let stored: Option<i64> = db
        .prepare_cached("SELECT generation FROM ring")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let next = stored.unwrap_or(0).saturating_add(1);
    if i64::try_from(ring.generation) != Ok(next) {
        return Err(Refusal::Moved.into());
    }
    let document =
        serde_json::to_string(ring).map_err(|_| Failure::TooFar { what: "this ring" })?;
    db.prepare_cached("INSERT OR REPLACE INTO ring (id, generation, document) VALUES (1, ?, ?)")?
        .execute(params![next, document])?;
    Ok(())
}

/// Refuses a value that is not sealed by the active data key. A store without a ring cannot judge.
pub(crate) fn must_be_active(db: &Connection, key_id: &str) -> Result<(), Failure> {
    match load(db)? {
        Some(ring) if ring.active_data_key() != Some(key_id) => Err(Refusal::StaleKey.into()),
        _ => Ok(()),
    }
}
