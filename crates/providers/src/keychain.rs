//! The keychain of the desktop: the login keychain on macOS, elsewhere the freedesktop.org Secret Service (API 0.2)
//! over the session bus.
//!
//! On macOS an entry is a generic password with `service` and `account`, which
//! `security add-generic-password -s S -a U -w` makes too. What follows is about the Secret Service.
//!
//! An entry is found by the attributes `service` and `username`, so entries made by
//! `secret-tool store --label=x service S username U` and those made here are the same. The bus is the one of
//! the given environment, never of the process. Everything that goes over the bus ends within ten seconds,
//! because a keyring that waits for a password on another screen must not hang a build. A locked keyring is
//! unlocked only if there is a person to ask.
//!
//! Values cross the bus under the session's key exchange (`dh-ietf1024-sha256-aes128-cbc-pkcs7`), so that a
//! monitor of the bus does not see them.

#[cfg_attr(target_os = "macos", path = "keychain/macos.rs")]
#[cfg_attr(not(unix), path = "keychain/absent.rs")]
mod secret_service;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fnox_core::{Env, SecretString};

use crate::error::ProviderError;

/// The name of what keeps the entries.
const SERVICE: &str = if cfg!(target_os = "macos") {
    "the login keychain"
} else {
    "the Secret Service"
};

/// No work on the bus takes longer, whatever the caller's own limit.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

#[cfg(all(unix, not(target_os = "macos")))]
const REMEDY: &str = "start a Secret Service such as gnome-keyring or KeePassXC in this session, and check \
                      DBUS_SESSION_BUS_ADDRESS; on a machine without a desktop use another provider";

/// The keychain of one environment.
#[derive(Debug, Clone)]
pub struct Keychain {
    /// Of the session bus, where the entries are behind one.
    address: Option<String>,
    interactive: bool,
    time_limit: Duration,
}

impl Keychain {
    /// The keychain on the session bus of `env`. Nothing is contacted yet.
    ///
    /// `interactive` says whether a locked keyring may ask for its password.
    #[must_use]
    pub fn new(env: &Env, interactive: bool, time_limit: Duration) -> Self {
        let runtime_bus = || {
            let path = std::path::Path::new(env.var("XDG_RUNTIME_DIR")?).join("bus");
            path.exists()
                .then(|| format!("unix:path={}", path.display()))
        };
        Self {
            address: env
                .var("DBUS_SESSION_BUS_ADDRESS")
                .map(str::to_owned)
                .or_else(runtime_bus),
            interactive,
            time_limit: time_limit.min(TIME_LIMIT),
        }
    }

    /// The value of an entry.
    ///
    /// # Errors
    /// `NotFound`; `AuthenticationNeeded` if there is no Secret Service or the keyring is locked;
    /// `Unavailable` if it does not answer in time.
    pub async fn get(&self, service: &str, account: &str) -> Result<SecretString, ProviderError> {
        let mut values = self.get_many(service, &[account]).await;
        values
            .pop()
            .unwrap_or_else(|| Err(ProviderError::not_found(account)))
    }

    /// The values of several entries of one service, in their order, over one session.
    pub async fn get_many(
        &self,
        service: &str,
        accounts: &[&str],
    ) -> Vec<Result<SecretString, ProviderError>> {
        let work = |call| secret_service::read(call, service, accounts);
        match self.limited(work).await {
            Ok(values) => values,
            Err(error) => accounts.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Stores a value, in place of the one that is there.
    ///
    /// # Errors
    /// As [`Self::get`], but for `NotFound`.
    pub async fn set(
        &self,
        service: &str,
        account: &str,
        value: &SecretString,
    ) -> Result<(), ProviderError> {
        self.limited(|call| secret_service::write(call, service, account, value))
            .await
    }

    /// Deletes an entry.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn delete(&self, service: &str, account: &str) -> Result<(), ProviderError> {
        self.limited(|call| secret_service::delete(call, service, account))
            .await
    }

    /// Whether there is an unlocked default keyring. Changes nothing and asks nobody.
    ///
    /// # Errors
    /// As [`Self::get`], but for `NotFound`.
    pub async fn check(&self) -> Result<(), ProviderError> {
        self.limited(secret_service::check).await
    }

    async fn limited<'a, T, W, F>(&'a self, work: W) -> Result<T, ProviderError>
    where
        W: FnOnce(Call<'a>) -> F,
        F: Future<Output = Result<T, ProviderError>>,
    {
        let asking = std::sync::Arc::new(AtomicBool::new(false));
        let call = Call {
            address: self.address.as_deref(),
            interactive: self.interactive,
            asking: std::sync::Arc::clone(&asking),
        };
        if let Ok(outcome) = tokio::time::timeout(self.time_limit, work(call)).await {
            return outcome;
        }
        let seconds = self.time_limit.as_secs();
        if asking.load(Ordering::Relaxed) {
            return Err(ProviderError::authentication(format!(
                "the keyring is locked, and nobody unlocked it within {seconds} s"
            ))
            .with_remedy("unlock the keyring, then run the command again"));
        }
        Err(
            ProviderError::unavailable(format!("{SERVICE} did not answer within {seconds} s"))
                .with_remedy("look whether the keyring shows a dialog, or restart it"),
        )
    }
}

/// One piece of work on the bus.
#[derive(Debug)]
struct Call<'a> {
    #[cfg_attr(
        not(all(unix, not(target_os = "macos"))),
        expect(dead_code, reason = "this system's keychain is behind no bus")
    )]
    address: Option<&'a str>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no keychain"))]
    interactive: bool,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no keychain"))]
    /// Set while a person is asked to unlock, so that running out of time is explained rightly.
    asking: std::sync::Arc<AtomicBool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_the_end_however_patient_the_caller_is() {
        let env = Env::default();
        let hour = Duration::from_hours(1);
        assert_eq!(Keychain::new(&env, true, hour).time_limit, TIME_LIMIT);
        let second = Duration::from_secs(1);
        assert_eq!(Keychain::new(&env, true, second).time_limit, second);
    }

    #[test]
    fn the_bus_of_the_run_time_folder_is_used_where_no_address_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let folder_text = folder.path().to_str().unwrap();
        let env: Env = [("XDG_RUNTIME_DIR", folder_text)].into_iter().collect();
        let address = |env: &Env| Keychain::new(env, false, TIME_LIMIT).address;
        assert_eq!(address(&env), None);
        std::fs::write(folder.path().join("bus"), "").unwrap();
        assert_eq!(address(&env), Some(format!("unix:path={folder_text}/bus")));
    }
}
