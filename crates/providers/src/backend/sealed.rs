//! Values that a hardware key opens, and what they are bound to.

use fnox_core::{SecretName, SecretString};

use super::binding::{self, Binding};
use crate::error::ProviderError;
use crate::hardware::sealing::{SealingKey, Unopened};
use crate::provider::{Context, Request};
use crate::settings::Settings;

/// How a provider writes values, and which it reads.
#[derive(Debug)]
pub(in crate::backend) struct Sealed {
    /// What new values are bound to; `None` without `bind_names`.
    binding: Option<Binding>,
    accepted: Binding,
}

impl Sealed {
    pub(in crate::backend) fn new(settings: &Settings, context: &Context) -> Self {
        let binds = settings.fields().flag("bind_names").unwrap_or(false);
        Self {
            binding: binds.then(|| Binding::of(context)),
            accepted: Binding::of(context),
        }
    }

    /// Whether values that are bound to nothing are read.
    pub(in crate::backend) fn takes_unbound(&self) -> bool {
        self.binding.is_none()
    }

    pub(in crate::backend) fn open_all(
        &self,
        key: &SealingKey,
        requests: &[Request],
        unbound_too: bool,
        unopened: fn(Unopened) -> ProviderError,
    ) -> Vec<Result<SecretString, ProviderError>> {
        requests
            .iter()
            .map(|request| {
                let plaintext = key.open(&request.reference).map_err(unopened)?;
                let value = self
                    .accepted
                    .unwrap(&request.name, &plaintext, unbound_too)?;
                std::str::from_utf8(value)
                    .map(SecretString::from)
                    .map_err(|_| ProviderError::misconfigured("the value is not UTF-8 text"))
            })
            .collect()
    }

    pub(in crate::backend) fn seal_all(
        &self,
        key: &SealingKey,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        values
            .iter()
            .map(|(name, value)| {
                let plaintext = match &self.binding {
                    Some(binding) => binding.wrap(name, value),
                    None => binding::unbound(name, value)?,
                };
                key.seal(plaintext.expose_secret())
                    .ok_or_else(|| ProviderError::unavailable("the system gives no randomness"))
            })
            .collect()
    }
}
