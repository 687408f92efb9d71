//! A device: from its configuration, or by a one-time token ("One Time Access Token").

use std::path::Path;
use std::time::Duration;

use fnox_core::SecretString;

use super::client::{Client, Purpose};
use super::config::{Device, Stored};
use super::place::{Making, Place, has_pending};
use crate::error::ProviderError;

const NEW_TOKEN: &str = "make a one-time token in Keeper (Secrets Manager, the application, Devices, Add Device), and set KSM_TOKEN";

/// What the configuration and the environment give.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) token: Option<SecretString>,
    pub(super) time_limit: Duration,
}

impl Given {
    /// The device, which a one-time token makes if there is none yet.
    pub(super) async fn device(&self, client: &Client) -> Result<Device, ProviderError> {
        if let Some(device) = self.bound()? {
            return Ok(device);
        }
        let there = self.place.read()?;
        let Place::File { path, .. } = &self.place else {
            return Err(not_whole());
        };
        let is_pending = there.as_ref().is_some_and(Stored::is_pending) || has_pending(path);
        if self.token.is_none() && !is_pending {
            return Err(self.missing(there.is_some()));
        }
        self.bind(path, client).await
    }

    /// The device of a configuration that is whole. Nothing is changed, and no token used.
    pub(super) fn bound(&self) -> Result<Option<Device>, ProviderError> {
        match self.place.read()? {
            Some(stored) if stored.is_bound() => stored.device().map(Some),
            _ => Ok(None),
        }
    }

    /// Why a device that is not bound cannot be asked.
    pub(super) fn unbound(&self) -> ProviderError {
        match self.place.read() {
            Ok(there) if self.token.is_none() => self.missing(there.is_some()),
            Ok(_) => ProviderError::authentication("the one-time token for Keeper is not used yet")
                .with_remedy("read a secret, such as with `fnox get NAME`: that binds this device"),
            Err(error) => error,
        }
    }

    async fn bind(&self, path: &Path, client: &Client) -> Result<Device, ProviderError> {
        let making = Making::begin(path, self.time_limit).await?;
        let there = making.made()?;
        if let Some(stored) = there.as_ref().filter(|stored| stored.is_bound()) {
            return stored.device();
        }
        let draft = self.draft(&making, there)?;
        let unbound = draft.unbound()?;
        let answer = client.get(unbound.caller(), None, Purpose::Bind).await;
        let answer = answer.inspect_err(|error| {
            if error.kind == crate::error::ErrorKind::AuthenticationNeeded {
                making.forget_pending();
            }
        })?;
        let app_key = answer.body.encrypted_app_key.as_deref();
        let app_key = app_key.and_then(|sealed| unbound.token.unwrap(sealed));
        let app_key = app_key.ok_or_else(|| {
            making.forget_pending();
            ProviderError::authentication(
                "Keeper gave no key of the application for the one-time token: it was used before",
            )
            .with_remedy(NEW_TOKEN)
        })?;
        let bound = draft.bound(
            &app_key,
            answer.body.app_owner_public_key,
            &answer.server_key,
        );
        making.finish(&bound)?;
        tracing::info!("this device is bound: {}", path.display());
        bound.device()
    }

    /// The device to be: that of an earlier run which used the token and got no answer, or a new one.
    fn draft(&self, making: &Making<'_>, there: Option<Stored>) -> Result<Stored, ProviderError> {
        let is_same = |stored: &Stored| {
            stored.is_pending() && (self.token.as_ref()).is_none_or(|token| stored.is_for(token))
        };
        if let Some(stored) = making.pending()?.filter(is_same) {
            return Ok(stored);
        }
        // Keeper's own clients keep it in the configuration itself.
        let there = match there {
            Some(stored) if is_same(&stored) => return Ok(stored),
            there => there,
        };
        let token = self.token.as_ref().ok_or_else(|| self.missing(true))?;
        let draft = Stored::of_token(token, there)?;
        making.keep_pending(&draft)?;
        Ok(draft)
    }

    fn missing(&self, is_there: bool) -> ProviderError {
        match &self.place {
            Place::File { path, .. } if is_there => ProviderError::misconfigured(format!(
                "the configuration {} is of no device: `appKey` is missing, and there is no one-time token",
                path.display()
            ))
            .with_remedy(NEW_TOKEN)
            .at_key("config_file"),
            Place::File {
                path,
                is_named: true,
            } => ProviderError::misconfigured(format!(
                "there is no configuration {}",
                path.display()
            ))
            .with_remedy(format!("correct the path, or {NEW_TOKEN}: it makes the file"))
            .at_key("config_file"),
            _ => ProviderError::authentication(
                "there is neither a configuration nor a one-time token for Keeper Secrets Manager",
            )
            .with_remedy(format!("set `config_file` or KSM_CONFIG, or {NEW_TOKEN}")),
        }
    }
}

/// A variable cannot be filled.
fn not_whole() -> ProviderError {
    ProviderError::misconfigured(
        "the configuration in FNOX_KEEPER_CONFIG or KSM_CONFIG is of no device: `appKey` is missing",
    )
    .with_remedy("download it again in Keeper, or name a file that a one-time token fills: `config_file`")
}
