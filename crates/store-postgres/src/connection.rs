//! Connections: a pool that reads, one connection that writes, and time limits around both.
//!
//! Writing has a pool of its own, so that readers can never keep it waiting.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use fnox_vault::store::StoreError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use crate::PostgresOptions;
use crate::place::Place;
use crate::problem::{Failure, Trouble};

/// Connections for reading, and for changes that have no place in the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: Pool,
    name: String,
    limit: Duration,
}

impl Connections {
    /// A pool of `size`. Connects when first used.
    pub(crate) fn new(
        place: &Place,
        size: usize,
        options: &PostgresOptions,
    ) -> Result<Self, StoreError> {
        let manager = Manager::from_config(
            place.config.clone(),
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.connect_limit))
            .create_timeout(Some(options.connect_limit))
            .recycle_timeout(Some(options.connect_limit))
            .build()
            .map_err(|_| Failure::Unavailable("no pool".to_owned()).of(&place.name))?;
        Ok(Self {
            pool,
            name: place.name.clone(),
            limit: options.call_limit(),
        })
    }

    /// The store's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A connection.
    pub(crate) async fn client(&self) -> Result<Object, Failure> {
        Ok(self.pool.get().await?)
    }

    /// Runs one statement that only reads. Asked again on another connection if the first one turns out to be
    /// dead, as after a restart of the server.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.limited(async {
            let mut again = true;
            loop {
                let client = self.client().await?;
                match ask(&client, sql, parameters).await {
                    Err(_) if again && client.is_closed() => again = false,
                    answer => return Ok(answer?),
                }
            }
        })
        .await
    }

    /// Runs one statement that only reads and answers with at most one row.
    pub(crate) async fn query_one(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// Gives up when the time for one call is over. What was begun is rolled back by dropping it.
    pub(crate) async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.limit, work)
            .await
            .unwrap_or_else(|_| Err(Failure::Unavailable(NO_ANSWER.to_owned()).into()))
            .map_err(|trouble| trouble.of(&self.name))
    }
}

async fn ask(
    client: &ClientWrapper,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, parameters).await
}

const NO_ANSWER: &str = "the server did not answer in time";
