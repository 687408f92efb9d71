//! The file: read whole, written whole.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_core::SecretBytes;
use fnox_system::Rights;
use keepass::config::{DatabaseVersion, KdfConfig};
use keepass::db::DatabaseOpenError;
use keepass::{Database, DatabaseKey};

use super::{Opened, Store};
use crate::error::ProviderError;

/// Largest database that is read, in bytes.
const LIMIT: u64 = 256 * 1024 * 1024;

/// Largest key file, in bytes.
const KEYFILE_LIMIT: u64 = 1024 * 1024;

/// Argon2d of new databases: what `KeePassXC` takes about a second for.
const ITERATIONS: u64 = 10;
const MEMORY: u64 = 64 * 1024 * 1024;
const PARALLELISM: u32 = 2;

impl Store {
    /// The database, derived anew only if the file has changed.
    pub(super) fn open(&self) -> Result<Opened, ProviderError> {
        let bytes = self.file()?;
        let digest = blake3::hash(&bytes);
        let mut kept = self.kept();
        if let Some(opened) = kept.as_ref().filter(|opened| opened.digest == digest) {
            return Ok(opened.clone());
        }
        let database = Database::parse(&bytes, self.key()?).map_err(|error| self.fault(&error))?;
        let opened = Opened {
            digest,
            database: Arc::new(database),
        };
        *kept = Some(opened.clone());
        Ok(opened)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Opened>> {
        // What is kept is replaced as a whole, so a panic elsewhere has left nothing half done.
        self.opened
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn file(&self) -> Result<Vec<u8>, ProviderError> {
        let fault = |why: String| {
            ProviderError::misconfigured(format!("{}: {why}", self.database.display()))
                .at_key("database")
        };
        let bytes = match read(&self.database, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(fault("there is no such database".to_owned()).with_remedy(
                    "correct the path; `fnox set` with this provider makes a new database",
                ));
            }
            Err(error) => return Err(fault(error.to_string())),
        };
        Ok(bytes)
    }

    pub(super) fn keyfile(&self) -> Result<Option<SecretBytes>, ProviderError> {
        let Some(path) = &self.keyfile else {
            return Ok(None);
        };
        read(path, KEYFILE_LIMIT)
            .map(|bytes| Some(SecretBytes::new(bytes)))
            .map_err(|error| self.keyfile_fault(&error))
    }

    pub(super) fn keyfile_fault(&self, error: &std::io::Error) -> ProviderError {
        let path = self.keyfile.as_deref().unwrap_or(Path::new("")).display();
        ProviderError::misconfigured(format!("the key file {path}: {error}")).at_key("keyfile")
    }

    fn fault(&self, error: &DatabaseOpenError) -> ProviderError {
        let path = self.database.display();
        match error {
            DatabaseOpenError::Key(keepass_key) => {
                ProviderError::authentication(format!("{path} does not open: {keepass_key}"))
                    .with_remedy(
                        "check FNOX_KEEPASS_PASSWORD, KEEPASS_PASSWORD, `password` and `keyfile`",
                    )
            }
            // Formats before KDBX 4 tell a wrong key only by what comes out.
            DatabaseOpenError::Cryptography(_) => ProviderError::authentication(format!(
                "{path} does not open: the key is wrong, or the file is damaged"
            )),
            _ => ProviderError::misconfigured(format!("{path} is no KeePass database: {error}"))
                .at_key("database"),
        }
    }

    /// Changes the database, whose [`lock`] is held; the file is replaced as a whole or not at all. `confirm` sees what will be
    /// read from the new file, before it takes the place of the old one.
    pub(super) fn change<F, C>(
        &self,
        may_create: bool,
        change: F,
        confirm: C,
    ) -> Result<(), ProviderError>
    where
        F: FnOnce(&mut Database) -> Result<(), ProviderError>,
        C: FnOnce(&Database) -> Result<(), ProviderError>,
    {
        let (path, folder) = target(&self.database)?;
        let before = if path.exists() || !may_create {
            Some(self.open()?)
        } else {
            None
        };
        let mut database = before
            .as_ref()
            .map_or_else(new_database, |opened| Database::clone(&opened.database));
        if !matches!(database.config.version, DatabaseVersion::KDB4(_)) {
            return Err(ProviderError::misconfigured(format!(
                "{} is not of the format KDBX 4, which is the only one that can be written",
                path.display()
            ))
            .with_remedy(
                "save it as KDBX 4 once, in KeePassXC under Database settings, Security",
            ));
        }
        change(&mut database)?;
        let (bytes, again) = self.sealed(&database)?;
        confirm(&again)?;
        self.replace(&path, &folder, before.as_ref(), &bytes)?;
        *self.kept() = Some(Opened {
            digest: blake3::hash(&bytes),
            database: Arc::new(again),
        });
        Ok(())
    }

    /// The file's new bytes, and what is read from them: what would not come out again is not written.
    fn sealed(&self, database: &Database) -> Result<(Vec<u8>, Database), ProviderError> {
        let key: DatabaseKey = self.key()?;
        let mut bytes = Vec::new();
        database.save(&mut bytes, key.clone()).map_err(|error| {
            ProviderError::unavailable(format!("the database could not be written: {error}"))
        })?;
        let again = Database::parse(&bytes, key).map_err(|error| self.fault(&error))?;
        if again.num_entries() != database.num_entries()
            || again.num_groups() != database.num_groups()
        {
            return Err(ProviderError::unavailable(
                "the database would have lost entries in writing; it is left as it was",
            ));
        }
        Ok((bytes, again))
    }

    fn replace(
        &self,
        path: &Path,
        folder: &Path,
        before: Option<&Opened>,
        bytes: &[u8],
    ) -> Result<(), ProviderError> {
        let fault = |error: std::io::Error| {
            ProviderError::unavailable(format!("{} could not be written: {error}", path.display()))
        };
        let changed = || {
            ProviderError::unavailable(format!(
                "{} was changed by another program in the meantime; it is left as it is now",
                path.display()
            ))
            .with_remedy("try again")
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fnox-");
        let mut file = fnox_system::create_temporary(&mut builder, folder, Rights::Like(path))
            .map_err(fault)?;
        file.write_all(bytes).map_err(fault)?;
        file.as_file().sync_all().map_err(fault)?;
        match before {
            Some(opened) => {
                if blake3::hash(&self.file()?) != opened.digest {
                    return Err(changed());
                }
                file.persist(path).map_err(|error| fault(error.error))?;
            }
            None => {
                file.persist_noclobber(path)
                    .map_err(|error| match error.error.kind() {
                        std::io::ErrorKind::AlreadyExists => changed(),
                        _ => fault(error.error),
                    })?;
            }
        }
        fnox_system::sync_folder(folder).map_err(fault)
    }
}

fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other("it is too large"));
    }
    Ok(bytes)
}

fn new_database() -> Database {
    let mut database = Database::new();
    "Root".clone_into(&mut database.root_mut().name);
    if let KdfConfig::Argon2 {
        iterations,
        memory,
        parallelism,
        ..
    } = &mut database.config.kdf_config
    {
        (*iterations, *memory, *parallelism) = (ITERATIONS, MEMORY, PARALLELISM);
    }
    database
}

/// Keeps other runs of fnox from writing in the database's folder. It ends with the file handle.
pub(super) async fn lock(database: &Path, time_limit: Duration) -> Result<File, ProviderError> {
    let (_, folder) = target(database)?;
    let fault = |why: String| {
        ProviderError::unavailable(format!("{} could not be locked: {why}", folder.display()))
    };
    let taken = tokio::time::timeout(time_limit, async {
        loop {
            match fnox_system::try_lock_folder(&folder) {
                Ok(lock) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(fault(error.to_string())),
            }
        }
    });
    match taken.await {
        Ok(taken) => taken,
        Err(_) => Err(fault("another run of fnox writes there".to_owned())),
    }
}

/// The file that is to be replaced, and its folder. A link stays one: what it points to is replaced.
fn target(database: &Path) -> Result<(PathBuf, PathBuf), ProviderError> {
    let path = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let folder = path.parent().filter(|folder| folder.is_dir());
    let folder = folder.map(Path::to_owned).ok_or_else(|| {
        ProviderError::misconfigured(format!("{}: there is no such folder", path.display()))
            .at_key("database")
    })?;
    Ok((path, folder))
}
