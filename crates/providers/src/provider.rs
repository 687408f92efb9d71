//! The trait that every backend implements.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::Folders;
use fnox_core::prompt::Prompt;
use fnox_core::{Clock, Env, SecretName, SecretString, SystemClock};
use fnox_http::Limits;

use crate::accounts::{Accounts, NoAccounts};
use crate::error::ProviderError;
use crate::hardware::keys::HardwareKeys;
use crate::hardware::{self, Answers, SecurityKeys};
use crate::run::{ProjectContext, RunRequest, Tolerated};

/// The base profile's name.
const BASE_PROFILE: &str = "default";

/// One value that is wanted from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The secret it is for. Backends that bind values to names check it.
    pub name: SecretName,
    /// The ciphertext, or the reference under which the provider knows the value.
    pub reference: String,
}

/// Reads a batch by one piece of work that has nothing of the batch but its references. If that fails as a whole, so does
/// every value; without requests it is not begun.
pub(crate) async fn read_at_once<R, F>(
    requests: &[Request],
    read: R,
) -> Vec<Result<SecretString, ProviderError>>
where
    R: FnOnce(Vec<String>) -> F,
    F: Future<Output = Result<Vec<Result<SecretString, ProviderError>>, ProviderError>>,
{
    if requests.is_empty() {
        return Vec::new();
    }
    let references = requests.iter().map(|request| request.reference.clone());
    read(references.collect())
        .await
        .unwrap_or_else(|error| vec![Err(error); requests.len()])
}

/// What a backend may use of the world around it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The environment, with the secrets on top that open this provider.
    pub env: Env,
    /// fnox's folders.
    pub folders: Folders,
    /// The person at the terminal, if there is one.
    pub prompt: Arc<dyn Prompt>,
    /// The active profiles as one word. New bound values are bound to it, so whoever writes a value
    /// passes the profile whose table it goes to; `default` is the base.
    pub profile: String,
    /// Every profile that takes part, inherited ones too: values bound to one of them are accepted.
    pub profile_stack: Vec<String>,
    /// Time limit of one call of a provider's CLI or service.
    pub time_limit: Duration,
    /// `[age] identities_file` of the global file.
    pub age_identities_file: Option<PathBuf>,
    /// `[age] recipients` of the global file, for providers that list none.
    pub age_recipients: Vec<String>,
    /// The identity that another provider keeps for this one, fetched already.
    pub age_identity: Option<SecretString>,
    /// What asks, for providers that tell somebody. `None`: nobody is told anything.
    pub run: Option<RunRequest>,
    /// What `[project]` says, for providers whose values belong to one.
    pub project: Option<ProjectContext>,
    /// Secrets without which the run goes on.
    pub tolerated: Tolerated,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The hardware keys that are plugged in.
    pub keys: Arc<dyn SecurityKeys>,
    /// What they answered, if that is shared with other openings of the same provider.
    pub answers: Arc<Answers>,
    /// Logs in at clouds.
    pub accounts: Arc<dyn Accounts>,
    /// `[plugins]`: where installed plugins are to come from.
    pub plugin_sources: BTreeMap<String, String>,
}

impl Context {
    /// A context of the base profile, with a time limit of 30 s, without defaults for `age` and without logins at clouds.
    #[must_use]
    pub fn new(env: Env, folders: Folders, prompt: Arc<dyn Prompt>) -> Self {
        Self {
            env,
            folders,
            prompt,
            profile: "default".to_owned(),
            profile_stack: Vec::new(),
            time_limit: Duration::from_secs(30),
            age_identities_file: None,
            age_recipients: Vec::new(),
            age_identity: None,
            run: None,
            project: None,
            tolerated: Tolerated::default(),
            clock: Arc::new(SystemClock),
            keys: hardware::plugged_in(),
            answers: Arc::default(),
            accounts: Arc::new(NoAccounts),
            plugin_sources: BTreeMap::new(),
        }
    }

    /// The profile to which a new value is bound; `default` is the base.
    #[must_use]
    pub fn profile_of_new_values(&self) -> String {
        match self.profile.as_str() {
            "" => BASE_PROFILE.to_owned(),
            profile => profile.to_owned(),
        }
    }

    /// The profiles whose bound values are accepted: those that take part, and the base.
    #[must_use]
    pub fn profiles_of_old_values(&self) -> Vec<String> {
        let profile = self.profile_of_new_values();
        let mut accepted = self.profile_stack.clone();
        accepted.extend(profile.split(',').map(str::to_owned));
        accepted.push(profile);
        accepted.push(BASE_PROFILE.to_owned());
        accepted
    }

    /// The limits of one operation over HTTP.
    #[must_use]
    pub fn http_limits(&self) -> Limits {
        Limits::new(self.time_limit.min(Duration::from_secs(5)), self.time_limit)
    }

    /// The time limit of a call in which a person may have to type or touch something: two minutes if
    /// there is a person, else the ordinary one.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.prompt.is_interactive() {
            self.time_limit.max(Duration::from_mins(2))
        } else {
            self.time_limit
        }
    }
}

/// What fetching one value would take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The version that would be fetched, where there are versions.
    pub version: Option<u64>,
    /// Whether a person would be asked.
    pub needs_approval: bool,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// A place where secrets live.
///
/// `get_many` is the primitive: a backend that can answer several requests with one call does so.
/// Everything that changes something is unsupported unless a backend says otherwise. Values are exact:
/// no backend trims.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// Fetches or decrypts values. The answers are in the order of the requests, one each.
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>>;

    /// Like [`Self::get_many`], but also reads stored forms that the configuration no longer accepts and
    /// that encrypting again puts right, such as values from before `bind_names = true`. Only for
    /// `reencrypt`.
    async fn get_to_reencrypt(
        &self,
        requests: &[Request],
    ) -> Vec<Result<SecretString, ProviderError>> {
        self.get_many(requests).await
    }

    /// Whether the provider could answer now: reachable, unlocked, keys at hand. Changes nothing and
    /// never asks a person.
    async fn check(&self) -> Result<(), ProviderError>;

    /// What fetching these values would take, without asking anybody. The answers are in the order of the requests.
    async fn preview(&self, requests: &[Request]) -> Vec<Result<Preview, ProviderError>> {
        requests.iter().map(|_| Ok(Preview::default())).collect()
    }

    /// Encrypts values into what `fnox.toml` keeps. The answers are in the order of `values`.
    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        let _ = values;
        Err(ProviderError::unsupported("encrypt values into fnox.toml"))
    }

    /// Stores a value under a reference and returns the reference to keep in `fnox.toml`.
    async fn put(&self, reference: &str, value: &SecretString) -> Result<String, ProviderError> {
        let _ = (reference, value);
        Err(ProviderError::unsupported("store values"))
    }

    /// Deletes the value under a reference.
    async fn delete(&self, reference: &str) -> Result<(), ProviderError> {
        let _ = reference;
        Err(ProviderError::unsupported("delete values"))
    }

    /// Whether a stored value is already encrypted to what the configuration says today.
    ///
    /// `None`: this provider cannot tell. Used by `reencrypt --check`.
    fn is_current(&self, stored: &str) -> Option<bool> {
        let _ = stored;
        None
    }

    /// Its hardware keys, if it is one whose values they open.
    fn hardware_keys(&self) -> Option<&dyn HardwareKeys> {
        None
    }
}

/// One value, by the primitive.
///
/// # Errors
/// What the backend answered.
pub async fn get(provider: &dyn Provider, request: Request) -> Result<SecretString, ProviderError> {
    let mut answers = provider.get_many(std::slice::from_ref(&request)).await;
    // invariant: one answer per request; a backend that breaks it has no value for us.
    answers
        .pop()
        .unwrap_or_else(|| Err(ProviderError::not_found(&request.reference)))
}
