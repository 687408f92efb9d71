//! The schema: made and updated under a lock, so that several vaults or servers may start at once.
//!
//! A schema of a newer fnox is refused, and so is one of the same name that something else made: neither is
//! touched.

use fnox_vault::store::StoreError;
use refinery::{Migration, Runner};
use tokio_postgres::Client;

use crate::problem::Failure;

/// A schema, and who uses it.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Its name in the database.
    pub(crate) name: &'static str,
    /// How its user names itself to the server.
    pub(crate) application: &'static str,
    /// The advisory lock of those who change it.
    lock: i64,
    /// Every step, oldest first.
    steps: &'static [(&'static str, &'static str)],
}

/// The vault's.
pub(crate) const VAULT: Schema = Schema {
    name: "fnox_vault",
    application: "fnox vault",
    lock: i64::from_be_bytes(*b"fnox vau"),
    steps: &[
        ("V1__initial", include_str!("../migrations/V1__initial.sql")),
        (
            "V2__questions",
            include_str!("../migrations/V2__questions.sql"),
        ),
    ],
};

/// The team server's.
pub(crate) const SERVER: Schema = Schema {
    name: "fnox_server",
    application: "fnox server",
    lock: i64::from_be_bytes(*b"fnox ser"),
    steps: &[
        (
            "V1__server",
            include_str!("../migrations/server/V1__server.sql"),
        ),
        (
            "V2__questions",
            include_str!("../migrations/server/V2__questions.sql"),
        ),
    ],
};

/// What is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Format(u32),
}

impl Schema {
    /// Makes sure that the schema is the one this program knows.
    pub(crate) async fn prepare(
        &self,
        client: &mut Client,
        store: &str,
        migrate: bool,
    ) -> Result<(), StoreError> {
        let fail = |error: tokio_postgres::Error| Failure::from(error).of(store);
        if self.is_up_to_date(client, store).await? {
            return Ok(());
        }
        if !migrate {
            return Err(StoreError::Foreign {
                store: store.to_owned(),
                problem: format!(
                    "its schema `{}` is missing or of an older fnox, and was not to be changed",
                    self.name
                ),
            });
        }
        client
            .execute("SELECT pg_advisory_lock($1)", &[&self.lock])
            .await
            .map_err(fail)?;
        let outcome = self.change(client, store).await;
        // The lock also ends with the connection.
        client
            .execute("SELECT pg_advisory_unlock($1)", &[&self.lock])
            .await
            .map_err(fail)?;
        outcome
    }

    async fn change(&self, client: &mut Client, store: &str) -> Result<(), StoreError> {
        // Somebody else may have done it while this one waited for the lock.
        if self.is_up_to_date(client, store).await? {
            return Ok(());
        }
        client
            .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", self.name))
            .await
            .map_err(|error| Failure::from(error).of(store))?;
        let broken = |problem: &str| StoreError::Corrupt {
            store: store.to_owned(),
            problem: problem.to_owned(),
        };
        let steps = self
            .steps
            .iter()
            .map(|(step, sql)| Migration::unapplied(step, sql))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| broken("a step of the schema has no number"))?;
        let mut runner = Runner::new(&steps)
            .set_grouped(true)
            .set_abort_divergent(true);
        runner.set_migration_table_name(self.history());
        match runner.run_async(client).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                refinery::error::Kind::DivergentVersion(..)
                | refinery::error::Kind::MissingVersion(_) => {
                    Err(broken("its schema was made by other steps"))
                }
                _ => Err(StoreError::Unavailable {
                    store: store.to_owned(),
                    problem: "the schema could not be changed".to_owned(),
                }),
            },
        }
    }

    async fn is_up_to_date(&self, client: &Client, store: &str) -> Result<bool, StoreError> {
        let known = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        match self.look(client, store).await? {
            Found::Format(found) if found > known => Err(StoreError::Newer {
                store: store.to_owned(),
                found,
                known,
            }),
            Found::Format(found) => Ok(found == known),
            Found::Nothing => Ok(false),
        }
    }

    async fn look(&self, client: &Client, store: &str) -> Result<Found, StoreError> {
        let fail = |error: tokio_postgres::Error| Failure::from(error).of(store);
        let row = client
            .query_one(
                "SELECT to_regclass($1) IS NOT NULL,
                        EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                                WHERE nspname = $2)",
                &[&self.history(), &self.name],
            )
            .await
            .map_err(fail)?;
        match (row.get(0), row.get(1)) {
            (true, _) => {}
            (false, false) => return Ok(Found::Nothing),
            (false, true) => return Err(self.foreign(store)),
        }
        let sql = format!("SELECT max(version)::bigint FROM {}", self.history());
        let row = client.query_one(&sql, &[]).await.map_err(|error| {
            if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_COLUMN) {
                self.foreign(store)
            } else {
                fail(error)
            }
        })?;
        match row.get::<_, Option<i64>>(0) {
            None => Ok(Found::Nothing),
            Some(version) => Ok(Found::Format(u32::try_from(version).unwrap_or(u32::MAX))),
        }
    }

    /// Where refinery notes what it did.
    fn history(&self) -> String {
        format!("{}.schema_history", self.name)
    }

    fn foreign(&self, store: &str) -> StoreError {
        StoreError::Foreign {
            store: store.to_owned(),
            problem: format!("its schema `{}` was made by something else", self.name),
        }
    }
}
