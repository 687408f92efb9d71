//! Credentials that a run hands out while it lasts: to an SDK, to `ssh`, into requests that pass the gateway.

#[cfg(unix)]
mod gateway;

use std::sync::Arc;

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::LeaseName;
use fnox_core::audit::Outcome;
use fnox_leases::Held;
use fnox_leases::delivery::{Current, Unavailable};

#[cfg(unix)]
pub(crate) use self::gateway::RecordedCredentials;
use super::log::{LogError, Stream};
use super::{Detail, LEASE_USED, Recorder};
use crate::app::App;

/// By what a program gets a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The run's SSH agent.
    Agent,
    /// The run's endpoint for SDKs.
    Endpoint,
    /// A request that passed the gateway.
    #[cfg(unix)]
    Gateway,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Endpoint => "endpoint",
            #[cfg(unix)]
            Self::Gateway => "gateway",
        }
    }
}

/// What a run hands out, on record.
#[derive(Debug)]
pub(crate) struct OfRun {
    pub(super) recorder: Recorder,
    pub(super) stream: Stream,
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
