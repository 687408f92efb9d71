//! `keepass`: entries of a `KeePass` database (KDBX 3.1 and 4), in this process.
//!
//! **References** are paths, parts apart by `/` ([`place`]): `title`, `group/title`, and with a field at the end
//! `group/title/username`. Values may have references of `KeePass` in them, `{REF:P@I:…}`, which are followed.
//!
//! **Key.** `FNOX_KEEPASS_PASSWORD` or `KEEPASS_PASSWORD`, else `password`, else the person is asked once; and
//! `keyfile`. The key is derived once for what is read, however many secrets there are: an opened database is kept
//! as long as the file has the same bytes. Deriving takes a second by design.
//!
//! **Writing** ([`mod@file`]) goes through a new file beside the database, which is read back before it takes the
//! place of the old one, and only if nobody changed that in the meantime. KDBX 4 only.

mod file;
mod place;
mod reference;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::SecretString;
use keepass::{Database, DatabaseKey};

use self::place::Place;
use crate::error::ProviderError;
use crate::password::DatabasePassword;
use crate::provider::{Context, Provider, Request, read_at_once};
use crate::settings::Settings;

/// Opens a provider of this type. Nothing is read yet.
///
/// # Errors
/// `Misconfigured` if `database` is empty.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let database = settings.path("database").ok_or_else(|| {
        ProviderError::misconfigured("`database` must not be empty").at_key("database")
    })?;
    Ok(Box::new(KeePass(Arc::new(Store {
        database,
        keyfile: settings.path("keyfile"),
        password: DatabasePassword::new(
            settings,
            context,
            &["FNOX_KEEPASS_PASSWORD", "KEEPASS_PASSWORD"],
        ),
        time_limit: context.time_limit,
        opened: Mutex::new(None),
    }))))
}

#[derive(Debug)]
struct KeePass(Arc<Store>);

/// One database and what opens it.
struct Store {
    database: PathBuf,
    keyfile: Option<PathBuf>,
    password: DatabasePassword,
    time_limit: Duration,
    opened: Mutex<Option<Opened>>,
}

/// A database as it was read from a file with this digest.
#[derive(Clone)]
struct Opened {
    digest: blake3::Hash,
    database: Arc<Database>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Store")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for KeePass {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        read_at_once(requests, |references| {
            self.work(move |store| {
                let opened = store.open()?;
                Ok(references
                    .iter()
                    .map(|reference| {
                        let value = Place::parse(reference)?.find(&opened.database)?;
                        Ok(reference::follow(&opened.database, &value))
                    })
                    .collect())
            })
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.work(|store| {
            if !store.password.is_known() {
                return store.file().and_then(|_| store.keyfile()).map(drop);
            }
            store.open().map(drop)
        })
        .await
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let (path, value) = (reference.to_owned(), value.clone());
        let lock = file::lock(&self.0.database, self.0.time_limit).await?;
        self.work(move |store| {
            let place = Place::parse(&path)?;
            let done = store.change(
                true,
                |database| place.set(database, &value),
                |again| comes_out(again, &place, &value),
            );
            drop(lock);
            done
        })
        .await?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let path = reference.to_owned();
        let lock = file::lock(&self.0.database, self.0.time_limit).await?;
        self.work(move |store| {
            let place = Place::parse(&path)?;
            let done = store.change(false, |database| place.remove(database), |_| Ok(()));
            drop(lock);
            done
        })
        .await
    }
}

impl KeePass {
    /// Deriving a key takes long, so it is done where it holds nobody up.
    async fn work<T, F>(&self, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, ProviderError> + Send + 'static,
    {
        let store = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|_| Err(ProviderError::unavailable("the database could not be read")))
    }
}

/// Refuses a value that would be read as something else.
fn comes_out(
    database: &Database,
    place: &Place,
    value: &SecretString,
) -> Result<(), ProviderError> {
    let found = place.find(database);
    if found.is_ok_and(|found| reference::follow(database, &found) == *value) {
        return Ok(());
    }
    Err(ProviderError::misconfigured(
        "a KeePass database cannot keep this value under this name: something else would come out",
    )
    .with_remedy(
        "a value with `{REF:…}` in it is taken for a reference; a name is more than white space",
    ))
}

impl Store {
    /// The key; asks the person if nothing else has the password.
    fn key(&self) -> Result<DatabaseKey, ProviderError> {
        let mut key = DatabaseKey::new();
        if let Some(bytes) = self.keyfile()? {
            key = key
                .with_keyfile(&mut bytes.expose_secret())
                .map_err(|error| self.keyfile_fault(&error))?;
        }
        let database = self.database.display().to_string();
        match self.password.obtain(&database) {
            Some(password) => Ok(key.with_password(password.expose_secret())),
            None if !key.is_empty() => Ok(key),
            None => Err(ProviderError::authentication(format!(
                "the password of {database} is not set"
            ))
            .with_remedy("set FNOX_KEEPASS_PASSWORD, or run fnox on a terminal")),
        }
    }
}
