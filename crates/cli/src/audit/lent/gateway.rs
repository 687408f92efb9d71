//! What a gateway puts into requests, and what it takes out of answers.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::Host;
use fnox_core::audit::Outcome;
use fnox_gateway::injection::aws::AwsKeys;
use fnox_gateway::proxy::{Credentials, Lent};
use fnox_gateway::rule::{CredentialRef, Rule};
use fnox_gateway::{Reason, Refusal};

use super::{OfRun, Way};
use crate::audit::{CAPTURED_USED, CREDENTIAL_CAPTURED, Detail, LEASE_USED, SECRET_USED};

impl OfRun {
    /// A credential that `rule` puts into a request.
    async fn request(&self, rule: &Rule, host: &Host) -> Result<(), Refusal> {
        let mut detail = Detail::default();
        let (event, secret) = match &rule.credential {
            CredentialRef::Secret(name) => (SECRET_USED, Some(name.to_string())),
            CredentialRef::Lease { name, .. } => {
                detail.lease = Some(name.to_string());
                (LEASE_USED, None)
            }
            CredentialRef::Captured { .. } => (CAPTURED_USED, None),
        };
        let recorded = self.gateway(event, rule, host, (secret, detail)).await;
        recorded.map_err(|reason| refused(rule, &format!("its use cannot be recorded: {reason}")))
    }

    /// Credentials that `rule` took out of an answer, by the names of their members.
    async fn captured(&self, rule: &Rule, host: &Host, members: &[&str]) -> Result<(), Refusal> {
        for member in members {
            let detail = Detail {
                to: Some((*member).to_owned()),
                ..Detail::default()
            };
            let recorded = self.gateway(CREDENTIAL_CAPTURED, rule, host, (None, detail));
            recorded.await.map_err(|reason| {
                let what = format!("what the answer brought cannot be recorded: {reason}");
                refused(rule, &what)
            })?;
        }
        Ok(())
    }

    /// What the gateway does by a rule.
    async fn gateway(
        &self,
        event: &str,
        rule: &Rule,
        host: &Host,
        (secret, mut detail): (Option<String>, Detail),
    ) -> Result<(), String> {
        detail.way = Some(Way::Gateway.word().to_owned());
        let mut entry = self.recorder.entry(event, Outcome::Ok, detail);
        entry.secret = secret;
        entry.host = Some(host.to_string());
        entry.rule = Some(rule.name.clone());
        self.stream.record(entry).await
    }
}

fn refused(rule: &Rule, message: &str) -> Refusal {
    Refusal::new(Reason::Credential, message)
        .by_rule(&rule.name)
        .with_remedy("The local log must be writable as long as it is on: `fnox audit --path` tells where it is.")
}

/// A gateway's values, each use of which is recorded before the request gets it.
#[derive(Debug)]
pub(crate) struct RecordedCredentials<C> {
    pub(crate) inner: C,
    pub(crate) uses: Arc<OfRun>,
}

#[async_trait]
impl<C: Credentials> Credentials for RecordedCredentials<C> {
    async fn value(&self, rule: &Rule, host: &Host) -> Result<Lent, Refusal> {
        let lent = self.inner.value(rule, host).await?;
        self.uses.request(rule, host).await?;
        Ok(lent)
    }

    async fn aws_keys(&self, rule: &Rule, host: &Host) -> Result<Lent<AwsKeys>, Refusal> {
        let keys = self.inner.aws_keys(rule, host).await?;
        self.uses.request(rule, host).await?;
        Ok(keys)
    }

    async fn captured(&self, rule: &Rule, host: &Host, members: &[&str]) -> Result<(), Refusal> {
        self.inner.captured(rule, host, members).await?;
        self.uses.captured(rule, host, members).await
    }

    async fn uses_captured(&self, rule: &Rule, host: &Host) -> Result<(), Refusal> {
        self.inner.uses_captured(rule, host).await?;
        self.uses.request(rule, host).await
    }
}
