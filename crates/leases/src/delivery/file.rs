//! Files with a credential, written anew at each renewal (`deliver = ["file"]`).
//!
//! A file is 0600 from its first byte and replaced by rename, so a reader sees the old credential or the new one, never a
//! mixture. A file that somebody else made is never overwritten. Files outside of the run's private folder are
//! removed when the run is over; a list of them in that folder tells a successor which ones a killed run left.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fnox_config::{Fields, LeaseConfig};
use fnox_core::{LeaseName, SecretString};
use fnox_system::Protection;
use minijinja::{Environment, UndefinedBehavior};
use zeroize::Zeroizing;

use crate::error::LeaseError;
use crate::manager::Held;

/// The list of files outside of the private folder, one path per line.
pub const LEFT_BEHIND: &str = ".lease-files";

/// Longest template.
const TEMPLATE_LIMIT: u64 = 1024 * 1024;

/// The files of one run. Those outside of the private folder are removed when this is dropped.
#[derive(Debug)]
pub struct DeliveredFiles {
    files: Vec<DeliveredFile>,
    folder: PathBuf,
}

#[derive(Debug)]
struct DeliveredFile {
    lease: LeaseName,
    content: Content,
    path: PathBuf,
    is_outside: bool,
    path_variable: Option<String>,
    signal: Option<String>,
}

#[derive(Debug)]
enum Content {
    Variable(String),
    Template { path: PathBuf, text: String },
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the file {} of lease `{lease}` cannot be written: {reason}", path.display())]
pub struct FileError {
    /// The lease.
    pub lease: LeaseName,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl DeliveredFiles {
    /// The files that leases ask for. Nothing is written yet. `folder` is private to the run.
    ///
    /// # Errors
    /// [`LeaseError::Config`] for a template that cannot be read or a path that is taken.
    pub fn plan(
        leases: &[&LeaseConfig],
        home: Option<&Path>,
        folder: &Path,
    ) -> Result<Self, LeaseError> {
        let mut files = Vec::new();
        for lease in leases {
            for fields in lease.fields.tables("files") {
                let number = files.len();
                files.push(DeliveredFile::read(lease, fields, home, folder, number)?);
            }
        }
        Ok(Self {
            files,
            folder: folder.to_owned(),
        })
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The variables that tell the program where its files are.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, SecretString)> {
        self.files
            .iter()
            .filter_map(|file| {
                let path = file.path.to_string_lossy().into_owned();
                Some((file.path_variable.clone()?, SecretString::new(path)))
            })
            .collect()
    }

    /// Writes a lease's files and answers the signals, by name without `SIG`, that the program wants then.
    ///
    /// # Errors
    /// [`FileError`]; what was there before is still there.
    pub fn write(&self, held: &Held) -> Result<Vec<&str>, FileError> {
        let outside: Vec<&DeliveredFile> =
            self.files.iter().filter(|file| file.is_outside).collect();
        if !outside.is_empty() {
            let paths: Vec<String> = outside
                .iter()
                .map(|file| file.path.display().to_string())
                .collect();
            let list = paths.join("\n") + "\n";
            // First the note, then the file: a kill in between leaves a note about nothing.
            let first = outside[0];
            replace(&self.folder.join(LEFT_BEHIND), list.as_bytes())
                .map_err(|error| first.error(&error.to_string()))?;
        }
        let mut signals = Vec::new();
        for file in self.files.iter().filter(|file| file.lease == held.lease) {
            let content = file.render(held)?;
            replace(&file.path, content.as_bytes())
                .map_err(|error| file.error(&error.to_string()))?;
            signals.extend(file.signal.as_deref());
        }
        Ok(signals)
    }
}

impl Drop for DeliveredFiles {
    fn drop(&mut self) {
        for file in self.files.iter().filter(|file| file.is_outside) {
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// Removes the files that a killed run left outside of its private folder, as far as they are still private files of
/// this user.
pub fn remove_left_behind(folder: &Path) {
    let Ok(list) = fs::read_to_string(folder.join(LEFT_BEHIND)) else {
        return;
    };
    for path in list.lines().map(Path::new) {
        let is_ours = path.symlink_metadata().is_ok_and(|metadata| {
            metadata.is_file()
                && Protection::of_path(path).is_ok_and(|protection| {
                    protection.is_own() && protection.who_else_opens().is_none()
                })
        });
        if is_ours {
            let _ = fs::remove_file(path);
        }
    }
}

impl DeliveredFile {
    fn read(
        lease: &LeaseConfig,
        fields: &Fields,
        home: Option<&Path>,
        folder: &Path,
        number: usize,
    ) -> Result<Self, LeaseError> {
        let content = match (fields.text("variable"), fields.path("template", home)) {
            (_, Some(path)) => Content::Template {
                text: template(&path).map_err(|reason| fields.invalid("template", reason))?,
                path,
            },
            (variable, None) => Content::Variable(variable.unwrap_or_default().to_owned()),
        };
        let outside = fields.path("path", home);
        if let Some(path) = &outside
            && path.symlink_metadata().is_ok()
        {
            let reason = format!(
                "is {}, which exists already; fnox overwrites no file that it has not made",
                path.display()
            );
            return Err(fields.invalid("path", reason).into());
        }
        Ok(Self {
            lease: lease.name.clone(),
            is_outside: outside.is_some(),
            path: outside.unwrap_or_else(|| folder.join(format!("{}-{number}", lease.name))),
            content,
            path_variable: fields.text("path_variable").map(str::to_owned),
            signal: fields.text("signal").map(str::to_owned),
        })
    }

    fn render(&self, held: &Held) -> Result<Zeroizing<String>, FileError> {
        match &self.content {
            Content::Variable(name) => match held.credential.variable(name) {
                Some(value) => Ok(Zeroizing::new(value.expose_secret().to_owned())),
                None => Err(self.error(&format!(
                    "the credential has no variable `{name}`; it has {}",
                    names(held)
                ))),
            },
            Content::Template { path, text } => {
                let mut environment = Environment::new();
                environment.set_undefined_behavior(UndefinedBehavior::Strict);
                environment.set_keep_trailing_newline(true);
                let variables = held.credential.variables.iter();
                let values: minijinja::Value = variables
                    .map(|(name, value)| (name.as_str(), value.expose_secret()))
                    .collect();
                // The engine's own message may quote what it was rendering.
                environment
                    .render_str(text, values)
                    .map(Zeroizing::new)
                    .map_err(|error| {
                        self.error(&format!(
                            "the template {} fails at line {} ({}); the credential has {}",
                            path.display(),
                            error.line().unwrap_or(0),
                            error.kind(),
                            names(held)
                        ))
                    })
            }
        }
    }

    fn error(&self, reason: &str) -> FileError {
        FileError {
            lease: self.lease.clone(),
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

fn names(held: &Held) -> String {
    let variables = held.credential.variables.iter();
    let names: Vec<&str> = variables.map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

fn template(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let failed = |error: io::Error| format!("cannot be read ({}): {error}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(TEMPLATE_LIMIT)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Replaces a file, or makes it, in one step.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", crate::ledger::random_hex()));
    let written = fnox_system::create_private_file(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use fnox_core::Credential;
    use jiff::Timestamp;

    use super::*;
    use crate::testing;

    fn held(value: &str) -> Held {
        Held {
            lease: "x".parse().unwrap(),
            credential: Credential {
                variables: vec![
                    ("TOKEN".to_owned(), value.into()),
                    ("HOST".to_owned(), "h".into()),
                ],
                expires_at: None,
                id: "1".to_owned(),
                private: Vec::new(),
            },
            created_at: Timestamp::UNIX_EPOCH,
            withhold: Vec::new(),
        }
    }

    fn plan(root: &Path, keys: &str) -> Result<DeliveredFiles, LeaseError> {
        let config = testing::config(
            root,
            &format!(
                "[leases.x]\ntype = 'command'\ncreate_command = 'x'\ndeliver = ['file']\n[[leases.x.files]]\n{keys}\n"
            ),
        );
        let folder = root.join("private");
        fs::create_dir_all(&folder).unwrap();
        DeliveredFiles::plan(&[&config.leases["x"]], None, &folder)
    }

    #[test]
    fn a_file_is_private_is_replaced_and_goes_away() {
        let root = tempfile::tempdir().unwrap();
        let files = plan(
            root.path(),
            "variable = 'TOKEN'\npath = 'token'\nsignal = 'HUP'",
        )
        .unwrap();
        let path = root.path().join("token");
        assert_eq!(files.write(&held("one")).unwrap(), ["HUP"]);
        let first = path.metadata().unwrap();
        assert_eq!(first.mode() & 0o777, 0o600);
        files.write(&held("two")).unwrap();
        assert_ne!(path.metadata().unwrap().ino(), first.ino());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        drop(files);
        assert!(!path.exists());
    }

    #[test]
    fn a_template_has_the_variables_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        fs::write(
            root.path().join("t"),
            "//{{ HOST }}/:_authToken={{ TOKEN }}\n",
        )
        .unwrap();
        let files = plan(
            root.path(),
            "template = 't'\npath_variable = 'NPM_CONFIG_USERCONFIG'",
        )
        .unwrap();
        files.write(&held("s3cret")).unwrap();
        let variables = files.variables();
        assert_eq!(variables[0].0, "NPM_CONFIG_USERCONFIG");
        let path = variables[0].1.expose_secret();
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "//h/:_authToken=s3cret\n"
        );
        fs::write(root.path().join("t"), "{{ TOKEN }} {{ OTHER }}").unwrap();
        let files = plan(root.path(), "template = 't'\npath_variable = 'P'").unwrap();
        let error = files.write(&held("s3cret")).unwrap_err().to_string();
        assert!(
            error.contains("TOKEN, HOST") && !error.contains("s3cret"),
            "{error}"
        );
    }

    #[test]
    fn what_somebody_else_made_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("token"), "mine").unwrap();
        let error = plan(root.path(), "variable = 'TOKEN'\npath = 'token'").unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(
            fs::read_to_string(root.path().join("token")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn what_a_killed_run_left_is_removed_if_it_is_a_private_file() {
        let root = tempfile::tempdir().unwrap();
        let files = plan(root.path(), "variable = 'TOKEN'\npath = 'token'").unwrap();
        files.write(&held("one")).unwrap();
        std::mem::forget(files);
        let other = root.path().join("other");
        fs::write(&other, "x").unwrap();
        let list = root.path().join("private").join(LEFT_BEHIND);
        let known = fs::read_to_string(&list).unwrap();
        fs::write(&list, format!("{known}{}\n", other.display())).unwrap();
        remove_left_behind(&root.path().join("private"));
        assert!(!root.path().join("token").exists());
        assert!(other.exists(), "it is not 0600, so it is not ours");
    }
}
