//! What can go wrong with the ledger.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_core::ExitStatus;
use fnox_core::seal::SealError;

/// The ledger cannot be read, opened or written. It is left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody holds a lock for longer than the limit.
    #[error(
        "the lock {} is held by {holder}: waited for {} s",
        path.display(),
        waited.as_secs()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The key that the ledger names is not to be had.
    #[error("the lease ledger's key cannot be opened: {origin}: {reason}")]
    KeyUnavailable {
        /// Where the key is kept: the file's path, or the keychain's entry.
        origin: String,
        /// Why it does not open.
        reason: String,
        /// The ledger that needs it, if there is one already.
        ledger: Option<PathBuf>,
    },
    /// The text is not a ledger.
    #[error("{} is not a lease ledger of this version of fnox: {reason}", path.display())]
    Malformed {
        /// The ledger.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The seal does not open or cannot be made.
    #[error("the lease ledger {} cannot be opened", path.display())]
    Seal {
        /// The ledger.
        path: PathBuf,
        /// What the seal said.
        source: SealError,
    },
    /// A file or folder that others could have written or read.
    #[error("refusing {}: {reason}", path.display())]
    Unsafe {
        /// The file or folder.
        path: PathBuf,
        /// Why it is not trusted.
        reason: String,
    },
}

impl LedgerError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn seal(path: &Path, source: SealError) -> Self {
        Self::Seal {
            path: path.to_owned(),
            source,
        }
    }

    /// The stable code, `area::reason`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "ledger::io",
            Self::Locked { .. } => "ledger::locked",
            Self::KeyUnavailable { .. } => "ledger::key_unavailable",
            Self::Malformed { .. } => "ledger::malformed",
            Self::Seal { .. } => "ledger::sealed",
            Self::Unsafe { .. } => "ledger::unsafe",
        }
    }

    /// What a script is told.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::KeyUnavailable { .. } | Self::Unsafe { .. } => ExitStatus::AuthenticationNeeded,
            Self::Locked { .. } => ExitStatus::Unavailable,
            Self::Io { .. } | Self::Malformed { .. } | Self::Seal { .. } => ExitStatus::Failure,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, path, .. } => io_help(source, path),
            Self::Locked { .. } => Some("wait for it to end, or end it".to_owned()),
            Self::KeyUnavailable {
                ledger: Some(ledger),
                ..
            } => Some(format!(
                "restore or unlock the key. Without it nobody can open the ledger: removing {} \
                 forgets its leases, which then only expire",
                ledger.display()
            )),
            Self::KeyUnavailable { ledger: None, .. } => {
                Some("unlock it, or set `key = \"file\"` in `[ledger]`".to_owned())
            }
            Self::Malformed { path, .. } | Self::Seal { path, .. } => Some(format!(
                "it was changed, or belongs to another folder or key. Removing {} forgets its \
                 leases, which then only expire",
                path.display()
            )),
            Self::Unsafe { path, .. } => Some(format!(
                "make it yours alone: chown \"$(id -u)\" {0} && chmod go= {0}",
                path.display()
            )),
        }
    }
}

fn io_help(error: &std::io::Error, path: &Path) -> Option<String> {
    use std::io::ErrorKind;
    let folder = path.parent().unwrap_or(path).display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(
            format!("free some space below {folder}; the ledger is as it was before"),
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(format!(
            "make {folder} writable, or choose another folder with FNOX_STATE_DIR"
        )),
        _ => None,
    }
}
