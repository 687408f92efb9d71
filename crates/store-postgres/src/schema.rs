//! The schema: made and updated under a lock, so that several vaults may start at once.
//!
//! A schema of a newer fnox is refused, and so is one of the same name that something else made: neither is
//! touched.

use fnox_vault::store::StoreError;
use refinery::{Migration, Runner};
use tokio_postgres::Client;

use crate::problem::Failure;

/// Where refinery notes what it did.
const HISTORY: &str = "fnox_vault.schema_history";

/// The advisory lock of those who change the schema: the first bytes of "fnox vault".
const LOCK: i64 = i64::from_be_bytes(*b"fnox vau");

/// Every step, oldest first.
const STEPS: &[(&str, &str)] = &[("V1__initial", include_str!("../migrations/V1__initial.sql"))];

/// What is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Format(u32),
}

/// Makes sure that the schema is the one this program knows.
pub(crate) async fn prepare(
    client: &mut Client,
    name: &str,
    migrate: bool,
) -> Result<(), StoreError> {
    let fail = |error: tokio_postgres::Error| Failure::from(error).of(name);
    if up_to_date(look(client, name).await?, name)? {
        return Ok(());
    }
    if !migrate {
        return Err(StoreError::Foreign {
            store: name.to_owned(),
            problem:
                "its schema `fnox_vault` is missing or of an older fnox, and was not to be changed"
                    .to_owned(),
        });
    }
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(fail)?;
    let outcome = change(client, name).await;
    // The lock also ends with the connection.
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await
        .map_err(fail)?;
    outcome
}

async fn change(client: &mut Client, name: &str) -> Result<(), StoreError> {
    // Somebody else may have done it while this vault waited for the lock.
    if up_to_date(look(client, name).await?, name)? {
        return Ok(());
    }
    client
        .batch_execute("CREATE SCHEMA IF NOT EXISTS fnox_vault")
        .await
        .map_err(|error| Failure::from(error).of(name))?;
    let broken = |problem: &str| StoreError::Corrupt {
        store: name.to_owned(),
        problem: problem.to_owned(),
    };
    let steps = STEPS
        .iter()
        .map(|(step, sql)| Migration::unapplied(step, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| broken("a step of the schema has no number"))?;
    let mut runner = Runner::new(&steps)
        .set_grouped(true)
        .set_abort_divergent(true);
    runner.set_migration_table_name(HISTORY);
    match runner.run_async(client).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            refinery::error::Kind::DivergentVersion(..)
            | refinery::error::Kind::MissingVersion(_) => {
                Err(broken("its schema was made by other steps"))
            }
            _ => Err(StoreError::Unavailable {
                store: name.to_owned(),
                problem: "the schema could not be changed".to_owned(),
            }),
        },
    }
}

fn up_to_date(found: Found, name: &str) -> Result<bool, StoreError> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    match found {
        Found::Format(found) if found > known => Err(StoreError::Newer {
            store: name.to_owned(),
            found,
            known,
        }),
        Found::Format(found) => Ok(found == known),
        Found::Nothing => Ok(false),
    }
}

async fn look(client: &Client, name: &str) -> Result<Found, StoreError> {
    let fail = |error: tokio_postgres::Error| Failure::from(error).of(name);
    let row = client
        .query_one(
            "SELECT to_regclass('fnox_vault.schema_history') IS NOT NULL,
                    EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                            WHERE nspname = 'fnox_vault')",
            &[],
        )
        .await
        .map_err(fail)?;
    match (row.get(0), row.get(1)) {
        (true, _) => {}
        (false, false) => return Ok(Found::Nothing),
        (false, true) => return Err(foreign(name)),
    }
    let row = client
        .query_one(
            "SELECT max(version)::bigint FROM fnox_vault.schema_history",
            &[],
        )
        .await
        .map_err(|error| {
            if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_COLUMN) {
                foreign(name)
            } else {
                fail(error)
            }
        })?;
    match row.get::<_, Option<i64>>(0) {
        None => Ok(Found::Nothing),
        Some(version) => Ok(Found::Format(u32::try_from(version).unwrap_or(u32::MAX))),
    }
}

fn foreign(name: &str) -> StoreError {
    StoreError::Foreign {
        store: name.to_owned(),
        problem: "its schema `fnox_vault` was made by something else".to_owned(),
    }
}
