//! Folders, file modes and the clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fnox_config::spec::{Field, Kind, Sight};
use fnox_config::{Config, Fields};
use fnox_core::Clock as _;
use fnox_system::Protection;
use jiff::{SignedDuration, Timestamp};

use super::Examinations;
use crate::app::App;
use crate::output::documents::Outcome;

/// fnox did not exist before 2026-01-01T00:00:00Z.
const FIRST_SECOND: i64 = 1_767_225_600;

/// How far in the future a file may have been written before the clock is in doubt.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// What the names of keys for a file say whose content is enough to be somebody.
const KEYS: [&str; 4] = ["key", "token", "credentials", "assertion"];

pub(super) fn examine(app: &App, config: Option<&Config>, found: &mut Examinations) {
    folders(app, found);
    modes(app, config, found);
    clock(app, config, found);
}

fn folders(app: &App, found: &mut Examinations) {
    let folders = &app.folders;
    let all = [
        (
            "config",
            &folders.config,
            Outcome::Warning,
            "FNOX_CONFIG_DIR",
        ),
        ("state", &folders.state, Outcome::Failure, "FNOX_STATE_DIR"),
        (
            "runtime",
            &folders.runtime,
            Outcome::Warning,
            "XDG_RUNTIME_DIR",
        ),
    ];
    for (name, path, outcome, variable) in all {
        match writable(path) {
            Ok(()) => found.add("folders", name, Outcome::Ok, path.display().to_string()),
            Err(error) => {
                found.add(
                    "folders",
                    name,
                    outcome,
                    format!("{} cannot be written: {error}", path.display()),
                );
                found.remedy(Some(format!(
                    "mend its owner and mode, or choose another one with {variable}"
                )));
            }
        }
    }
}

/// Whether a folder can be written, or made where it does not exist yet.
fn writable(path: &Path) -> std::io::Result<()> {
    let existing = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let existing = existing.unwrap_or(Path::new("/"));
    if !existing.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    fnox_system::require_writable_folder(existing)
}

/// Files that nobody else should read, as far as they exist.
fn modes(app: &App, config: Option<&Config>, found: &mut Examinations) {
    let leases = app.folders.state.join("leases");
    let mut private: Vec<PathBuf> = vec![
        super::super::age::usual_file(app),
        app.folders.config.join("age/identities.txt"),
        app.folders.state.join("trusted.json"),
        app.folders.state.join("shell.key"),
        leases.clone(),
    ];
    if let Ok(entries) = std::fs::read_dir(&leases) {
        private.extend(
            entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| {
                    path.extension()
                        .is_some_and(|extension| extension == "toml" || extension == "key")
                }),
        );
    }
    private.extend(config.into_iter().flat_map(|config| keys(app, config)));
    // One may be named twice.
    let private: BTreeSet<PathBuf> = private
        .into_iter()
        .map(|path| path.canonicalize().unwrap_or(path))
        .collect();
    let mut all_private = true;
    for path in private {
        let Ok(protection) = Protection::of_path(&path) else {
            continue;
        };
        if let Some(others) = protection.who_else_opens() {
            all_private = false;
            found.add(
                "files",
                path.display().to_string(),
                Outcome::Warning,
                format!("other users may use it ({others})"),
            );
            found.remedy(Some(if cfg!(windows) {
                "take it from them, in its properties".to_owned()
            } else {
                format!("chmod go= {}", path.display())
            }));
        }
    }
    if all_private {
        found.add(
            "files",
            "modes",
            Outcome::Ok,
            "what is private is for this user only",
        );
    }
}

/// The files with keys and tokens that providers and leases name.
fn keys(app: &App, config: &Config) -> Vec<PathBuf> {
    let of = |fields: &Fields, known: &'static [Field]| -> Vec<PathBuf> {
        let hidden = known.iter().filter(|field| {
            matches!(
                field.kind,
                Kind::Path(Sight::Hidden) | Kind::ReferencePath(Sight::Hidden)
            )
        });
        hidden
            .filter(|field| KEYS.iter().any(|word| field.name.contains(word)))
            .filter_map(|field| fields.path(field.name, app.folders.home()))
            .collect()
    };
    let providers = config.providers.values();
    let leases = config.leases.values();
    providers
        .flat_map(|provider| of(&provider.fields, provider.spec.fields))
        .chain(leases.flat_map(|lease| of(&lease.fields, lease.spec.fields)))
        .collect()
}

/// Expiry is judged by this machine's clock.
fn clock(app: &App, config: Option<&Config>, found: &mut Examinations) {
    let now = app.clock.now();
    let remedy = || Some("set the clock: short-lived credentials are judged by it".to_owned());
    if now.as_second() < FIRST_SECOND {
        found.add(
            "clock",
            "time",
            Outcome::Failure,
            format!("{now} has long passed"),
        );
        found.remedy(remedy());
        return;
    }
    let files = config
        .into_iter()
        .flat_map(|config| &config.files)
        .map(|file| file.path.as_path());
    let newest = files
        .filter_map(|path| Some((path, written(path)?)))
        .max_by_key(|(_, written)| *written)
        .filter(|(_, written)| written.duration_since(now) > CLOCK_TOLERANCE);
    if let Some((path, written)) = newest {
        let path = path.display();
        let detail = format!("it is {now}, but {path} was written at {written}");
        found.add("clock", "time", Outcome::Warning, detail);
        found.remedy(remedy());
    } else {
        let rounded = now.round(jiff::Unit::Second).unwrap_or(now);
        found.add("clock", "time", Outcome::Ok, rounded.to_string());
    }
}

fn written(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(path.metadata().ok()?.modified().ok()?).ok()
}
