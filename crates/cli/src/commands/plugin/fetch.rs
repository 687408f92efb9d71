//! Fetching a plugin with git.
//!
//! git is asked for one commit, into a bare repository that goes away again, and for the contents of its files. It checks
//! nothing out: so no hook, no filter, no submodule and no link of the repository has a say in what happens here, and what
//! is written where is decided by fnox. Protocols are limited to those of [`Source`], also for what a server redirects to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use fnox_core::{Env, SecretString};
use fnox_providers::plugins::{Files, MAIN, MOST_BYTES, MOST_FILES};
use fnox_providers::process::Program;

use super::failed;
use super::source::Source;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::harmless;

/// How long one call of git may take.
const LIMIT: Duration = Duration::from_mins(2);

/// Variables that would lead git elsewhere, or that are nobody's business there.
const HIDDEN: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_TRACE",
    "GIT_TEMPLATE_DIR",
    "FNOX_AGE_KEY",
    "FNOX_VAULT_TOKEN",
    "__FNOX_SESSION",
];

/// A plugin as a commit has it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) commit: String,
    pub(super) files: Files,
    /// Of the files, those that are programs.
    pub(super) programs: BTreeSet<String>,
}

/// Fetches what a source means today.
///
/// # Errors
/// If git is not there or fails, and if the repository has what a plugin may not have.
pub(super) async fn fetch(app: &App, source: &Source) -> Result<Fetched, CliError> {
    let folder = tempfile::tempdir().map_err(|source| CliError::File {
        action: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let git = Git {
        env: environment(&app.env),
        folder: folder.path(),
    };
    git.ask(&["init", "--quiet", "--bare", "--template="])
        .await?;
    let reference = source.reference.as_deref().unwrap_or("HEAD");
    git.ask(&[
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-recurse-submodules",
        "--",
        &source.url,
        reference,
    ])
    .await?;
    let commit = git
        .ask(&["rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}"])
        .await?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    if source.commit().is_some_and(|wanted| wanted != commit) {
        let message = format!("{} answers with another commit, {commit}", source.url);
        return Err(failed(message));
    }
    let listing = git
        .ask(&["ls-tree", "-r", "-l", "-z", "--full-tree", &commit])
        .await?;
    let entries = entries(&listing)?;
    let mut fetched = Fetched {
        commit,
        files: Files::default(),
        programs: BTreeSet::new(),
    };
    for (path, entry) in entries {
        let content = git.ask(&["cat-file", "blob", &entry.object]).await?;
        if entry.is_program {
            fetched.programs.insert(path.clone());
        }
        fetched.files.0.insert(path, content);
    }
    if !fetched.files.0.contains_key(MAIN) {
        let message = format!("{} has no `{MAIN}`, so it is no plugin", source.url);
        return Err(failed(message));
    }
    Ok(fetched)
}

/// git asks nobody: whoever is at the terminal is asked by helpers of their own, or has a key in an agent.
fn environment(env: &Env) -> Env {
    let mut set = vec![
        ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
    ];
    if env.var("GIT_SSH_COMMAND").is_none() && env.var("GIT_SSH").is_none() {
        set.push(("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"));
    }
    let set = set
        .into_iter()
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    env.without(&HIDDEN).with_overlay(set)
}

struct Git<'a> {
    env: Env,
    folder: &'a Path,
}

impl Git<'_> {
    /// What a command prints, which must succeed.
    async fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, CliError> {
        let options = [
            "--git-dir=.",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "fetch.recurseSubmodules=false",
            "-c",
            "gc.auto=0",
        ];
        let mut all = vec![OsString::from("-C"), self.folder.into()];
        all.extend(options.iter().chain(arguments).map(OsString::from));
        let program = Program {
            name: "git",
            arguments: all,
            env: &self.env,
            input: None,
            time_limit: LIMIT,
            install_hint: "install git, or put the plugin somewhere by hand and `fnox plugin link` it",
        };
        let output = program.run().await.map_err(|error| {
            let remedy = error.remedy.map(|remedy| format!(": {remedy}"));
            failed(error.message + &remedy.unwrap_or_default())
        })?;
        if output.status.success() {
            return Ok(output.stdout.expose_secret().to_vec());
        }
        let command = arguments.first().copied().unwrap_or_default();
        let complaint: String = output.stderr.chars().take(1000).collect();
        Err(failed(format!(
            "`git {command}` failed: {}",
            harmless(&complaint)
        )))
    }
}

/// A file of a commit.
#[derive(Debug)]
struct Entry {
    object: String,
    is_program: bool,
}

/// The files of `git ls-tree -r -l -z`: `MODE TYPE OBJECT SIZE\tPATH\0` (git-ls-tree(1)).
fn entries(listing: &[u8]) -> Result<BTreeMap<String, Entry>, CliError> {
    let mut out = BTreeMap::new();
    let mut bytes = 0_u64;
    for line in listing.split(|byte| *byte == 0) {
        if line.is_empty() {
            continue;
        }
        let unfit = |what: &str| failed(format!("a plugin may not have {what}"));
        let line = std::str::from_utf8(line).map_err(|_| unfit("such a file name"))?;
        let (head, path) = line
            .split_once('\t')
            .ok_or_else(|| unfit("such an entry"))?;
        let mut head = head.split_ascii_whitespace();
        let (mode, object, size) = (head.next(), head.nth(1), head.next());
        let named = path.escape_debug();
        let is_program = match mode {
            Some("100644") => false,
            Some("100755") => true,
            Some("120000") => return Err(unfit(&format!("a link: {named}"))),
            Some("160000") => return Err(unfit(&format!("a submodule: {named}"))),
            _ => return Err(unfit(&format!("anything but files: {named}"))),
        };
        if !is_below(path) {
            return Err(unfit(&format!("a file of this name: {named}")));
        }
        bytes += size
            .and_then(|size| size.parse().ok())
            .unwrap_or(u64::MAX / 2);
        if out.len() >= MOST_FILES || bytes > MOST_BYTES {
            let most = MOST_BYTES / 1024 / 1024;
            return Err(unfit(&format!(
                "more than {MOST_FILES} files or {most} MiB"
            )));
        }
        let object = object.unwrap_or_default().to_owned();
        out.insert(path.to_owned(), Entry { object, is_program });
    }
    Ok(out)
}

/// Whether a path stays in the folder. git refuses others too, but it is not git that writes.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.eq_ignore_ascii_case(".git")
            && !part.chars().any(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(head: &str, path: &str) -> Result<BTreeMap<String, Entry>, CliError> {
        entries(format!("{head}\t{path}\0").as_bytes())
    }

    #[test]
    fn files_are_taken_and_nothing_else() {
        let found = one("100755 blob abc      12", "lib/run").unwrap();
        assert_eq!(found["lib/run"].object, "abc");
        assert!(found["lib/run"].is_program);
        for (head, path) in [
            ("120000 blob abc 12", "link"),
            ("160000 commit abc -", "module"),
            ("040000 tree abc -", "folder"),
            ("100644 blob abc 12", "../up"),
            ("100644 blob abc 12", "/etc/passwd"),
            ("100644 blob abc 12", "a//b"),
            ("100644 blob abc 12", ".git/hooks/x"),
            ("100644 blob abc 12", ".GIT/config"),
            ("100644 blob abc 12", "a\nb"),
            ("100644 blob abc 99999999999", "large"),
            ("100644 blob abc", "without-size"),
        ] {
            assert!(one(head, path).is_err(), "{head} {path:?}");
        }
    }
}
