//! Whether anything can have changed, told by looking at files without reading them.
//!
//! Every configuration file that could take part counts with its time, size and inode: those found by name in this
//! folder and all above it, the global one, imports, and the record of trusted folders. Only files that exist go
//! into the digest, so going into a subfolder without files of its own changes nothing. Neither does whatever a
//! provider keeps: the hook would have to ask it at each prompt.

use std::path::{Path, PathBuf};

use fnox_config::discover::{LOCAL_FILES, PROJECT_FILES, profile_files};
use fnox_config::trust::TrustRecord;
use fnox_core::ProfileName;
use jiff::{SignedDuration, Timestamp};

use super::session::Session;
use crate::app::App;
use crate::environment;

/// How far behind the clock a file's time may be: the kernel stamps files with the time of its last tick.
const COARSENESS: SignedDuration = SignedDuration::from_millis(5);

/// One look at all that decides what is loaded.
#[derive(Debug)]
pub(crate) struct Look {
    /// Tells it from any other state.
    pub(crate) digest: String,
    /// When each file was written.
    written: Vec<Timestamp>,
}

impl Look {
    /// Whether a file was written while it was being read. Then what was read may be older than what was looked at.
    pub(crate) fn overlaps(&self, begin: Timestamp, end: Timestamp) -> bool {
        let begin = begin.checked_sub(COARSENESS).unwrap_or(begin);
        self.written
            .iter()
            .any(|written| (begin..=end).contains(written))
    }
}

/// Looks.
pub(crate) fn look(app: &App, session: &Session) -> Look {
    let mut hasher = blake3::Hasher::new();
    let mut written = Vec::new();
    settings(app, session, &mut hasher);
    let profiles = session.profiles.iter();
    let profiles: Vec<ProfileName> = profiles
        .filter_map(|name| ProfileName::parse(name).ok())
        .collect();
    for path in candidates(app, &profiles).iter().chain(&session.watched) {
        written.extend(stamp(path, &mut hasher));
    }
    Look {
        digest: hasher.finalize().to_hex().to_string(),
        written,
    }
}

/// Where a configuration file that takes part may stand, whether there is one or not, and the record of what is trusted.
pub(crate) fn candidates(app: &App, profiles: &[ProfileName]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    if let Some(path) = app.explicit_file() {
        out.push(path);
    } else {
        let names: Vec<String> = PROJECT_FILES
            .iter()
            .chain(&LOCAL_FILES)
            .map(|name| (*name).to_owned())
            .chain(profiles.iter().flat_map(profile_files))
            .collect();
        for folder in app.cwd.ancestors() {
            out.extend(names.iter().map(|name| folder.join(name)));
        }
    }
    out.push(app.folders.global_file());
    out.push(TrustRecord::path(&app.folders));
    out
}

/// fnox's own variables, but those that fnox itself set here, and what the hook was called with.
fn settings(app: &App, session: &Session, hasher: &mut blake3::Hasher) {
    let owned = |name: &str| session.variables.iter().any(|owned| owned.name == name);
    for (name, value) in app.env.iter() {
        let Some(text) = name.to_str() else { continue };
        if text.starts_with("FNOX_") && text != environment::SHELL && !owned(text) {
            part(name.as_encoded_bytes(), hasher);
            part(value.as_encoded_bytes(), hasher);
        }
    }
    for word in &app.choice {
        part(word.as_bytes(), hasher);
    }
    for folder in [
        &app.folders.config,
        &app.folders.state,
        &app.folders.runtime,
    ] {
        part(folder.as_os_str().as_encoded_bytes(), hasher);
    }
}

/// Adds to a digest what tells a file's state from any other, if there is one; when it was written.
pub(crate) fn stamp(path: &Path, hasher: &mut blake3::Hasher) -> Option<Timestamp> {
    let metadata = path.metadata().ok()?;
    part(path.as_os_str().as_encoded_bytes(), hasher);
    for number in fnox_system::stamp(&metadata) {
        hasher.update(&number.to_le_bytes());
    }
    Timestamp::try_from(metadata.modified().ok()?).ok()
}

/// Length first, so that parts cannot run into one another.
fn part(bytes: &[u8], hasher: &mut blake3::Hasher) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The imports among the files that a configuration came from.
pub(crate) fn imports(config: &fnox_config::Config) -> Vec<PathBuf> {
    let files = config.files.iter();
    let imported = files.filter(|file| file.imported_by.is_some());
    imported.map(|file| file.path.clone()).collect()
}
