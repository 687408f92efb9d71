//! Where the configuration of a device is, and the two files that a one-time token turns into.
//!
//! A one-time token is used up by the first call. So the device's private key is in a file beside the configuration,
//! `NAME.pending`, before that call is made, and the configuration is written, whole and for this user only, before anything else is
//! done with the answer.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::fields::resolve_path;
use fnox_config::trust::create_private_folder;
use fnox_core::SecretString;
use fnox_system::{Protection, Rights};
use zeroize::Zeroizing;

use super::super::rest;
use super::config::Stored;
use crate::error::ProviderError;
use crate::provider::Context;
use crate::settings::Settings;

/// Largest file that is read, in bytes. A configuration has less than one KiB.
const LIMIT: u64 = 64 * 1024;

/// Of vendors' clients and of the established CLI.
const VARIABLES: [&str; 2] = ["FNOX_KEEPER_CONFIG", "KSM_CONFIG"];

/// The file if nothing names another, below the home folder.
const USUAL: &str = "~/.keeper/ksm-config.json";

/// Where a configuration is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a file, which a one-time token makes.
    File {
        path: PathBuf,
        /// Whoever names a file means that it is there.
        is_named: bool,
    },
    /// In a variable itself.
    Variable(SecretString),
}

impl Place {
    pub(super) fn of(settings: &Settings, context: &Context) -> Self {
        if let Some(path) = settings.path("config_file") {
            return Self::file(path, true);
        }
        let home = context.folders.home();
        match rest::variable(&context.env, &VARIABLES) {
            // Keeper's own clients take the configuration itself there; the established CLI takes a path.
            Some(text) if Stored::parse(text).is_some() => Self::Variable(SecretString::from(text)),
            Some(text) => Self::file(resolve_path(text.trim(), Path::new(""), home), true),
            None => Self::file(resolve_path(USUAL, Path::new(""), home), false),
        }
    }

    fn file(path: PathBuf, is_named: bool) -> Self {
        Self::File { path, is_named }
    }

    /// What is there, if anything is.
    pub(super) fn read(&self) -> Result<Option<Stored>, ProviderError> {
        match self {
            Self::File { path, .. } => read(path),
            Self::Variable(text) => Ok(Stored::parse(text.expose_secret())),
        }
    }
}

/// The folder of a configuration that is being made, locked against other runs.
#[derive(Debug)]
pub(super) struct Making<'p> {
    path: &'p Path,
    folder: &'p Path,
    /// Ends the lock with itself.
    _lock: File,
}

impl<'p> Making<'p> {
    /// Waits for other runs of fnox that write there.
    pub(super) async fn begin(path: &'p Path, limit: Duration) -> Result<Self, ProviderError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let failed = |why: String| {
            ProviderError::unavailable(format!("{} cannot be written: {why}", path.display()))
                .with_remedy("the one-time token is not used yet; name another `config_file`")
        };
        create_private_folder(folder).map_err(|error| failed(error.to_string()))?;
        let taken = tokio::time::timeout(limit, async {
            loop {
                match fnox_system::try_lock_folder(folder) {
                    Ok(lock) => return Ok(lock),
                    Err(TryLockError::WouldBlock) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => return Err(failed(error.to_string())),
                }
            }
        });
        let lock = match taken.await {
            Ok(taken) => taken?,
            Err(_) => return Err(failed("another run of fnox writes there".to_owned())),
        };
        Ok(Self {
            path,
            folder,
            _lock: lock,
        })
    }

    /// The configuration, if another run has made it meanwhile.
    pub(super) fn made(&self) -> Result<Option<Stored>, ProviderError> {
        read(self.path)
    }

    /// What an earlier run left that used the token and got no answer.
    pub(super) fn pending(&self) -> Result<Option<Stored>, ProviderError> {
        read(&self.pending_path())
    }

    pub(super) fn keep_pending(&self, stored: &Stored) -> Result<(), ProviderError> {
        self.write(&self.pending_path(), stored).map_err(|error| {
            ProviderError::unavailable(format!(
                "{} cannot be written: {error}",
                self.path.display()
            ))
            .with_remedy("the one-time token is not used yet; name another `config_file`")
        })
    }

    /// The configuration is there from now on, and nothing is pending.
    pub(super) fn finish(&self, stored: &Stored) -> Result<(), ProviderError> {
        self.write(self.path, stored).map_err(|error| {
            ProviderError::unavailable(format!(
                "the one-time token is used, and {} cannot be written: {error}",
                self.path.display()
            ))
            .with_remedy("make room there, and make another token in Keeper")
        })?;
        self.forget_pending();
        Ok(())
    }

    /// A token that Keeper refuses gets no better.
    pub(super) fn forget_pending(&self) {
        if let Err(error) = std::fs::remove_file(self.pending_path())
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", self.pending_path().display());
        }
    }

    fn pending_path(&self) -> PathBuf {
        pending(self.path)
    }

    fn write(&self, path: &Path, stored: &Stored) -> std::io::Result<()> {
        let text = stored.to_text().map_err(std::io::Error::other)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fnox-");
        let mut draft = fnox_system::create_temporary(&mut builder, self.folder, Rights::Private)?;
        draft.write_all(&text)?;
        draft.as_file().sync_all()?;
        // A link stays one: what it points to is replaced.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        draft.persist(target)?;
        fnox_system::sync_folder(self.folder)
    }
}

/// Whether an earlier run used a token for this file and got no answer.
pub(super) fn has_pending(path: &Path) -> bool {
    pending(path).exists()
}

fn pending(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pending");
    name.into()
}

fn read(path: &Path) -> Result<Option<Stored>, ProviderError> {
    let unusable = |why: &str| {
        ProviderError::misconfigured(format!(
            "the configuration {} cannot be used: {why}",
            path.display()
        ))
        .at_key("config_file")
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&error.to_string())),
    };
    warn_of_readers(&file, path);
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| unusable(&error.to_string()))?;
    // As after `touch`: nothing is lost if a token fills it.
    if text.trim().is_empty() {
        return Ok(None);
    }
    Stored::parse(&text).map(Some).ok_or_else(|| {
        unusable("it is neither JSON nor JSON in base64").with_remedy(
            "download it again in Keeper: Secrets Manager, the application, Devices, Add Device",
        )
    })
}

fn warn_of_readers(file: &File, path: &Path) {
    let others = Protection::of(file).map(|protection| protection.who_else_opens());
    if let Ok(Some(_)) = others {
        let path = path.display();
        if cfg!(windows) {
            tracing::warn!("other users may read {path}: take that right from them");
        } else {
            tracing::warn!("other users may read {path}: run `chmod go= {path}`");
        }
    }
}
