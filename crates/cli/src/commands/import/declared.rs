//! Files of other tools that name secrets, stores or roles and hold no value: secretspec, teller, aws-vault.
//!
//! What they say becomes entries of `fnox.toml`. What fnox cannot say in the same words is left out and told, one line each: an
//! entry that means something else than before would be worse than none.

mod aws_vault;
mod secretspec;
mod teller;

use std::path::Path;

use fnox_config::FileKind;
use fnox_config::edit::{Change as KeyChange, Editor};
use fnox_core::{ProfileName, SecretName};
use regex::Regex;
use toml_edit::Value;

use super::input::{self, Unreadable};
use crate::app::App;
use crate::args::{ImportArgs, ImportFormat};
use crate::audit::{self, Changed};
use crate::commands::difference::Change;
use crate::commands::export::plural;
use crate::error::CliError;
use crate::output::documents::{DeclaredEntry, DeclaredPlan};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Providers,
    Secrets,
    Leases,
}

impl Section {
    fn key(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Secrets => "secrets",
            Self::Leases => "leases",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Providers => "provider",
            Self::Secrets => "secret",
            Self::Leases => "lease",
        }
    }
}

/// One entry of `fnox.toml`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) section: Section,
    /// The profile that the file names; `None`: the one that is written to.
    pub(super) profile: Option<ProfileName>,
    pub(super) name: String,
    pub(super) keys: Vec<(&'static str, Value)>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    pub(super) entries: Vec<Entry>,
    /// What could not be taken over, and what is still to be done.
    pub(super) notes: Vec<String>,
}

/// Whether a format has names and no values.
pub(super) fn is_declared(format: ImportFormat) -> bool {
    matches!(
        format,
        ImportFormat::Secretspec | ImportFormat::Teller | ImportFormat::AwsVault
    )
}

pub(super) fn run(app: &App, args: &ImportArgs) -> Result<(), CliError> {
    if args.provider.is_some() {
        return Err(CliError::usage(
            "`--provider` encrypts values, and this format has none",
        ));
    }
    let target = app.write_target()?;
    let (path, kind) = app.file_to_write(args.global, target.as_ref());
    let mut declarations = read(app, args, &path)?;
    choose(args, &mut declarations)?;
    let mut editor = Editor::open(&path, kind.clone())?;
    let mut changes = Vec::new();
    for entry in &declarations.entries {
        changes.push(apply(&mut editor, &kind, target.as_ref(), entry)?);
    }
    if args.json {
        return app.printer.json(&DeclaredPlan {
            file: path.display().to_string(),
            entries: documents(&declarations, target.as_ref(), &changes),
            notes: declarations.notes,
        });
    }
    if declarations.entries.is_empty() {
        tell(app, &declarations);
        app.printer.note("There is nothing to import.");
        return Ok(());
    }
    let what = counted(&declarations);
    if args.dry_run {
        app.printer.line(&format!(
            "[dry-run] would import {what} into {}",
            path.display()
        ))?;
        for (entry, change) in declarations.entries.iter().zip(&changes) {
            app.printer.line(&format!(
                "  {} {} ({})",
                change.mark(),
                entry.shown(target.as_ref()),
                change.word()
            ))?;
        }
        tell(app, &declarations);
        return Ok(());
    }
    if !args.force && !confirmed(app, &what, &declarations, target.as_ref())? {
        app.printer.note("Import cancelled.");
        return Ok(());
    }
    let entries = declarations.entries.iter().map(|entry| {
        let profile = entry.profile.as_ref().or(target.as_ref());
        Changed::secret(&entry.name, entry.provider(), profile)
    });
    audit::changing(app, None, audit::Change::Import, entries, || {
        Ok(editor.save(&app.folders)?)
    })?;
    tell(app, &declarations);
    app.printer
        .done(&format!("Imported {what} into {}", path.display()));
    Ok(())
}

fn read(app: &App, args: &ImportArgs, target: &Path) -> Result<Declarations, CliError> {
    let file = args.input.as_ref().map(|path| app.cwd.join(path));
    let text = input::read_text(file.as_deref())?;
    let text = text.expose_secret();
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(&app.cwd);
    let declarations = match args.format {
        ImportFormat::Secretspec => secretspec::read(text),
        ImportFormat::Teller => teller::read(
            text,
            &teller::Places {
                folder,
                target: target.parent().unwrap_or(Path::new("/")),
                region: app
                    .env
                    .var("AWS_REGION")
                    .or_else(|| app.env.var("AWS_DEFAULT_REGION")),
            },
        ),
        _ => aws_vault::read(text),
    };
    declarations.map_err(|error| input::failed(file.as_deref(), error))
}

/// `--filter` and `--prefix`; then names that fnox cannot have are an error.
fn choose(args: &ImportArgs, declarations: &mut Declarations) -> Result<(), CliError> {
    let filter = args.filter.as_deref().map(super::pattern).transpose()?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let chosen = |entry: &Entry, filter: &Regex| match entry.section {
        Section::Providers => true,
        Section::Secrets => filter.is_match(&entry.name),
        Section::Leases => {
            let profile = entry.profile.as_ref().map_or("default", AsRef::as_ref);
            filter.is_match(profile)
        }
    };
    if let Some(filter) = &filter {
        declarations.entries.retain(|entry| chosen(entry, filter));
    }
    let providers: Vec<String> = declarations
        .entries
        .iter()
        .filter_map(Entry::provider)
        .map(str::to_owned)
        .collect();
    declarations
        .entries
        .retain(|entry| entry.section != Section::Providers || providers.contains(&entry.name));
    let mut refused = Vec::new();
    for entry in &mut declarations.entries {
        if entry.section == Section::Secrets {
            entry.name.insert_str(0, prefix);
            if SecretName::parse(&entry.name).is_err() {
                refused.push(format!("`{}`", entry.name.escape_debug()));
            }
        }
    }
    match refused.as_slice() {
        [] => Ok(()),
        names => Err(super::not_variables(names)),
    }
}

impl Entry {
    /// The provider of a secret.
    fn provider(&self) -> Option<&str> {
        let key = self.keys.iter().find(|(key, _)| *key == "provider");
        key.and_then(|(_, value)| value.as_str())
    }

    /// Its name with its place, for a person.
    fn shown(&self, target: Option<&ProfileName>) -> String {
        let section = match self.section {
            Section::Secrets => String::new(),
            section => format!("{} ", section.word()),
        };
        match self.profile.as_ref().or(target) {
            Some(profile) => format!("{section}{} of profile {profile}", self.name),
            None => format!("{section}{}", self.name),
        }
    }
}

fn apply(
    editor: &mut Editor,
    kind: &FileKind,
    target: Option<&ProfileName>,
    entry: &Entry,
) -> Result<Change, CliError> {
    let profile = entry.profile.as_ref().or(target);
    let own = profile.is_some_and(|profile| *kind == FileKind::Profile(profile.clone()));
    let table = match (entry.section, profile.filter(|_| !own)) {
        (Section::Secrets, _) => editor.secrets_table(profile, &entry.name),
        (section, None) => vec![section.key().to_owned()],
        (section, Some(profile)) => ["profiles", profile.as_str(), section.key()]
            .map(str::to_owned)
            .to_vec(),
    };
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    let present = editor.entry(&table, &entry.name);
    let is_there = |(key, value): &(&'static str, Value)| {
        let present = present.iter().flatten().find(|(name, _)| name == key);
        present.is_some_and(|(_, present)| present.to_string().trim() == value.to_string().trim())
    };
    let change = match &present {
        None => Change::New,
        Some(_) if entry.keys.iter().all(is_there) => return Ok(Change::Same),
        Some(_) => Change::Changed,
    };
    let keys = entry.keys.iter();
    let keys: Vec<(&str, KeyChange)> = keys
        .map(|(key, value)| (*key, KeyChange::Set(value.clone())))
        .collect();
    editor.set(&table, &entry.name, &keys)?;
    Ok(change)
}

fn documents(
    declarations: &Declarations,
    target: Option<&ProfileName>,
    changes: &[Change],
) -> Vec<DeclaredEntry> {
    let entries = declarations.entries.iter().zip(changes);
    entries
        .map(|(entry, change)| DeclaredEntry {
            kind: entry.section.word(),
            name: entry.name.clone(),
            profile: entry
                .profile
                .as_ref()
                .or(target)
                .map_or("default", ProfileName::as_str)
                .to_owned(),
            change: change.word(),
        })
        .collect()
}

/// "2 providers and 3 secrets"
fn counted(declarations: &Declarations) -> String {
    let parts: Vec<String> = [Section::Providers, Section::Secrets, Section::Leases]
        .into_iter()
        .filter_map(|section| {
            let entries = declarations.entries.iter();
            let count = entries.filter(|entry| entry.section == section).count();
            (count > 0).then(|| format!("{count} {}{}", section.word(), plural(count)))
        })
        .collect();
    parts.join(" and ")
}

fn tell(app: &App, declarations: &Declarations) {
    for note in &declarations.notes {
        app.printer.warn(note);
    }
}

fn confirmed(
    app: &App,
    what: &str,
    declarations: &Declarations,
    target: Option<&ProfileName>,
) -> Result<bool, CliError> {
    let names = declarations.entries.iter().map(|entry| entry.shown(target));
    super::confirmed(app, what, &names.collect::<Vec<_>>())
}

/// An error in the file as a whole.
fn not(what: &str) -> Unreadable {
    Unreadable::because(&format!("it is not {what}"))
}
