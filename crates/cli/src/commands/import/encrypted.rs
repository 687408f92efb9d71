//! Files in which another tool keeps ciphertexts beside the names: sops and dotenvx.
//!
//! They are opened here, so that the values touch neither another program nor a disk. The keys are looked for where those tools
//! look for theirs, and for sops also where fnox looks for its age identities.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_core::age::{Identities, decrypt};
use fnox_core::{SecretBytes, SecretName, SecretString};
use fnox_providers::backend::age::Opener;
use fnox_providers::dotenvx::{MARK, PrivateKeys};
use fnox_providers::sops::SopsError;
use fnox_providers::{Context, ProviderError, dotenv, sops};

use super::input::{Pairs, Unreadable};
use super::vendor::{Name, renamed};
use crate::app::App;

/// Largest file of keys that is read.
const KEYS_LIMIT: u64 = 1024 * 1024;

/// How the public key of a dotenvx file begins, and the private one that belongs to it.
const PUBLIC_KEY: &str = "DOTENV_PUBLIC_KEY";
const PRIVATE_KEY: &str = "DOTENV_PRIVATE_KEY";

/// A YAML, JSON or dotenv file of sops whose data key an age identity opens.
pub(super) fn sops(app: &App, text: &str) -> Result<Pairs, Unreadable> {
    let entries = sops::read(text, |files| open(app, files)).map_err(|error| sops_error(&error))?;
    renamed(entries.into_iter().map(|entry| {
        // A name that can be a variable is one already: nobody wants `Path` to become `PATH`.
        let name = match entry.path.as_slice() {
            [name] if SecretName::parse(name).is_ok() => Name::Kept(name.clone()),
            path => Name::Made(path.join("_")),
        };
        (name, entry.value)
    }))
}

fn sops_error(error: &SopsError) -> Unreadable {
    let help = match error {
        SopsError::NotSops => {
            Some("`fnox import yaml`, `json` and `env` read files in clear".to_owned())
        }
        SopsError::Metadata { .. } | SopsError::NoAge => Some(
            "have sops decrypt it on the way: `sops decrypt --output-type json FILE | fnox import json -f -p PROVIDER`".to_owned(),
        ),
        SopsError::Locked(error) => error.remedy.clone(),
        _ => None,
    };
    match (help, Unreadable::because(error)) {
        (Some(help), unreadable) => unreadable.with_help(help),
        (None, unreadable) => unreadable,
    }
}

/// Tries the identities of sops, then those of fnox.
fn open(app: &App, files: &[Vec<u8>]) -> Vec<Result<SecretBytes, ProviderError>> {
    for (source, text) in identities_of_sops(app) {
        let Ok(identities) = Identities::parse_from(&source, &text, &app.prompt) else {
            app.printer
                .warn(&format!("{source} holds no age identity; left out"));
            continue;
        };
        let opened = files
            .iter()
            .find_map(|file| decrypt(&identities, file).ok());
        if let Some(opened) = opened {
            return vec![Ok(opened)];
        }
    }
    let context = Context::new(
        app.env.clone(),
        app.folders.clone(),
        Arc::clone(&app.prompt),
    );
    Opener::new(&context).open(files)
}

/// `SOPS_AGE_KEY`, `SOPS_AGE_KEY_FILE`, `SOPS_AGE_SSH_PRIVATE_KEY_FILE`, and the usual file, as far as they are there.
fn identities_of_sops(app: &App) -> Vec<(String, SecretString)> {
    let mut found = Vec::new();
    if let Some(text) = app.env.secret("SOPS_AGE_KEY") {
        found.push(("SOPS_AGE_KEY".to_owned(), text));
    }
    let named = ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"];
    let named = named
        .into_iter()
        .filter_map(|name| app.env.var(name).map(|path| app.cwd.join(path)));
    let config = app.env.var("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| app.folders.home().map(|home| home.join(".config")));
    let usual = config.map(|folder| folder.join("sops/age/keys.txt"));
    let usual = usual.filter(|path| path.exists());
    for path in named.chain(usual) {
        match keys_file(&path) {
            Ok(text) => found.push((path.display().to_string(), text)),
            Err(reason) => app
                .printer
                .warn(&format!("{} cannot be read: {reason}", path.display())),
        }
    }
    found
}

/// A dotenv file with values of dotenvx, whose private key stands in the environment or in `.env.keys` beside it.
pub(super) fn dotenvx(app: &App, text: &str, folder: &Path) -> Result<Pairs, Unreadable> {
    let mut pairs = dotenv::parse(text).map_err(|error| Unreadable::because(&error))?;
    let public = pairs
        .iter()
        .find_map(|(name, _)| name.strip_prefix(PUBLIC_KEY))
        .ok_or_else(|| {
            Unreadable::because(
                &"it is not encrypted by dotenvx: there is no DOTENV_PUBLIC_KEY in it",
            )
            .with_help("`fnox import env` reads files in clear")
        })?;
    let private = format!("{PRIVATE_KEY}{public}");
    let keys = private_keys(app, &private, folder)?;
    pairs.retain(|(name, _)| !name.starts_with(PUBLIC_KEY));
    for (name, value) in &mut pairs {
        if value.expose_secret().starts_with(MARK) {
            *value = keys.open(value.expose_secret()).ok_or_else(|| {
                Unreadable::because(&format!(
                    "`{}` does not open with {private}: it was changed, or encrypted for another key",
                    name.escape_debug()
                ))
            })?;
        }
    }
    Ok(pairs)
}

fn private_keys(app: &App, name: &str, folder: &Path) -> Result<PrivateKeys, Unreadable> {
    let file = folder.join(".env.keys");
    let (source, text) = match app.env.secret(name) {
        Some(text) => (name.to_owned(), Some(text)),
        None if file.exists() => {
            let unreadable = |reason: &str| {
                Unreadable::because(&format!("{} cannot be read: {reason}", file.display()))
            };
            let keys = keys_file(&file).map_err(|reason| unreadable(&reason))?;
            let keys = dotenv::parse(keys.expose_secret())
                .map_err(|error| unreadable(&error.to_string()))?;
            let found = keys.into_iter().rev().find(|(key, _)| key == name);
            (
                format!("{name} in {}", file.display()),
                found.map(|(_, text)| text),
            )
        }
        None => (name.to_owned(), None),
    };
    let Some(text) = text else {
        return Err(
            Unreadable::because(&format!("its private key {name} is not there")).with_help(
                format!("set {name}, or put the file `.env.keys` beside it; a key that is kept elsewhere: `dotenvx decrypt --stdout -f FILE | fnox import -f -p PROVIDER`"),
            ),
        );
    };
    PrivateKeys::parse(&text)
        .map_err(|error| Unreadable::because(&format!("{source} is no private key: {error}")))
}

fn keys_file(path: &Path) -> Result<SecretString, String> {
    let bytes = std::fs::File::open(path)
        .and_then(|file| super::input::limited(file, KEYS_LIMIT))
        .map_err(|error| error.to_string())?;
    bytes.into_string().map_err(|error| error.to_string())
}
