//! The session that `fnox login` keeps: `$STATE/sessions/HASH.json`, for this user only.
//!
//! HASH is BLAKE3 of the server's URL in hex, so that a session is sent to no other server.

use std::path::PathBuf;

use fnox_api::client::OpenedSession;
use fnox_core::SecretString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::app::App;
use crate::error::CliError;
use crate::team::error::TeamFailure;
use crate::team::writer::{read_private, write_private};

/// Longest file that is read.
const LIMIT: u64 = 64 * 1024;

/// A session that was kept.
pub(crate) struct Kept {
    pub(crate) token: SecretString,
    pub(crate) expires_at: Timestamp,
}

#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
struct File {
    #[zeroize(skip)]
    server: String,
    token: String,
    #[zeroize(skip)]
    expires_at: Timestamp,
    #[zeroize(skip)]
    principal: String,
}

fn path(app: &App, url: &str) -> PathBuf {
    let hash = blake3::hash(url.as_bytes()).to_hex();
    app.folders.state.join(format!("sessions/{hash}.json"))
}

/// Keeps a session.
pub(crate) fn keep(app: &App, url: &str, session: &OpenedSession) -> Result<(), CliError> {
    let path = path(app, url);
    let file = File {
        server: url.to_owned(),
        token: session.token.expose_secret().to_owned(),
        expires_at: session.expires_at,
        principal: session.principal.clone(),
    };
    let failed = |source| CliError::File {
        action: "write",
        path: path.clone(),
        source,
    };
    let text = serde_json::to_vec(&file)
        .map(Zeroizing::new)
        .map_err(|error| failed(error.into()))?;
    write_private(&path, &text, true).map_err(failed)
}

/// The session for a server, if there is one. It may have ended.
pub(crate) fn kept(app: &App, url: &str) -> Result<Option<Kept>, CliError> {
    let path = path(app, url);
    let text = match read_private(&path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(TeamFailure::Token {
                from: path.display().to_string(),
                reason: error.to_string(),
            }
            .into());
        }
    };
    // What cannot be read is no session; the next login replaces it.
    let file: Option<File> = serde_json::from_str(text.expose_secret()).ok();
    Ok(file.filter(|file| file.server == url).map(|file| Kept {
        token: SecretString::from(file.token.as_str()),
        expires_at: file.expires_at,
    }))
}

/// Removes the session for a server.
pub(crate) fn forget(app: &App, url: &str) -> Result<(), CliError> {
    let path = path(app, url);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CliError::File {
            action: "remove",
            path,
            source,
        }),
    }
}
