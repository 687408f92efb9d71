//! Values that a hardware key opens, and what they are bound to.

use std::fmt;

use async_trait::async_trait;
use fnox_core::{SecretName, SecretString};
use tokio::sync::OnceCell;

use super::binding::{self, Binding};
use crate::error::ProviderError;
use crate::hardware::sealing::{SealingKey, Unopened};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// A device that makes the key of a provider's values.
#[async_trait]
pub(in crate::backend) trait Device: Send + Sync + fmt::Debug {
    /// Asks it for the key. A person may have to touch it.
    async fn ask(&self) -> Result<SealingKey, ProviderError>;

    /// Whether it is there. Nobody is asked.
    fn check(&self) -> Result<(), ProviderError>;

    /// Why its key does not open a value.
    fn unopened(&self, error: Unopened) -> ProviderError;
}

/// Values that a device opens, which is asked once for all of them.
#[derive(Debug)]
pub(in crate::backend) struct SealedBy<D> {
    device: D,
    key: OnceCell<SealingKey>,
    /// What new values are bound to; `None` without `bind_names`.
    binding: Option<Binding>,
    accepted: Binding,
}

impl<D: Device> SealedBy<D> {
    pub(in crate::backend) fn new(device: D, settings: &Settings, context: &Context) -> Self {
        let binds = settings.fields().flag("bind_names").unwrap_or(false);
        Self {
            device,
            key: OnceCell::new(),
            binding: binds.then(|| Binding::of(context)),
            accepted: Binding::of(context),
        }
    }

    async fn key(&self) -> Result<&SealingKey, ProviderError> {
        self.key.get_or_try_init(|| self.device.ask()).await
    }

    async fn open_all(
        &self,
        requests: &[Request],
        unbound_too: bool,
    ) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.key().await {
            Ok(key) => requests
                .iter()
                .map(|request| self.open(key, request, unbound_too))
                .collect(),
            Err(error) => vec![Err(error); requests.len()],
        }
    }

    fn open(
        &self,
        key: &SealingKey,
        request: &Request,
        unbound_too: bool,
    ) -> Result<SecretString, ProviderError> {
        let plaintext = key
            .open(&request.reference)
            .map_err(|error| self.device.unopened(error))?;
        let value = self
            .accepted
            .unwrap(&request.name, &plaintext, unbound_too)?;
        std::str::from_utf8(value)
            .map(SecretString::from)
            .map_err(|_| ProviderError::misconfigured("the value is not UTF-8 text"))
    }

    fn seal(
        &self,
        key: &SealingKey,
        name: &SecretName,
        value: &SecretString,
    ) -> Result<String, ProviderError> {
        let plaintext = match &self.binding {
            Some(binding) => binding.wrap(name, value),
            None => binding::unbound(name, value)?,
        };
        key.seal(plaintext.expose_secret())
            .ok_or_else(|| ProviderError::unavailable("the system gives no randomness"))
    }
}

#[async_trait]
impl<D: Device> Provider for SealedBy<D> {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        // Without `bind_names`, values that are bound to nothing are read.
        self.open_all(requests, self.binding.is_none()).await
    }

    async fn get_to_reencrypt(
        &self,
        requests: &[Request],
    ) -> Vec<Result<SecretString, ProviderError>> {
        self.open_all(requests, true).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.device.check()
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let key = self.key().await?;
        values
            .iter()
            .map(|(name, value)| self.seal(key, name, value))
            .collect()
    }
}
