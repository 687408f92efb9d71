//! The secrets of a `fnox.toml`, lent under the vault's policy (`vault serve --from-project`).
//!
//! Each use asks the secret's own provider. Secrets that never go to programs (`env = false`) are not lent
//! either. Programs that providers run do not get the vault's own key.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_config::{Config, EnvMode};
use fnox_core::{Clock as _, SecretBytes, SecretName, VaultName};
use fnox_providers::resolve::{Options, Resolver};
use fnox_vault::key_source::KeySourceSpec;
use fnox_vault::store::{LiveSecrets, StoreError};
use fnox_vault_wire::SecretId;
use fnox_vault_wire::methods::{SecretKind, SecretMetadata};

use crate::app::{App, block_on};
use crate::error::CliError;

/// A project's secrets.
#[derive(Debug)]
pub(crate) struct ProjectSecrets {
    inner: Arc<Inner>,
    metadata: Vec<SecretMetadata>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    options: Options,
    place: String,
}

impl ProjectSecrets {
    /// Reads the configuration; no provider is asked yet. `key` is where the vault's key is.
    pub(crate) fn new(app: &App, key: &KeySourceSpec) -> Result<Self, CliError> {
        let config = app.load()?;
        let mut options = app.resolver_options(&config);
        if let KeySourceSpec::Env(variable) = key {
            options.env = options.env.without(&[variable]);
        }
        options.prompt_auth = false;
        options.prompt = Arc::new(fnox_core::prompt::NoPrompt);
        let now = app.clock.now();
        let mut metadata: Vec<SecretMetadata> = config
            .secrets
            .values()
            .filter(|secret| secret.env != EnvMode::Never)
            .map(|secret| SecretMetadata {
                id: SecretId::generate(),
                name: secret.name.to_string(),
                kind: SecretKind::Opaque,
                description: secret.description.clone(),
                created_at: now,
                updated_at: now,
                version: 1,
                tags: std::collections::BTreeMap::new(),
                algorithm: None,
            })
            .collect();
        metadata.sort_by(|one, two| one.name.cmp(&two.name));
        let last = config.files.last();
        let place = last.map_or_else(String::new, |file| file.path.display().to_string());
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                options,
                place,
            }),
            metadata,
        })
    }
}

#[async_trait]
impl LiveSecrets for ProjectSecrets {
    fn describe(&self) -> String {
        self.inner.place.clone()
    }

    async fn list(&self) -> Result<Vec<SecretMetadata>, StoreError> {
        Ok(self.metadata.clone())
    }

    async fn value(&self, name: &VaultName) -> Result<Option<SecretBytes>, StoreError> {
        if !self.metadata.iter().any(|one| one.name == name.as_str()) {
            return Ok(None);
        }
        let Ok(name) = SecretName::parse(name.as_str()) else {
            return Ok(None);
        };
        let inner = Arc::clone(&self.inner);
        // Providers run programs and wait for keychains: on a thread of their own.
        let work = tokio::task::spawn_blocking(move || inner.resolve(&name));
        work.await
            .unwrap_or_else(|_| Err(self.inner.unavailable("its provider ended".to_owned())))
    }
}

impl Inner {
    fn resolve(&self, name: &SecretName) -> Result<Option<SecretBytes>, StoreError> {
        let work = async {
            let resolver = Resolver::new(&self.config, self.options.clone());
            resolver.resolve(std::slice::from_ref(name)).await
        };
        let resolution = block_on(work)
            .map_err(|error| self.unavailable(error.to_string()))?
            .map_err(|error| self.unavailable(error.to_string()))?;
        let value = resolution.values.get(name);
        Ok(value.map(|value| SecretBytes::new(value.expose_secret().as_bytes().to_vec())))
    }

    fn unavailable(&self, problem: String) -> StoreError {
        StoreError::Unavailable {
            store: self.place.clone(),
            problem,
        }
    }
}
