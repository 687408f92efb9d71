//! What a change would do to secrets: names and a word for each, never a value.

use fnox_config::{Config, IfMissing};
use fnox_core::{SecretName, SecretString};
use fnox_providers::resolve::{Options, ResolveError};
use indexmap::IndexMap;

use crate::app::{App, block_on};
use crate::error::CliError;
use crate::output::documents::ChangedSecret;
use crate::team::reading::Reading;

/// What happens to one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is not there yet.
    New,
    /// It is not there any more.
    Removed,
    /// It gets another value.
    Changed,
    /// It keeps its value.
    Same,
    /// One of the values cannot be read.
    Unknown,
}

impl Change {
    /// Of two values of a secret that is on both sides.
    pub(crate) fn between(before: Option<&SecretString>, after: Option<&SecretString>) -> Self {
        match (before, after) {
            (Some(before), Some(after)) if before == after => Self::Same,
            (Some(_), Some(_)) => Self::Changed,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn mark(self) -> char {
        match self {
            Self::New => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Same => '=',
            Self::Unknown => '?',
        }
    }
}

/// Changes by name.
#[derive(Debug, Default)]
pub(crate) struct Difference(pub(crate) IndexMap<SecretName, Change>);

impl Difference {
    /// What storing these values would do to a configuration.
    pub(crate) fn of(
        app: &App,
        config: &Config,
        values: &IndexMap<SecretName, SecretString>,
    ) -> Result<Self, CliError> {
        let known = |name: &&SecretName| config.secrets.contains_key(*name);
        let names: Vec<SecretName> = values.keys().filter(known).cloned().collect();
        let present = readable(app, config, &names)?;
        let changes = values.iter().map(|(name, value)| {
            let change = if known(&name) {
                Change::between(present.get(name), Some(value))
            } else {
                Change::New
            };
            (name.clone(), change)
        });
        Ok(Self(changes.collect()))
    }

    /// One line for each, with a mark that a diff would have.
    pub(crate) fn print(&self, app: &App) -> Result<(), CliError> {
        let mut unknown = false;
        for (name, change) in &self.0 {
            unknown |= *change == Change::Unknown;
            let (mark, word) = (change.mark(), change.word());
            app.printer.line(&format!("  {mark} {name} ({word})"))?;
        }
        if unknown {
            app.printer.note(
                "Of those that are unknown a value cannot be read; `fnox check --all` says why.",
            );
        }
        Ok(())
    }

    pub(crate) fn documents(&self) -> Vec<ChangedSecret> {
        let document = |(name, change): (&SecretName, &Change)| ChangedSecret {
            name: name.to_string(),
            change: change.word(),
        };
        self.0.iter().map(document).collect()
    }
}

/// The values that can be read. A provider that fails costs only its own secrets.
pub(crate) fn readable(
    app: &App,
    config: &Config,
    names: &[SecretName],
) -> Result<IndexMap<SecretName, SecretString>, CliError> {
    if names.is_empty() {
        return Ok(IndexMap::new());
    }
    let options = Options {
        if_missing: Some(IfMissing::Ignore),
        ..app.resolver_options(config)
    };
    let reading = Reading::new(app, config, options, names);
    let work = async {
        match reading.resolver.resolve(names).await {
            Ok(resolution) => return Ok::<_, CliError>(resolution.values),
            Err(error) if ends_the_run(&error) => return Err(error.into()),
            Err(_) => {}
        }
        let mut values = IndexMap::new();
        for name in names {
            let one = std::slice::from_ref(name);
            match reading.resolver.resolve(one).await {
                Ok(resolution) => values.extend(resolution.values),
                // Nobody is to be asked about the next one either.
                Err(error) if ends_the_run(&error) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(values)
    };
    block_on(reading.guard(work))?
}

fn ends_the_run(error: &ResolveError) -> bool {
    matches!(error, ResolveError::Provider { error, .. } if error.kind.ends_the_run())
}
