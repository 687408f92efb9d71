//! `keychain`: entries of the desktop's keychain.
//!
//! An entry has the `service` of the provider and the account `prefix` + reference; see
//! [`Keychain`] for how it is reached.

use async_trait::async_trait;
use fnox_core::SecretString;

use crate::error::ProviderError;
use crate::keychain::Keychain;
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. The bus is not contacted yet.
///
/// # Errors
/// None today.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(KeychainEntries {
        service: settings.text("service").unwrap_or("fnox").to_owned(),
        prefix: settings.text("prefix").unwrap_or_default().to_owned(),
        keychain: Keychain::new(
            &context.env,
            context.prompt.is_interactive(),
            context.time_limit,
        ),
    }))
}

#[derive(Debug)]
struct KeychainEntries {
    service: String,
    prefix: String,
    keychain: Keychain,
}

impl KeychainEntries {
    fn account(&self, reference: &str) -> Result<String, ProviderError> {
        let account = format!("{}{reference}", self.prefix);
        // D-Bus strings have no NUL.
        if reference.is_empty() || account.contains('\0') {
            return Err(ProviderError::misconfigured(format!(
                "the reference `{}` names no entry",
                reference.escape_debug()
            )));
        }
        Ok(account)
    }
}

#[async_trait]
impl Provider for KeychainEntries {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let accounts: Vec<_> = requests
            .iter()
            .map(|request| self.account(&request.reference))
            .collect();
        let names: Vec<&str> = accounts.iter().flatten().map(String::as_str).collect();
        let mut values = if names.is_empty() {
            Vec::new()
        } else {
            self.keychain.get_many(&self.service, &names).await
        }
        .into_iter();
        accounts
            .into_iter()
            .map(|account| {
                let account = account?;
                values
                    .next()
                    .unwrap_or_else(|| Err(ProviderError::not_found(&account)))
            })
            .collect()
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.keychain.check().await
    }

    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let account = self.account(reference)?;
        self.keychain.set(&self.service, &account, value).await?;
        Ok(reference.to_owned())
    }

    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let account = self.account(reference)?;
        self.keychain.delete(&self.service, &account).await
    }
}
