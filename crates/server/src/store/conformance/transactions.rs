//! Promises of [`Database`]: one after the other, durable, all or nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fnox_core::audit::Entry;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::world::{World, entry};
use super::{Place, keys, verify};
use crate::store::sql::{Row, SqlError, Transaction, Value};
use crate::store::{Database, StoreError, Work};

/// How long anything may take that has to happen.
const DEADLINE: Duration = Duration::from_secs(30);

const INSERT: &str = "INSERT INTO used_tokens (id, keep_until) VALUES ($1, $2)";
const COUNT: &str = "SELECT count(*) FROM used_tokens";

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    binds_what_a_number_names(place).await;
    one_follows_the_other(place).await;
    what_failed_has_left_no_trace(place).await;
    neighbours_of_a_failure_are_unharmed(place).await;
    what_was_answered_is_durable(place).await;
    nothing_is_changed_before_there_are_keys(place).await;
    a_question_changes_nothing(place).await;
    commits_are_heard_of(place).await;
}

/// Names the closure's type.
pub fn work<F>(work: F) -> Work
where
    F: for<'t> Fn(&'t mut (dyn Transaction + 't)) -> BoxFuture<'t, Result<Vec<Entry>, SqlError>>
        + Send
        + Sync
        + 'static,
{
    Box::new(work)
}

/// One statement, with its entries.
#[must_use]
pub fn statement(sql: &'static str, parameters: Vec<Value>, entries: Vec<Entry>) -> Work {
    work(move |transaction| {
        let (parameters, entries) = (parameters.clone(), entries.clone());
        Box::pin(async move {
            transaction.execute(sql, &parameters).await?;
            Ok(entries)
        })
    })
}

/// Asks for rows.
pub async fn rows(
    database: &dyn Database,
    sql: &'static str,
    parameters: Vec<Value>,
) -> Result<Vec<Row>, StoreError> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let place = Arc::clone(&found);
    let question = work(move |transaction| {
        let (parameters, place) = (parameters.clone(), Arc::clone(&place));
        Box::pin(async move {
            let rows = transaction.query(sql, &parameters).await?;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = rows;
            Ok(Vec::new())
        })
    });
    database.read(question).await?;
    let rows = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(rows)
}

async fn count(database: &dyn Database) -> i64 {
    let found = rows(database, COUNT, Vec::new()).await.unwrap();
    found[0].integer(0).unwrap()
}

fn token(number: u8) -> Value {
    Value::Bytes(vec![number; 32])
}

fn insert(number: u8, until: i64) -> Work {
    statement(
        INSERT,
        vec![token(number), until.into()],
        vec![entry("insert")],
    )
}

async fn binds_what_a_number_names(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = &**world.store(0).database();
    let swapped =
        "INSERT INTO known_names (issuer, stable_id, name, seen_at) VALUES ($3, $2, $2, $1)";
    let text = "\u{e4}\u{1}'\"\n\u{1f511}";
    let values = vec![Value::Integer(i64::MIN), text.into(), "".into()];
    database
        .write(statement(swapped, values, Vec::new()))
        .await
        .unwrap();
    let found = "SELECT seen_at, stable_id, name, issuer FROM known_names WHERE name = $1 AND stable_id = $1";
    let found = rows(database, found, vec![text.into()]).await.unwrap();
    let expected = [
        Value::Integer(i64::MIN),
        text.into(),
        text.into(),
        "".into(),
    ];
    assert_eq!(found, [Row(expected.to_vec())]);
    let id = Value::Bytes((0..=255).collect());
    let long = statement(INSERT, vec![id.clone(), i64::MAX.into()], Vec::new());
    database.write(long).await.unwrap();
    let found = "SELECT id, keep_until FROM used_tokens";
    let found = rows(database, found, Vec::new()).await.unwrap();
    assert_eq!(found, [Row(vec![id, i64::MAX.into()])]);
    let none = "UPDATE approvals SET reason = $1, denied_at = $2 WHERE session = $3";
    let values = vec![Value::Null, Value::Null, token(1)];
    let changed = database.write(statement(none, values, Vec::new())).await;
    changed.unwrap();
}

/// Reads a number and writes the next one, from many tasks at many servers: none is lost.
async fn one_follows_the_other(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = world.store(0).database();
    database.write(insert(1, 0)).await.unwrap();
    let mut crowd = JoinSet::new();
    for number in 0..64 {
        let database = Arc::clone(world.store(number).database());
        crowd.spawn(async move {
            let count_up = work(|transaction| {
                Box::pin(async move {
                    let select = "SELECT keep_until FROM used_tokens WHERE id = $1";
                    let found = transaction.query(select, &[token(1)]).await?;
                    let next = found[0].integer(0)? + 1;
                    let update = "UPDATE used_tokens SET keep_until = $2 WHERE id = $1";
                    let changed = transaction
                        .execute(update, &[token(1), next.into()])
                        .await?;
                    assert_eq!(changed, 1);
                    Ok(vec![entry("counted")])
                })
            });
            database.write(count_up).await.unwrap();
        });
    }
    crowd.join_all().await;
    let found = rows(
        &**database,
        "SELECT keep_until FROM used_tokens",
        Vec::new(),
    )
    .await;
    assert_eq!(found.unwrap()[0].integer(0).unwrap(), 64);
    assert_eq!(world.log_is_whole().await, 65);
}

/// Changes something and then fails, in each way in which work can fail.
fn failures() -> Vec<Work> {
    let refused = work(|transaction| {
        Box::pin(async move {
            transaction
                .execute(INSERT, &[token(9), 1_i64.into()])
                .await?;
            Err(SqlError::Unfit("no".to_owned()))
        })
    });
    let twice = work(|transaction| {
        Box::pin(async move {
            transaction
                .execute(INSERT, &[token(9), 1_i64.into()])
                .await?;
            transaction
                .execute(INSERT, &[token(9), 2_i64.into()])
                .await?;
            Ok(vec![entry("insert")])
        })
    });
    // Goes on after a statement that failed, as if nothing were.
    let careless = work(|transaction| {
        Box::pin(async move {
            transaction
                .execute(INSERT, &[token(9), 1_i64.into()])
                .await?;
            let _ = transaction.execute(INSERT, &[token(9), 2_i64.into()]).await;
            Ok(vec![entry("insert")])
        })
    });
    let nul = work(|transaction| {
        Box::pin(async move {
            transaction
                .execute(INSERT, &[token(9), 1_i64.into()])
                .await?;
            let sql = "DELETE FROM known_names WHERE name = $1";
            transaction.execute(sql, &["a\0b".into()]).await?;
            Ok(vec![entry("insert")])
        })
    });
    let mut spoilt = entry("insert");
    spoilt.detail = Some("\0".to_owned());
    let record = statement(INSERT, vec![token(9), 1_i64.into()], vec![spoilt]);
    vec![refused, twice, careless, nul, record]
}

async fn what_failed_has_left_no_trace(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = &**world.store(0).database();
    for (number, failing) in failures().into_iter().enumerate() {
        let error = database.write(failing).await.unwrap_err();
        if [0, 3, 4].contains(&number) {
            assert!(
                matches!(error, StoreError::Unfit { .. }),
                "{number}: {error}"
            );
        }
        assert!(error.refusal().is_none(), "{number}: {error}");
        assert_eq!(count(database).await, 0, "{number}");
        assert_eq!(database.audit_head().await.unwrap(), None, "{number}");
    }
    database.write(insert(9, 1)).await.unwrap();
    assert_eq!(world.log_is_whole().await, 1);
}

async fn neighbours_of_a_failure_are_unharmed(place: &dyn Place) {
    let world = World::fresh(place).await;
    let mut crowd = JoinSet::new();
    for number in 0..100_u8 {
        let database = Arc::clone(world.store(number.into()).database());
        crowd.spawn(async move {
            database.write(insert(100 + number, 1)).await.unwrap();
        });
        let database = Arc::clone(world.store(number.into()).database());
        crowd.spawn(async move {
            let failing = failures().swap_remove(usize::from(number) % 5);
            assert!(database.write(failing).await.is_err());
        });
    }
    crowd.join_all().await;
    assert_eq!(count(&**world.store(0).database()).await, 100);
    assert_eq!(world.log_is_whole().await, 100);
}

async fn what_was_answered_is_durable(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = world.into_database();
    for number in 1..=5 {
        database.write(insert(number, 1)).await.unwrap();
    }
    let database = place.reopen(database).await;
    assert_eq!(count(&*database).await, 5);
    assert!(verify(&*database, &keys()).await.is_intact());
    let world = World::of([database]).await;
    world.store(0).database().write(insert(6, 1)).await.unwrap();
    assert_eq!(world.log_is_whole().await, 6);
}

async fn nothing_is_changed_before_there_are_keys(place: &dyn Place) {
    let database = place.fresh().await;
    assert!(database.write(insert(1, 1)).await.is_err());
    assert_eq!(count(&*database).await, 0);
    let world = World::of([database]).await;
    world.store(0).database().write(insert(1, 1)).await.unwrap();
    assert_eq!(world.log_is_whole().await, 1);
}

async fn a_question_changes_nothing(place: &dyn Place) {
    let world = World::fresh(place).await;
    let database = &**world.store(0).database();
    let sly = statement(INSERT, vec![token(1), 1_i64.into()], Vec::new());
    assert!(database.read(sly).await.is_err());
    assert_eq!(count(database).await, 0);
    // What was answered is seen by whoever asks next, on every server.
    for number in 1..=20 {
        let writer = world.store(number.into()).database();
        writer.write(insert(number, 1)).await.unwrap();
        let reader = world.store(usize::from(number) + 1).database();
        assert_eq!(count(&**reader).await, i64::from(number));
    }
}

async fn commits_are_heard_of(place: &dyn Place) {
    let world = World::fresh(place).await;
    for writer in 0..world.stores.len() {
        let mut heard: Vec<_> = world
            .stores
            .iter()
            .map(|store| store.database().changes())
            .collect();
        for changes in &mut heard {
            changes.borrow_and_update();
        }
        let number = u8::try_from(writer).unwrap() + 1;
        let database = world.store(writer).database();
        database.write(insert(number, 1)).await.unwrap();
        for changes in &mut heard {
            let waited = tokio::time::timeout(DEADLINE, changes.changed()).await;
            waited.unwrap().unwrap();
        }
    }
}
