//! Which versions were seen last: `$STATE/seen/HASH.json`, one file for each project's profile on a server.
//!
//! HASH is BLAKE3 over server, project and profile, each preceded by its length. A server, or whoever restores an old
//! copy of its database, can hand out an old value that is signed well; a reader that remembers notices. Numbers only
//! rise. Writers take turns by a lock on a file beside it, and replace the file as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fnox_system::Rights;
use serde::{Deserialize, Serialize};

use crate::error::ProviderError;

/// The file of one project's profile on one server.
#[derive(Debug)]
pub(super) struct Seen {
    path: PathBuf,
    server: String,
    project: String,
    profile: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    server: String,
    project: String,
    profile: String,
    keys: BTreeMap<String, u64>,
}

impl Seen {
    pub(super) fn of(state: &Path, server: &str, project: &str, profile: &str) -> Self {
        let mut hash = blake3::Hasher::new();
        for part in [server, project, profile] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let name = format!("seen/{}.json", hash.finalize().to_hex());
        Self {
            path: state.join(name),
            server: server.to_owned(),
            project: project.to_owned(),
            profile: profile.to_owned(),
        }
    }

    /// The newest version of each key that was seen.
    ///
    /// # Errors
    /// `Misconfigured` if the file is there and cannot be understood: what it said is not forgotten in silence.
    pub(super) fn read(&self) -> Result<BTreeMap<String, u64>, ProviderError> {
        let unusable = |reason: String| {
            ProviderError::misconfigured(format!(
                "the versions seen last cannot be read from {}: {reason}",
                self.path.display()
            ))
            .with_remedy(
                "repair the file, or remove it; old values are then accepted until newer ones are seen",
            )
        };
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        let is_ours = content.version == 1
            && content.server == self.server
            && content.project == self.project
            && content.profile == self.profile;
        if !is_ours {
            return Err(unusable("it is about something else".to_owned()));
        }
        Ok(content.keys)
    }

    /// Remembers versions. Older ones than those that are remembered change nothing.
    ///
    /// # Errors
    /// As [`Self::read`]; `Unavailable` if it cannot be written.
    pub(super) fn raise(&self, versions: &BTreeMap<String, u64>) -> Result<(), ProviderError> {
        let failed = |error: std::io::Error| {
            ProviderError::unavailable(format!(
                "the versions seen last cannot be written to {}: {error}",
                self.path.display()
            ))
        };
        let _lock = self.lock().map_err(failed)?;
        let mut keys = self.read()?;
        let before = keys.clone();
        for (key, version) in versions {
            let known = keys.entry(key.clone()).or_insert(0);
            *known = (*known).max(*version);
        }
        if keys == before {
            return Ok(());
        }
        let content = Content {
            version: 1,
            server: self.server.clone(),
            project: self.project.clone(),
            profile: self.profile.clone(),
            keys,
        };
        let text = serde_json::to_vec_pretty(&content).map_err(|error| failed(error.into()))?;
        replace(&self.path, &text).map_err(failed)
    }

    /// Held until it is dropped; a dead process holds none.
    fn lock(&self) -> std::io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fnox_config::trust::create_private_folder(folder)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }
}

/// Replaces a file of the state folder as a whole, for this user only.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fnox_config::trust::create_private_folder(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fnox-");
    let mut temporary = fnox_system::create_temporary(&mut builder, folder, Rights::Private)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    fnox_system::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(folder: &Path) -> Seen {
        Seen::of(folder, "https://h.example", "my-app", "default")
    }

    fn versions(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(key, version)| ((*key).to_owned(), *version))
            .collect()
    }

    #[test]
    fn numbers_only_rise_and_belong_to_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let seen = seen(folder.path());
        assert!(seen.read().unwrap().is_empty());
        seen.raise(&versions(&[("A", 3), ("B", 1)])).unwrap();
        seen.raise(&versions(&[("A", 2), ("C", 9)])).unwrap();
        assert_eq!(
            seen.read().unwrap(),
            versions(&[("A", 3), ("B", 1), ("C", 9)])
        );
        let other = Seen::of(folder.path(), "https://h.example", "my-app", "production");
        assert!(other.read().unwrap().is_empty());
        assert_ne!(
            Seen::of(folder.path(), "a", "bc", "d").path,
            Seen::of(folder.path(), "ab", "c", "d").path
        );
    }

    #[test]
    fn many_writers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for worker in 0..8_u64 {
                let seen = seen(folder.path());
                scope.spawn(move || {
                    for step in 0..10 {
                        let own = format!("K{worker}");
                        seen.raise(&versions(&[("A", worker * 10 + step), (&own, step)]))
                            .unwrap();
                    }
                });
            }
        });
        let found = seen(folder.path()).read().unwrap();
        assert_eq!(found.len(), 9);
        assert_eq!(found["A"], 79);
        assert!((0..8).all(|worker| found[&format!("K{worker}")] == 9));
    }

    #[test]
    fn what_cannot_be_understood_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let seen = seen(folder.path());
        seen.raise(&versions(&[("A", 3)])).unwrap();
        let text = std::fs::read_to_string(&seen.path).unwrap();
        for bad in [
            String::new(),
            text.replace("my-app", "other"),
            text.replace('3', "-3"),
        ] {
            std::fs::write(&seen.path, bad).unwrap();
            let error = seen.read().unwrap_err();
            assert_eq!(error.code(), "provider::misconfigured");
            assert!(seen.raise(&versions(&[("A", 4)])).is_err());
        }
    }

    #[test]
    fn the_file_is_for_this_user_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let seen = seen(folder.path());
        seen.raise(&versions(&[("A", 3)])).unwrap();
        for (path, mode) in [
            (seen.path.as_path(), 0o600),
            (seen.path.parent().unwrap(), 0o700),
        ] {
            let found = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
        }
    }
}
