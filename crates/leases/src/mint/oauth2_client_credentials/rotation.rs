//! Refresh tokens of servers that give a new one with each use and end the old one (RFC 9700 section 4.14.2).
//!
//! The refresh token in the configuration is where a login begins. What the server gave in its place is kept in a file of
//! the state folder, sealed with a key that derives from the first one: who has the secret store of the project has the
//! login, and the file alone is worth nothing. A new first token begins a new login.
//!
//! The file is written, and written through, before the server is asked: where nothing can be kept nothing is asked, so
//! that no login is lost to a full disk. A new token is kept before anybody gets the access token that came with it. A
//! lock keeps processes of one user from using one token twice, which such servers take for theft.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fnox_core::seal::{Envelope, SealingKey};
use fnox_core::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::ledger::LedgerError;
use crate::ledger::file;
use crate::ledger::lock::{self, Lock};
use crate::mint::{MintContext, MintError};

/// How long to wait for another process that uses the same login.
const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// What the keys are for.
const PURPOSE: &str = "fnox 2026-11 refresh tokens of OAuth 2.0";

/// A login whose refresh token nobody else uses meanwhile.
pub(super) struct Login {
    key: SealingKey,
    place: [String; 2],
    path: PathBuf,
    current: SecretString,
    _lock: Lock,
}

impl Login {
    /// The login of a client at a server that began with `first`.
    ///
    /// # Errors
    /// [`MintError`] if what is kept cannot be read, or could not be replaced.
    pub(super) async fn open(
        context: &MintContext,
        server: &str,
        client: &str,
        first: &SecretString,
    ) -> Result<Self, MintError> {
        let bytes = blake3::derive_key(PURPOSE, first.expose_secret().as_bytes());
        let key = SealingKey::new("first".to_owned(), Zeroizing::new(bytes));
        let name = key.digest("login", &[server.as_bytes(), client.as_bytes()]);
        let name: String = name.chars().take(32).collect();
        let folder = context.folders.state.join("leases");
        file::private_folder(&folder).map_err(|error| unkept(&error))?;
        let lock = folder.join(format!("refresh-{name}.lock"));
        let holder = lock::introduction("a login of OAuth 2.0");
        let lock = Lock::acquire(&lock, LOCK_LIMIT, &holder)
            .await
            .map_err(|error| unkept(&error))?;
        let mut login = Self {
            key,
            place: [server.to_owned(), client.to_owned()],
            path: folder.join(format!("refresh-{name}.json")),
            current: first.clone(),
            _lock: lock,
        };
        if let Some(kept) = login.kept()? {
            login.current = kept;
        }
        // Whether it can be replaced, while nothing is lost yet.
        login.write(&login.current)?;
        Ok(login)
    }

    /// The refresh token that works.
    pub(super) fn current(&self) -> &SecretString {
        &self.current
    }

    /// Keeps the one that the server gave in its place.
    ///
    /// # Errors
    /// [`MintError`]: the login is lost.
    pub(super) fn replace(&self, next: &SecretString) -> Result<(), MintError> {
        if next.expose_secret() == self.current.expose_secret() {
            return Ok(());
        }
        self.write(next).map_err(|error| {
            let message = format!("{}; the server has ended the old one", error.message);
            MintError { message, ..error }
                .with_remedy("log in again, and set the new refresh token")
                .maybe_issued()
        })
    }

    fn kept(&self) -> Result<Option<SecretString>, MintError> {
        file::sweep(&self.path);
        let Some(text) = file::read(&self.path).map_err(|error| unkept(&error))? else {
            return Ok(None);
        };
        file::require_private(&self.path).map_err(|error| unkept(&error))?;
        // A file that is no longer what was written must not become "use the first one": that would look like theft.
        let unreadable = || {
            let path = self.path.display();
            MintError::unavailable(format!("the kept refresh token in {path} cannot be opened"))
                .with_remedy("log in again, and set the new refresh token")
        };
        let envelope: Envelope = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let bytes = self.key.open(&self.place(), &envelope);
        let token = bytes.map_err(|_| unreadable())?.into_string();
        token.map(Some).map_err(|_| unreadable())
    }

    fn write(&self, token: &SecretString) -> Result<(), MintError> {
        let bytes = SecretBytes::new(token.expose_secret().as_bytes().to_vec());
        let failed = |reason: String| {
            MintError::unavailable(format!("the refresh token cannot be kept: {reason}"))
        };
        let envelope = self.key.seal(&self.place(), &bytes);
        let envelope = envelope.map_err(|error| failed(error.to_string()))?;
        let text = serde_json::to_string(&envelope).map_err(|error| failed(error.to_string()))?;
        file::replace(&self.path, &text).map_err(|error| unkept(&error))
    }

    fn place(&self) -> [&str; 3] {
        let [server, client] = &self.place;
        ["fnox refresh token", server, client]
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the login in {}", self.path.display())
    }
}

fn unkept(error: &LedgerError) -> MintError {
    MintError::unavailable(format!("the refresh token cannot be kept: {error}"))
}
