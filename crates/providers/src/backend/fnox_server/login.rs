//! In whose name the server is asked.
//!
//! First what an earlier run left for the approval that is resumed; then the token of a CI; then the session that
//! `fnox login` keeps. A session is found under the hash of its server's URL and sent to no other.

use std::path::{Path, PathBuf};

use fnox_api::client::{ApiClient, OpenedSession};
use fnox_core::SecretString;
use fnox_system::Protection;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{TeamServer, explain};
use crate::ci_token::{self, TokenSource};
use crate::error::ProviderError;

/// A session in a file of the state folder, for this user only.
#[derive(Serialize, Deserialize)]
struct Kept {
    server: String,
    token: Zeroizing<String>,
    expires_at: Timestamp,
    #[serde(default)]
    principal: String,
}

impl TeamServer {
    /// The client in somebody's name. The first call logs in; later ones use the same session.
    pub(super) async fn log_in(&self) -> Result<ApiClient, ProviderError> {
        let mut session = self.session.lock().await;
        if let Some(client) = &*session {
            return Ok(client.clone());
        }
        let client = self.client.with_bearer(self.find_token().await?);
        *session = Some(client.clone());
        Ok(client)
    }

    /// Another session, after the server refused the first one; `None` if there is no way to a new one.
    pub(super) async fn log_in_again(&self) -> Result<Option<ApiClient>, ProviderError> {
        let renews = TokenSource::of(&self.env, self.client.url()).is_some_and(TokenSource::renews);
        if !renews {
            return Ok(None);
        }
        *self.session.lock().await = None;
        self.log_in().await.map(Some)
    }

    /// Whether logging in uses nothing up that the run will need.
    pub(super) fn may_log_in(&self) -> Result<bool, ProviderError> {
        match TokenSource::of(&self.env, self.client.url()) {
            Some(source) => Ok(source.renews()),
            None if self.kept_login().is_some() => Ok(true),
            None => Err(self.nobody()),
        }
    }

    async fn find_token(&self) -> Result<SecretString, ProviderError> {
        let resumed = self.run.as_ref().and_then(|run| run.resume);
        if let Some(token) = resumed.and_then(|id| self.read_kept(&self.left_for(id))) {
            return Ok(token);
        }
        match ci_token::find(&self.env, self.client.url(), self.time_limit).await {
            Ok(Some(token)) => {
                let opened = self.client.open_session(&token).await;
                opened
                    .map(|session: OpenedSession| session.token)
                    .map_err(|error| explain::client(&error))
            }
            Ok(None) => self.kept_login().ok_or_else(|| self.nobody()),
            Err(error) => self.kept_login().ok_or(error),
        }
    }

    fn nobody(&self) -> ProviderError {
        let url = self.client.url();
        ProviderError::authentication(format!("nobody is logged in at {url}")).with_remedy(format!(
            "`fnox login --server {url}`; in a CI, let it issue an identity token with the audience `{url}`"
        ))
    }

    fn kept_login(&self) -> Option<SecretString> {
        let hash = blake3::hash(self.client.url().as_bytes()).to_hex();
        self.read_kept(&self.state.join(format!("sessions/{hash}.json")))
    }

    /// Keeps the session of a run that does not wait, if the run that resumes could not open another: the same identity
    /// token is taken once.
    pub(super) async fn leave_for(&self, id: Uuid, expires_at: Timestamp) {
        let source = TokenSource::of(&self.env, self.client.url());
        if source.is_none_or(TokenSource::renews) {
            return;
        }
        let Some(token) = self
            .session
            .lock()
            .await
            .as_ref()
            .and_then(ApiClient::bearer)
        else {
            return;
        };
        let kept = Kept {
            server: self.client.url().to_owned(),
            token: Zeroizing::new(token.expose_secret().to_owned()),
            expires_at,
            principal: String::new(),
        };
        let path = self.left_for(id);
        let written = serde_json::to_vec(&kept)
            .map(Zeroizing::new)
            .map_err(std::io::Error::from)
            .and_then(|text| super::seen::replace(&path, &text));
        if let Err(error) = written {
            tracing::warn!("the session cannot be kept in {}: {error}", path.display());
        }
    }

    /// Forgets what was left for an approval.
    pub(super) fn forget_left(&self, id: Uuid) {
        let _ = std::fs::remove_file(self.left_for(id));
    }

    fn left_for(&self, id: Uuid) -> PathBuf {
        let hash = blake3::hash(self.client.url().as_bytes()).to_hex();
        self.state.join(format!("sessions/{hash}-{id}.json"))
    }

    /// The token of a file, if it is of this server and lives.
    fn read_kept(&self, path: &Path) -> Option<SecretString> {
        let text = Zeroizing::new(read_private(path)?);
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let is_good = kept.server == self.client.url() && kept.expires_at > self.clock.now();
        is_good.then(|| SecretString::from(kept.token.as_str()))
    }
}

/// A file that nobody else may read, or nothing.
fn read_private(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let file = fnox_system::open_no_link(path).ok()?;
    let protection = Protection::of(&file).ok()?;
    let is_private = file.metadata().ok()?.is_file()
        && protection.who_else_opens().is_none()
        && protection.is_own();
    if !is_private {
        tracing::warn!("{} is not used: others may read it", path.display());
        return None;
    }
    let mut bytes = Vec::with_capacity(4096);
    file.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
