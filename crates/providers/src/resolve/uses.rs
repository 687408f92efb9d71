//! Telling somebody which values a run used.

use std::fmt::Debug;

use async_trait::async_trait;
use fnox_config::Config;
use fnox_core::{ProviderName, SecretName};

use super::error::ResolveError;
use super::{Resolution, Resolver, plan};

/// A value that came from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The secret.
    pub secret: SecretName,
    /// The provider that keeps it.
    pub provider: ProviderName,
    /// Whether an earlier run fetched it.
    pub kept: bool,
}

/// Keeps a record of used values.
#[async_trait]
pub trait UseRecorder: Send + Sync + Debug {
    /// Records them. The error is the reason why that was not possible; the values are then not given out.
    async fn record(&self, config: &Config, used: &[Used]) -> Result<(), String>;
}

impl Resolver<'_> {
    /// Records what providers gave, in this run or, for those in `kept`, in an earlier one. Defaults and variables of
    /// the environment are nobody's secrets.
    pub(super) async fn record(
        &self,
        resolution: &Resolution,
        kept: &[SecretName],
    ) -> Result<(), ResolveError> {
        let Some(recorder) = &self.options.uses else {
            return Ok(());
        };
        let fetched = resolution.fetched.iter().map(|(name, provider)| Used {
            secret: name.clone(),
            provider: provider.clone(),
            kept: false,
        });
        // Of a chain, which provider gave a value in that earlier run is not known any more.
        let kept = kept.iter().filter_map(|name| {
            let secret = self.config.secrets.get(name)?;
            let (provider, _) = plan::source(self.config, secret)?;
            Some(Used {
                secret: name.clone(),
                provider,
                kept: true,
            })
        });
        let all: Vec<Used> = fetched.chain(kept).collect();
        if all.is_empty() {
            return Ok(());
        }
        recorder
            .record(self.config, &all)
            .await
            .map_err(|reason| ResolveError::NotRecorded { reason })
    }
}
