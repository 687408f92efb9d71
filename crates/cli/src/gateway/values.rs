//! The values of rules: secrets as they were when the program started, leases minted by the first request that needs them.
//!
//! A mint's manager works with what `fnox` was started with and lives as long as the run; requests come from the gateway's own
//! tasks. Between them is a [`Desk`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use fnox_core::{Clock, Credential, Host, LeaseName, SecretName, SecretString, VaultName};
use fnox_gateway::injection::aws::AwsKeys;
use fnox_gateway::proxy::{Credentials, Lent};
use fnox_gateway::rule::{CredentialRef, Rule};
use fnox_gateway::{Reason, Refusal};
use tokio::sync::{mpsc, oneshot};

use super::desk::{Answer, Asked, Desk};

/// Where the gateway's tasks ask.
#[derive(Debug)]
pub(crate) struct Values {
    secrets: Secrets,
    desk: mpsc::Sender<Asked>,
}

/// The secrets' values, to which more can come, and go again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Arc<RwLock<HashMap<VaultName, SecretString>>>);

impl Secrets {
    /// One that requests get from now on.
    pub(crate) fn put(&self, name: VaultName, value: SecretString) {
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(name, value);
    }

    /// One that no request gets any more.
    pub(crate) fn remove(&self, name: &VaultName) {
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.remove(name);
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<(VaultName, SecretString)> {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let values = values.iter();
        values
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Whether requests get it.
    pub(crate) fn has(&self, name: &VaultName) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &VaultName) -> Option<SecretString> {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        values.get(name).cloned()
    }
}

impl From<HashMap<VaultName, SecretString>> for Secrets {
    fn from(values: HashMap<VaultName, SecretString>) -> Self {
        Self(Arc::new(RwLock::new(values)))
    }
}

impl Values {
    /// With these secrets, and a desk for leases, of some of which each request gets a credential of its own.
    pub(crate) fn new(
        secrets: Secrets,
        clock: Arc<dyn Clock>,
        per_operation: HashSet<LeaseName>,
    ) -> (Self, Desk) {
        let (desk, asking) = Desk::new(clock, per_operation);
        let values = Self {
            secrets,
            desk: asking,
        };
        (values, desk)
    }

    async fn lease(&self, name: &LeaseName) -> Answer {
        let ended =
            || Refusal::new(Reason::Credential, "the run is ending").of_lease(name.as_str());
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Loan(name.clone(), answer);
        let asked = self.desk.send(asked).await;
        asked.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[async_trait]
impl Credentials for Values {
    async fn value(&self, rule: &Rule, _: &Host) -> Result<Lent, Refusal> {
        match &rule.credential {
            CredentialRef::Secret(name) => {
                self.secrets.value(name).map(Lent::from).ok_or_else(|| {
                    Refusal::new(
                        Reason::Credential,
                        format!("the secret `{name}` has no value"),
                    )
                    .by_rule(&rule.name)
                    .with_remedy(format!("Set it: fnox set {name}"))
                })
            }
            // The gateway keeps it itself.
            CredentialRef::Captured { .. } => Err(Refusal::new(
                Reason::Credential,
                format!("{} is nowhere else", rule.credential),
            )),
            CredentialRef::Lease { name, variable } => {
                let loan = self.lease(name).await?;
                let variable = variable.as_ref().map(SecretName::as_str);
                let value = one(&loan.credential, variable).ok_or_else(|| {
                    let names: Vec<&str> = loan
                        .credential
                        .variables
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let message = format!("the lease has the variables {}", names.join(", "));
                    Refusal::new(Reason::Credential, message)
                        .by_rule(&rule.name)
                        .of_lease(name.as_str())
                        .with_remedy("The rule must name one of them: `credential = \"…\"`.")
                })?;
                Ok(Lent {
                    value,
                    ended: Some(loan.ended.clone()),
                    lease: Some(loan.credential.id.clone()),
                })
            }
        }
    }

    async fn rejected(&self, lease: &str) {
        // A desk that has too much to do, or is gone, makes no other one.
        let _ = self.desk.try_send(Asked::Rejected(lease.to_owned()));
    }

    async fn aws_keys(&self, rule: &Rule, _: &Host) -> Result<Lent<AwsKeys>, Refusal> {
        let missing = |what: &str| {
            let message = format!("the lease makes no {what}, and the rule signs with it");
            Refusal::new(Reason::Credential, message).by_rule(&rule.name)
        };
        let CredentialRef::Lease { name, .. } = &rule.credential else {
            let remedy = "Name a lease of AWS keys in the rule: `lease = \"…\"`.";
            return Err(missing("AWS keys").with_remedy(remedy));
        };
        let loan = self.lease(name).await?;
        let variable = |name: &str| loan.credential.variable(name).cloned();
        let keys = AwsKeys {
            access_key_id: variable("AWS_ACCESS_KEY_ID")
                .ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")
                .ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?,
            session_token: variable("AWS_SESSION_TOKEN"),
        };
        Ok(Lent {
            value: keys,
            ended: Some(loan.ended.clone()),
            lease: Some(loan.credential.id.clone()),
        })
    }
}

/// The variable that is wanted, or the only one.
fn one(credential: &Credential, variable: Option<&str>) -> Option<SecretString> {
    match (variable, credential.variables.as_slice()) {
        (Some(name), _) => credential.variable(name).cloned(),
        (None, [(_, value)]) => Some(value.clone()),
        (None, _) => None,
    }
}
