//! Lists of recipients that hold the person, and how the person is taken out of one.
//!
//! The values that a list protects stand in any profile, also where the provider itself does not. So all of them are
//! read and encrypted anew before anything is written; then the values are written, and the list last. A run that is
//! cut off in between leaves a list that still holds the person, so the next run does all of it again.

use fnox_config::fields::Value;
use fnox_config::{Config, FileKind, ProviderConfig};

use super::person::Person;
use super::views::{self, View, place};
use crate::app::App;
use crate::audit;
use crate::commands::age::List;
use crate::commands::definition::{Definition, Section};
use crate::commands::reencrypt;
use crate::error::CliError;

/// A list that holds the person.
#[derive(Debug)]
pub(super) struct Membership {
    source: Source,
    /// For people: whose list it is.
    pub(super) owner: String,
    /// For people: where it stands.
    pub(super) place: String,
    /// Whether anybody else is on it.
    pub(super) has_others: bool,
}

/// Where a provider has its recipients from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// From its own table, which has this name and stands there: edits further up move it, and it is still the same.
    Own(Definition, String),
    /// From `[age] recipients` of the global file.
    Shared,
}

impl Source {
    fn of(provider: &ProviderConfig) -> Option<Self> {
        if provider.spec.name != "age" {
            return None;
        }
        if provider.fields.list("recipients").is_empty() {
            return Some(Self::Shared);
        }
        let name = provider.name.to_string();
        let definition = Definition::find(provider.fields.location(), Section::Providers, &name)?;
        Some(Self::Own(definition, name))
    }

    fn list<'a>(&self, provider: &'a ProviderConfig, config: &'a Config) -> &'a [String] {
        match self {
            Self::Own(..) => provider.fields.list("recipients"),
            Self::Shared => &config.settings.age_recipients,
        }
    }

    /// The list in its file.
    fn in_file(&self, app: &App) -> List {
        match self {
            Self::Own(definition, name) => List {
                path: definition.file.clone(),
                kind: definition.kind.clone(),
                table: definition.table.clone(),
                entry: name.clone(),
            },
            Self::Shared => List {
                path: app.folders.global_file(),
                kind: FileKind::Global,
                table: Vec::new(),
                entry: "age".to_owned(),
            },
        }
    }
}

/// The lists of all profiles that hold the person, each once.
pub(super) fn memberships(app: &App, views: &[View], person: &Person) -> Vec<Membership> {
    let mut out: Vec<Membership> = Vec::new();
    for view in views {
        for provider in view.config.providers.values() {
            let Some(source) = Source::of(provider) else {
                continue;
            };
            let list = source.list(provider, &view.config);
            let is_new = out.iter().all(|other| other.source != source);
            if !is_new || !list.iter().any(|recipient| person.has(recipient)) {
                continue;
            }
            let (owner, place) = match &source {
                Source::Own(_, name) => (
                    format!("provider `{name}`"),
                    place(provider.fields.location()),
                ),
                Source::Shared => (
                    "`[age] recipients`, which all projects here share,".to_owned(),
                    app.folders.global_file().display().to_string(),
                ),
            };
            out.push(Membership {
                owner,
                place,
                has_others: list.iter().any(|recipient| !person.has(recipient)),
                source,
            });
        }
    }
    out
}

impl Membership {
    /// Whether a provider encrypts to this list.
    pub(super) fn is_of(&self, provider: &ProviderConfig) -> bool {
        Source::of(provider).as_ref() == Some(&self.source)
    }

    /// Takes the person out and encrypts the list's values to the others: how many values.
    pub(super) fn end(&self, app: &App, person: &Person) -> Result<usize, CliError> {
        if !self.has_others {
            return Err(CliError::failed(format!(
                "{} has no other recipient: add one, so that its values stay readable",
                self.owner
            )));
        }
        // Read again: the end of another membership may have changed the same files.
        let mut views = views::all(app)?;
        for view in &mut views {
            self.leave_out(&mut view.config, person);
        }
        let mut fresh: Vec<reencrypt::Fresh<'_>> = Vec::new();
        for view in &views {
            let mut candidates =
                reencrypt::of_providers(&view.config, |provider| self.is_of(provider));
            candidates.retain(|one| {
                fresh
                    .iter()
                    .all(|other| other.candidate.place() != one.place())
            });
            if !candidates.is_empty() {
                let app = app.for_profile(view.profile.as_ref());
                fresh.extend(reencrypt::anew(&app, &view.config, candidates)?);
            }
        }
        let changed = fresh.iter().map(reencrypt::Fresh::changed);
        let change = audit::Change::Reencrypt;
        audit::changing(app, None, change, changed, || {
            reencrypt::write(&app.folders, &fresh)
        })?;
        self.source.in_file(app).remove(
            app,
            |recipient| person.has(recipient),
            |comment| person.is_named_in(comment),
        )?;
        Ok(fresh.len())
    }

    /// Lets the configuration in memory be as the files will be.
    fn leave_out(&self, config: &mut Config, person: &Person) {
        let others = |list: &[String]| -> Vec<String> {
            let others = list.iter().filter(|recipient| !person.has(recipient));
            others.cloned().collect()
        };
        if self.source == Source::Shared {
            config.settings.age_recipients = others(&config.settings.age_recipients);
            return;
        }
        for provider in config.providers.values_mut() {
            if self.is_of(provider) {
                let list = others(provider.fields.list("recipients"));
                let location = provider.fields.location_of("recipients").clone();
                let value = Value::TextList(list);
                provider.fields.insert("recipients", value, location);
            }
        }
    }
}
