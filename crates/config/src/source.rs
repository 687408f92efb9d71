//! Files as they were read, and places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::ProfileName;

/// Why a file takes part in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// `config.toml` of the config folder.
    Global,
    /// `fnox.toml` and its other spellings.
    Project,
    /// `fnox.PROFILE.toml` and its other spellings.
    Profile(ProfileName),
    /// `fnox.local.toml` and its other spellings.
    Local,
    /// Named by `--config`.
    Explicit,
}

/// A configuration file and its text, shared by everything that was read from it.
#[derive(Debug)]
pub struct SourceFile {
    /// Absolute path.
    pub path: PathBuf,
    /// The text as read.
    pub text: String,
    /// Why it takes part. An import has the kind of the file that imports it.
    pub kind: FileKind,
    /// The file that imports it, if one does.
    pub imported_by: Option<PathBuf>,
}

impl SourceFile {
    /// The folder against which relative paths in the file are meant.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Whether it is the global file or one of its imports.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.kind == FileKind::Global
    }
}

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes of its text.
    pub span: Range<usize>,
}

impl Location {
    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        let before = self.file.text.get(..self.span.start).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.file.path == other.file.path && self.span == other.span
    }
}
