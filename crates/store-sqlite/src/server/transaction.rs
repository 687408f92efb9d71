//! A transaction as the server's statements see it, on one connection.
//!
//! SQLite numbers parameters in the order in which a statement names them first; the server's statements mean their
//! number. So they are bound by name, and each must be there, as PostgreSQL wants it.

use async_trait::async_trait;
use fnox_core::audit::Entry;
use fnox_server::store::Work;
use fnox_server::store::sql::{Row, SqlError, Transaction, Value};
use futures_util::FutureExt as _;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, ErrorCode, Statement, ToSql};

use crate::problem::Failure;

/// Runs work on a connection that is inside a transaction.
///
/// A statement that failed fails the work, also if the work goes on without minding: PostgreSQL would end the
/// transaction there.
pub(super) fn run(db: &mut Connection, work: &Work) -> Result<Vec<Entry>, Failure> {
    let mut transaction = OnConnection { db, failed: None };
    // Statements answer at once, so nothing is ever waited for.
    let result = work(&mut transaction).now_or_never();
    if let Some(failure) = transaction.failed {
        return Err(failure);
    }
    match result {
        Some(result) => result.map_err(Failure::Work),
        None => Err(Failure::Work(SqlError::Unfit(
            "work that waits for something else than its statements".to_owned(),
        ))),
    }
}

struct OnConnection<'a> {
    db: &'a mut Connection,
    /// The first failure of a statement, as SQLite told it.
    failed: Option<Failure>,
}

impl OnConnection<'_> {
    fn with<T>(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
        run: impl FnOnce(&mut Statement<'_>) -> Result<T, Failure>,
    ) -> Result<T, SqlError> {
        if let Some(failure) = &self.failed {
            return Err(word(failure));
        }
        let attempt = || {
            let mut statement = self.db.prepare_cached(sql)?;
            bind(&mut statement, parameters)?;
            run(&mut statement)
        };
        attempt().map_err(|failure| {
            let word = word(&failure);
            self.failed = Some(failure);
            word
        })
    }
}

#[async_trait]
impl Transaction for OnConnection<'_> {
    async fn execute(&mut self, sql: &'static str, parameters: &[Value]) -> Result<u64, SqlError> {
        self.with(sql, parameters, |statement| {
            Ok(statement.raw_execute()? as u64)
        })
    }

    async fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, SqlError> {
        self.with(sql, parameters, |statement| {
            let width = statement.column_count();
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let columns = (0..width).map(|index| column(row.get_ref(index)?));
                found.push(Row(columns.collect::<Result<_, Failure>>()?));
            }
            Ok(found)
        })
    }
}

fn bind(statement: &mut Statement<'_>, parameters: &[Value]) -> Result<(), Failure> {
    let count = statement.parameter_count();
    if count != parameters.len() {
        return Err(unfit("a statement with another number of parameters"));
    }
    for place in 1..=count {
        let number: Option<usize> = statement
            .parameter_name(place)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|number| number.parse().ok());
        let value = number
            .and_then(|number| parameters.get(number.checked_sub(1)?))
            .ok_or_else(|| unfit("a statement whose parameters are not $1, $2, …"))?;
        if let Value::Text(text) = value {
            must_be_text(text)?;
        }
        statement.raw_bind_parameter(place, Bound(value))?;
    }
    Ok(())
}

/// PostgreSQL holds no NUL in a text, so nothing else does.
fn must_be_text(text: &str) -> Result<(), Failure> {
    if text.contains('\0') {
        return Err(unfit("a text with a NUL character"));
    }
    Ok(())
}

/// Refuses an entry that cannot be stored.
pub(super) fn must_fit(entry: &Entry) -> Result<(), Failure> {
    let optional = [
        &entry.peer,
        &entry.agent,
        &entry.secret,
        &entry.host,
        &entry.rule,
        &entry.reason,
        &entry.project,
        &entry.detail,
    ];
    [&entry.event, &entry.actor]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .try_for_each(|text| must_be_text(text))
}

fn unfit(what: &str) -> Failure {
    Failure::Work(SqlError::Unfit(what.to_owned()))
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn column(value: ValueRef<'_>) -> Result<Value, Failure> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Text(bytes) => Value::Text(
            std::str::from_utf8(bytes)
                .map_err(|_| corrupt("a text is not UTF-8"))?
                .to_owned(),
        ),
        ValueRef::Real(_) => return Err(corrupt("a number is not whole")),
    })
}

fn corrupt(what: &str) -> Failure {
    Failure::Work(SqlError::Corrupt(what.to_owned()))
}

/// What the work is told. What the server is told comes from the failure itself.
fn word(failure: &Failure) -> SqlError {
    match failure {
        Failure::Work(error) => error.clone(),
        Failure::Sqlite(error) => of_sqlite(error, failure),
        other => SqlError::Unavailable(other.reason()),
    }
}

fn of_sqlite(error: &Error, failure: &Failure) -> SqlError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::DatabaseCorrupt) => {
            SqlError::Corrupt(failure.reason())
        }
        Some(ErrorCode::TooBig) => SqlError::Unfit(failure.reason()),
        _ => SqlError::Unavailable(failure.reason()),
    }
}
