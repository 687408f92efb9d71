//! Small files that hold one secret: the signing key, tokens, passwords.
//!
//! A file that everybody can read, or somebody else can write, is refused: what is in it is no secret any more, or not
//! the operator's.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fnox_core::SecretString;
use zeroize::Zeroizing;

use super::error::{ServerFailure, StartProblem};
use crate::error::CliError;

/// The longest file that is taken for a secret.
const LIMIT: usize = 64 * 1024;

/// Reads a file whose whole text is a secret; white space around it does not count. `what` names it to people.
pub(crate) fn read(path: &Path, what: &str) -> Result<SecretString, CliError> {
    let failed = |problem: String, help: Option<String>| -> CliError {
        ServerFailure::Start {
            message: format!("{what} cannot be read from {}: {problem}", path.display()),
            reason: StartProblem::Key,
            help,
        }
        .into()
    };
    let text = contents(path).map_err(|error| match error {
        Unreadable::Io(error) => failed(error.to_string(), None),
        Unreadable::Exposed(problem) => failed(
            problem,
            Some(format!(
                "take the rights away: chmod 600 {}\nif others had them, replace what is in it",
                path.display()
            )),
        ),
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(failed("it is empty".to_owned(), None));
    }
    Ok(SecretString::from(text))
}

enum Unreadable {
    Io(std::io::Error),
    Exposed(String),
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn contents(path: &Path) -> Result<Zeroizing<String>, Unreadable> {
    // The metadata is of the opened file, not of whatever has the name a moment later.
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && mode & 0o026 != 0 {
        let problem = if mode & 0o022 != 0 {
            "it can be written by others"
        } else {
            "it can be read by everybody"
        };
        return Err(Unreadable::Exposed(format!("{problem} (mode {mode:04o})")));
    }
    // As large as it can become, so that growing leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LIMIT + 1));
    file.take(LIMIT as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LIMIT {
        return Err(std::io::Error::other(format!("it is larger than {LIMIT} bytes")).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_files_of_few_people_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "\nhunter2\n").unwrap();
        for (mode, is_fine) in [
            (0o600, true),
            (0o440, true),
            (0o644, false),
            (0o620, false),
            (0o602, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(&path, "the token") {
                Ok(secret) => assert!(is_fine && secret.expose_secret() == "hunter2", "{mode:o}"),
                Err(error) => {
                    assert!(!is_fine, "{error}");
                    assert_eq!(error.code(), "server::key");
                    assert!(error.to_string().contains("token"), "{error}");
                    assert!(!error.to_string().contains("hunter2"), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_holds_no_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(read(&path, "it").is_err());
        for content in [b" \n".to_vec(), vec![0xff, 0xfe], vec![b'a'; LIMIT + 1]] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(read(&path, "it").is_err());
        }
    }
}
