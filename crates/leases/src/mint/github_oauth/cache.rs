//! Logins in the keychain: JSON under the lease's service and an account for the app, the server and the scopes.
//!
//! Two leases with the same app, server and scopes are the same login. A lock beside the ledgers keeps processes of one
//! user from refreshing one login at the same time.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fnox_core::SecretString;
use fnox_providers::keychain::{Keychain, TIME_LIMIT};
use fnox_providers::{ErrorKind, ProviderError};
use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Settings, Token};
use crate::ledger::LedgerError;
use crate::ledger::file;
use crate::ledger::lock::{self, Lock};
use crate::mint::{MintContext, MintError, MintErrorKind};
use crate::wiped::Wiped;

/// How long to wait for another process that refreshes the same login.
const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// The place of one login.
pub(super) struct Cache {
    keychain: Keychain,
    service: String,
    account: String,
    lock: PathBuf,
}

#[derive(Deserialize)]
struct Stored {
    access_token: Wiped,
    expires_at: Option<String>,
    refresh_token: Option<Wiped>,
    refresh_token_expires_at: Option<String>,
}

impl Cache {
    /// The lease's place; `None` if it wants none.
    pub(super) fn of(settings: &Settings, context: &MintContext) -> Option<Self> {
        let service = settings.keyring_service.clone()?;
        let account = account(settings);
        Some(Self {
            keychain: Keychain::new(&context.env, context.prompt.is_interactive(), TIME_LIMIT),
            lock: context
                .folders
                .state
                .join("leases")
                .join(format!("login-{account}.lock")),
            service,
            account,
        })
    }

    /// The login, if there is one that can be read.
    pub(super) async fn read(&self) -> Result<Option<Token>, MintError> {
        match self.keychain.get(&self.service, &self.account).await {
            Ok(text) => Ok(parsed(&text)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    pub(super) async fn write(&self, token: &Token) -> Result<(), MintError> {
        self.keychain
            .set(&self.service, &self.account, &written(token))
            .await
            .map_err(|error| self.unusable(&error))
    }

    /// Keeps other processes of fnox from refreshing the same login.
    pub(super) async fn lock(&self) -> Result<Lock, MintError> {
        let failed = |error: LedgerError| MintError::unavailable(error.to_string());
        file::private_folder(self.lock.parent().unwrap_or(&self.lock)).map_err(failed)?;
        let holder = lock::introduction("a login to GitHub");
        Lock::acquire(&self.lock, LOCK_LIMIT, &holder)
            .await
            .map_err(failed)
    }

    fn unusable(&self, error: &ProviderError) -> MintError {
        let kind = match error.kind {
            ErrorKind::AuthenticationNeeded => MintErrorKind::AuthenticationNeeded,
            ErrorKind::Denied => MintErrorKind::Denied,
            _ => MintErrorKind::Unavailable,
        };
        MintError {
            remedy: error.remedy.clone(),
            ..MintError::new(
                kind,
                format!("the keychain entry {self:?} cannot be used: {error}"),
            )
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.service, self.account)
    }
}

/// `CLIENT-HASH`: neither another server's token nor one with other scopes is taken for this one.
fn account(settings: &Settings) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [
        settings.login.as_str(),
        settings.api.as_str(),
        &settings.scope,
    ] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let hash = hasher.finalize().to_hex();
    let short: String = hash.chars().take(16).collect();
    format!("{}-{short}", settings.client_id)
}

/// What cannot be read is no login.
fn parsed(text: &SecretString) -> Option<Token> {
    let stored: Stored = serde_json::from_str(text.expose_secret()).ok()?;
    // An end that cannot be read must not become "never".
    let time = |text: Option<String>| -> Option<Option<Timestamp>> {
        match text {
            None => Some(None),
            Some(text) => text.parse().ok().map(Some),
        }
    };
    Some(Token {
        access: stored.access_token.0,
        expires_at: time(stored.expires_at)?,
        refresh: stored.refresh_token.map(|token| token.0),
        refresh_expires_at: time(stored.refresh_token_expires_at)?,
    })
    .filter(|token| !token.access.is_empty())
}

fn written(token: &Token) -> SecretString {
    use std::fmt::Write as _;
    // Room for everything, so that growing leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let quoted = |text: &str| {
        serde_json::to_string(text)
            .map(Zeroizing::new)
            .unwrap_or_default()
    };
    let _ = write!(
        text,
        "{{\"access_token\":{}",
        *quoted(token.access.expose_secret())
    );
    if let Some(end) = token.expires_at {
        let _ = write!(text, ",\"expires_at\":\"{end}\"");
    }
    if let Some(refresh) = &token.refresh {
        let _ = write!(
            text,
            ",\"refresh_token\":{}",
            *quoted(refresh.expose_secret())
        );
    }
    if let Some(end) = token.refresh_expires_at {
        let _ = write!(text, ",\"refresh_token_expires_at\":\"{end}\"");
    }
    text.push('}');
    SecretString::from(text.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_login_is_read_as_it_was_written() {
        let token = Token {
            access: SecretString::from("ghu_\"quoted\""),
            expires_at: Some(at("2026-01-02T03:04:05Z")),
            refresh: Some(SecretString::from("ghr_x")),
            refresh_expires_at: Some(at("2026-07-02T03:04:05Z")),
        };
        let read = parsed(&written(&token)).unwrap();
        assert_eq!(read.access.expose_secret(), token.access.expose_secret());
        assert_eq!(read.expires_at, token.expires_at);
        assert_eq!(read.refresh.unwrap().expose_secret(), "ghr_x");
        assert_eq!(read.refresh_expires_at, token.refresh_expires_at);
        let plain = Token {
            expires_at: None,
            refresh: None,
            refresh_expires_at: None,
            ..token
        };
        let read = parsed(&written(&plain)).unwrap();
        assert!(read.expires_at.is_none() && read.refresh.is_none());
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_no_login() {
        for text in [
            "",
            "{}",
            "ghu_plain",
            "{\"access_token\":\"\"}",
            "{\"access_token\":\"a\",\"expires_at\":\"soon\"}",
            "{\"access_token\":\"a\",\"expires_at\":17}",
        ] {
            assert!(parsed(&SecretString::from(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn another_server_or_other_scopes_are_another_login() {
        let one = settings("https://github.com/login/oauth");
        let mut other = settings("https://github.com/login/oauth");
        assert_eq!(account(&one), account(&other));
        assert!(account(&one).starts_with("Iv1.a-"));
        other.scope = "repo gist".to_owned();
        assert_ne!(account(&one), account(&other));
        assert_ne!(
            account(&one),
            account(&settings("https://ghe.example/login/oauth"))
        );
    }
}
