//! Which stable id has which name. A name that comes back under another id is somebody else's.

use fnox_core::audit::Entry;
use jiff::Timestamp;

use super::sql::{SqlError, Transaction};
use super::{Refusal, Store, StoreError};

/// What a stable id is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// The configured name of the issuer.
    pub issuer: String,
    /// What does not change.
    pub stable_id: String,
    /// What people call it.
    pub name: String,
}

impl Store {
    /// Forgets who had a name, so that another id may have it.
    ///
    /// # Errors
    /// Refused with [`Refusal::Missing`].
    pub async fn forget_name(
        &self,
        issuer: String,
        name: String,
        entry: Entry,
    ) -> Result<(), StoreError> {
        self.change(entry, (issuer, name), |transaction, _, (issuer, name)| {
            Box::pin(async move {
                let gone = transaction
                    .execute(
                        "DELETE FROM known_names WHERE issuer = $1 AND name = $2",
                        &[issuer.as_str().into(), name.as_str().into()],
                    )
                    .await?;
                Ok(if gone == 0 {
                    Err(Refusal::Missing)
                } else {
                    Ok(())
                })
            })
        })
        .await
    }
}

/// Notes a name. Answers with the one before, if there was another.
pub(super) async fn note(
    transaction: &mut (dyn Transaction + '_),
    known: &KnownName,
    now: Timestamp,
) -> Result<Result<Option<String>, Refusal>, SqlError> {
    let KnownName {
        issuer,
        stable_id,
        name,
    } = known;
    let holder = transaction
        .first(
            "SELECT stable_id FROM known_names WHERE issuer = $1 AND name = $2",
            &[issuer.as_str().into(), name.as_str().into()],
        )
        .await?;
    if let Some(row) = holder {
        let holder = row.text(0)?;
        if holder != *stable_id {
            return Ok(Err(Refusal::Resurrected {
                name: name.clone(),
                known: holder,
            }));
        }
        return Ok(Ok(None));
    }
    let before = transaction
        .first(
            "SELECT name FROM known_names WHERE issuer = $1 AND stable_id = $2",
            &[issuer.as_str().into(), stable_id.as_str().into()],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO known_names (issuer, stable_id, name, seen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (issuer, stable_id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at",
            &[
                issuer.as_str().into(),
                stable_id.as_str().into(),
                name.as_str().into(),
                now.into(),
            ],
        )
        .await?;
    Ok(Ok(before.map(|row| row.text(0)).transpose()?))
}
