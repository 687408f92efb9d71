//! Credentials that a run hands out while it lasts: to an SDK, to `ssh`, into requests that pass the gateway.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::audit::Outcome;
use fnox_core::{Host, LeaseName};
use fnox_gateway::injection::aws::AwsKeys;
use fnox_gateway::proxy::{Credentials, Lent};
use fnox_gateway::rule::{CredentialRef, Rule};
use fnox_gateway::{Reason, Refusal};
use fnox_leases::Held;
use fnox_leases::delivery::{Current, Unavailable};

use super::log::{LogError, Stream};
use super::{CAPTURED_USED, CREDENTIAL_CAPTURED, Detail, LEASE_USED, Recorder, SECRET_USED};
use crate::app::App;

/// By what a program gets a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The run's SSH agent.
    Agent,
    /// The run's endpoint for SDKs.
    Endpoint,
    /// A request that passed the gateway.
    Gateway,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Endpoint => "endpoint",
            Self::Gateway => "gateway",
        }
    }
}

/// What a run hands out, on record.
#[derive(Debug)]
pub(crate) struct OfRun {
    recorder: Recorder,
    stream: Stream,
}

impl OfRun {
    /// If uses are recorded.
    pub(crate) fn new(app: &App, config: &Config) -> Option<Arc<Self>> {
        let recorder = Recorder::of(app, config)?;
        let stream = Stream::new(recorder.log.clone());
        Some(Arc::new(Self { recorder, stream }))
    }

    /// Brings to the disk what was recorded; never ends.
    pub(crate) async fn keep(&self) {
        self.stream.keep().await;
    }

    /// Brings the rest to the disk.
    pub(crate) async fn finish(&self) -> Result<(), LogError> {
        self.stream.finish().await
    }

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

    async fn lease(&self, lease: &LeaseName, way: Way) -> Result<(), String> {
        let detail = Detail {
            lease: Some(lease.to_string()),
            way: Some(way.word().to_owned()),
            ..Detail::default()
        };
        let entry = self.recorder.entry(LEASE_USED, Outcome::Ok, detail);
        self.recorder.try_append(vec![entry]).await
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

/// A credential of a run, each use of which is recorded before the program gets it.
#[derive(Debug)]
pub(crate) struct RecordedCurrent {
    inner: Arc<dyn Current>,
    uses: Option<Arc<OfRun>>,
    way: Way,
}

impl RecordedCurrent {
    pub(crate) fn new(inner: Arc<dyn Current>, uses: Option<Arc<OfRun>>, way: Way) -> Arc<Self> {
        Arc::new(Self { inner, uses, way })
    }
}

#[async_trait]
impl Current for RecordedCurrent {
    fn lease(&self) -> &LeaseName {
        self.inner.lease()
    }

    fn kind(&self) -> &str {
        self.inner.kind()
    }

    async fn current(&self) -> Result<Held, Unavailable> {
        let held = self.inner.current().await?;
        let Some(uses) = &self.uses else {
            return Ok(held);
        };
        let recorded = uses.lease(self.lease(), self.way).await;
        recorded.map_err(|reason| Unavailable {
            lease: self.lease().clone(),
            ended_at: None,
            reason: format!("its use cannot be recorded: {reason}"),
        })?;
        Ok(held)
    }
}
