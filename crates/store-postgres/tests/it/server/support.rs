//! The team server's database on a real server, and changes to make in it.

use std::sync::Arc;

use fnox_core::audit::{ChainKeys, Entry, Report, Verifier};
use fnox_server::store::sql::{SqlError, Transaction, Value};
use fnox_server::store::{Database as _, StoreError, Work};
use fnox_store_postgres::PostgresDatabase;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::support::{Database, keys, options};

/// A team server's database, with keys.
pub(super) async fn open(database: &Database) -> Arc<PostgresDatabase> {
    open_at(&database.url).await
}

/// The same, at a URL.
pub(super) async fn open_at(url: &str) -> Arc<PostgresDatabase> {
    let server = PostgresDatabase::open(url, options()).await.unwrap();
    server.unlock(keys()).await.unwrap();
    Arc::new(server)
}

/// Names the closure's type.
pub(super) fn work<F>(work: F) -> Work
where
    F: for<'t> Fn(&'t mut (dyn Transaction + 't)) -> BoxFuture<'t, Result<Vec<Entry>, SqlError>>
        + Send
        + Sync
        + 'static,
{
    Box::new(work)
}

/// One statement, with its entries.
pub(super) fn change(sql: &'static str, parameters: Vec<Value>, entries: Vec<Entry>) -> Work {
    work(move |transaction| {
        let (parameters, entries) = (parameters.clone(), entries.clone());
        Box::pin(async move {
            transaction.execute(sql, &parameters).await?;
            Ok(entries)
        })
    })
}

/// Makes a change.
pub(super) async fn run(
    server: &PostgresDatabase,
    sql: &'static str,
    parameters: Vec<Value>,
    entries: Vec<Entry>,
) -> Result<(), StoreError> {
    server.write(change(sql, parameters, entries)).await
}

/// Asks for rows.
pub(super) async fn rows(
    server: &PostgresDatabase,
    sql: &'static str,
    parameters: Vec<Value>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let place = Arc::clone(&found);
    let question = work(move |transaction| {
        let (parameters, place) = (parameters.clone(), Arc::clone(&place));
        Box::pin(async move {
            let rows = transaction.query(sql, &parameters).await?;
            *place.lock().unwrap() = rows.into_iter().map(|row| row.0).collect();
            Ok(Vec::new())
        })
    });
    server.read(question).await?;
    let rows = std::mem::take(&mut *found.lock().unwrap());
    Ok(rows)
}

/// The number that a question answers with.
pub(super) async fn number(server: &PostgresDatabase, sql: &'static str) -> i64 {
    match rows(server, sql, Vec::new()).await.unwrap()[..] {
        [ref row] => match row[..] {
            [Value::Integer(number)] => number,
            ref other => panic!("{other:?}"),
        },
        ref other => panic!("{other:?}"),
    }
}

/// Stores a session.
pub(super) async fn insert_session(server: &PostgresDatabase) {
    let sql = "INSERT INTO sessions (id, hash, principal, subject, created_at, expires_at, ended) \
               VALUES ($1, $2, 'ci', '{}', 1, 9000000000000000000, 0)";
    let id = Uuid::now_v7();
    run(
        server,
        sql,
        vec![id.into(), id.into()],
        crate::support::entries("session_opened"),
    )
    .await
    .unwrap();
}

/// Stores an approval.
pub(super) async fn insert_approval(server: &PostgresDatabase, status: &'static str) -> Uuid {
    let sql = "INSERT INTO approvals (id, status, project, profile, command_hash, command_display, requester, \
               principal, binding, request, quiet, session, created_at, expires_at, approvals_needed, approvers, \
               code_key, wrong_codes) VALUES ($1, $2, 'p', 'default', '', '', '{}', 'ci', $1, $1, $1, $1, 1, \
               9000000000000000000, 1, '[]', $1, 0)";
    let id = Uuid::now_v7();
    run(server, sql, vec![id.into(), status.into()], Vec::new())
        .await
        .unwrap();
    id
}

/// Stores a grant that is not used.
pub(super) async fn insert_grant(server: &PostgresDatabase, approval: Uuid) {
    let sql = "INSERT INTO grants (id, hash, approval, session, created_at, expires_at) \
               VALUES ($1, $1, $1, $1, 1, 9000000000000000000)";
    run(server, sql, vec![approval.into()], Vec::new())
        .await
        .unwrap();
}

/// Reads the whole log and compares it with its chain.
pub(super) async fn verify(server: &PostgresDatabase, keys: &ChainKeys) -> Report {
    let mut verifier = Verifier::new(keys, Vec::new());
    let mut position = 0;
    loop {
        let found = server.audit_scan(position, 100).await.unwrap();
        let Some(last) = found.last() else { break };
        position = last.position;
        for scanned in found {
            verifier.record(scanned.record.unwrap());
        }
    }
    verifier.finish(server.audit_head().await.unwrap().as_ref())
}
