//! Sealed values as rows, and their changes inside the writer's transaction.

use fnox_core::VaultName;
use fnox_core::seal::{Algorithm, Sealed};
use fnox_vault::store::{Described, Refusal, Resealed, SecretRecord, StoredSecret};
use fnox_vault_wire::SecretId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::problem::Failure;
use crate::{ring, time};

/// Stores a secret of a new name.
pub(crate) fn insert(db: &Connection, secret: &StoredSecret) -> Result<(), Failure> {
    let record = &secret.record;
    let exists = db
        .prepare_cached("SELECT 1 FROM secrets WHERE name = ? OR id = ?")?
        .exists(params![
            record.name.as_str(),
            record.id.0.as_bytes().as_slice()
        ])?;
    if exists {
        return Err(Refusal::Exists.into());
    }
    ring::must_be_active(db, &secret.key_id)?;
    db.prepare_cached(
        "INSERT INTO secrets (id, name, kind, description, tags, created_at, updated_at, version, algorithm) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        record.id.0.as_bytes().as_slice(),
        record.name.as_str(),
        json(&record.kind)?,
        record.description,
        json(&record.tags)?,
        time::stored(record.created_at)?,
        time::stored(record.updated_at)?,
        record.version,
        record.algorithm.as_str(),
    ])?;
    insert_version(db, secret)
}

/// Stores the next version, and drops all but the newest `keep`.
pub(crate) fn add_version(
    db: &Connection,
    secret: &StoredSecret,
    keep: u32,
) -> Result<(), Failure> {
    let record = &secret.record;
    let newest = metadata(db, &record.name)?.ok_or(Refusal::Missing)?;
    let follows = newest.id == record.id && newest.version.checked_add(1) == Some(record.version);
    if !follows {
        return Err(Refusal::Moved.into());
    }
    ring::must_be_active(db, &secret.key_id)?;
    db.prepare_cached(
        "UPDATE secrets SET kind = ?, description = ?, tags = ?, updated_at = ?, version = ?, algorithm = ? \
         WHERE name = ?",
    )?
    .execute(params![
        json(&record.kind)?,
        record.description,
        json(&record.tags)?,
        time::stored(record.updated_at)?,
        record.version,
        record.algorithm.as_str(),
        record.name.as_str(),
    ])?;
    insert_version(db, secret)?;
    prune(db, Some(&record.name), keep)?;
    Ok(())
}

fn insert_version(db: &Connection, secret: &StoredSecret) -> Result<(), Failure> {
    db.prepare_cached(
        "INSERT INTO secret_versions (secret, version, key_id, algorithm, sealed_kind, nonce, ciphertext) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        secret.record.id.0.as_bytes().as_slice(),
        secret.record.version,
        secret.key_id,
        secret.record.algorithm.as_str(),
        json(&secret.sealed_kind)?,
        secret.sealed.nonce,
        secret.sealed.ciphertext,
    ])?;
    Ok(())
}

/// Changes kind, description and tags.
pub(crate) fn describe(
    db: &Connection,
    name: &VaultName,
    change: &Described,
) -> Result<(), Failure> {
    let rows = db
        .prepare_cached(
            "UPDATE secrets SET kind = coalesce(?2, kind), description = coalesce(?3, description), \
             tags = coalesce(?4, tags), updated_at = ?5 WHERE name = ?1",
        )?
        .execute(params![
            name.as_str(),
            change.kind.as_ref().map(json).transpose()?,
            change.description,
            change.tags.as_ref().map(json).transpose()?,
            time::stored(change.updated_at)?,
        ])?;
    if rows == 0 {
        return Err(Refusal::Missing.into());
    }
    Ok(())
}

/// Deletes all versions.
pub(crate) fn delete(db: &Connection, name: &VaultName) -> Result<(), Failure> {
    let rows = db
        .prepare_cached("DELETE FROM secrets WHERE name = ?")?
        .execute([name.as_str()])?;
    if rows == 0 {
        return Err(Refusal::Missing.into());
    }
    Ok(())
}

/// Drops all but the newest `keep` versions, at least one.
pub(crate) fn prune(db: &Connection, name: Option<&VaultName>, keep: u32) -> Result<u64, Failure> {
    let rows = db
        .prepare_cached(
            "DELETE FROM secret_versions WHERE rowid IN (SELECT rowid FROM (SELECT v.rowid, \
             row_number() OVER (PARTITION BY v.secret ORDER BY v.version DESC) AS place \
             FROM secret_versions AS v JOIN secrets AS s ON s.id = v.secret \
             WHERE ?1 IS NULL OR s.name = ?1) WHERE place > ?2)",
        )?
        .execute(params![name.map(VaultName::as_str), keep.max(1)])?;
    Ok(rows as u64)
}

/// Replaces the sealed form of versions that are still what they were.
pub(crate) fn reseal(db: &Connection, items: &[Resealed]) -> Result<u64, Failure> {
    let mut version = db.prepare_cached(
        "UPDATE secret_versions SET key_id = ?, algorithm = ?, nonce = ?, ciphertext = ? \
         WHERE secret = ? AND version = ? AND nonce = ? \
         AND EXISTS (SELECT 1 FROM secrets WHERE id = secret AND name = ?)",
    )?;
    let mut newest =
        db.prepare_cached("UPDATE secrets SET algorithm = ? WHERE id = ? AND version = ?")?;
    let mut count = 0;
    for item in items {
        let id = item.id.0.as_bytes().as_slice();
        let rows = version.execute(params![
            item.key_id,
            item.algorithm.as_str(),
            item.sealed.nonce,
            item.sealed.ciphertext,
            id,
            item.version,
            item.old_nonce,
            item.name.as_str(),
        ])?;
        if rows == 1 {
            newest.execute(params![item.algorithm.as_str(), id, item.version])?;
            count += 1;
        }
    }
    Ok(count)
}

/// The newest version.
pub(crate) fn find(db: &Connection, name: &VaultName) -> Result<Option<StoredSecret>, Failure> {
    let mut found = collect(
        db,
        "WHERE s.name = ? AND v.version = s.version",
        &[&name.as_str()],
    )?;
    Ok(found.pop())
}

/// Everything but the value.
pub(crate) fn metadata(db: &Connection, name: &VaultName) -> Result<Option<SecretRecord>, Failure> {
    db.prepare_cached("SELECT * FROM secrets WHERE name = ?")?
        .query_row([name.as_str()], |row| Ok(read_record(row)))
        .optional()?
        .transpose()
}

/// A page in the order of the names' bytes.
pub(crate) fn page(
    db: &Connection,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<SecretRecord>, Failure> {
    let mut statement =
        db.prepare_cached("SELECT * FROM secrets WHERE name > ? ORDER BY name LIMIT ?")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // No name is empty, so that all come after the empty text.
    let mut rows = statement.query(params![after.unwrap_or_default(), limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read_record(row)?);
    }
    Ok(records)
}

/// Versions that are not sealed by this key, or not with this algorithm.
pub(crate) fn sealed_otherwise(
    db: &Connection,
    key_id: &str,
    algorithm: Option<Algorithm>,
    limit: usize,
) -> Result<Vec<StoredSecret>, Failure> {
    collect(
        db,
        "WHERE v.key_id <> ?1 OR v.algorithm <> coalesce(?2, v.algorithm) LIMIT ?3",
        &[
            &key_id,
            &algorithm.map(Algorithm::as_str),
            &i64::try_from(limit).unwrap_or(i64::MAX),
        ],
    )
}

/// How many versions each key seals.
pub(crate) fn count_by_key(db: &Connection) -> Result<Vec<(String, u64)>, Failure> {
    let mut statement = db.prepare_cached(
        "SELECT key_id, count(*) FROM secret_versions GROUP BY key_id ORDER BY key_id",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| {
        let (key, count) = row?;
        Ok((key, count.unsigned_abs()))
    })
    .collect()
}

fn collect(
    db: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<StoredSecret>, Failure> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT s.id, s.name, s.kind, s.description, s.tags, s.created_at, s.updated_at, v.version, \
         v.algorithm, v.key_id, v.sealed_kind, v.nonce, v.ciphertext \
         FROM secret_versions AS v JOIN secrets AS s ON s.id = v.secret {condition}"
    ))?;
    let mut rows = statement.query(values)?;
    let mut secrets = Vec::new();
    while let Some(row) = rows.next()? {
        secrets.push(StoredSecret {
            record: read_record(row)?,
            key_id: row.get(9)?,
            sealed_kind: parse("sealed_kind", row.get_ref(10)?)?,
            sealed: Sealed {
                nonce: row.get(11)?,
                ciphertext: row.get(12)?,
            },
        });
    }
    Ok(secrets)
}

fn read_record(row: &Row<'_>) -> Result<SecretRecord, Failure> {
    let wrong = |column| Failure::Unreadable { column };
    let name: String = row.get(1)?;
    let algorithm: String = row.get(8)?;
    Ok(SecretRecord {
        id: SecretId(Uuid::from_bytes(row.get(0)?)),
        name: VaultName::parse(&name).map_err(|_| wrong("name"))?,
        kind: parse("kind", row.get_ref(2)?)?,
        description: row.get(3)?,
        tags: parse("tags", row.get_ref(4)?)?,
        created_at: time::of("created_at", row.get(5)?)?,
        updated_at: time::of("updated_at", row.get(6)?)?,
        version: row.get(7)?,
        algorithm: Algorithm::parse(&algorithm).ok_or(wrong("algorithm"))?,
    })
}

fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| Failure::TooFar {
        what: "this description",
    })
}

fn parse<T: DeserializeOwned>(
    column: &'static str,
    value: rusqlite::types::ValueRef<'_>,
) -> Result<T, Failure> {
    value
        .as_str()
        .ok()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(Failure::Unreadable { column })
}
