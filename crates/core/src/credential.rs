//! What a mint hands out, and who can hand something out.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::SecretString;

/// A short-lived credential: a set of variables that belong together, and when they stop working.
///
/// The variables are one frozen set; mixing a key of one credential with the secret of another is a
/// known failure of credential caches.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Environment variables, in the order in which a person expects to read them.
    pub variables: Vec<(String, SecretString)>,
    /// When the issuer stops accepting it, by the issuer's own word. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// The issuer's handle, by which it can be revoked.
    pub id: String,
}

impl Credential {
    /// The value of one variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables
            .iter()
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| value)
    }
}

/// Something that can produce a credential for a scope: a provider, a mint, or a vault's client.
///
/// The gateway and the vault depend on this trait and on nothing that implements it.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The scope in which the credential is asked for, for example a host.
    type Scope: Send + Sync + ?Sized;
    /// Why there is none.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Produces the credential called `name` for `scope`.
    async fn acquire(&self, name: &str, scope: &Self::Scope) -> Result<Credential, Self::Error>;
}
