//! Copies in a local file, for this machine alone: `fnox sync --local-file`.
//!
//! An entry of a local file would lie over entries of the same name in other files and profiles. So it says that it is
//! nothing but a copy (`copy_only`), and of which provider and value; as soon as its secret says something else, it is
//! left aside. A secret that stands in a local file itself keeps its copy in its own entry (`local_source`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_config::edit::{Change, Editor};
use fnox_config::file::FileConfig;
use fnox_config::{Config, FileKind, Folders, SecretConfig, SourceFile, discover};
use fnox_core::{ProviderName, SecretName};
use jiff::Timestamp;
use toml_edit::Value;

use super::write::copy;
use super::{Candidate, Fresh};
use crate::app::App;
use crate::commands::chain;
use crate::commands::definition::{Definition, Section};
use crate::error::CliError;

/// The local file of the working folder.
pub(super) struct LocalFile {
    path: PathBuf,
}

/// A copy whose secret has none of this run, or is gone.
pub(super) struct Stale {
    pub(super) name: SecretName,
    table: Vec<String>,
    /// Whether the entry is a secret of its own, which stays.
    is_source: bool,
}

impl LocalFile {
    /// `.fnox.local.toml` if it is there, else the one that goes with the project file.
    pub(super) fn of(app: &App, config: &Config) -> Result<Self, CliError> {
        if let Some(path) = app.explicit_file() {
            return Err(CliError::Usage {
                message: format!("{} is read alone, without a local file", path.display()),
                help: Some("run without `--config`, or without `--local-file`".to_owned()),
            });
        }
        let folder = &config.project_dir;
        let is_there = |name: &&str| folder.join(name).is_file();
        let hidden = Some(".fnox.local.toml").filter(is_there);
        let name = hidden.unwrap_or_else(|| {
            let pairs = discover::PROJECT_FILES.iter().zip(discover::LOCAL_FILES);
            pairs
                .filter(|(project, _)| is_there(project))
                .map(|(_, local)| local)
                .next()
                .unwrap_or("fnox.local.toml")
        });
        Ok(Self {
            path: folder.join(name),
        })
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The copies in it, of the profile that lies on top, that no candidate gets anew.
    pub(super) fn stale(
        &self,
        config: &Config,
        candidates: &[Candidate<'_>],
    ) -> Result<Vec<Stale>, CliError> {
        if !self.path.is_file() {
            return Ok(Vec::new());
        }
        let text = Editor::open(&self.path, FileKind::Local)?.text().to_owned();
        let file = FileConfig::parse(Arc::new(SourceFile {
            path: self.path.clone(),
            text,
            kind: FileKind::Local,
            imported_by: None,
        }))?;
        // Entries below may only be hidden by those of the profile on top, and need their copies in other runs.
        let profile = config.profiles.last();
        let body = match profile {
            None => Some(&file.base),
            Some(name) => file.profiles.get(name).map(|profile| &profile.body),
        };
        let is_renewed = |name: &SecretName| {
            candidates.iter().any(|candidate| {
                candidate.secret.name == *name && candidate.place.profile.as_ref() == profile
            })
        };
        let secrets = body.into_iter().flat_map(|body| body.secrets.values());
        Ok(secrets
            .filter(|secret| !is_renewed(&secret.name))
            .filter_map(Stale::of)
            .collect())
    }

    /// Writes the copies, and takes out those that are stale.
    pub(super) fn write(
        &self,
        folders: &Folders,
        fresh: &[Fresh<'_>],
        stale: &[Stale],
        target: &ProviderName,
        now: Timestamp,
    ) -> Result<(), CliError> {
        let mut editor = Editor::open(&self.path, FileKind::Local)?;
        for one in stale {
            let table: Vec<&str> = one.table.iter().map(String::as_str).collect();
            if one.is_source {
                editor.set(&table, one.name.as_str(), &[("sync", Change::Remove)])?;
            } else {
                editor.remove(&table, one.name.as_str())?;
            }
        }
        for Fresh { candidate, stored } in fresh {
            let mut copy = copy(target, stored, now);
            let place = &candidate.place;
            let secret = candidate.secret;
            if place.kind == FileKind::Local && place.path() == self.path {
                copy.insert("local_source", true.into());
                let changes = [("sync", Change::Set(Value::InlineTable(copy)))];
                editor.set(&place.table(), secret.name.as_str(), &changes)?;
                continue;
            }
            copy.insert("copy_only", true.into());
            let table = editor.secrets_table(place.profile.as_ref(), secret.name.as_str());
            let table: Vec<&str> = table.iter().map(String::as_str).collect();
            if let Some(entry) = editor.entry(&table, secret.name.as_str())
                && !is_copy_only(&entry)
            {
                return Err(CliError::Usage {
                    message: format!(
                        "{} has an entry `{}` of its own, which is not in use",
                        self.path.display(),
                        secret.name
                    ),
                    help: Some("remove it, or leave this secret out".to_owned()),
                });
            }
            editor.remove(&table, secret.name.as_str())?;
            let mut changes = Vec::new();
            if let Some(named) = chain::named(&secret.providers) {
                changes.push(("provider", named));
            }
            changes.push(("value", Change::text(candidate.reference)));
            changes.push(("sync", Change::Set(Value::InlineTable(copy))));
            editor.set(&table, secret.name.as_str(), &changes)?;
        }
        Ok(editor.save(folders)?)
    }
}

impl Stale {
    fn of(secret: &SecretConfig) -> Option<Self> {
        let copy = secret.sync.as_ref()?;
        if copy.apart.is_none() && !copy.local_source {
            return None;
        }
        let name = secret.name.clone();
        let place = Definition::find(&secret.location, Section::Secrets, name.as_str())?;
        Some(Self {
            name,
            table: place.table,
            is_source: copy.local_source,
        })
    }
}

fn is_copy_only(entry: &[(String, Value)]) -> bool {
    entry
        .iter()
        .filter(|(key, _)| key == "sync")
        .filter_map(|(_, value)| value.as_inline_table()?.get("copy_only")?.as_bool())
        .any(|is_it| is_it)
}

/// Drops the copy of a secret that stands apart from it, after its value has changed where it is kept.
pub(in crate::commands) fn forget(app: &App, secret: &SecretConfig) -> Result<(), CliError> {
    let Some(location) = secret.sync.as_ref().and_then(|copy| copy.apart.as_ref()) else {
        return Ok(());
    };
    let name = secret.name.as_str();
    let Some(place) = Definition::find(location, Section::Secrets, name) else {
        return Ok(());
    };
    let path: &Path = place.path();
    let mut editor = Editor::open(path, place.kind.clone())?;
    if editor.remove(&place.table(), name)? {
        editor.save(&app.folders)?;
    }
    Ok(())
}
