//! Values that hardware keys open, and what they are bound to.
//!
//! With one key, what it answers is the key of the values, as the established CLI has it, and values are bound to profile and
//! name with `bind_names = true`. With several, each opens the provider's data key ([`crate::hardware::data_key`]), and values
//! are always bound.

mod change;
mod entries;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::prompt::Prompt;
use fnox_core::{SecretBytes, SecretName, SecretString};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use self::entries::Held;
use super::binding::{self, Binding};
use crate::envelope::{Profiles, not_for};
use crate::error::ProviderError;
use crate::hardware::Answers;
use crate::hardware::data_key::{DataKey, DataKeys, Place, Stored};
use crate::hardware::keys::{HardwareKeys, KeyTable};
use crate::hardware::sealing::{SealingKey, Unopened};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// What a device answered.
pub(in crate::backend) type Answer = Zeroizing<Vec<u8>>;

/// Whether an answer to the question of this number is the one that was meant.
pub(in crate::backend) type IsRight = Arc<dyn Fn(usize, &[u8]) -> bool + Send + Sync>;

/// A kind of device, and how it is asked.
#[async_trait]
pub(in crate::backend) trait Device: Send + Sync + fmt::Debug {
    /// What one device is asked.
    type Question: Clone + Send + Sync + fmt::Debug;

    /// The keys of `fnox.toml` that make a question.
    const QUESTION: &'static [&'static str];

    /// Whether a device tells without being touched whether a question is for it.
    const TELLS: bool;

    /// The question that such keys make.
    fn question<'a>(
        text: &dyn Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self::Question, ProviderError>;

    /// The keys of a question.
    fn table(question: &Self::Question) -> KeyTable;

    /// What the answer is for, if it is itself the key of a provider's values.
    fn purpose(provider: &str) -> String;

    /// Asks the devices that are plugged in until one answers rightly; a person may have to touch them. Without `is_right`, which
    /// device is meant must be plain. `None`: there were answers, but no right one.
    async fn ask(
        &self,
        questions: &[Self::Question],
        is_right: Option<IsRight>,
    ) -> Result<Option<(usize, Answer)>, ProviderError>;

    /// Makes a question for a device that has none of these, and asks it. `is_known` tells answers of those that have.
    async fn ask_another(
        &self,
        questions: &[Self::Question],
        slot: Option<&str>,
        is_known: IsRight,
    ) -> Result<(Self::Question, Answer), ProviderError>;

    /// Waits until a person has plugged in another device.
    async fn wait_for(&self, name: &str) -> Result<(), ProviderError>;

    /// Whether a device is there. Nobody is asked.
    fn check(&self) -> Result<(), ProviderError>;

    /// Why its key does not open a value.
    fn unopened(&self, error: Unopened) -> ProviderError;
}

/// What opens the values.
#[derive(Debug)]
enum Keys {
    /// A device's answer.
    Own(SealingKey),
    Data(DataKeys),
}

/// A device has been asked.
struct Unlocked {
    answer: Answer,
    keys: Keys,
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Unlocked")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// Values that devices open, of which one is asked once for all of them.
#[derive(Debug)]
pub(in crate::backend) struct SealedBy<D: Device> {
    device: D,
    place: Place,
    held: Held<D>,
    unlocked: OnceCell<Unlocked>,
    answers: Arc<Answers>,
    /// What new values of a single device are bound to; `None` without `bind_names`.
    binding: Option<Binding>,
    accepted: Binding,
    profiles: Profiles,
}

impl<D: Device> SealedBy<D> {
    /// # Errors
    /// `Misconfigured` if the keys in the configuration are wrong.
    pub(in crate::backend) fn new(
        device: D,
        settings: &Settings,
        context: &Context,
    ) -> Result<Self, ProviderError> {
        let binds = settings.fields().flag("bind_names").unwrap_or(false);
        Ok(Self {
            device,
            place: Place {
                kind: settings.config.spec.name,
                provider: settings.config.name.to_string(),
            },
            held: Held::read(settings)?,
            unlocked: OnceCell::new(),
            answers: Arc::clone(&context.answers),
            binding: binds.then(|| Binding::of(context)),
            accepted: Binding::of(context),
            profiles: Profiles::of(context),
        })
    }

    async fn unlocked(&self) -> Result<&Unlocked, ProviderError> {
        self.unlocked.get_or_try_init(|| self.unlock()).await
    }

    async fn unlock(&self) -> Result<Unlocked, ProviderError> {
        let (index, answer) = self.ask().await?;
        let keys = match &self.held {
            Held::One(_) => Keys::Own(self.own(&answer)?),
            Held::Several(several) => {
                let key = several.unwrap(index, &answer, &self.place);
                let key = key.map_err(|_| self.held.none_opens())?;
                Keys::Data(several.with_former(key, &self.place)?)
            }
        };
        Ok(Unlocked { answer, keys })
    }

    /// What a device answers; one that has answered in this run is not asked again.
    async fn ask(&self) -> Result<(usize, Answer), ProviderError> {
        let questions = self.held.questions();
        let is_right = self.held.is_right(&self.place);
        let asked = (self.place.kind, questions.iter().map(D::table).collect());
        let fits = |index: usize, answer: &[u8]| {
            is_right
                .as_ref()
                .is_none_or(|is_right| is_right(index, answer))
        };
        if let Some(answer) = self.answers.find(&asked, fits) {
            return Ok(answer);
        }
        let answer = self.device.ask(&questions, is_right).await?;
        let answer = answer.ok_or_else(|| self.held.none_opens())?;
        self.answers.keep(asked, answer.clone());
        Ok(answer)
    }

    /// A device's answer as the key of values.
    fn own(&self, answer: &[u8]) -> Result<SealingKey, ProviderError> {
        SealingKey::derive(answer, &D::purpose(&self.place.provider))
            .ok_or_else(|| ProviderError::unavailable("no key can be derived"))
    }

    async fn open_all(
        &self,
        requests: &[Request],
        unbound_too: bool,
    ) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.unlocked().await {
            Ok(unlocked) => requests
                .iter()
                .map(|request| self.open(&unlocked.keys, request, unbound_too))
                .collect(),
            Err(error) => vec![Err(error); requests.len()],
        }
    }

    fn open(
        &self,
        keys: &Keys,
        request: &Request,
        unbound_too: bool,
    ) -> Result<SecretString, ProviderError> {
        match (keys, Stored::parse(&request.reference)) {
            (Keys::Data(keys), Some(stored)) => {
                text(&self.open_shared(keys, &stored, &request.name)?)
            }
            (Keys::Own(_), Some(_)) => Err(ProviderError::misconfigured(
                "the value was stored when the provider had several keys, and its table has none of them",
            )
            .with_remedy("restore the provider's `keys` from the file's history")),
            (keys, None) => {
                let own = match keys {
                    Keys::Own(own) => Some(own),
                    Keys::Data(keys) => keys.own(),
                };
                let plaintext = own
                    .ok_or(Unopened::NotSealed)
                    .and_then(|own| own.open(&request.reference))
                    .map_err(|error| self.device.unopened(error))?;
                let value = self
                    .accepted
                    .unwrap(&request.name, &plaintext, unbound_too)?;
                text_of(value)
            }
        }
    }

    fn open_shared(
        &self,
        keys: &DataKeys,
        stored: &Stored<'_>,
        name: &SecretName,
    ) -> Result<SecretBytes, ProviderError> {
        if !self.profiles.reads(stored.profile) {
            return Err(self.profiles.not_for(name, stored.profile));
        }
        let key = keys.of_id(stored.key).ok_or_else(|| {
            ProviderError::misconfigured(format!(
                "the value of `{name}` was encrypted with the data key `{}`, which the provider does not have",
                stored.key.escape_debug()
            ))
            .with_remedy("restore the provider's `former_keys` from the file's history, or set the secret again with `fnox set`")
        })?;
        key.open(stored, name).map_err(|_| not_for(name))
    }

    fn seal(
        &self,
        keys: &Keys,
        name: &SecretName,
        value: &SecretString,
    ) -> Result<String, ProviderError> {
        let sealed = match (keys, &self.binding) {
            (Keys::Data(keys), _) => keys.current().seal(self.profiles.written(), name, value),
            (Keys::Own(key), Some(binding)) => key.seal(binding.wrap(name, value).expose_secret()),
            (Keys::Own(key), None) => key.seal(binding::unbound(name, value)?.expose_secret()),
        };
        sealed.ok_or_else(no_randomness)
    }
}

fn text(value: &SecretBytes) -> Result<SecretString, ProviderError> {
    text_of(value.expose_secret())
}

fn text_of(value: &[u8]) -> Result<SecretString, ProviderError> {
    std::str::from_utf8(value)
        .map(SecretString::from)
        .map_err(|_| ProviderError::misconfigured("the value is not UTF-8 text"))
}

/// Asks a person to plug something in, and waits.
pub(in crate::backend) async fn ask_for(
    prompt: &Arc<dyn Prompt>,
    what: &str,
) -> Result<(), ProviderError> {
    let question = format!("{what}, and press Enter:");
    let prompt = Arc::clone(prompt);
    let answer = tokio::task::spawn_blocking(move || prompt.text(&question)).await;
    answer.ok().flatten().map(drop).ok_or_else(nobody)
}

/// Nobody plugs something in.
pub(in crate::backend) fn nobody() -> ProviderError {
    ProviderError::authentication("another key has to be plugged in, and nobody is at the terminal")
        .with_remedy(
            "plug it in beside the first, or run this in a terminal, without --non-interactive",
        )
}

/// The device that is to be added is one of those that the provider has.
pub(in crate::backend) fn known() -> ProviderError {
    ProviderError::misconfigured("this key opens the provider's values already")
        .with_remedy("plug in the other key")
}

fn no_randomness() -> ProviderError {
    ProviderError::unavailable("the system gives no randomness")
}

fn new_data_key() -> Result<DataKey, ProviderError> {
    DataKey::generate().ok_or_else(no_randomness)
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
        let unlocked = self.unlocked().await?;
        values
            .iter()
            .map(|(name, value)| self.seal(&unlocked.keys, name, value))
            .collect()
    }

    fn is_current(&self, stored: &str) -> Option<bool> {
        let data_key = match &self.held {
            Held::One(_) => None,
            Held::Several(several) => Some(several.data_key.as_str()),
        };
        match (data_key, Stored::parse(stored)) {
            // A single device's values do not say which it was.
            (None, None) => None,
            (data_key, stored) => Some(data_key == stored.map(|stored| stored.key)),
        }
    }

    fn hardware_keys(&self) -> Option<&dyn HardwareKeys> {
        Some(self)
    }
}
