//! What commands ask of a daemon.

use std::collections::HashMap;

use fnox_core::SecretName;
use fnox_vault_wire::SecretValue;

use super::cache::on_wire;
use super::connection::Connection;
use super::error::DaemonFailure;
use super::place::Place;
use super::protocol::{Answer, Entry, FRAME_ROOM, Key, MAX_KEYS, Name, Renewal, Request, Status};

/// What a daemon has.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) generation: u64,
    pub(super) values: HashMap<Key, SecretValue>,
}

/// The values under these digests. With none, only the generation.
pub(super) async fn find(place: &Place, keys: &[Key]) -> Result<Lookup, DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    let mut lookup = Lookup {
        generation: 0,
        values: HashMap::new(),
    };
    let mut open: Vec<Vec<Key>> = keys.chunks(MAX_KEYS).map(<[Key]>::to_vec).collect();
    if open.is_empty() {
        open.push(Vec::new());
    }
    let mut is_first = true;
    while let Some(keys) = open.pop() {
        let Answer::Found {
            generation,
            values,
            more,
        } = connection.ask(&Request::Find { keys }).await?
        else {
            return Err(connection.unexpected());
        };
        // The oldest counts: what was cleared after it may be among the values that are resolved now.
        if std::mem::take(&mut is_first) {
            lookup.generation = generation;
        }
        if !more.is_empty() && !values.is_empty() {
            open.push(more);
        }
        let values = values.into_iter().map(|found| (found.key, found.value));
        lookup.values.extend(values);
    }
    Ok(lookup)
}

/// Hands values over.
pub(super) async fn keep(
    place: &Place,
    generation: u64,
    entries: Vec<Entry>,
) -> Result<(), DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    let mut batch = Vec::new();
    let mut room = FRAME_ROOM;
    let mut batches = Vec::new();
    for entry in entries {
        let size = on_wire(entry.value.0.expose_secret().len());
        if size > room {
            batches.push(std::mem::take(&mut batch));
            room = FRAME_ROOM;
        }
        room = room.saturating_sub(size);
        batch.push(entry);
    }
    batches.push(batch);
    for entries in batches.into_iter().filter(|batch| !batch.is_empty()) {
        let request = Request::Keep {
            generation,
            entries,
        };
        let Answer::Kept { count } = connection.ask(&request).await? else {
            return Err(connection.unexpected());
        };
        tracing::debug!("the daemon keeps {count} more values");
    }
    Ok(())
}

/// Tells of leases that were used; how many of them are renewed.
pub(super) async fn renew(place: &Place, leases: Vec<Renewal>) -> Result<usize, DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    match connection.ask(&Request::Renew { leases }).await? {
        Answer::Noted { count } => Ok(count),
        _ => Err(connection.unexpected()),
    }
}

/// Forgets values; how many.
pub(crate) async fn clear(
    place: &Place,
    names: Option<Vec<SecretName>>,
) -> Result<usize, DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    let names = names.map(|names| names.into_iter().map(Name).collect());
    match connection.ask(&Request::Clear { names }).await? {
        Answer::Cleared { count } => Ok(count),
        _ => Err(connection.unexpected()),
    }
}

/// How it is.
pub(crate) async fn status(place: &Place) -> Result<Status, DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    match connection.ask(&Request::Status).await? {
        Answer::Status(status) => Ok(status),
        _ => Err(connection.unexpected()),
    }
}

/// Ends it.
pub(crate) async fn stop(place: &Place) -> Result<(), DaemonFailure> {
    let mut connection = Connection::open(place).await?;
    match connection.ask(&Request::Stop).await? {
        Answer::Stopping => Ok(()),
        _ => Err(connection.unexpected()),
    }
}
