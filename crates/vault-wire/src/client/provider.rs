//! Credentials for programs that use them: the trait behind which an agent's tools get a secret for one host.
//!
//! A [`CredentialGuard`] shows its value to a closure, overwrites it when dropped, and gives the lease back over
//! the connection that is open anyway. Giving back is never skipped because something is full; what cannot be
//! delivered to the vault in time is logged, and the lease ends at its expiry.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use fnox_core::{SecretBytes, SecretString};

use super::job::is_over_already;
use super::{Client, ClientError};
use crate::ids::LeaseId;
use crate::methods::{AccessSecret, Delivery, RequestLease, RevocationReason, RevokeLease};

/// Gives credentials for hosts.
#[async_trait]
pub trait CredentialProvider: fmt::Debug + Send + Sync {
    /// The credential for one host.
    async fn acquire(&self, request: CredentialRequest) -> Result<CredentialGuard, ProviderError>;

    /// What it is, in a few words for people.
    fn describe(&self) -> String;
}

/// Which credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRequest {
    /// The secret's name.
    pub secret: String,
    /// The host that will see it.
    pub host: String,
    /// The tool that will use it.
    pub tool: Option<String>,
    /// The session it belongs to.
    pub session_token: Option<SecretString>,
    /// In whose name.
    pub agent: String,
}

impl CredentialRequest {
    /// Without tool and session.
    #[must_use]
    pub fn new(agent: &str, secret: &str, host: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            host: host.to_owned(),
            tool: None,
            session_token: None,
            agent: agent.to_owned(),
        }
    }
}

/// Why there is no credential.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The vault refused, or did not answer.
    #[error(transparent)]
    Vault(#[from] ClientError),
    /// The policy lets only a gateway use it.
    #[error("`{secret}` is not handed out: the policy lets only a gateway use it")]
    InjectOnly {
        /// The secret's name.
        secret: String,
    },
    /// This provider does not know the secret.
    #[error("there is no secret `{secret}` here")]
    Unknown {
        /// The secret's name.
        secret: String,
    },
    /// The value is not a text.
    #[error("the value is not valid UTF-8")]
    NotText,
}

/// A credential while it is used.
#[must_use = "dropping it gives the lease back"]
pub struct CredentialGuard {
    value: SecretBytes,
    host: String,
    lease: Option<Held>,
}

/// A lease that is given back when it is dropped.
struct Held {
    id: LeaseId,
    client: Client,
    returned: bool,
}

impl CredentialGuard {
    /// Shows the value.
    pub fn expose<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.value.expose_secret())
    }

    /// Shows the value as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn expose_str<R>(&self, with: impl FnOnce(&str) -> R) -> Result<R, ProviderError> {
        std::str::from_utf8(self.value.expose_secret())
            .map(with)
            .map_err(|_| ProviderError::NotText)
    }

    /// The lease; none if the provider has no leases.
    pub fn lease_id(&self) -> Option<LeaseId> {
        self.lease.as_ref().map(|held| held.id)
    }

    /// The host it is for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Gives the lease back and waits for the vault's word. If that fails, it is tried again in the background.
    ///
    /// # Errors
    /// Why the vault did not say so.
    pub async fn release(mut self) -> Result<(), ProviderError> {
        let Some(held) = &mut self.lease else {
            return Ok(());
        };
        match held.client.call(&revocation(held.id)).await {
            Ok(_) => held.returned = true,
            Err(error) if is_over_already(&error) => held.returned = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl fmt::Debug for CredentialGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CredentialGuard")
            .field("value", &self.value)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.returned {
            self.client.fire(&revocation(self.id));
        }
    }
}

fn revocation(lease_id: LeaseId) -> RevokeLease {
    RevokeLease {
        lease_id,
        reason: RevocationReason::Released,
    }
}

/// Credentials from a vault.
#[derive(Debug, Clone)]
pub struct VaultProvider {
    client: Client,
}

impl VaultProvider {
    /// Over this connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

#[async_trait]
impl CredentialProvider for VaultProvider {
    async fn acquire(&self, request: CredentialRequest) -> Result<CredentialGuard, ProviderError> {
        let client = self.client.clone();
        let late = client.clone();
        let asked = RequestLease {
            ttl_secs: None,
            max_uses: None,
            session_token: request.session_token,
            tool_name: request.tool,
            ..RequestLease::new(&request.agent, &request.secret, &request.host)
        };
        // A grant that comes when the caller has gone is given back: it must not count against the agent.
        let grant = client
            .call_or_else(&asked, move |grant| late.fire(&revocation(grant.lease_id)))
            .await?;
        let held = Held {
            id: grant.lease_id,
            client: client.clone(),
            returned: false,
        };
        if grant.delivery == Delivery::Inject {
            return Err(ProviderError::InjectOnly {
                secret: request.secret,
            });
        }
        let access = AccessSecret::new(grant.lease_id, request.host.as_str());
        let accessed = client.call(&access).await?;
        Ok(CredentialGuard {
            value: accessed.secret.0,
            host: request.host,
            lease: Some(held),
        })
    }

    fn describe(&self) -> String {
        format!("the vault at {}", self.client.place())
    }
}

/// Fixed credentials, for tests only: every agent gets them for every host, for ever.
pub struct StaticProvider {
    values: HashMap<String, SecretBytes>,
}

impl StaticProvider {
    /// These values by name. Says in the log that nothing is defended.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = (String, SecretBytes)>) -> Self {
        tracing::warn!(
            "StaticProvider is in use: no policy, no expiry, no audit. It is for tests only."
        );
        Self {
            values: values.into_iter().collect(),
        }
    }
}

#[async_trait]
impl CredentialProvider for StaticProvider {
    async fn acquire(&self, request: CredentialRequest) -> Result<CredentialGuard, ProviderError> {
        let Some(value) = self.values.get(&request.secret) else {
            return Err(ProviderError::Unknown {
                secret: request.secret,
            });
        };
        tracing::warn!(secret = %request.secret, host = %request.host, "StaticProvider gives a credential that nothing defends");
        Ok(CredentialGuard {
            value: value.clone(),
            host: request.host,
            lease: None,
        })
    }

    fn describe(&self) -> String {
        "STATIC CREDENTIALS FOR TESTS: no policy, no expiry, no audit".to_owned()
    }
}

impl fmt::Debug for StaticProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StaticProvider({})", self.describe())
    }
}
