//! The files that are scanned: of a folder, or as they would be committed.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;

use super::hook::git;
use crate::app::App;
use crate::args::ScanArgs;
use crate::error::CliError;

/// Larger files are no sources.
const LARGEST: u64 = 5 * 1024 * 1024;

/// Folders of version control, and of what tools make and fetch.
const LEFT_OUT: [&str; 11] = [
    ".git",
    ".hg",
    ".svn",
    "target",
    "node_modules",
    "vendor",
    "dist",
    "build",
    ".next",
    ".cache",
    "coverage",
];

/// How many of [`LEFT_OUT`] are of version control, and left out of everything.
const OF_VERSION_CONTROL: usize = 3;

/// Where files come from.
pub(super) struct Source {
    root: PathBuf,
    ignored: GlobSet,
    staged: bool,
    include_ignored: bool,
}

impl Source {
    pub(super) fn new(app: &App, args: &ScanArgs) -> Result<Self, CliError> {
        let mut ignored = GlobSetBuilder::new();
        for text in &args.ignore {
            let glob = Glob::new(text)
                .map_err(|error| CliError::usage(format!("`{text}` is not a glob: {error}")))?;
            ignored.add(glob);
        }
        let ignored = ignored
            .build()
            .map_err(|error| CliError::usage(error.to_string()))?;
        let folder = args.folder.as_deref().unwrap_or(Path::new("."));
        Ok(Self {
            root: app.cwd.join(folder),
            ignored,
            staged: args.staged,
            include_ignored: args.include_ignored,
        })
    }

    /// Gives each text file by its path below the root, in the order of the paths.
    pub(super) fn each(&self, mut give: impl FnMut(&Path, &[u8])) -> Result<(), CliError> {
        let mut give = |path: &Path, bytes: &[u8]| {
            let is_text = !bytes.contains(&0);
            if is_text && !self.ignored.is_match(path) {
                give(path, bytes);
            }
        };
        if self.staged {
            self.each_staged(&mut give)
        } else {
            self.each_of_folder(&mut give)
        }
    }

    fn each_of_folder(&self, give: &mut impl FnMut(&Path, &[u8])) -> Result<(), CliError> {
        let left_out = if self.include_ignored {
            &LEFT_OUT[..OF_VERSION_CONTROL]
        } else {
            &LEFT_OUT[..]
        };
        std::fs::metadata(&self.root).map_err(|source| CliError::File {
            action: "read",
            path: self.root.clone(),
            source,
        })?;
        let walk = WalkBuilder::new(&self.root)
            .standard_filters(!self.include_ignored)
            .hidden(false)
            .require_git(false)
            .sort_by_file_path(Ord::cmp)
            .filter_entry(move |entry| {
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                let name = entry.file_name().to_str();
                entry.depth() == 0
                    || !is_folder
                    || !name.is_some_and(|name| left_out.contains(&name))
            })
            .build();
        for entry in walk {
            let entry = entry.map_err(|error| CliError::Input {
                what: self.root.display().to_string(),
                reason: error.to_string(),
                help: None,
            })?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            if let Some(bytes) = read(entry.path())? {
                let path = entry.path().strip_prefix(&self.root);
                let whole = entry.path().file_name().map(Path::new);
                // A root that is a file itself has nothing below it.
                let path = path
                    .ok()
                    .filter(|path| !path.as_os_str().is_empty())
                    .or(whole);
                give(path.unwrap_or(entry.path()), &bytes);
            }
        }
        Ok(())
    }

    /// What would be committed, whatever the working tree holds.
    fn each_staged(&self, give: &mut impl FnMut(&Path, &[u8])) -> Result<(), CliError> {
        // Outside a repository `git diff` compares files, and knows no `--cached`.
        git(&self.root, &["rev-parse", "--git-dir"])?;
        let list = git(
            &self.root,
            &[
                "diff",
                "--cached",
                "--raw",
                "-z",
                "--no-abbrev",
                "--no-renames",
                "--diff-filter=ACMR",
            ],
        )?;
        // `:MODE MODE OBJECT OBJECT STATUS`, path, and so on (git-diff, "Raw output format").
        let mut fields = list.split(|byte| *byte == 0);
        while let (Some(entry), Some(path)) = (fields.next(), fields.next()) {
            let entry = String::from_utf8_lossy(entry);
            let words: Vec<&str> = entry.split(' ').collect();
            let [_, mode, _, object, _] = words[..] else {
                continue;
            };
            // Commits of submodules and links have no content of this repository.
            if !mode.starts_with("100") {
                continue;
            }
            let bytes = git(&self.root, &["cat-file", "blob", object])?;
            if bytes.len() as u64 <= LARGEST {
                give(Path::new(&*String::from_utf8_lossy(path)), &bytes);
            }
        }
        Ok(())
    }
}

/// `None`: it is too large.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|source| CliError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    Ok((bytes.len() as u64 <= LARGEST).then_some(bytes))
}
