//! `age`: values encrypted into `fnox.toml` (age-encryption.org/v1).
//!
//! **Stored forms.** A value is written as the base64 of a plain age file, so `base64 -d | age -d` and
//! everybody else's age tools read it. Read are also armoured age files and the batch form of the
//! established CLI, in which many values share one wrapped key ([`stored`]). The header of what fnox
//! writes carries a [`Mark`] with a digest of the recipients, by which `reencrypt --check` knows whether a
//! value is encrypted to today's recipients; without a mark, what the header shows is compared: the tags of
//! SSH recipients exactly, the others by their number.
//!
//! **Identities** are tried in this order, each read at most once ([`sources`]): `FNOX_AGE_KEY`, `identity`
//! (another provider's value), `key_file`, `FNOX_AGE_KEY_FILE` (`--age-key-file`), `[age] identities_file`,
//! `age.txt` and `age/identities.txt` of the config folder. A source that is set but cannot be used does
//! not stop the search; when none opens a value, the error lists every source with its own reason.
//!
//! **`bind_names = true`** puts profile and name inside the encryption (`backend/binding.rs`). A bound value is refused
//! under any other name, and in a profile that neither is nor inherits the one it was stored for. Values of
//! the base profile are accepted in every profile, as the base itself is. A value that is not bound is
//! refused too, for else everybody who may edit the file could swap values by storing them unbound.
//! `fnox reencrypt` reads unbound values once more, and binds them; it never accepts one that is bound to
//! something else.
//!
//! What `age` does not hide is the length of a value.

mod sources;
mod stored;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::age::{self, EncryptError, InvalidRecipient, Mark, Recipient};
use fnox_core::prompt::Prompt;
use fnox_core::{SecretBytes, SecretName, SecretString};

pub use self::sources::SourceReport;
use self::sources::Sources;
use self::stored::Stored;
pub(in crate::backend) use self::stored::not_readable;
use super::binding::{self, Binding};
use crate::error::ProviderError;
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;

/// Opens a provider of this type. No identity is read yet.
///
/// # Errors
/// None today; recipients are checked when a value is to be encrypted, so that reading works without them.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Age {
        recipients: parse_recipients(settings, context),
        binding: settings
            .fields()
            .flag("bind_names")
            .unwrap_or(false)
            .then(|| Binding::of(context)),
        accepted: Binding::of(context),
        sources: Arc::new(Sources::of(Some(settings), context)),
        prompt: Arc::clone(&context.prompt),
        patience: context.patience(),
    }))
}

/// The identity sources of a provider in their order and what each of them holds, for `doctor`.
#[must_use]
pub fn identity_sources(settings: &Settings, context: &Context) -> Vec<SourceReport> {
    Sources::of(Some(settings), context).report()
}

/// Decrypts age files with the identities of this person, wherever they stand: for what is no value of `fnox.toml`.
#[derive(Debug, Clone)]
pub struct Opener(Arc<Sources>);

impl Opener {
    /// No identity is read yet.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self(Arc::new(Sources::of(None, context)))
    }

    /// Decrypts binary age files; the answers are in their order. It may ask the person, and it blocks.
    #[must_use]
    pub fn open(&self, files: &[Vec<u8>]) -> Vec<Result<SecretBytes, ProviderError>> {
        self.0.decrypt(files)
    }
}

#[derive(Debug)]
struct Age {
    recipients: Result<Vec<Recipient>, InvalidRecipient>,
    /// What new values are bound to; `None` without `bind_names`.
    binding: Option<Binding>,
    accepted: Binding,
    sources: Arc<Sources>,
    prompt: Arc<dyn Prompt>,
    patience: Duration,
}

#[async_trait]
impl Provider for Age {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        self.open_all(requests, self.binding.is_none()).await
    }

    async fn get_to_reencrypt(
        &self,
        requests: &[Request],
    ) -> Vec<Result<SecretString, ProviderError>> {
        self.open_all(requests, true).await
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.recipients()?;
        let sources = Arc::clone(&self.sources);
        self.in_thread(move || sources.check()).await?
    }

    async fn encrypt(
        &self,
        values: &[(SecretName, SecretString)],
    ) -> Result<Vec<String>, ProviderError> {
        let recipients = self.recipients()?.to_vec();
        let mark = Mark::new(&recipients, self.binding.is_some());
        let mut plaintexts = Vec::with_capacity(values.len());
        for (name, value) in values {
            plaintexts.push(match &self.binding {
                Some(binding) => binding.wrap(name, value),
                None => binding::unbound(name, value)?,
            });
        }
        let prompt = Arc::clone(&self.prompt);
        self.in_thread(move || {
            plaintexts
                .iter()
                .map(|plaintext| {
                    let bytes = plaintext.expose_secret();
                    age::encrypt_marked(&recipients, bytes, &prompt, Some(mark.clone()))
                        .map(|file| STANDARD.encode(file))
                        .map_err(encrypt_error)
                })
                .collect()
        })
        .await?
    }

    fn is_current(&self, stored: &str) -> Option<bool> {
        let recipients = self.recipients.as_ref().ok()?;
        let stored = Stored::parse(stored).ok()?;
        let stanzas = age::stanzas(stored.age_file())?;
        if let Some(mark) = Mark::find(&stanzas) {
            return Some(mark == Mark::new(recipients, self.binding.is_some()));
        }
        if self.binding.is_some() {
            return Some(false);
        }
        stored::matches_header(recipients, &stanzas)
    }
}

impl Age {
    fn recipients(&self) -> Result<&[Recipient], ProviderError> {
        match &self.recipients {
            Ok(recipients) if recipients.is_empty() => Err(ProviderError::misconfigured(
                "there are no recipients to encrypt to",
            )
            .with_remedy(
                "add `recipients = [\"age1…\"]`; `fnox age keygen` makes a key and prints its recipient",
            )
            .at_key("recipients")),
            Ok(recipients) => Ok(recipients),
            Err(error) => {
                Err(ProviderError::misconfigured(error.to_string()).at_key("recipients"))
            }
        }
    }

    async fn open_all(
        &self,
        requests: &[Request],
        unbound_too: bool,
    ) -> Vec<Result<SecretString, ProviderError>> {
        let stored: Vec<_> = requests
            .iter()
            .map(|request| Stored::parse(&request.reference))
            .collect();
        // Each distinct age file is decrypted once: in the batch form many values share one.
        let mut files: Vec<Vec<u8>> = Vec::new();
        let mut index_of: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut places = Vec::with_capacity(stored.len());
        for form in &stored {
            places.push(form.as_ref().ok().map(|form| {
                let file = form.age_file();
                *index_of.entry(file.to_vec()).or_insert_with(|| {
                    files.push(file.to_vec());
                    files.len() - 1
                })
            }));
        }
        let sources = Arc::clone(&self.sources);
        let opened = match self.in_thread(move || sources.decrypt(&files)).await {
            Ok(opened) => opened,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let answer =
            |request: &Request, form: Result<Stored, ProviderError>, place: Option<usize>| {
                let form = form?;
                let file = place
                    .and_then(|place| opened.get(place))
                    .ok_or_else(stored::not_readable)?;
                let plaintext = form.finish(file.as_ref().map_err(Clone::clone)?)?;
                self.accept(request, &plaintext, unbound_too)
            };
        requests
            .iter()
            .zip(stored)
            .zip(places)
            .map(|((request, form), place)| answer(request, form, place))
            .collect()
    }

    fn accept(
        &self,
        request: &Request,
        plaintext: &SecretBytes,
        unbound_too: bool,
    ) -> Result<SecretString, ProviderError> {
        let value = self
            .accepted
            .unwrap(&request.name, plaintext, unbound_too)?;
        std::str::from_utf8(value)
            .map(SecretString::from)
            .map_err(|_| ProviderError::misconfigured("the decrypted value is not UTF-8 text"))
    }

    /// Runs work that computes, or waits for a plugin, beside the event loop. A plain thread: at the end
    /// of the program nobody waits for one whose plugin hangs.
    async fn in_thread<T, F>(&self, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("age".to_owned())
            .spawn(move || {
                let _ = sender.send(work());
            })
            .map_err(|error| {
                ProviderError::unavailable(format!("a thread could not be started: {error}"))
            })?;
        match tokio::time::timeout(self.patience, receiver).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(ProviderError::unavailable("age ended without an answer")),
            Err(_) => Err(ProviderError::unavailable(format!(
                "an identity or its plugin did not answer within {} s",
                self.patience.as_secs()
            ))),
        }
    }
}

fn parse_recipients(
    settings: &Settings,
    context: &Context,
) -> Result<Vec<Recipient>, InvalidRecipient> {
    let own = settings.fields().list("recipients");
    let texts = if own.is_empty() {
        context.age_recipients.as_slice()
    } else {
        own
    };
    texts.iter().map(|text| Recipient::parse(text)).collect()
}

fn encrypt_error(error: EncryptError) -> ProviderError {
    match error {
        EncryptError::NoRecipients | EncryptError::Refused { .. } => {
            ProviderError::misconfigured(format!("the value could not be encrypted: {error}"))
                .at_key("recipients")
        }
        EncryptError::MissingPlugin { plugin } => {
            ProviderError::unavailable(format!("the plugin `{plugin}` is not on PATH"))
                .with_remedy("install the plugin that the recipient needs")
                .at_key("recipients")
        }
    }
}
