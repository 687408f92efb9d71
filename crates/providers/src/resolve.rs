//! From "these secrets" to values.
//!
//! A [`Resolver`] first makes a plan: which other secrets the wanted ones need (for a provider's keys, for
//! the variables that open it, for `${NAME}` in a default), and in which order. Secrets of one level that
//! share a provider are fetched as one batch, at most ten providers at a time. For each secret the order
//! of sources is: its providers in the order in which it names them, `default`, the environment variable of the same
//! name. What happens when all of them have nothing is [`Policy`]'s business.
//!
//! Nothing that the plan does not need is touched, and the process's own environment is never written:
//! providers get an overlay.

mod batch;
mod chain;
mod error;
mod interpolate;
mod kept;
mod login;
mod open;
mod original;
mod plan;
mod policy;
mod template;
mod uses;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fnox_config::{Config, Folders};
use fnox_core::prompt::Prompt;
use fnox_core::{Env, ProviderName, SecretName, SecretString};
use indexmap::IndexMap;

use crate::accounts::Accounts;
use crate::hardware::Answers;
use crate::provider::Request;
use crate::run::RunRequest;

pub use self::error::ResolveError;
pub use self::interpolate::{references as default_references, render as rendered};
pub use self::kept::{Keeping, KeptValues};
pub use self::open::Opened;
pub use self::original::{Given, Original, Originals, Purpose};
pub use self::policy::Policy;
pub use self::uses::{UseRecorder, Used};

/// What a run brings along for resolving.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment at start.
    pub env: Env,
    /// fnox's folders.
    pub folders: Folders,
    /// The person at the terminal, if there is one.
    pub prompt: Arc<dyn Prompt>,
    /// Logs in at clouds.
    pub accounts: Arc<dyn Accounts>,
    /// What hardware keys answered, shared by all resolvers that are given the same ones.
    pub answers: Arc<Answers>,
    /// `--if-missing`.
    pub if_missing: Option<fnox_config::IfMissing>,
    /// Whether a provider's login command may be offered.
    pub prompt_auth: bool,
    /// Time limit of one call of a provider.
    pub time_limit: Duration,
    /// Treat a provider's failure as final, whatever `if_missing` says: for a single value that was
    /// asked for by name.
    pub failures_are_final: bool,
    /// Ask only providers that need no network; the others fail as if they were not reachable.
    pub offline: bool,
    /// Secrets without which the run does not go on, whatever `if_missing` says.
    pub required: BTreeSet<SecretName>,
    /// Values that earlier runs fetched, if they are to be used. `None`: every value is fetched anew.
    pub kept: Option<Arc<dyn KeptValues>>,
    /// Who keeps a record of used values, if anybody does. What cannot be recorded is not given out.
    pub uses: Option<Arc<dyn UseRecorder>>,
}

/// Resolves secrets of one configuration. Providers are opened once and reused.
#[derive(Debug)]
pub struct Resolver<'a> {
    config: &'a Config,
    options: Options,
    opened: tokio::sync::Mutex<BTreeMap<String, Arc<Opened>>>,
    opening: Opening,
    run: Option<RunRequest>,
}

/// What was used to open providers.
#[derive(Debug, Default)]
struct Opening {
    /// Variables and secrets.
    variables: std::sync::Mutex<BTreeSet<String>>,
    /// What a login printed, by provider: a variable and its value.
    sessions: std::sync::Mutex<BTreeMap<String, (String, SecretString)>>,
}

/// Something worth telling that did not stop the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The secret it is about.
    pub secret: SecretName,
    /// The whole message.
    pub message: String,
}

/// What came of resolving.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Values in the order of the configuration; dependencies included.
    pub values: IndexMap<SecretName, SecretString>,
    /// Secrets without a value.
    pub missing: Vec<SecretName>,
    /// Secrets that are missing, or have only their default, because a provider could not be asked.
    pub unavailable: Vec<SecretName>,
    /// What to tell the person.
    pub notices: Vec<Notice>,
    /// Whether a provider's failure is final, whatever `if_missing` says.
    failures_are_final: bool,
    /// Secrets whose value a provider gave in this run, and which one.
    fetched: Vec<(SecretName, ProviderName)>,
}

impl Resolution {
    /// The provider that gave a value in this run.
    #[must_use]
    pub fn giver(&self, name: &SecretName) -> Option<&ProviderName> {
        let mut fetched = self.fetched.iter();
        fetched.find_map(|(it, provider)| (it == name).then_some(provider))
    }
}

impl<'a> Resolver<'a> {
    /// A resolver for a configuration.
    #[must_use]
    pub fn new(config: &'a Config, options: Options) -> Self {
        Self {
            config,
            options,
            opened: tokio::sync::Mutex::new(BTreeMap::new()),
            opening: Opening::default(),
            run: None,
        }
    }

    /// Tells providers that ask a person which run it is for.
    #[must_use]
    pub fn for_run(mut self, run: RunRequest) -> Self {
        self.run = Some(run);
        self
    }

    /// The provider that a secret comes from, and what it would be asked for. `None`: it comes from no provider.
    ///
    /// # Errors
    /// [`ResolveError`] for an unknown name.
    pub fn source(
        &self,
        name: &SecretName,
    ) -> Result<Option<(ProviderName, Request)>, ResolveError> {
        let secret = self.config.secret(name.as_str())?;
        let found = plan::source(self.config, secret);
        Ok(found.map(|(provider, reference)| {
            let request = Request {
                name: name.clone(),
                reference,
            };
            (provider, request)
        }))
    }

    /// Resolves secrets and whatever they depend on.
    ///
    /// # Errors
    /// [`ResolveError`] for the first secret that stops the run.
    pub async fn resolve(&self, wanted: &[SecretName]) -> Result<Resolution, ResolveError> {
        self.resolve_with(wanted, self.options.failures_are_final)
            .await
    }

    /// The same, but a provider that fails stops the run whatever `if_missing` says: for secrets without
    /// which the run would quietly do something else.
    ///
    /// # Errors
    /// [`ResolveError`] for the first secret that stops the run.
    pub async fn resolve_or_stop(&self, wanted: &[SecretName]) -> Result<Resolution, ResolveError> {
        self.resolve_with(wanted, true).await
    }

    async fn resolve_with(
        &self,
        wanted: &[SecretName],
        failures_are_final: bool,
    ) -> Result<Resolution, ResolveError> {
        let mut resolution = Resolution {
            failures_are_final,
            values: self.find_kept(wanted).await?,
            ..Resolution::default()
        };
        let kept: Vec<SecretName> = resolution.values.keys().cloned().collect();
        let levels = plan::levels(self.config, wanted, &resolution.values)?;
        tracing::debug!(
            "resolving {} secrets in {} steps",
            levels.iter().map(Vec::len).sum::<usize>(),
            levels.len()
        );
        self.resolve_levels(&levels, &mut resolution, &BTreeSet::new())
            .await?;
        self.record(&resolution, &kept).await?;
        self.keep_fetched(&resolution).await;
        let position = |name: &SecretName| self.config.secrets.get_index_of(name);
        resolution
            .values
            .sort_by(|one, _, two, _| position(one).cmp(&position(two)));
        Ok(resolution)
    }

    /// Opens a provider, with whatever secrets that takes.
    ///
    /// # Errors
    /// [`ResolveError`] if a secret that opens it has no value, or its configuration is wrong.
    pub async fn open(&self, name: &str) -> Result<Arc<Opened>, ResolveError> {
        let provider = self.config.provider(name, None)?;
        let needed = plan::needs_of_provider(self.config, provider);
        let resolution = self.resolve(&needed).await?;
        self.open_with(provider, &resolution.values, None).await
    }

    /// The credentials with which providers were opened so far, as names of variables. None of them may
    /// reach the program, unless their provider says `keep_env`.
    #[must_use]
    pub fn opened_with(&self) -> BTreeSet<String> {
        self.opening
            .variables
            .lock()
            .map(|names| names.clone())
            .unwrap_or_default()
    }

    /// Names of all secrets that resolving `wanted` touches, `wanted` included.
    ///
    /// # Errors
    /// [`ResolveError`] for an unknown name or a cycle.
    pub fn closure(&self, wanted: &[SecretName]) -> Result<BTreeSet<SecretName>, ResolveError> {
        Ok(plan::levels(self.config, wanted, &IndexMap::new())?
            .into_iter()
            .flatten()
            .collect())
    }
}

#[cfg(test)]
mod tests;
