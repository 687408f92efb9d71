//! What a sandbox's file system looks like: how each path that is out of reach is kept so, whatever the program or somebody
//! outside does while it runs.
//!
//! A file that is covered by a mount is uncovered when somebody outside puts another one in its place, and a path that is not
//! there cannot be covered. So a folder outside of the writable ones that has such a file in it, or lacks it, is *sealed*: the
//! sandbox has one of its own with the entries that were there at the start, but for those. Below a writable folder nothing can
//! be sealed; there the folders on the way are mounts of their own, which cannot be renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{EMPTY, Line, refused};
use crate::error::CliError;
use crate::gateway::out_of_reach::What;
use crate::output::Printer;

/// Entries of sealed folders, at most: bubblewrap takes so many words, and each is a mount.
const MOST_ENTRIES: usize = 2000;

/// How the paths that are out of reach are kept so.
#[derive(Debug, Default)]
pub(super) struct View {
    steps: Steps,
    /// Empty folders that were made so that they can be covered. They go with this.
    made: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct Steps {
    /// Folders that the project is in: hidden before the project is put into them.
    above: BTreeSet<PathBuf>,
    /// What is hidden after that.
    covered: BTreeSet<PathBuf>,
    /// Folders that the sandbox has its own of, parents first.
    sealed: BTreeSet<PathBuf>,
    /// Folders that must not be renamed, parents first.
    pinned: BTreeSet<PathBuf>,
    /// What is left out of sealed folders.
    out_of_reach: BTreeSet<PathBuf>,
}

/// What a view is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The folder of the project, without links.
    pub(super) project: &'a Path,
    /// Other folders that the program may write to, without links.
    pub(super) writable: &'a [PathBuf],
    /// What the program must not change.
    pub(super) read_only: &'a [PathBuf],
    /// Folders that the sandbox has empty ones of.
    pub(super) empty: &'a [&'static str],
    /// Who is told what cannot be kept.
    pub(super) printer: Printer,
}

impl Ground<'_> {
    /// The folder by which the program may write to a path.
    fn root_of(&self, path: &Path) -> Option<&Path> {
        let others = self.writable.iter().map(PathBuf::as_path);
        std::iter::once(self.project)
            .chain(others)
            .filter(|root| path.starts_with(root))
            .max_by_key(|root| root.as_os_str().len())
    }
}

impl View {
    /// Finds out what there is to do, and makes folders that cannot be hidden as long as they are not there.
    ///
    /// # Errors
    /// If a path cannot be hidden.
    pub(super) fn of(
        hidden: &BTreeMap<PathBuf, What>,
        ground: Ground<'_>,
    ) -> Result<Self, CliError> {
        let mut view = Self::default();
        view.steps.out_of_reach = hidden.keys().cloned().collect();
        // Parents come first, and what is in a hidden folder is hidden with it.
        for (path, what) in hidden {
            let is_inside = |it: &PathBuf| path.starts_with(it) && it.is_dir();
            let is_gone = view.steps.covered.iter().any(is_inside);
            match ground.root_of(path) {
                _ if is_gone => {}
                Some(root) => view.below_a_writable(path, *what, root, ground.printer)?,
                None => view.elsewhere(path, *what, ground)?,
            }
        }
        for path in ground.read_only {
            if let Some(root) = ground.root_of(path) {
                view.steps.pin(path, root);
            }
        }
        view.steps.limit(ground.printer);
        Ok(view)
    }

    /// Where the program may write, and whoever is outside sees it.
    fn below_a_writable(
        &mut self,
        path: &Path,
        what: What,
        root: &Path,
        printer: Printer,
    ) -> Result<(), CliError> {
        let shown = path.display();
        if path == root {
            return Err(refused(
                &format!(
                    "the program may write to `{shown}`, which holds credentials or what leads to them"
                ),
                "keep one of the two somewhere else",
            ));
        }
        if what == What::OwnFolder && has_link(path, root) {
            return Err(refused(
                &format!(
                    "`{shown}` is fnox's own and a link in a folder that the program may write to"
                ),
                &format!("take `{}` out of `sandbox_allow_write`", root.display()),
            ));
        }
        if path.symlink_metadata().is_err() {
            if what == What::File {
                // An empty file would be in the way of whoever wants to put one there.
                return Ok(());
            }
            self.make(path).map_err(|error| {
                refused(
                    &format!("`{shown}` cannot be made, and so not be hidden: {error}"),
                    &format!(
                        "make it, or take `{}` out of `sandbox_allow_write`",
                        root.display()
                    ),
                )
            })?;
        }
        warn_of_links(path, printer);
        self.steps.pin(path, root);
        self.steps.cover(path);
        Ok(())
    }

    fn elsewhere(&mut self, path: &Path, what: What, ground: Ground<'_>) -> Result<(), CliError> {
        if path == Path::new("/") {
            return Err(refused(
                "everything would be hidden: `/` is named as a place of credentials",
                "look at the paths in fnox.toml and at variables such as FNOX_CONFIG_DIR",
            ));
        }
        if ground.project.starts_with(path) {
            self.steps.above.insert(path.to_owned());
            return Ok(());
        }
        let is_in = |folder: &&str| path.starts_with(folder);
        if ground.empty.iter().any(is_in) || ["/dev", "/proc"].iter().any(is_in) {
            return Ok(());
        }
        let steps = &mut self.steps;
        if steps.above.iter().any(|above| path.starts_with(above)) {
            return Ok(());
        }
        if what == What::OwnFolder && above(path) != Path::new("/") {
            // Where it cannot be made the program cannot make it either.
            let _ = make_folder(path);
        }
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let folder = above(path);
        // Others than the administrator put nothing into the root folder.
        if !is_folder && folder != Path::new("/") && folder.is_dir() {
            steps.sealed.insert(folder.to_owned());
        }
        steps.cover(path);
        Ok(())
    }

    fn make(&mut self, path: &Path) -> std::io::Result<()> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|it| it.symlink_metadata().is_err())
            .map(Path::to_owned)
            .collect();
        make_folder(path)?;
        self.made.extend(missing);
        Ok(())
    }

    /// What is done before the project and other writable folders are there.
    pub(super) fn before(&self, line: &mut Line) {
        for path in &self.steps.above {
            line.path("--tmpfs", path);
        }
        for folder in &self.steps.sealed {
            self.steps.seal(folder, line);
        }
    }

    /// What is done when these are there, and before the project's configuration is put over them.
    pub(super) fn pin(&self, line: &mut Line) {
        for folder in self.steps.pinned.iter().filter(|folder| folder.is_dir()) {
            line.bind("--bind", folder);
        }
    }

    /// What is done when everything else is there.
    pub(super) fn after(&self, line: &mut Line) {
        for path in &self.steps.covered {
            let is_left_out = path
                .parent()
                .is_some_and(|it| self.steps.sealed.contains(it));
            if path.is_dir() {
                line.path("--tmpfs", path);
            } else if !is_left_out {
                line.path("--ro-bind", Path::new("/dev/null"));
                line.0.push(path.into());
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Deepest first. One that somebody has put something into stays.
        self.made.sort();
        for folder in self.made.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Steps {
    /// Where it is there and no link: what a link leads to is a path of its own.
    fn cover(&mut self, path: &Path) {
        if path
            .symlink_metadata()
            .is_ok_and(|found| !found.is_symlink())
        {
            self.covered.insert(path.to_owned());
        }
    }

    /// Keeps the folders on the way from being renamed.
    fn pin(&mut self, path: &Path, root: &Path) {
        let between = path.ancestors().skip(1).take_while(|it| *it != root);
        self.pinned.extend(between.map(Path::to_owned));
    }

    /// Gives up sealing the largest folders if there are too many entries.
    fn limit(&mut self, printer: Printer) {
        let count = |folder: &PathBuf| folder.read_dir().map_or(0, Iterator::count);
        let mut counts: Vec<(usize, PathBuf)> = self
            .sealed
            .iter()
            .map(|folder| (count(folder), folder.clone()))
            .collect();
        counts.sort();
        let mut sum: usize = counts.iter().map(|(count, _)| count).sum();
        while sum > MOST_ENTRIES
            && let Some((count, folder)) = counts.pop()
        {
            sum -= count;
            printer.warn(&format!(
                "`{}` has {count} entries: a credential that is put there while the program runs is not hidden from it",
                folder.display()
            ));
            self.sealed.remove(&folder);
        }
    }

    fn seal(&self, folder: &Path, line: &mut Line) {
        let Ok(entries) = folder.read_dir() else {
            return;
        };
        line.path("--tmpfs", folder);
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            if self.out_of_reach.contains(&entry) {
                continue;
            }
            if EMPTY.iter().any(|empty| entry == Path::new(empty)) {
                line.path("--tmpfs", &entry);
            } else if let Ok(target) = entry.read_link() {
                line.path("--symlink", &target);
                line.0.push(entry.into());
            } else if entry.symlink_metadata().is_ok() {
                line.bind("--ro-bind-try", &entry);
            }
        }
    }
}

/// The next folder above that is there.
fn above(path: &Path) -> &Path {
    let mut above = path.ancestors().skip(1);
    above.find(|it| it.exists()).unwrap_or(Path::new("/"))
}

fn has_link(path: &Path, root: &Path) -> bool {
    let between = path.ancestors().take_while(|it| *it != root);
    let mut links = between.filter_map(|it| it.symlink_metadata().ok());
    links.any(|found| found.is_symlink())
}

/// A file with two names is hidden by one of them only.
fn warn_of_links(path: &Path, printer: Printer) {
    use std::os::unix::fs::MetadataExt as _;
    let found = path.symlink_metadata();
    if found.is_ok_and(|found| found.is_file() && found.nlink() > 1) {
        printer.warn(&format!(
            "`{}` has another name (a hard link), by which the program may find it",
            path.display()
        ));
    }
}

/// A folder for its owner alone, with those above it.
pub(super) fn make_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a view, and the folder that everything is in; `P` is that folder.
    fn words(
        hidden: &[(&str, What)],
        writable: &[&str],
        make: &[&str],
    ) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in make {
            match path.strip_suffix('/') {
                Some(path) => std::fs::create_dir_all(root.join(path)).unwrap(),
                None => std::fs::write(root.join(path), "").unwrap(),
            }
        }
        let at = |path: &&str| {
            if path.is_empty() {
                root.clone()
            } else {
                root.join(path)
            }
        };
        let hidden = hidden
            .iter()
            .map(|(path, what)| (at(path), *what))
            .collect();
        let writable: Vec<PathBuf> = writable.iter().map(|path| root.join(path)).collect();
        let ground = Ground {
            project: &root.join("project"),
            writable: &writable,
            read_only: &[],
            empty: &[],
            printer: Printer::new(true, true),
        };
        let view = View::of(&hidden, ground).unwrap();
        let mut line = Line(Vec::new());
        view.before(&mut line);
        line.words(&["|"]);
        view.pin(&mut line);
        line.words(&["|"]);
        view.after(&mut line);
        let words: Vec<&str> = line.0.iter().map(|word| word.to_str().unwrap()).collect();
        let words = words.join(" ").replace(root.to_str().unwrap(), "P");
        (folder, words)
    }

    #[test]
    fn a_folder_that_lacks_a_secret_place_is_sealed_and_has_the_rest() {
        let (_folder, words) = words(
            &[
                ("home/.aws", What::Folder),
                ("home/.netrc", What::File),
                ("home/.ssh", What::Folder),
            ],
            &[],
            &[
                "home/.ssh/",
                "home/.cache/",
                "home/.netrc",
                "home/.bashrc",
                "project/",
            ],
        );
        assert_eq!(
            words,
            "--tmpfs P/home --ro-bind-try P/home/.bashrc P/home/.bashrc --ro-bind-try P/home/.cache P/home/.cache \
             | | --tmpfs P/home/.ssh"
        );
    }

    #[test]
    fn below_a_writable_folder_secrets_are_covered_and_the_way_to_them_is_pinned() {
        let (folder, words) = words(
            &[
                ("project/a/b/key", What::File),
                ("project/later.key", What::File),
                ("cache/x/fnox", What::OwnFolder),
            ],
            &["cache"],
            &["project/a/b/", "project/a/b/key", "cache/"],
        );
        assert_eq!(
            words,
            "| --bind P/cache/x P/cache/x --bind P/project/a P/project/a --bind P/project/a/b P/project/a/b \
             | --tmpfs P/cache/x/fnox --ro-bind /dev/null P/project/a/b/key"
        );
        let left: Vec<_> = folder.path().join("cache").read_dir().unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_folder_that_the_project_is_in_is_hidden_before_the_project_is_there() {
        let (_folder, words) = words(
            &[("", What::File), ("other", What::Folder)],
            &[],
            &["project/", "other/"],
        );
        assert_eq!(words, "--tmpfs P | |");
    }

    #[test]
    fn what_may_be_written_to_is_not_what_is_hidden() {
        let ground = Ground {
            project: Path::new("/p"),
            writable: &[],
            read_only: &[],
            empty: &[],
            printer: Printer::new(true, true),
        };
        for path in ["/p", "/"] {
            let hidden = [(PathBuf::from(path), What::File)].into();
            View::of(&hidden, ground).unwrap_err();
        }
    }
}
