//! A configuration file with values in the place of ciphertexts, and the way back.
//!
//! A ciphertext whose value was not changed comes back as it was, so an edit changes no more than the person did. One that
//! cannot be read stays as it is.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_config::edit::{Change, Editor};
use fnox_config::file::FileConfig;
use fnox_config::{Config, ConfigError, FileKind, SecretConfig, SourceFile};
use fnox_core::{ProfileName, ProviderName, SecretName, SecretString};
use fnox_providers::resolve::{Given, Used};
use indexmap::IndexMap;
use zeroize::Zeroizing;

use crate::app::{App, block_on};
use crate::audit::{self, Changed};
use crate::commands::chain::{self, Failures};
use crate::commands::definition::{Definition, Section};
use crate::commands::reencrypt::{self, Candidate};
use crate::error::CliError;

/// The table and the name of an entry.
type Place = (Vec<String>, SecretName);

/// A ciphertext whose value is shown.
struct Opened {
    provider: ProviderName,
    stored: String,
    value: SecretString,
}

/// A file on its way through the editor.
pub(super) struct Document {
    path: PathBuf,
    kind: FileKind,
    before: String,
    /// What the person sees.
    pub(super) shown: SecretString,
    opened: IndexMap<Place, Opened>,
    /// Ciphertexts that stand in what the person sees.
    closed: Vec<String>,
    /// What providers that do not encrypt know values by, each in its place: such a text may be a value elsewhere.
    references: Vec<(Place, String)>,
}

/// Another text for a place.
type Edit = (Range<usize>, Zeroizing<String>);

/// A value that has to be encrypted.
struct Fresh {
    place: Place,
    span: Range<usize>,
    has_copy: bool,
    value: SecretString,
}

impl Document {
    pub(super) fn open(app: &App, path: &Path, kind: FileKind) -> Result<Self, CliError> {
        if !path.is_file() {
            let start = app.cwd.clone();
            return Err(ConfigError::NotFound { start }.into());
        }
        // Opened and let go of: nobody else should have to wait for a person.
        let before = Editor::open(path, kind.clone())?.text().to_owned();
        let mut document = Self {
            path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            kind,
            before,
            shown: SecretString::from(""),
            opened: IndexMap::new(),
            closed: Vec::new(),
            references: Vec::new(),
        };
        let file = document.parse(&document.before)?;
        let mut edits = Vec::new();
        for (profile, secrets) in document.scopes(&file) {
            let config = app.load_with(profile.as_ref())?;
            edits.extend(document.read(app, &config, secrets)?);
        }
        document.shown = SecretString::new(spliced(&document.before, edits));
        Ok(document)
    }

    /// Encrypts what is new in an edited text and writes the file; how many values were encrypted.
    pub(super) fn take_back(&self, app: &App, text: &SecretString) -> Result<usize, CliError> {
        let text = text.expose_secret();
        let file = self.parse(text).map_err(|error| unplaced(&error))?;
        let mut edits = Vec::new();
        let mut fresh = Vec::new();
        let mut changed = Vec::new();
        for (profile, secrets) in self.scopes(&file) {
            let config = app.load_with(profile.as_ref())?;
            let mut batches: IndexMap<ProviderName, Vec<Fresh>> = IndexMap::new();
            for secret in secrets {
                match self.compare(&config, secret)? {
                    Outcome::Leave => {}
                    Outcome::Restore(edit) => edits.push(edit),
                    Outcome::Encrypt(provider, value) => {
                        batches.entry(provider).or_default().push(value);
                    }
                }
            }
            for (provider, batch) in batches {
                let values: Vec<(SecretName, SecretString)> = batch
                    .iter()
                    .map(|fresh| (fresh.place.1.clone(), fresh.value.clone()))
                    .collect();
                let work = reencrypt::store(app, &config, &provider, profile.as_ref(), &values);
                for (value, stored) in batch.into_iter().zip(block_on(work)??) {
                    edits.push((value.span.clone(), quoted(&stored)));
                    let name = &value.place.1;
                    changed.push(Changed::secret(name, Some(&provider), profile.as_ref()));
                    fresh.push(value);
                }
            }
        }
        if changed.is_empty() {
            // What else stands in the file was changed: rules, providers, what an entry refers to.
            changed.push(Changed::default().to(self.path.display()));
        }
        audit::changing(app, None, audit::Change::Edit, changed, || {
            self.write(app, spliced(text, edits), &fresh)
        })?;
        Ok(fresh.len())
    }

    fn parse(&self, text: &str) -> Result<FileConfig, ConfigError> {
        FileConfig::parse(Arc::new(SourceFile {
            path: self.path.clone(),
            text: text.to_owned(),
            kind: self.kind.clone(),
            imported_by: None,
        }))
    }

    /// The secrets of a file by the profile that they are for.
    fn scopes<'a>(
        &self,
        file: &'a FileConfig,
    ) -> Vec<(Option<ProfileName>, Vec<&'a SecretConfig>)> {
        let base = match &self.kind {
            FileKind::Profile(profile) => Some(profile.clone()),
            _ => None,
        };
        let mut scopes = vec![(base, file.base.secrets.values().collect())];
        for (name, profile) in &file.profiles {
            let active = Some(name).filter(|name| name.as_str() != "default");
            scopes.push((active.cloned(), profile.body.secrets.values().collect()));
        }
        scopes
    }

    /// Reads what can be read, on record; what stands in the place of each ciphertext.
    fn read(
        &mut self,
        app: &App,
        config: &Config,
        secrets: Vec<&SecretConfig>,
    ) -> Result<Vec<Edit>, CliError> {
        let candidates = secrets.into_iter();
        let candidates: Vec<Candidate<'_>> = candidates
            .filter_map(|secret| reencrypt::candidate(config, secret).ok())
            .collect();
        let resolver = app.resolver(config);
        let mut edits = Vec::new();
        let mut failed = Failures::default();
        let read = block_on(reencrypt::read(&resolver, candidates))??;
        let used = read.iter().filter_map(|(found, outcome)| {
            let given = outcome.as_ref().ok()?;
            Some(given.used(found.name()))
        });
        let used: Vec<Used> = used.collect();
        block_on(audit::reads(app, config, &used))??;
        for (found, outcome) in read {
            let stored = found.stored().to_owned();
            let place = (found.definition().table.clone(), found.name().clone());
            match outcome {
                Ok(Given {
                    provider, value, ..
                }) => {
                    edits.push((span(found.secret()), quoted(value.expose_secret())));
                    let opened = Opened {
                        provider,
                        stored,
                        value,
                    };
                    self.opened.insert(place, opened);
                }
                Err(_) if found.may_be_reference() => self.references.push((place, stored)),
                Err(error) => {
                    failed.add(found.name(), &error);
                    self.closed.push(stored);
                }
            }
        }
        failed.tell(|names, reason| {
            app.printer
                .warn(&format!("{names} stays as it is stored: {reason}"));
        });
        Ok(edits)
    }

    /// What becomes of a secret of the edited text.
    fn compare(&self, config: &Config, secret: &SecretConfig) -> Result<Outcome, CliError> {
        let found = Definition::find(&secret.location, Section::Secrets, secret.name.as_str());
        let table = found.map(|found| found.table).unwrap_or_default();
        let place = (table, secret.name.clone());
        let is_reference = |value: &String| {
            let mut known = self.references.iter();
            known.any(|(of, reference)| *of == place && reference == value)
        };
        let Some(value) = secret
            .value
            .as_ref()
            .filter(|value| !self.closed.contains(value) && !is_reference(value))
        else {
            return Ok(Outcome::Leave);
        };
        let chain = config.chain_of(secret);
        let opened = self.opened.get(&place);
        // Whoever encrypted it does so again. A new value is the first provider's, as with `fnox set`.
        let giver = opened.map(|opened| &opened.provider);
        let giver = giver.filter(|giver| chain.contains(giver));
        let provider = match giver.or(chain.first()) {
            Some(name) => Some(config.provider(name.as_str(), None)?),
            None => None,
        };
        let Some(provider) = provider.filter(|provider| chain::encrypts(provider)) else {
            let was_secret = |opened: &Opened| opened.value.expose_secret() == value;
            if !value.is_empty() && self.opened.values().any(was_secret) {
                return Err(CliError::Usage {
                    message: format!(
                        "the value of `{}` was encrypted and would be written as it is, because its provider does not encrypt",
                        secret.name
                    ),
                    help: Some("name a provider that does, such as one of type `age`".to_owned()),
                });
            }
            return Ok(Outcome::Leave);
        };
        if let Some(opened) = opened
            && opened.provider == provider.name
            && opened.value.expose_secret() == value
        {
            return Ok(Outcome::Restore((span(secret), quoted(&opened.stored))));
        }
        Ok(Outcome::Encrypt(
            provider.name.clone(),
            Fresh {
                place,
                span: span(secret),
                has_copy: secret.sync.is_some(),
                value: SecretString::from(value.as_str()),
            },
        ))
    }

    fn write(&self, app: &App, text: String, fresh: &[Fresh]) -> Result<(), CliError> {
        let mut editor = Editor::open(&self.path, self.kind.clone())?;
        if editor.text() != self.before {
            return Err(CliError::failed(format!(
                "{} was changed by somebody else in the meantime",
                self.path.display()
            )));
        }
        editor.replace_text(text)?;
        for value in fresh.iter().filter(|value| value.has_copy) {
            // The copy is of the old value.
            let (table, name) = &value.place;
            let table: Vec<&str> = table.iter().map(String::as_str).collect();
            editor.set(&table, name.as_str(), &[("sync", Change::Remove)])?;
        }
        Ok(editor.save(&app.folders)?)
    }
}

/// What becomes of a secret.
enum Outcome {
    /// It is written as it stands there.
    Leave,
    /// Its ciphertext comes back.
    Restore(Edit),
    /// It gets a ciphertext of this provider.
    Encrypt(ProviderName, Fresh),
}

/// Where the ciphertext or the value stands.
fn span(secret: &SecretConfig) -> Range<usize> {
    let place = secret.location_of("value");
    let place = if place == &secret.location {
        secret.location_of("ref")
    } else {
        place
    };
    place.span.clone()
}

fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(toml_edit::Value::from(text).to_string())
}

/// The text with other text at some places. Made in one go, so that no part of a value is left behind by a buffer that grew.
fn spliced(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut end = 0;
    for (span, new) in &edits {
        out.push_str(text.get(end..span.start).unwrap_or_default());
        out.push_str(new);
        end = span.end;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    out
}

/// An error in the edited text, without the line itself: a value may stand in it.
fn unplaced(error: &ConfigError) -> CliError {
    let line = error
        .location()
        .map(|location| format!("line {}: ", location.line()));
    CliError::Input {
        what: "the edited text".to_owned(),
        reason: format!("{}{error}", line.unwrap_or_default()),
        help: error.help(),
    }
}
