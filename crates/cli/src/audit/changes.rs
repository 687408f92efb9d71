//! Changes on record: before the first of them has an effect, and again when they have ended.
//!
//! A record that was begun and has no end is of a process that was killed, or of a disk that was full by then.

use std::path::Path;

use fnox_config::Config;
use fnox_core::ProfileName;
use fnox_core::age::Recipient;
use fnox_core::audit::{Entry, Outcome};

use super::{Detail, Recorder};
use crate::app::{App, block_on};
use crate::error::CliError;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Copy,
    Edit,
    FileEdit,
    FileReencrypt,
    FileRemove,
    FileSet,
    FileSync,
    FileWrite,
    Import,
    Keys,
    ProviderAdd,
    ProviderRemove,
    Push,
    RecipientAdd,
    RecipientRemove,
    Reencrypt,
    Remove,
    Rename,
    Set,
    Sync,
}

impl Change {
    fn event(self) -> &'static str {
        match self {
            Self::Copy => "secret_copied",
            Self::Edit => "secret_edited",
            Self::FileEdit => "file_edited",
            Self::FileReencrypt => "file_reencrypted",
            Self::FileRemove => "file_removed",
            Self::FileSet => "file_set",
            Self::FileSync => "file_synced",
            Self::FileWrite => "file_written",
            Self::Import => "secret_imported",
            Self::Keys => "provider_keys_changed",
            Self::ProviderAdd => "provider_added",
            Self::ProviderRemove => "provider_removed",
            Self::Push => "secret_pushed",
            Self::RecipientAdd => "recipient_added",
            Self::RecipientRemove => "recipient_removed",
            Self::Reencrypt => "secret_reencrypted",
            Self::Remove => "secret_removed",
            Self::Rename => "secret_renamed",
            Self::Set => "secret_set",
            Self::Sync => "secret_synced",
        }
    }
}

/// One thing to which it is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changed {
    /// The secret.
    pub(crate) secret: Option<String>,
    /// The provider that keeps it from then on.
    pub(crate) provider: Option<String>,
    /// The new name, the target of a push, the file, the hardware key, or the recipient.
    pub(crate) to: Option<String>,
    /// The profile whose table it stands in, or a word for it.
    pub(crate) profile: String,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers give what they have: a name, a reference to one, a path to show"
)]
impl Changed {
    /// A secret in the table of a profile, or in the base.
    pub(crate) fn secret(
        name: impl ToString,
        provider: Option<impl ToString>,
        profile: Option<&ProfileName>,
    ) -> Self {
        Self {
            secret: Some(name.to_string()),
            provider: provider.map(|provider| provider.to_string()),
            to: None,
            profile: profile.map_or_else(|| "default".to_owned(), ToString::to_string),
        }
    }

    /// A provider in the table of a profile, or in the base, of this file of the configuration.
    pub(crate) fn provider(
        name: impl ToString,
        file: &Path,
        profile: Option<&ProfileName>,
    ) -> Self {
        Self {
            provider: Some(name.to_string()),
            to: Some(file.display().to_string()),
            profile: profile.map_or_else(|| "default".to_owned(), ToString::to_string),
            ..Self::default()
        }
    }

    /// Whom a provider encrypts to, or all providers that share one list.
    pub(crate) fn recipient(text: &str, provider: Option<impl ToString>) -> Self {
        let recipient = Recipient::parse(text);
        let to = recipient.map_or_else(|_| text.to_owned(), |it| it.canonical());
        Self {
            provider: provider.map(|provider| provider.to_string()),
            to: Some(to),
            ..Self::default()
        }
    }

    /// A whole file that a provider keeps, or kept.
    pub(crate) fn file(path: impl ToString, provider: Option<impl ToString>) -> Self {
        Self {
            provider: provider.map(|provider| provider.to_string()),
            to: Some(path.to_string()),
            ..Self::default()
        }
    }

    /// The same, to something.
    pub(crate) fn to(self, to: impl ToString) -> Self {
        let to = Some(to.to_string());
        Self { to, ..self }
    }
}

/// Changes that are on record as begun.
#[derive(Debug)]
pub(crate) struct Begun(Option<(Recorder, Vec<Entry>)>);

/// Records that changes are about to be made, if they are recorded. Without a configuration it is read, as far as that is
/// possible: what the global file says counts for those who have no other.
///
/// # Errors
/// If that cannot be recorded: nothing may be changed then.
pub(crate) async fn begin(
    app: &App,
    config: Option<&Config>,
    change: Change,
    changed: impl IntoIterator<Item = Changed>,
) -> Result<Begun, CliError> {
    let read = match config {
        Some(_) => None,
        None => Some(
            app.load()
                .or_else(|_| app.loader().load_global().map_err(CliError::from))
                // Perhaps only the profile is not there yet.
                .or_else(|_| {
                    app.for_profile(None)
                        .loader()
                        .load_global()
                        .map_err(CliError::from)
                })?,
        ),
    };
    let Some(recorder) = config
        .or(read.as_ref())
        .and_then(|config| Recorder::of(app, config))
    else {
        return Ok(Begun(None));
    };
    let entries = changed.into_iter().map(|one| {
        let detail = Detail {
            provider: one.provider,
            to: one.to,
            profile: one.profile,
            ..Detail::default()
        };
        let mut entry = recorder.entry(change.event(), Outcome::Begun, detail);
        entry.secret = one.secret;
        entry
    });
    let entries: Vec<Entry> = entries.collect();
    recorder.append(entries.clone()).await?;
    Ok(Begun(Some((recorder, entries))))
}

impl Begun {
    /// Records how they ended. One that was done and cannot be recorded as such is a failure.
    pub(crate) async fn end<T>(self, outcome: Result<T, CliError>) -> Result<T, CliError> {
        let failure = outcome.as_ref().err().map(CliError::code);
        let recorded = self.end_each(|_| failure).await;
        let done = outcome?;
        recorded.map(|()| done)
    }

    /// Records of each how it ended: `failed` gives the code of the failure of the one in this place.
    pub(crate) async fn end_each(
        self,
        failed: impl Fn(usize) -> Option<&'static str>,
    ) -> Result<(), CliError> {
        let Some((recorder, mut entries)) = self.0 else {
            return Ok(());
        };
        for (index, entry) in entries.iter_mut().enumerate() {
            let failure = failed(index);
            entry.outcome = failure.map_or(Outcome::Ok, |_| Outcome::Error);
            entry.reason = failure.map(str::to_owned);
        }
        recorder.append(entries).await
    }
}

/// Makes changes between their records. For commands that have no runtime.
pub(crate) fn changing<T>(
    app: &App,
    config: Option<&Config>,
    change: Change,
    changed: impl IntoIterator<Item = Changed>,
    work: impl FnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    let begun = block_on(begin(app, config, change, changed))??;
    let outcome = work();
    block_on(begun.end(outcome))?
}
