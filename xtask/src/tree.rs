//! The repository's files, wherever a chore was started.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::failure::Failure;

/// A checked-out repository.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The repository that this program was built from.
    pub(crate) fn of_this_repository() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::at(manifest.parent().unwrap_or(manifest))
    }

    /// A repository somewhere else.
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Reads a file by its path from the root; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<String>, Failure> {
        match fs::read_to_string(self.root.join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file(path, error)),
        }
    }

    /// Writes a file and makes its folder.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        let file = self.root.join(path);
        let folder = file.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| Failure::file(path, error))?;
        fs::write(&file, text).map_err(|error| Failure::file(path, error))
    }

    /// All Rust files below `crates/` and `xtask/`, by their path from the root, sorted.
    pub(crate) fn sources(&self) -> Result<Vec<String>, Failure> {
        self.found(&["crates", "xtask"], "rs")
    }

    /// All pages that people read: the Markdown of the root and below `docs/`, `examples/` and `packaging/`.
    pub(crate) fn pages(&self) -> Result<Vec<String>, Failure> {
        let mut pages = self.found(&["docs", "examples", "packaging"], "md")?;
        let listing = fs::read_dir(&self.root).map_err(|error| Failure::file(".", error))?;
        for entry in listing {
            let entry = entry.map_err(|error| Failure::file(".", error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().extension().is_some_and(|end| end == "md") {
                pages.push(name);
            }
        }
        pages.sort();
        Ok(pages)
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// All files with an ending below these folders, by their path from the root, sorted.
    fn found(&self, folders: &[&str], end: &str) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        let mut folders: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
        while let Some(folder) = folders.pop() {
            let listing = match fs::read_dir(self.root.join(&folder)) {
                Ok(listing) => listing,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::file(&folder, error)),
            };
            for entry in listing {
                let entry = entry.map_err(|error| Failure::file(&folder, error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = format!("{folder}/{name}");
                if entry.path().is_dir() {
                    folders.push(path);
                } else if entry.path().extension().is_some_and(|found| found == end) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// What cargo knows about the workspace, and about its dependencies if `deep`.
    pub(crate) fn metadata(&self, deep: bool) -> Result<Metadata, Failure> {
        let mut command = MetadataCommand::new();
        command.manifest_path(self.root.join("Cargo.toml"));
        let mut options = vec!["--locked".to_owned()];
        if deep {
            // One platform for everybody, so that the answer does not depend on the machine.
            options.push("--filter-platform=x86_64-unknown-linux-gnu".to_owned());
        } else {
            command.no_deps();
        }
        command.other_options(options);
        command
            .exec()
            .map_err(|error| Failure::Metadata(error.to_string()))
    }
}
