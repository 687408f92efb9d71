//! `enpass`: items of an Enpass 6 vault, read in this process.
//!
//! **References** are `title`, the password of the item of this title, or `title/field` ([`mod@reference`]). Two items of
//! one title are an error, because which one is meant is not known.
//!
//! **Key.** `FNOX_ENPASS_PASSWORD` or `ENPASS_PASSWORD`, else `password`, else the person is asked once; and `keyfile`. It
//! is derived once for all that is read, which takes a moment by design.
//!
//! **Reading.** The database is decrypted page by page in memory, each page checked first ([`mod@sqlcipher`]), and never
//! written. `SQLite` then reads its own copy of the plain image, which is freed and not wiped; passwords in it are encrypted
//! a second time ([`mod@item`]).

mod item;
mod reference;
mod sqlcipher;
mod vault;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fnox_core::{SecretBytes, SecretString};

use self::item::Item;
use self::sqlcipher::Unreadable;
use self::vault::Derivation;
use crate::error::ProviderError;
use crate::password::DatabasePassword;
use crate::provider::{Context, Provider, Request, read_at_once};
use crate::settings::Settings;

/// Opens a provider of this type. Nothing is read yet.
///
/// # Errors
/// `Misconfigured` if `vault` is empty.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let folder = settings
        .path("vault")
        .ok_or_else(|| ProviderError::misconfigured("`vault` must not be empty").at_key("vault"))?;
    Ok(Box::new(Enpass(Arc::new(Store {
        folder,
        keyfile: settings.path("keyfile"),
        password: DatabasePassword::new(
            settings,
            context,
            &["FNOX_ENPASS_PASSWORD", "ENPASS_PASSWORD"],
        ),
        opened: Mutex::new(None),
    }))))
}

#[derive(Debug)]
struct Enpass(Arc<Store>);

/// One vault and what opens it.
#[derive(Debug)]
struct Store {
    folder: PathBuf,
    keyfile: Option<PathBuf>,
    password: DatabasePassword,
    opened: Mutex<Option<Opened>>,
}

/// The items of a file with this digest.
#[derive(Debug, Clone)]
struct Opened {
    digest: blake3::Hash,
    items: Arc<Vec<Item>>,
}

#[async_trait]
impl Provider for Enpass {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        read_at_once(requests, |references| {
            self.work(move |store| {
                let items = store.items()?;
                Ok(references
                    .iter()
                    .map(|reference| item::find(&items, reference))
                    .collect())
            })
        })
        .await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.work(|store| {
            if store.password.is_known() {
                return store.items().map(drop);
            }
            let derivation = vault::describe(&store.folder)?;
            vault::database(&store.folder)?;
            store.keyfile(derivation).map(drop)
        })
        .await
    }
}

impl Enpass {
    /// Deriving a key takes long, so it is done where it holds nobody up.
    async fn work<T, F>(&self, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, ProviderError> + Send + 'static,
    {
        let store = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|_| Err(ProviderError::unavailable("the vault could not be read")))
    }
}

impl Store {
    /// The items, decrypted anew only if the file has changed.
    fn items(&self) -> Result<Arc<Vec<Item>>, ProviderError> {
        let derivation = vault::describe(&self.folder)?;
        let file = vault::database(&self.folder)?;
        let digest = blake3::hash(&file);
        // What is kept is replaced as a whole, so a panic elsewhere has left nothing half done.
        let mut kept = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = kept.as_ref().filter(|opened| opened.digest == digest) {
            return Ok(Arc::clone(&opened.items));
        }
        let keyfile = self.keyfile(derivation)?;
        let password = self.password.obtain(&self.folder.display().to_string());
        if password.is_none() && keyfile.is_none() {
            return Err(ProviderError::authentication(format!(
                "the password of {} is not set",
                self.folder.display()
            ))
            .with_remedy("set FNOX_ENPASS_PASSWORD, or run fnox on a terminal"));
        }
        let image = vault::key(derivation, &file, password, keyfile.as_ref())
            .and_then(|key| sqlcipher::decrypt(&file, &key))
            .map_err(|why| self.fault(why))?;
        let items = Arc::new(item::read(&image)?);
        *kept = Some(Opened {
            digest,
            items: Arc::clone(&items),
        });
        Ok(items)
    }

    fn keyfile(&self, derivation: Derivation) -> Result<Option<SecretBytes>, ProviderError> {
        match &self.keyfile {
            Some(path) => vault::keyfile(path).map(Some),
            None if derivation.has_keyfile => Err(ProviderError::authentication(format!(
                "{} needs its key file too",
                self.folder.display()
            ))
            .with_remedy("name it: `keyfile = \"…\"`")
            .at_key("keyfile")),
            None => Ok(None),
        }
    }

    fn fault(&self, why: Unreadable) -> ProviderError {
        let message = format!("{} does not open: {why}", self.folder.display());
        match why {
            Unreadable::WrongKey => ProviderError::authentication(message).with_remedy(
                "check FNOX_ENPASS_PASSWORD, ENPASS_PASSWORD, `password` and `keyfile`",
            ),
            Unreadable::Page(_) | Unreadable::Truncated | Unreadable::NotADatabase => {
                ProviderError::misconfigured(message)
                    .with_remedy("let Enpass synchronise the vault, or restore it from a backup")
                    .at_key("vault")
            }
        }
    }
}
