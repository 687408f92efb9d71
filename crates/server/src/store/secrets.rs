//! Secrets and their versions.

use fnox_api::Ciphertext;
use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::sql::{Row, SqlError, Transaction, Value};
use super::{Condition, Refusal, SecretPlace, SecretRecord, Store, StoreError, Tx};

/// A version to store.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Where.
    pub place: SecretPlace,
    /// What must be there.
    pub condition: Condition,
    /// The number that the age file is made for. `None`: whichever is next.
    pub version: Option<u64>,
    /// The age file.
    pub ciphertext: Ciphertext,
    /// As whoever stores it says.
    pub recipients: Vec<String>,
    /// `None`: as it was.
    pub description: Option<String>,
    /// `None`: as it was.
    pub require_approval: Option<bool>,
    /// When.
    pub now: Timestamp,
    /// Who.
    pub created_by: String,
    /// How many versions are kept.
    pub keep: u32,
}

impl Store {
    /// Stores a version.
    ///
    /// # Errors
    /// Refused with [`Refusal::Moved`], [`Refusal::NotNext`].
    pub async fn put_secret(
        &self,
        new: NewSecret,
        entry: Entry,
    ) -> Result<SecretRecord, StoreError> {
        self.change(entry, new, put).await
    }

    /// Deletes a secret with all its versions. Their count goes on if there is a new one.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`], [`Refusal::Moved`].
    pub async fn delete_secret(
        &self,
        place: SecretPlace,
        condition: Condition,
        entry: Entry,
    ) -> Result<(), StoreError> {
        self.change(entry, (place, condition), delete).await
    }

    /// The newest version, with its age file if `with_ciphertext`.
    ///
    /// # Errors
    /// As every read.
    pub async fn secret(
        &self,
        place: SecretPlace,
        with_ciphertext: bool,
    ) -> Result<Option<SecretRecord>, StoreError> {
        self.find((place, with_ciphertext), |transaction, (place, with)| {
            Box::pin(async move { newest(transaction, place, *with).await })
        })
        .await
    }

    /// Newest versions without age files, of one project and perhaps one profile, in the order of profile and key from
    /// the first one after `after`, at most `limit`.
    ///
    /// # Errors
    /// As every read.
    pub async fn secrets(
        &self,
        project: String,
        profile: Option<String>,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<SecretRecord>, StoreError> {
        self.find((project, profile, after, limit), list).await
    }

    /// All kept versions, newest first, without age files.
    ///
    /// # Errors
    /// As every read.
    pub async fn versions(&self, place: SecretPlace) -> Result<Vec<SecretRecord>, StoreError> {
        self.find(place, |transaction, place| {
            Box::pin(async move {
                let rows = transaction.query(VERSIONS, &keys(place)).await?;
                rows.iter().map(record).collect()
            })
        })
        .await
    }
}

fn put<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    new: &'t NewSecret,
) -> BoxFuture<'t, Result<Result<SecretRecord, Refusal>, SqlError>> {
    Box::pin(async move {
        let place = &new.place;
        let head = transaction.first(HEAD, &keys(place)).await?;
        let (counted, is_there, description, require_approval) = match &head {
            None => (0, false, None, false),
            Some(row) => (
                row.count(0)?,
                !row.flag(3)?,
                row.optional_text(1)?,
                row.flag(2)?,
            ),
        };
        if let Some(refusal) = differs(new.condition, counted, is_there) {
            return Ok(Err(refusal));
        }
        let next = counted + 1;
        if new.version.is_some_and(|version| version != next) {
            return Ok(Err(Refusal::NotNext { next }));
        }
        let record = SecretRecord {
            place: place.clone(),
            version: next,
            recipients: new.recipients.clone(),
            description: new.description.clone().or(description.filter(|_| is_there)),
            require_approval: new.require_approval.unwrap_or(is_there && require_approval),
            created_at: new.now,
            created_by: new.created_by.clone(),
            sha256: new.ciphertext.digest(),
            size: new.ciphertext.as_bytes().len() as u64,
            ciphertext: None,
        };
        store_head(transaction, &record).await?;
        store_version(transaction, &record, &new.ciphertext).await?;
        drop_old(transaction, &record, new.keep).await?;
        entry.detail = Some(
            serde_json::json!({
                "version": record.version,
                "sha256": hex::encode(record.sha256),
                "require_approval": record.require_approval,
            })
            .to_string(),
        );
        Ok(Ok(record))
    })
}

/// What is there, if it is not what was wanted.
fn differs(condition: Condition, counted: u64, is_there: bool) -> Option<Refusal> {
    let found = if is_there { counted } else { 0 };
    match condition {
        Condition::Absent if is_there => Some(Refusal::Moved { found }),
        Condition::Version(wanted) if wanted != found || !is_there => {
            Some(Refusal::Moved { found })
        }
        _ => None,
    }
}

async fn store_head(
    transaction: &mut (dyn Transaction + '_),
    record: &SecretRecord,
) -> Result<(), SqlError> {
    let [project, profile, key] = keys(&record.place);
    transaction
        .execute(
            "INSERT INTO secrets (project, profile, key, version, description, require_approval, deleted) \
             VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (project, profile, key) DO UPDATE SET \
             version = excluded.version, description = excluded.description, \
             require_approval = excluded.require_approval, deleted = 0",
            &[
                project,
                profile,
                key,
                record.version.into(),
                record.description.clone().into(),
                record.require_approval.into(),
            ],
        )
        .await?;
    Ok(())
}

async fn store_version(
    transaction: &mut (dyn Transaction + '_),
    record: &SecretRecord,
    ciphertext: &Ciphertext,
) -> Result<(), SqlError> {
    let [project, profile, key] = keys(&record.place);
    transaction
        .execute(
            "INSERT INTO secret_versions (project, profile, key, version, ciphertext, sha256, size, recipients, \
             created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                project,
                profile,
                key,
                record.version.into(),
                ciphertext.as_bytes().into(),
                record.sha256.into(),
                record.size.into(),
                Value::json(&record.recipients)?,
                record.created_at.into(),
                record.created_by.as_str().into(),
            ],
        )
        .await?;
    Ok(())
}

async fn drop_old(
    transaction: &mut (dyn Transaction + '_),
    record: &SecretRecord,
    keep: u32,
) -> Result<(), SqlError> {
    let [project, profile, key] = keys(&record.place);
    let newest_dropped = record.version.saturating_sub(keep.max(1).into());
    transaction
        .execute(
            "DELETE FROM secret_versions WHERE project = $1 AND profile = $2 AND key = $3 AND version <= $4",
            &[project, profile, key, newest_dropped.into()],
        )
        .await?;
    Ok(())
}

fn delete<'t>(
    transaction: Tx<'t>,
    entry: &'t mut Entry,
    (place, condition): &'t (SecretPlace, Condition),
) -> BoxFuture<'t, Result<Result<(), Refusal>, SqlError>> {
    Box::pin(async move {
        let head = transaction.first(HEAD, &keys(place)).await?;
        let (counted, is_there) = match &head {
            None => (0, false),
            Some(row) => (row.count(0)?, !row.flag(3)?),
        };
        if !is_there {
            return Ok(Err(Refusal::Missing));
        }
        if let Some(refusal) = differs(*condition, counted, is_there) {
            return Ok(Err(refusal));
        }
        transaction
            .execute(
                "UPDATE secrets SET deleted = 1 WHERE project = $1 AND profile = $2 AND key = $3",
                &keys(place),
            )
            .await?;
        transaction
            .execute(
                "DELETE FROM secret_versions WHERE project = $1 AND profile = $2 AND key = $3",
                &keys(place),
            )
            .await?;
        entry.detail = Some(serde_json::json!({ "version": counted }).to_string());
        Ok(Ok(()))
    })
}

pub(super) async fn newest(
    transaction: &mut (dyn Transaction + '_),
    place: &SecretPlace,
    with_ciphertext: bool,
) -> Result<Option<SecretRecord>, SqlError> {
    let row = transaction.first(NEWEST, &keys(place)).await?;
    let Some(row) = row else { return Ok(None) };
    let mut record = record(&row)?;
    if with_ciphertext {
        let [project, profile, key] = keys(place);
        let row = transaction
            .first(
                "SELECT ciphertext FROM secret_versions \
                 WHERE project = $1 AND profile = $2 AND key = $3 AND version = $4",
                &[project, profile, key, record.version.into()],
            )
            .await?
            .ok_or_else(|| SqlError::Corrupt("a secret has no newest version".to_owned()))?;
        record.ciphertext = Some(Ciphertext::stored(row.bytes(0)?));
    }
    Ok(Some(record))
}

type Page = (String, Option<String>, Option<(String, String)>, u32);

fn list<'t>(
    transaction: Tx<'t>,
    (project, profile, after, limit): &'t Page,
) -> BoxFuture<'t, Result<Vec<SecretRecord>, SqlError>> {
    Box::pin(async move {
        let (after_profile, after_key) = after.clone().unwrap_or_default();
        let rows = match profile {
            None => {
                let parameters = [
                    project.as_str().into(),
                    after_profile.into(),
                    after_key.into(),
                    (*limit).into(),
                ];
                transaction.query(LIST, &parameters).await?
            }
            Some(profile) => {
                let parameters = [
                    project.as_str().into(),
                    profile.as_str().into(),
                    after_key.into(),
                    (*limit).into(),
                ];
                transaction.query(LIST_PROFILE, &parameters).await?
            }
        };
        rows.iter().map(record).collect()
    })
}

pub(super) fn keys(place: &SecretPlace) -> [Value; 3] {
    [
        place.project.as_str().into(),
        place.profile.as_str().into(),
        place.key.as_str().into(),
    ]
}

fn record(row: &Row) -> Result<SecretRecord, SqlError> {
    Ok(SecretRecord {
        place: SecretPlace {
            project: row.text(0)?,
            profile: row.text(1)?,
            key: row.text(2)?,
        },
        version: row.count(3)?,
        recipients: row.json(4)?,
        description: row.optional_text(5)?,
        require_approval: row.flag(6)?,
        created_at: row.time(7)?,
        created_by: row.text(8)?,
        sha256: row.digest(9)?,
        size: row.count(10)?,
        ciphertext: None,
    })
}

const HEAD: &str = "SELECT version, description, require_approval, deleted FROM secrets \
     WHERE project = $1 AND profile = $2 AND key = $3";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.project, s.profile, s.key, v.version, v.recipients, s.description, s.require_approval, \
             v.created_at, v.created_by, v.sha256, v.size FROM secrets s JOIN secret_versions v \
             ON v.project = s.project AND v.profile = s.profile AND v.key = s.key ",
            $rest
        )
    };
}

const NEWEST: &str = select!(
    "AND v.version = s.version WHERE s.project = $1 AND s.profile = $2 AND s.key = $3 AND s.deleted = 0"
);
const VERSIONS: &str = select!(
    "WHERE s.project = $1 AND s.profile = $2 AND s.key = $3 AND s.deleted = 0 ORDER BY v.version DESC"
);
const LIST: &str = select!(
    "AND v.version = s.version WHERE s.project = $1 AND s.deleted = 0 \
     AND (s.profile > $2 OR (s.profile = $2 AND s.key > $3)) ORDER BY s.profile, s.key LIMIT $4"
);
const LIST_PROFILE: &str = select!(
    "AND v.version = s.version WHERE s.project = $1 AND s.profile = $2 AND s.deleted = 0 \
     AND s.key > $3 ORDER BY s.key LIMIT $4"
);
