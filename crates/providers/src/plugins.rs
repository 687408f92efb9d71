//! Installed plugins: what was installed from where, and whether it is still that.
//!
//! Each is a folder below one folder of the person's. `fnox-plugins.lock` beside them says of each the source, the commit and a
//! BLAKE3 digest of all its files; a plugin whose files are others is not run. Nothing here fetches anything.
//!
//! What this defends against: a source that changes after it was read and installed, a project that means another plugin
//! by a name that is taken, files that something else wrote. Whoever can write the lock can write the plugins, and fnox.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file that a plugin begins with.
pub const MAIN: &str = "provider.lua";

/// The lock's name.
pub const LOCK: &str = "fnox-plugins.lock";

/// Most files of a plugin, and most bytes of all of them.
pub const MOST_FILES: usize = 256;
/// See [`MOST_FILES`].
pub const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// Most bytes of a lock.
const LARGEST_LOCK: u64 = 1024 * 1024;

/// A plugin cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock is no lock.
    #[error("{} is no lock of plugins: {reason}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is something that a plugin may not have.
    #[error("a plugin may not have {what}: {}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The form of this file: 1.
    pub version: u32,
    /// By name.
    pub plugins: BTreeMap<String, Installed>,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            version: 1,
            plugins: BTreeMap::new(),
        }
    }
}

/// Where an installed plugin is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Installed {
    /// From a git repository.
    Fetched {
        /// As `[plugins]` or the command line named it.
        source: String,
        /// The commit whose files they are.
        commit: String,
        /// The digest of the files, see [`Files::digest`].
        tree: String,
    },
    /// A folder of the person's own, used as it is.
    Linked {
        /// The folder.
        path: PathBuf,
    },
}

/// `[A-Za-z0-9][A-Za-z0-9._-]*`
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(fits)
}

/// Whether a text that names a plugin is a path: it has a slash, starts with `.` or `~`, or ends in `.lua`.
#[must_use]
pub fn is_path(text: &str) -> bool {
    let is_file = Path::new(text)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("lua"));
    is_file || text.contains(['/', '\\']) || text.starts_with(['.', '~'])
}

/// Where the plugin of a name is that somebody put below the configuration folder by hand.
#[must_use]
pub fn by_hand(configuration: &Path, name: &str) -> PathBuf {
    configuration.join("plugins").join(name)
}

/// Reads the lock of a folder of plugins. Without one nothing is installed.
///
/// # Errors
/// [`PluginError`]
pub fn read_lock(folder: &Path) -> Result<Lock, PluginError> {
    let path = folder.join(LOCK);
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(source) => return Err(PluginError::Io { path, source }),
    };
    let unfit = |reason: String| PluginError::Lock {
        path: path.clone(),
        reason,
    };
    if metadata.len() > LARGEST_LOCK {
        return Err(unfit("it is too large".to_owned()));
    }
    let text = std::fs::read_to_string(&path).map_err(|source| PluginError::Io {
        path: path.clone(),
        source,
    })?;
    let lock: Lock = serde_json::from_str(&text).map_err(|error| unfit(error.to_string()))?;
    if lock.version != 1 {
        return Err(unfit(format!("version {} is not known", lock.version)));
    }
    match lock.plugins.keys().find(|name| !is_name(name)) {
        Some(name) => Err(unfit(format!("`{}` is no name", name.escape_debug()))),
        None => Ok(lock),
    }
}

/// The files of a plugin, by their paths with `/` between the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads all files of a folder.
    ///
    /// # Errors
    /// [`PluginError::Unfit`] for a link, something that is no file, or more than a plugin may have.
    pub fn read(folder: &Path) -> Result<Self, PluginError> {
        let mut files = Self::default();
        files.read_below(folder, "")?;
        Ok(files)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> Result<(), PluginError> {
        let failed = |source| PluginError::Io {
            path: folder.to_owned(),
            source,
        };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let unfit = |what| PluginError::Unfit {
                path: path.clone(),
                what,
            };
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| unfit("such a name"))?;
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.read_below(&path, &format!("{name}/"))?;
            } else if kind.is_file() {
                let length = entry.metadata().map_err(failed)?.len();
                if self.0.len() >= MOST_FILES || self.bytes() + length > MOST_BYTES {
                    return Err(unfit("so many or such large files"));
                }
                let content = std::fs::read(&path).map_err(|source| PluginError::Io {
                    path: path.clone(),
                    source,
                })?;
                self.0.insert(name, content);
            } else {
                return Err(unfit("a link, or anything else that is no file"));
            }
        }
        Ok(())
    }

    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|content| content.len() as u64).sum()
    }

    /// BLAKE3 over number of files, and of each in the order of the paths: length of the path, path, length of the content,
    /// content; numbers as 64 bits, big-endian.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("fnox plugin files v1");
        hasher.update(&(self.0.len() as u64).to_be_bytes());
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        for (path, content) in &self.0 {
            part(path.as_bytes());
            part(content);
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        let entries = entries.iter();
        Files(
            entries
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    #[test]
    fn names_and_contents_cannot_run_into_one_another() {
        let all = [
            files(&[]),
            files(&[("a", "")]),
            files(&[("", "a")]),
            files(&[("a", "bc")]),
            files(&[("ab", "c")]),
            files(&[("a", "b"), ("c", "")]),
            files(&[("a", ""), ("b", "c")]),
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(one.digest(), other.digest(), "{one:?} {other:?}");
            }
            assert_eq!(one.digest(), one.clone().digest());
        }
    }

    #[test]
    fn a_folder_is_read_with_all_below_it_and_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("lib");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join(MAIN), "x").unwrap();
        std::fs::write(inner.join("more"), "y").unwrap();
        let read = Files::read(folder.path()).unwrap();
        assert_eq!(read, files(&[("lib/more", "y"), (MAIN, "x")]));
        std::os::unix::fs::symlink("/etc/passwd", inner.join("link")).unwrap();
        let error = Files::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a link"), "{error}");
    }

    #[test]
    fn a_lock_that_is_none_is_an_error_and_none_at_all_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_lock(folder.path()).unwrap(), Lock::default());
        let fetched = r#"{"fetched":{"source":"s","commit":"c","tree":"t"}}"#;
        let good = format!(r#"{{"version":1,"plugins":{{"a":{fetched}}}}}"#);
        std::fs::write(folder.path().join(LOCK), &good).unwrap();
        assert_eq!(read_lock(folder.path()).unwrap().plugins.len(), 1);
        for text in [
            "",
            "{}",
            r#"{"version":2,"plugins":{}}"#,
            &good.replace("\"a\"", "\"../a\""),
        ] {
            std::fs::write(folder.path().join(LOCK), text).unwrap();
            read_lock(folder.path()).unwrap_err();
        }
    }
}
