//! A transaction as the server's shared statements see it.

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use fnox_server::store::sql::{Row, SqlError, Transaction, Value};
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use super::problem;
use super::value::{Column, kind, parameter};
use crate::texts;

/// Statements on one connection, within a transaction that somebody else began and ends.
#[derive(Debug)]
pub(super) struct Statements<'c, C> {
    client: &'c C,
    failure: Option<SqlError>,
    changed: bool,
}

impl<'c, C: GenericClient> Statements<'c, C> {
    /// Nothing was done yet.
    pub(super) fn on(client: &'c C) -> Self {
        Self {
            client,
            failure: None,
            changed: false,
        }
    }

    /// Whether anything may have been changed, or what failed first: PostgreSQL does nothing more in a transaction in
    /// which something failed, whatever its author makes of it.
    pub(super) fn end(self) -> Result<bool, SqlError> {
        self.failure.map_or(Ok(self.changed), Err)
    }

    /// Prepares a statement for the types of these values.
    async fn prepare(&self, sql: &str, parameters: &[Value]) -> Result<Statement, SqlError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        for parameter in parameters {
            if matches!(parameter, Value::Text(text) if !texts::fits(text)) {
                return Err(SqlError::Unfit("a text has a NUL character".to_owned()));
            }
        }
        let types: Vec<Type> = parameters.iter().map(kind).collect();
        self.client
            .prepare_typed_cached(sql, &types)
            .await
            .map_err(problem::of_statement)
    }

    /// Notes a failure.
    fn noted<T>(&mut self, outcome: Result<T, SqlError>) -> Result<T, SqlError> {
        outcome.inspect_err(|error| self.failure = Some(error.clone()))
    }

    async fn carry_out(&self, sql: &str, parameters: &[Value]) -> Result<u64, SqlError> {
        let statement = self.prepare(sql, parameters).await?;
        self.client
            .execute(&statement, &fitted(&statement, parameters))
            .await
            .map_err(problem::of_statement)
    }

    async fn ask(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let statement = self.prepare(sql, parameters).await?;
        self.client
            .query(&statement, &fitted(&statement, parameters))
            .await
            .map_err(problem::of_statement)?
            .iter()
            .map(read)
            .collect()
    }
}

#[async_trait]
impl<C: GenericClient + Sync> Transaction for Statements<'_, C> {
    async fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, SqlError> {
        let outcome = self.carry_out(sql, parameters).await;
        let rows = self.noted(outcome)?;
        self.changed |= rows > 0;
        Ok(rows)
    }

    async fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, SqlError> {
        let outcome = self.ask(sql, parameters).await;
        let rows = self.noted(outcome)?;
        // What asks and changes at once says which rows it changed.
        self.changed |= !rows.is_empty() && !sql.starts_with("SELECT");
        Ok(rows)
    }
}

fn fitted<'a>(statement: &Statement, values: &'a [Value]) -> Vec<&'a (dyn ToSql + Sync)> {
    values
        .iter()
        .zip(statement.params())
        .map(|(value, kind)| parameter(value, kind))
        .collect()
}

fn read(row: &tokio_postgres::Row) -> Result<Row, SqlError> {
    (0..row.len())
        .map(|index| {
            row.try_get(index)
                .map(|Column(value)| value)
                .map_err(|_| SqlError::Corrupt(format!("column {index} cannot be read")))
        })
        .collect::<Result<_, _>>()
        .map(Row)
}
