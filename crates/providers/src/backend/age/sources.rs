//! Where identities come from, in their order, and what opens with them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fnox_config::fields::resolve_path;
use fnox_core::age::{DecryptError, Identities, decrypt};
use fnox_core::prompt::Prompt;
use fnox_core::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use super::stored;
use crate::error::{Attempt, ProviderError};
use crate::provider::Context;
use crate::settings::Settings;

/// Largest identity file that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

/// From this many values on, the work is worth more than one thread.
const PARALLEL_FROM: usize = 8;

/// What one source holds.
#[derive(Debug)]
pub struct SourceReport {
    /// The source, as error messages name it.
    pub source: String,
    /// The file it reads, if it reads one.
    pub path: Option<PathBuf>,
    /// Whether somebody named this source, rather than it being a place that is looked at anyway.
    pub is_set: bool,
    /// The recipients of its native and SSH identities, or why it holds none.
    pub outcome: Result<Vec<String>, String>,
}

/// All sources of one provider.
#[derive(Debug)]
pub(super) struct Sources {
    list: Vec<Source>,
    prompt: Arc<dyn Prompt>,
    /// Where a person without an identity best puts one.
    usual_file: PathBuf,
}

#[derive(Debug)]
struct Source {
    label: String,
    origin: Origin,
    is_set: bool,
    opened: OnceLock<Result<Identities, String>>,
}

#[derive(Debug)]
enum Origin {
    Absent(&'static str),
    Text(SecretString),
    File(PathBuf),
}

type Opened = Result<SecretBytes, ProviderError>;

impl Sources {
    /// Those of a provider; without one, those that every provider of this person looks at.
    pub(super) fn of(settings: Option<&Settings>, context: &Context) -> Self {
        let config = &context.folders.config;
        let mut list = vec![Source::text(
            "FNOX_AGE_KEY",
            context.env.secret("FNOX_AGE_KEY"),
            "not set",
        )];
        if let Some(identity) = settings.and_then(|it| it.fields().table("identity")) {
            let keeper = identity.text("provider").unwrap_or_default();
            list.push(Source::text(
                &format!("`identity` of the provider `{keeper}`"),
                context.age_identity.clone(),
                "it was not fetched",
            ));
        }
        if let Some(path) = settings.and_then(|settings| settings.path("key_file")) {
            list.push(Source::named_file("key_file", path));
        }
        list.push(match context.env.var("FNOX_AGE_KEY_FILE") {
            Some(path) => Source::named_file(
                "FNOX_AGE_KEY_FILE",
                resolve_path(path, Path::new(""), context.folders.home()),
            ),
            None => Source::text("FNOX_AGE_KEY_FILE", None, "not set"),
        });
        if let Some(path) = &context.age_identities_file {
            list.push(Source::named_file("[age] identities_file", path.clone()));
        }
        let usual_file = config.join("age.txt");
        list.push(Source::usual_file(usual_file.clone()));
        list.push(Source::usual_file(config.join("age/identities.txt")));
        Self {
            list,
            prompt: Arc::clone(&context.prompt),
            usual_file,
        }
    }

    /// Whether there is any identity, and every source that somebody named holds one.
    pub(super) fn check(&self) -> Result<(), ProviderError> {
        let mut attempts = Vec::new();
        let (mut usable, mut broken) = (false, false);
        for source in &self.list {
            match source.identities(&self.prompt) {
                Ok(_) => usable = true,
                Err(reason) => {
                    broken |= source.is_set;
                    attempts.push(source.attempt(reason.clone()));
                }
            }
        }
        if usable && !broken {
            return Ok(());
        }
        if !usable {
            return Err(self.nothing_opens(false, attempts));
        }
        attempts.retain(|attempt| {
            self.list
                .iter()
                .any(|source| source.is_set && source.label == attempt.source)
        });
        Err(
            ProviderError::authentication("an age identity that is configured cannot be used")
                .with_attempts(attempts),
        )
    }

    pub(super) fn report(&self) -> Vec<SourceReport> {
        self.list
            .iter()
            .map(|source| SourceReport {
                source: source.label.clone(),
                path: match &source.origin {
                    Origin::File(path) => Some(path.clone()),
                    _ => None,
                },
                is_set: source.is_set,
                outcome: source
                    .identities(&self.prompt)
                    .as_ref()
                    .map(|identities| identities.public_recipients().to_vec())
                    .map_err(Clone::clone),
            })
            .collect()
    }

    /// Decrypts age files with the first source that opens each. Sources are read when they are needed.
    pub(super) fn decrypt(&self, files: &[Vec<u8>]) -> Vec<Opened> {
        let mut opened: Vec<Option<Opened>> = files.iter().map(|_| None).collect();
        let mut attempts: Vec<Vec<Attempt>> = files.iter().map(|_| Vec::new()).collect();
        let mut any_usable = false;
        for source in &self.list {
            let pending: Vec<usize> = (0..files.len())
                .filter(|index| opened.get(*index).is_some_and(Option::is_none))
                .collect();
            if pending.is_empty() {
                break;
            }
            let outcomes: Vec<Result<SecretBytes, Refusal>> = match source.identities(&self.prompt)
            {
                Err(reason) => pending
                    .iter()
                    .map(|_| Err(Refusal::GoOn(reason.clone())))
                    .collect(),
                Ok(identities) => {
                    any_usable = true;
                    decrypt_all(identities, files, &pending)
                }
            };
            for (index, outcome) in pending.into_iter().zip(outcomes) {
                let (Some(slot), Some(tried)) = (opened.get_mut(index), attempts.get_mut(index))
                else {
                    continue;
                };
                match outcome {
                    Ok(plaintext) => *slot = Some(Ok(plaintext)),
                    Err(Refusal::Stop(error)) => *slot = Some(Err(error)),
                    Err(Refusal::GoOn(reason)) => tried.push(source.attempt(reason)),
                }
            }
        }
        opened
            .into_iter()
            .zip(attempts)
            .map(|(slot, tried)| slot.unwrap_or_else(|| Err(self.nothing_opens(any_usable, tried))))
            .collect()
    }

    fn nothing_opens(&self, any_usable: bool, attempts: Vec<Attempt>) -> ProviderError {
        let (message, remedy) = if any_usable {
            (
                "no age identity opens the value",
                "ask somebody who can open it to add your recipient (`fnox age add-recipient`) \
                 and run `fnox reencrypt`"
                    .to_owned(),
            )
        } else {
            (
                "there is no usable age identity",
                format!(
                    "put your identity into {}, or set FNOX_AGE_KEY or FNOX_AGE_KEY_FILE; \
                     `fnox age keygen` makes a new one",
                    self.usual_file.display()
                ),
            )
        };
        ProviderError::authentication(message)
            .with_attempts(attempts)
            .with_remedy(remedy)
    }
}

impl Source {
    fn text(label: &str, text: Option<SecretString>, absent: &'static str) -> Self {
        Self {
            label: label.to_owned(),
            is_set: text.is_some(),
            origin: text.map_or(Origin::Absent(absent), Origin::Text),
            opened: OnceLock::new(),
        }
    }

    fn named_file(label: &str, path: PathBuf) -> Self {
        Self {
            label: format!("{label} {}", path.display()),
            is_set: true,
            origin: Origin::File(path),
            opened: OnceLock::new(),
        }
    }

    fn usual_file(path: PathBuf) -> Self {
        Self {
            label: path.display().to_string(),
            is_set: false,
            origin: Origin::File(path),
            opened: OnceLock::new(),
        }
    }

    fn attempt(&self, reason: String) -> Attempt {
        Attempt {
            source: self.label.clone(),
            reason,
        }
    }

    fn identities(&self, prompt: &Arc<dyn Prompt>) -> &Result<Identities, String> {
        self.opened.get_or_init(|| {
            let parse = |text: &SecretString| {
                Identities::parse_from(&self.label, text, prompt).map_err(|error| error.to_string())
            };
            match &self.origin {
                Origin::Absent(reason) => Err((*reason).to_owned()),
                Origin::Text(text) => parse(text),
                Origin::File(path) => parse(&read(path)?),
            }
        })
    }
}

/// Why one identity source did not open a value.
enum Refusal {
    /// Another source may.
    GoOn(String),
    /// No source can: the value itself is at fault.
    Stop(ProviderError),
}

fn decrypt_all(
    identities: &Identities,
    files: &[Vec<u8>],
    pending: &[usize],
) -> Vec<Result<SecretBytes, Refusal>> {
    let one = |index: &usize| {
        let file = files.get(*index).map(Vec::as_slice).unwrap_or_default();
        decrypt(identities, file).map_err(|error| refusal(&error))
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A person and a plugin are asked one thing at a time.
    if identities.may_ask() || threads < 2 || pending.len() < PARALLEL_FROM {
        return pending.iter().map(one).collect();
    }
    let share = pending.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = pending
            .chunks(share)
            .map(|indices| {
                let worker = scope.spawn(move || indices.iter().map(one).collect::<Vec<_>>());
                (indices.len(), worker)
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|(count, worker)| {
                worker.join().unwrap_or_else(|_| {
                    (0..count)
                        .map(|_| Err(Refusal::Stop(stored::not_readable())))
                        .collect()
                })
            })
            .collect()
    })
}

fn refusal(error: &DecryptError) -> Refusal {
    match error {
        DecryptError::NoMatch
        | DecryptError::KeyUnusable { .. }
        | DecryptError::MissingPlugin { .. } => Refusal::GoOn(error.to_string()),
        DecryptError::Malformed => Refusal::Stop(stored::not_readable()),
        DecryptError::Passphrase | DecryptError::TooLarge => {
            Refusal::Stop(ProviderError::misconfigured(error.to_string()))
        }
    }
}

fn read(path: &Path) -> Result<SecretString, String> {
    use std::io::Read as _;
    let reason = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let file = std::fs::File::open(path).map_err(reason)?;
    // Not by its length: it may be a pipe, as in `--age-key-file <(…)`.
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(reason)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err("is larger than 1 MiB, which no identity file is".to_owned());
    }
    std::str::from_utf8(&bytes)
        .map(SecretString::from)
        .map_err(|_| "is not a text file".to_owned())
}
