//! A helper for one host in git's global configuration (git-config(1), gitcredentials(7)), written by git itself into a
//! copy of the file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fnox_core::Env;

use super::file::Edit;
use super::{refused, shell_quoted};
use crate::error::CliError;

/// The file that `git config --global` writes (git-config(1), FILES).
pub(super) fn global_file(env: &Env, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = env.var("GIT_CONFIG_GLOBAL") {
        return Some(PathBuf::from(path));
    }
    let own = home?.join(".gitconfig");
    if own.is_file() {
        return Some(own);
    }
    let folder = match env.var("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => home?.join(".config"),
    };
    let other = folder.join("git/config");
    Some(if other.is_file() { other } else { own })
}

/// A helper that git gives to `sh`.
pub(super) fn helper(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
    format!("!{}", words.join(" "))
}

/// The configuration with the helper for a URL and no other: an empty value takes back those of wider scope, which would
/// be given the token to keep (`git credential approve`).
pub(super) fn edited(text: &str, url: &str, helper: &str, env: &Env) -> Result<Edit, CliError> {
    let failed = |source| CliError::File {
        action: "copy",
        path: PathBuf::from("git's configuration"),
        source,
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let copy = folder.path().join("config");
    std::fs::write(&copy, text).map_err(failed)?;
    let key = format!("credential.{url}.helper");
    let known = git(env, &copy, &["--get-all", &key])?.unwrap_or_default();
    let is_own = |line: &str| line.is_empty() || line.contains(" credential --project ");
    if known.lines().eq(["", helper]) {
        return Ok(Edit::of(text.to_owned()));
    }
    if !known.lines().all(is_own) {
        return Err(refused(
            "git's configuration",
            format!("{url} has another credential helper already"),
        ));
    }
    for arguments in [["--replace-all", &key, ""], ["--add", &key, helper]] {
        if git(env, &copy, &arguments)?.is_none() {
            return Err(refused("git's configuration", "git cannot change it"));
        }
    }
    std::fs::read_to_string(&copy).map(Edit::of).map_err(failed)
}

/// What `git config` prints. `None`: it failed, or there is no such key.
fn git(env: &Env, file: &Path, arguments: &[&str]) -> Result<Option<String>, CliError> {
    let output = Command::new("git")
        .arg("config")
        .arg("--file")
        .arg(file)
        .args(arguments)
        .env_clear()
        .envs(
            env.iter()
                .filter(|(name, _)| *name == "PATH" || *name == "HOME"),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|source| CliError::File {
            action: "run",
            path: PathBuf::from("git"),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some(text))
}
