//! The Secret Service itself.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use fnox_core::{SecretBytes, SecretString};
use secret_service::{Collection, EncryptionType, Error, Item, SecretService};

use super::{Call, REMEDY};
use crate::error::ProviderError;

/// What entries are found by.
fn attributes<'a>(service: &'a str, account: &'a str) -> HashMap<&'a str, &'a str> {
    HashMap::from([("service", service), ("username", account)])
}

pub(super) async fn read(
    call: Call<'_>,
    service: &str,
    accounts: &[&str],
) -> Result<Vec<Result<SecretString, ProviderError>>, ProviderError> {
    let session = connect(&call).await?;
    let mut values = Vec::with_capacity(accounts.len());
    // One after the other, so that a locked keyring asks once.
    for account in accounts {
        values.push(read_one(&call, &session, service, account).await);
    }
    Ok(values)
}

pub(super) async fn write(
    call: Call<'_>,
    service: &str,
    account: &str,
    value: &SecretString,
) -> Result<(), ProviderError> {
    const CONTENT: &str = "text/plain";
    let session = connect(&call).await?;
    let bytes = value.expose_secret().as_bytes();
    if let Some(item) = find(&call, &session, service, account).await? {
        return item.set_secret(bytes, CONTENT).await.map_err(failure);
    }
    let collection = default_collection(&session).await?;
    if collection.is_locked().await.map_err(failure)? {
        unlock(&call, &collection).await?;
    }
    collection
        .create_item(
            &format!("{service}/{account}"),
            attributes(service, account),
            bytes,
            true,
            CONTENT,
        )
        .await
        .map(|_| ())
        .map_err(failure)
}

pub(super) async fn delete(
    call: Call<'_>,
    service: &str,
    account: &str,
) -> Result<(), ProviderError> {
    let session = connect(&call).await?;
    match find(&call, &session, service, account).await? {
        Some(item) => item.delete().await.map_err(failure),
        None => Err(not_found(service, account)),
    }
}

pub(super) async fn check(call: Call<'_>) -> Result<(), ProviderError> {
    let session = connect(&call).await?;
    let collection = default_collection(&session).await?;
    if collection.is_locked().await.map_err(failure)? {
        return Err(locked());
    }
    Ok(())
}

async fn connect<'a>(call: &Call<'_>) -> Result<SecretService<'a>, ProviderError> {
    let address = call.address.ok_or_else(|| {
        ProviderError::authentication(
            "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set",
        )
        .with_remedy(REMEDY)
    })?;
    let connection = match zbus::connection::Builder::address(address) {
        Ok(builder) => builder.build().await,
        Err(error) => Err(error),
    }
    .map_err(|error| {
        ProviderError::authentication(format!(
            "the session bus cannot be reached at `{}`: {error}",
            address.escape_debug()
        ))
        .with_remedy(REMEDY)
    })?;
    SecretService::connect_with_existing(EncryptionType::Dh, connection)
        .await
        .map_err(failure)
}

async fn read_one(
    call: &Call<'_>,
    session: &SecretService<'_>,
    service: &str,
    account: &str,
) -> Result<SecretString, ProviderError> {
    let item = find(call, session, service, account)
        .await?
        .ok_or_else(|| not_found(service, account))?;
    let bytes = SecretBytes::new(item.get_secret().await.map_err(failure)?);
    bytes.into_string().map_err(|_| {
        ProviderError::misconfigured(format!(
            "the entry `{}` is not UTF-8 text",
            account.escape_debug()
        ))
    })
}

/// The entry, unlocked. Of several that match, the one that was changed last.
async fn find<'a>(
    call: &Call<'_>,
    session: &'a SecretService<'_>,
    service: &str,
    account: &str,
) -> Result<Option<Item<'a>>, ProviderError> {
    let search = || session.search_items(attributes(service, account));
    let found = search().await.map_err(failure)?;
    if !found.unlocked.is_empty() {
        return newest(found.unlocked).await;
    }
    if let Some(item) = found.locked.first() {
        if !call.interactive {
            return Err(locked());
        }
        call.asking.store(true, Ordering::Relaxed);
        item.unlock().await.map_err(failure)?;
        call.asking.store(false, Ordering::Relaxed);
    } else {
        // Some services do not search what is locked: nothing found may mean nothing seen.
        let collection = default_collection(session).await?;
        if !collection.is_locked().await.map_err(failure)? {
            return Ok(None);
        }
        unlock(call, &collection).await?;
    }
    newest(search().await.map_err(failure)?.unlocked).await
}

async fn newest(items: Vec<Item<'_>>) -> Result<Option<Item<'_>>, ProviderError> {
    if items.len() < 2 {
        return Ok(items.into_iter().next());
    }
    let mut best = None;
    for item in items {
        let changed = item.get_modified().await.map_err(failure)?;
        if best.as_ref().is_none_or(|(latest, _)| changed > *latest) {
            best = Some((changed, item));
        }
    }
    Ok(best.map(|(_, item)| item))
}

async fn default_collection<'a>(
    session: &'a SecretService<'_>,
) -> Result<Collection<'a>, ProviderError> {
    session
        .get_default_collection()
        .await
        .map_err(|error| match error {
            Error::NoResult => ProviderError::authentication(
                "the Secret Service has no default keyring, or its database is locked",
            )
            .with_remedy("make or unlock the default keyring in its program"),
            error => failure(error),
        })
}

async fn unlock(call: &Call<'_>, collection: &Collection<'_>) -> Result<(), ProviderError> {
    if !call.interactive {
        return Err(locked());
    }
    call.asking.store(true, Ordering::Relaxed);
    collection.unlock().await.map_err(failure)?;
    call.asking.store(false, Ordering::Relaxed);
    Ok(())
}

fn locked() -> ProviderError {
    ProviderError::authentication("the keyring is locked")
        .with_remedy("unlock the keyring in its program, or run the command on a terminal")
}

fn not_found(service: &str, account: &str) -> ProviderError {
    ProviderError::new(
        crate::error::ErrorKind::NotFound,
        format!(
            "there is no entry with service `{}` and username `{}`",
            service.escape_debug(),
            account.escape_debug()
        ),
    )
}

fn failure(error: Error) -> ProviderError {
    match error {
        Error::Locked => locked(),
        Error::Prompt => ProviderError::authentication("the keyring's question was dismissed"),
        Error::Unavailable => nobody_there(),
        Error::Zbus(error) if is_nobody(&error) => nobody_there(),
        Error::ZbusFdo(error) if is_nobody(&zbus::Error::FDO(Box::new(error.clone()))) => {
            nobody_there()
        }
        error => ProviderError::unavailable(format!("the Secret Service failed: {error}")),
    }
}

fn nobody_there() -> ProviderError {
    ProviderError::authentication("no Secret Service runs on the session bus").with_remedy(REMEDY)
}

/// Whether the bus answered that nobody owns the service's name and nobody can be started for it.
fn is_nobody(error: &zbus::Error) -> bool {
    use zbus::fdo;
    let by_name = |name: &str| {
        name.starts_with("org.freedesktop.DBus.Error.Spawn")
            || [
                "org.freedesktop.DBus.Error.ServiceUnknown",
                "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.DBus.Error.NoReply",
            ]
            .contains(&name)
    };
    match error {
        zbus::Error::MethodError(name, _, _) => by_name(name.as_str()),
        zbus::Error::FDO(error) => match error.as_ref() {
            fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::SpawnChildExited(_)
            | fdo::Error::SpawnExecFailed(_)
            | fdo::Error::SpawnForkFailed(_)
            | fdo::Error::SpawnServiceNotFound(_) => true,
            fdo::Error::ZBus(error) => is_nobody(error),
            _ => false,
        },
        _ => false,
    }
}
