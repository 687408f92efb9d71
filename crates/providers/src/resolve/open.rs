//! Opening providers with what they need.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnox_config::model::Project;
use fnox_config::{Config, ProviderConfig};
use fnox_core::{Env, SecretName, SecretString, SystemClock};
use indexmap::IndexMap;

use super::error::ResolveError;
use super::{Policy, Resolver, interpolate};
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request, get};
use crate::registry::Registry;
use crate::run::{ProjectContext, Tolerated};
use crate::settings::Settings;

/// A provider that is ready for use, with its configuration.
#[derive(Debug)]
pub struct Opened {
    /// How it is configured.
    pub config: ProviderConfig,
    /// The backend.
    pub provider: Box<dyn Provider>,
}

impl Resolver<'_> {
    /// Opens a provider with the values resolved so far, once.
    pub(super) async fn open_with(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
        for_identity_of: Option<&str>,
    ) -> Result<Arc<Opened>, ResolveError> {
        if let Some(opened) = self.opened.lock().await.get(provider.name.as_str()) {
            return Ok(Arc::clone(opened));
        }
        let unusable = |error: ProviderError| unusable(provider, error);
        if self.options.offline && !provider.spec.is_local() {
            return Err(unusable(offline(provider)));
        }
        if for_identity_of == Some(provider.name.as_str()) {
            let error = ProviderError::misconfigured("its own identity would come from itself")
                .at_key("identity");
            return Err(unusable(error));
        }
        let settings = self.settings(provider, values).map_err(unusable)?;
        let identity = self.identity(provider, values).await.map_err(unusable)?;
        let context = self.context(provider, values, identity);
        let backend = Registry.open(&settings, &context).map_err(unusable)?;
        self.remember_variables(provider);
        let opened = Arc::new(Opened {
            config: provider.clone(),
            provider: backend,
        });
        self.opened
            .lock()
            .await
            .insert(provider.name.to_string(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Whether a provider's settings are right, as far as can be told without asking anybody: secrets that open it count as
    /// there, and whatever depends on their values is not judged.
    ///
    /// # Errors
    /// [`ResolveError::ProviderUnusable`] for the key that is wrong.
    pub fn examine(&self, name: &str) -> Result<(), ResolveError> {
        let provider = self.config.provider(name, None)?;
        let values: IndexMap<SecretName, SecretString> = provider
            .fields
            .secrets()
            .map(|(_, name)| (name.clone(), SecretString::from(STAND_IN)))
            .collect();
        let opened = self.settings(provider, &values).and_then(|settings| {
            let context = self.context(provider, &values, None);
            Registry.open(&settings, &context)
        });
        let Err(error) = opened else { return Ok(()) };
        let mut filled_in = provider.fields.secrets().map(|(key, _)| key);
        let is_written = error
            .key
            .is_some_and(|wrong| !filled_in.any(|key| key == wrong));
        if error.kind == ErrorKind::Misconfigured && is_written {
            return Err(unusable(provider, error));
        }
        Ok(())
    }

    /// Lets go of an opened provider: whoever asks it next opens it anew.
    pub(super) async fn close(&self, provider: &ProviderConfig) {
        let mut opened = self.opened.lock().await;
        opened.remove(provider.name.as_str());
    }

    pub(super) fn settings(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Result<Settings, ProviderError> {
        // A name that no secret has may be an environment variable.
        let mut secrets: BTreeMap<SecretName, SecretString> = BTreeMap::new();
        for (_, name) in provider.fields.secrets() {
            let found = values
                .get(name)
                .cloned()
                .or_else(|| self.options.env.secret(name.as_str()));
            secrets.extend(found.map(|value| (name.clone(), value)));
        }
        let render = |text: &str| interpolate::render(text, self.config, &self.options.env);
        Settings::new(provider.clone(), &secrets, &self.options.folders, render)
    }

    /// The age identity that another provider keeps.
    async fn identity(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Result<Option<SecretString>, ProviderError> {
        let Some(identity) = provider.fields.table("identity") else {
            return Ok(None);
        };
        let (Some(keeper), Some(reference)) = (identity.text("provider"), identity.text("value"))
        else {
            return Ok(None);
        };
        let at_key = |error: ProviderError| error.at_key("identity");
        let keeper = self
            .config
            .provider(keeper, Some(identity.location_of("provider")))
            .map_err(|error| at_key(ProviderError::misconfigured(error.to_string())))?;
        let opened = Box::pin(self.open_with(keeper, values, Some(provider.name.as_str())))
            .await
            .map_err(|error| match error {
                ResolveError::ProviderUnusable { error, .. } => at_key(error),
                error => at_key(ProviderError::misconfigured(error.to_string())),
            })?;
        // invariant: a fixed, valid name; only error messages show it.
        let Ok(name) = SecretName::parse("AGE_IDENTITY") else {
            return Ok(None);
        };
        let request = Request {
            name,
            reference: reference.to_owned(),
        };
        get(opened.provider.as_ref(), request)
            .await
            .map(Some)
            .map_err(at_key)
    }

    /// The environment, with what opens the provider on top: secrets, then the session of a login.
    pub(super) fn env_of(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Env {
        let overlay = provider.spec.variables.iter().filter_map(|variable| {
            values
                .get(*variable)
                .map(|value| ((*variable).to_owned(), value.clone()))
        });
        let env = self.options.env.with_overlay(overlay);
        let sessions = self.opening.sessions.lock().ok();
        let session = sessions.and_then(|all| all.get(provider.name.as_str()).cloned());
        env.with_overlay(session)
    }

    fn context(
        &self,
        provider: &ProviderConfig,
        values: &IndexMap<SecretName, SecretString>,
        identity: Option<SecretString>,
    ) -> Context {
        Context {
            env: self.env_of(provider, values),
            folders: self.options.folders.clone(),
            prompt: Arc::clone(&self.options.prompt),
            profile: self.config.profile_label(),
            profile_stack: self
                .config
                .profiles
                .iter()
                .map(|profile| profile.as_str().to_owned())
                .collect(),
            time_limit: self.options.time_limit,
            age_identities_file: self.config.settings.age_identities_file.clone(),
            age_recipients: self.config.settings.age_recipients.clone(),
            age_identity: identity,
            run: self.run.clone(),
            project: self.config.settings.project.as_ref().map(project),
            tolerated: self.tolerated(),
            clock: Arc::new(SystemClock),
            keys: crate::hardware::plugged_in(),
            answers: Arc::clone(&self.options.answers),
            accounts: Arc::clone(&self.options.accounts),
            plugin_sources: plugin_sources(self.config),
        }
    }

    /// Secrets whose failure does not end the run: they have a default, or somebody says that they may be missing.
    fn tolerated(&self) -> Tolerated {
        let mut tolerated = Tolerated::default();
        for (name, secret) in &self.config.secrets {
            // Others of a chain may have what one of them lacks.
            if !secret.fallbacks().is_empty() {
                tolerated.missing.insert(name.clone());
            }
            if self.options.required.contains(name) || self.options.failures_are_final {
                continue;
            }
            let flag = self.options.if_missing;
            let policy = Policy::of(secret, self.config, flag, &self.options.env);
            let has_default = secret.default.is_some();
            if has_default || !policy.stops(ErrorKind::NotFound) {
                tolerated.missing.insert(name.clone());
            }
            if has_default || !policy.stops(ErrorKind::Denied) {
                tolerated.failing.insert(name.clone());
            }
        }
        tolerated
    }

    pub(super) fn remember_variables(&self, provider: &ProviderConfig) {
        if provider.keep_env {
            return;
        }
        if let Ok(mut names) = self.opening.variables.lock() {
            names.extend(provider.spec.credentials().map(str::to_owned));
            names.extend(provider.fields.secrets().map(|(_, name)| name.to_string()));
        }
    }
}

/// In the place of a value that nobody is asked for.
const STAND_IN: &str = "stand-in";

fn unusable(provider: &ProviderConfig, error: ProviderError) -> ResolveError {
    ResolveError::ProviderUnusable {
        provider: provider.name.to_string(),
        location: match error.key {
            Some(key) => provider.fields.location_of(key).clone(),
            None => provider.fields.location().clone(),
        },
        error,
    }
}

fn offline(provider: &ProviderConfig) -> ProviderError {
    ProviderError::unavailable(format!(
        "{} needs the network, and this run is offline",
        provider.spec.label
    ))
    .with_remedy(
        "run `fnox sync` while the network is there: it keeps encrypted copies in fnox.toml",
    )
}

/// Where installed plugins are to come from.
fn plugin_sources(config: &Config) -> BTreeMap<String, String> {
    let plugins = config.settings.plugins.iter();
    plugins
        .map(|(name, (source, _))| (name.clone(), source.clone()))
        .collect()
}

fn project(project: &Project) -> ProjectContext {
    ProjectContext {
        name: project.name.clone(),
        writers: project.fields.list("writers").to_vec(),
        min_versions: project.fields.opaque("min_versions").map_or_else(
            || Ok(BTreeMap::new()),
            |item| {
                let table = item.as_table_like().ok_or("it is not a table of numbers")?;
                table
                    .iter()
                    .map(|(key, value)| {
                        let version = value.as_integer().and_then(|it| u64::try_from(it).ok());
                        version
                            .map(|version| (key.to_owned(), version))
                            .ok_or_else(|| {
                                format!("`{}` is not a whole number", key.escape_debug())
                            })
                    })
                    .collect()
            },
        ),
    }
}
