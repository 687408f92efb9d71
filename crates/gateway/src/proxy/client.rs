//! Who the clients of a gateway are, and what they may spend.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::{AgentId, Host, SecretString};

use super::ClientPassword;
use super::carried::Carried;
use super::ending::Ended;
use crate::injection::aws::AwsKeys;
use crate::refusal::{Reason, Refusal};
use crate::rule::{CredentialRef, Rule};

/// Tells clients apart.
#[async_trait]
pub trait Clients: Send + Sync + fmt::Debug {
    /// Who presents this password, or none. It is asked once for each tunnel and for each request outside of one.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`], or
    /// [`Reason::Credential`] if nobody can say.
    async fn identify(&self, password: Option<SecretString>) -> Result<Arc<Client>, Refusal>;
}

/// A client that is known.
#[derive(Debug)]
pub struct Client {
    /// In whose name it acts.
    pub agent: AgentId,
    /// Where its values come from.
    pub credentials: Arc<dyn Credentials>,
    /// The variables in which its programs look for credentials, and the placeholders that belong there.
    pub variables: Vec<(String, String)>,
    pub(super) carried: Carried,
}

impl Client {
    /// A client whose requests have carried nothing yet.
    #[must_use]
    pub fn new(
        agent: AgentId,
        credentials: Arc<dyn Credentials>,
        variables: Vec<(String, String)>,
    ) -> Self {
        Self {
            agent,
            credentials,
            variables,
            carried: Carried::default(),
        }
    }

    /// Looks for `value` in answers from the beginning: requests of this client may carry it, and where it goes it may be
    /// already.
    pub fn expect(&self, credential: &CredentialRef, value: &SecretString, placeholder: &str) {
        self.carried.expect(credential, value, placeholder);
    }
}

/// Where values come from.
#[async_trait]
pub trait Credentials: Send + Sync + fmt::Debug {
    /// The value that `rule` puts into a request to `host`, as it is now. Each call is a use.
    ///
    /// # Errors
    /// [`Reason::Credential`], [`Reason::Exhausted`] or
    /// [`Reason::Approval`]. It never names a value.
    async fn value(&self, rule: &Rule, host: &Host) -> Result<Lent, Refusal>;

    /// The keys with which `rule` signs a request to `host`.
    ///
    /// # Errors
    /// As [`Self::value`].
    async fn aws_keys(&self, rule: &Rule, _: &Host) -> Result<Lent<AwsKeys>, Refusal> {
        let message = "this credential has no AWS keys to sign with";
        Err(Refusal::new(Reason::Credential, message).by_rule(&rule.name))
    }

    /// Nothing left of a request that had a use of this lease, [`Lent::lease`], for each time that this is called.
    async fn unsent(&self, _lease: &str) {}

    /// A destination did not accept the credential of this lease, [`Lent::lease`]: 401.
    async fn rejected(&self, _lease: &str) {}

    /// `rule` took fresh credentials out of an answer of `host`, one for each of these names of members. The client has
    /// nothing of the answer yet.
    ///
    /// # Errors
    /// If the client must not get the rest of it, for example because what happened cannot be recorded: it gets the
    /// refusal then, and no placeholder by which it could use them.
    async fn captured(&self, _: &Rule, _: &Host, _members: &[&str]) -> Result<(), Refusal> {
        Ok(())
    }

    /// `rule` is about to put into a request to `host` what was captured. Each call is a use.
    ///
    /// # Errors
    /// If that must not be. It never names a value.
    async fn uses_captured(&self, _: &Rule, _: &Host) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A value for one request: a text, or keys to sign it with.
#[derive(Debug, Clone)]
pub struct Lent<V = SecretString> {
    /// The value.
    pub value: V,
    /// When the right to use it ends, whatever is on its way with it ends too.
    pub ended: Option<Ended>,
    /// By which lease it was had, as its ledger or vault names it; for records, and no right to anything.
    pub lease: Option<String>,
}

impl From<SecretString> for Lent {
    /// A value that nobody withdraws.
    fn from(value: SecretString) -> Self {
        Self {
            value,
            ended: None,
            lease: None,
        }
    }
}

/// The programs of one agent, who share a password.
#[derive(Debug)]
pub struct OneClient {
    password: Option<ClientPassword>,
    client: Arc<Client>,
}

impl OneClient {
    /// Without a password, whoever can connect is the client.
    #[must_use]
    pub fn new(client: Client, password: Option<ClientPassword>) -> Self {
        Self {
            password,
            client: Arc::new(client),
        }
    }
}

#[async_trait]
impl Clients for OneClient {
    async fn identify(&self, presented: Option<SecretString>) -> Result<Arc<Client>, Refusal> {
        if let Some(password) = &self.password {
            password.check(presented.as_ref())?;
        }
        Ok(Arc::clone(&self.client))
    }
}
