//! Finding and reading all layers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::{Env, ProfileName};

use super::Config;
use super::merge::{Merged, expand};
use crate::discover;
use crate::error::ConfigError;
use crate::fields::resolve_path;
use crate::file::FileConfig;
use crate::paths::Folders;
use crate::source::{FileKind, SourceFile};
use crate::trust::{self, Trust, TrustRecord};

/// What to load.
#[derive(Debug, Clone)]
pub struct Loader<'a> {
    /// The environment, for `FNOX_SERVER_URL`.
    pub env: &'a Env,
    /// fnox's folders.
    pub folders: &'a Folders,
    /// Where the search begins.
    pub cwd: &'a Path,
    /// The file named by `--config`, absolute; see [`discover::explicit_path`].
    pub explicit: Option<PathBuf>,
    /// Profiles asked for; `default` and an empty list mean the base.
    pub profiles: Vec<ProfileName>,
    /// A profile that a write may create, so that it need not exist.
    pub may_create: Option<ProfileName>,
    /// Leave out the base's secrets when a profile is active.
    pub no_defaults: bool,
}

/// What was read so far, and what may be.
#[derive(Debug, Default)]
struct Reading {
    files: HashMap<PathBuf, Vec<FileConfig>>,
    /// Folders that may be read; `None`: all.
    trusted: Option<TrustRecord>,
    /// Read nothing but the global file and its imports.
    only_global: bool,
}

impl Reading {
    fn require_trust(&self, folder: &Path) -> Result<(), ConfigError> {
        match &self.trusted {
            Some(trusted) if !trusted.trusts_folder(folder) => Err(ConfigError::FolderNotTrusted {
                folder: folder.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Loader<'_> {
    /// Reads and merges all layers.
    ///
    /// Profile inheritance can reveal new profile files, so reading is repeated until the list of active
    /// profiles no longer changes; each file is read once.
    ///
    /// # Errors
    /// [`ConfigError`] with the first thing that is wrong.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(Reading::default())
    }

    /// The same, but nothing of a folder that the user has not allowed is even read. The file of `--config` and
    /// the global one need no permission, and what a file imports is allowed with it.
    ///
    /// # Errors
    /// [`ConfigError::FolderNotTrusted`] for the nearest such folder, and what [`Self::load`] can answer.
    pub fn load_trusted(&self, trusted: TrustRecord) -> Result<Config, ConfigError> {
        self.load_with(Reading {
            trusted: Some(trusted),
            ..Reading::default()
        })
    }

    /// The global file alone, with its imports: what no project can have a say in.
    ///
    /// # Errors
    /// [`ConfigError`] with the first thing that is wrong.
    pub fn load_global(&self) -> Result<Config, ConfigError> {
        self.load_with(Reading {
            only_global: true,
            ..Reading::default()
        })
    }

    fn load_with(&self, mut read: Reading) -> Result<Config, ConfigError> {
        let selected: Vec<ProfileName> = self
            .profiles
            .iter()
            .filter(|name| name.as_str() != "default")
            .cloned()
            .collect();
        let mut active = selected.clone();
        loop {
            let layers = self.layers(&active, &mut read)?;
            let merged = Merged::of(&layers, selected.last(), self);
            let expanded = expand(&merged, &selected, &active, self.may_create.as_ref())?;
            if expanded == active {
                let project_dir = self.project_dir(&active);
                return merged.finish(self, active, selected, project_dir, layers);
            }
            active = expanded;
        }
    }

    /// The same without the profiles that nothing defines, for what is about files and not about a profile's entries.
    ///
    /// # Errors
    /// [`ConfigError`] with the first thing that is wrong.
    pub fn load_known(&self) -> Result<Config, ConfigError> {
        let mut loader = self.clone();
        loop {
            let error = match loader.load() {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let ConfigError::UnknownName {
                kind: "profile",
                name,
                ..
            } = &error
            else {
                return Err(error);
            };
            let before = loader.profiles.len();
            loader
                .profiles
                .retain(|profile| profile.as_str().escape_debug().to_string() != *name);
            // Then a file inherits from it.
            if loader.profiles.len() == before {
                return Err(error);
            }
        }
    }

    /// The files that take part, lowest priority first, each below its imports' importer. A profile that nothing defines
    /// has none.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them cannot be read.
    pub fn files(&self) -> Result<Vec<Arc<SourceFile>>, ConfigError> {
        self.load_known().map(|config| config.files)
    }

    /// Every file that can take part, whichever profiles are active, lowest priority first.
    ///
    /// # Errors
    /// [`ConfigError`] with the first thing that is wrong.
    pub fn every_file(&self) -> Result<Vec<FileConfig>, ConfigError> {
        let mut profiles: Vec<ProfileName> = Vec::new();
        for profile in discover::ancestors(self.cwd).flat_map(discover::profiles_in) {
            if !profiles.contains(&profile) {
                profiles.push(profile);
            }
        }
        self.layers(&profiles, &mut Reading::default())
    }

    fn layers(
        &self,
        active: &[ProfileName],
        read: &mut Reading,
    ) -> Result<Vec<FileConfig>, ConfigError> {
        let mut layers = Vec::new();
        let global = self.folders.global_file();
        if exists(&global)? {
            layers.extend(self.with_imports(&global, &FileKind::Global, read)?);
        }
        if read.only_global {
            return Ok(layers);
        }
        if let Some(path) = &self.explicit {
            layers.extend(self.with_imports(path, &FileKind::Explicit, read)?);
            return Ok(layers);
        }
        let mut folders: Vec<Vec<FileConfig>> = Vec::new();
        for folder in discover::ancestors(self.cwd) {
            let found = self.folder(folder, active, read)?;
            let is_root = found
                .iter()
                .any(|file| file.root && file.source.imported_by.is_none());
            folders.push(found);
            if is_root {
                break;
            }
        }
        if folders.iter().all(Vec::is_empty) && layers.is_empty() {
            return Err(ConfigError::NotFound {
                start: self.cwd.to_owned(),
            });
        }
        layers.extend(folders.into_iter().rev().flatten());
        Ok(layers)
    }

    fn folder(
        &self,
        folder: &Path,
        active: &[ProfileName],
        read: &mut Reading,
    ) -> Result<Vec<FileConfig>, ConfigError> {
        let project = discover::PROJECT_FILES
            .iter()
            .map(|name| ((*name).to_owned(), FileKind::Project));
        let profiles = active.iter().flat_map(|profile| {
            let kind = FileKind::Profile(profile.clone());
            discover::profile_files(profile)
                .into_iter()
                .map(move |name| (name, kind.clone()))
        });
        let local = discover::LOCAL_FILES
            .iter()
            .map(|name| ((*name).to_owned(), FileKind::Local));
        let mut found = Vec::new();
        for (name, kind) in project.chain(profiles).chain(local) {
            let path = folder.join(name);
            if exists(&path)? {
                read.require_trust(folder)?;
                found.extend(self.with_imports(&path, &kind, read)?);
            }
        }
        Ok(found)
    }

    /// A file with its imports below it. Imports of imports are not followed, and an import's `root` has
    /// no effect. The first import wins over later ones.
    fn with_imports(
        &self,
        path: &Path,
        kind: &FileKind,
        read: &mut Reading,
    ) -> Result<Vec<FileConfig>, ConfigError> {
        if let Some(known) = read.files.get(path) {
            return Ok(known.clone());
        }
        let trust = Trust::new(self.folders, self.cwd);
        let text = match kind {
            FileKind::Explicit => trust::read(path)?,
            _ => trust.read_checked(path)?,
        };
        let source = SourceFile {
            path: path.to_owned(),
            text,
            kind: kind.clone(),
            imported_by: None,
        };
        let file = FileConfig::parse(Arc::new(source))?;
        let mut layers = Vec::new();
        if let Some((imports, location)) = &file.imports {
            for import in imports.iter().rev() {
                let target = resolve_path(import, file.source.folder(), self.folders.home());
                if !target.is_file() {
                    return Err(ConfigError::MissingImport {
                        location: location.clone(),
                        path: target,
                    });
                }
                let source = SourceFile {
                    text: trust.read_checked(&target)?,
                    path: target,
                    kind: kind.clone(),
                    imported_by: Some(path.to_owned()),
                };
                layers.push(FileConfig::parse(Arc::new(source))?);
            }
        }
        layers.push(file);
        read.files.insert(path.to_owned(), layers.clone());
        Ok(layers)
    }

    fn project_dir(&self, active: &[ProfileName]) -> PathBuf {
        match &self.explicit {
            Some(path) => path.parent().unwrap_or(Path::new("/")).to_owned(),
            None => discover::project_dir(self.cwd, active).unwrap_or_else(|| self.cwd.to_owned()),
        }
    }
}

/// Whether there is a file. What cannot be looked at (a folder above the home of another user, say) is
/// not there; only a file that is there and cannot be read is an error, later.
fn exists(path: &Path) -> Result<bool, ConfigError> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(false),
        Ok(_) => Ok(true),
        Err(error) if is_absence(&error) => Ok(false),
        Err(source) => Err(ConfigError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}
