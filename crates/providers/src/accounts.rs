//! Logins at clouds, for providers that keep secrets there.
//!
//! How a login is found and made (keys, files, machines, other programs) is the business of those who mint
//! credentials at these clouds; a provider only says what for. The access tokens live as long as the provider
//! that asked for them, in memory alone.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use fnox_core::{Clock, SecretString};
use jiff::{SignedDuration, Timestamp};

use crate::error::ProviderError;
use crate::provider::Context;

/// How long before its end a token is replaced.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// An access token (RFC 6750).
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub value: SecretString,
    /// When it stops working. `None`: whoever gave it did not say.
    pub expires_at: Option<Timestamp>,
}

/// What calls of Google's APIs need.
#[derive(Debug, Clone)]
pub struct GoogleAccess {
    /// A token of the scope `https://www.googleapis.com/auth/cloud-platform`.
    pub token: AccessToken,
    /// The domain of the cloud that the token is for: `googleapis.com`.
    pub universe: String,
    /// The project that pays for the calls and whose quota they take, if the login names one.
    pub quota_project: Option<String>,
}

/// The clouds of Microsoft, which share nothing ("National clouds").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureCloud {
    /// The public one.
    Public,
    /// Azure Government.
    Government,
    /// Operated by 21Vianet.
    China,
}

/// What to log in for at Microsoft Entra, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureLogin {
    /// A resource and `/.default`.
    pub scope: String,
    /// The cloud that the resource is in.
    pub cloud: AzureCloud,
    /// The provider's `auth`.
    pub auth: Option<String>,
    /// The provider's `managed_identity_client_id`.
    pub managed_identity: Option<String>,
}

/// Somebody who can log in at clouds.
#[async_trait]
pub trait Accounts: Send + Sync + fmt::Debug {
    /// Logs in at Google Cloud.
    ///
    /// # Errors
    /// `AuthenticationNeeded` if there is nothing to log in with, or it is not accepted.
    async fn google(&self, context: &Context) -> Result<GoogleAccess, ProviderError>;

    /// Logs in at Microsoft Entra.
    ///
    /// # Errors
    /// The same.
    async fn azure(
        &self,
        context: &Context,
        login: &AzureLogin,
    ) -> Result<AccessToken, ProviderError>;
}

/// Nobody: for those who open no provider of a cloud.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAccounts;

#[async_trait]
impl Accounts for NoAccounts {
    async fn google(&self, _: &Context) -> Result<GoogleAccess, ProviderError> {
        Err(none())
    }

    async fn azure(&self, _: &Context, _: &AzureLogin) -> Result<AccessToken, ProviderError> {
        Err(none())
    }
}

fn none() -> ProviderError {
    ProviderError::misconfigured("nobody can log in at a cloud here")
}

/// What has an end.
pub(crate) trait Ends {
    /// When it stops working.
    fn expires_at(&self) -> Option<Timestamp>;
}

impl Ends for AccessToken {
    fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
}

impl Ends for GoogleAccess {
    fn expires_at(&self) -> Option<Timestamp> {
        self.token.expires_at
    }
}

/// A login that is made when it is needed, once, and again when its end is near.
#[derive(Debug)]
pub(crate) struct Kept<T>(tokio::sync::Mutex<Option<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone + Ends> Kept<T> {
    /// The login. Whoever asks meanwhile waits for the one that is being made.
    pub(crate) async fn get(
        &self,
        clock: &dyn Clock,
        log_in: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let mut kept = self.0.lock().await;
        if let Some(access) = &*kept {
            let now = clock.now();
            let is_alive = |end: Timestamp| end.duration_since(now) > MARGIN;
            if access.expires_at().is_none_or(is_alive) {
                return Ok(access.clone());
            }
        }
        let access = log_in.await?;
        *kept = Some(access.clone());
        Ok(access)
    }
}

#[cfg(test)]
mod tests {
    use fnox_core::SystemClock;

    use super::*;

    #[tokio::test]
    async fn a_login_is_made_again_only_when_its_end_is_near() {
        let clock = SystemClock;
        let token = |value: &str, seconds| {
            let expires_at = clock.now().checked_add(SignedDuration::from_secs(seconds));
            std::future::ready(Ok(AccessToken {
                value: value.into(),
                expires_at: expires_at.ok(),
            }))
        };
        let kept = Kept::default();
        for (value, seconds, wanted) in [
            ("first", 30, "first"),
            ("second", 3600, "second"),
            ("third", 3600, "second"),
        ] {
            let access = kept.get(&clock, token(value, seconds)).await.unwrap();
            assert_eq!(access.value.expose_secret(), wanted);
        }
    }
}
