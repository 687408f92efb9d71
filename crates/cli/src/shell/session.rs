//! What a shell remembers between two prompts: the variable `__FNOX_SESSION`.
//!
//! It holds which variables fnox set, what they were before, and what the last look at the files saw. Every program
//! that the shell starts inherits it, so it is sealed with a key of the state folder, which only this user can
//! read: whoever gets hold of the environment alone, such as a crash report or a container, can neither read earlier
//! values nor try guesses against the digests of present ones, and nobody can write a session that makes the hook set
//! variables or remove files. It is exported all the same, because a shell that is started inside another one has to
//! take away what it inherited.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use fnox_config::Folders;
use fnox_core::seal::{Algorithm, SealError, Sealed, SealingKey};
use fnox_core::{SecretBytes, SecretString};
use fnox_leases::ledger::file;
use fnox_leases::{LeaseError, ledger::LedgerError};
use serde::{Deserialize, Serialize};

use super::files::FilesFolder;
use crate::error::CliError;

/// Layout of the session; another one counts as none.
const PREFIX: &str = "1.";
const PLACE: [&str; 1] = ["shell session"];
const ALGORITHM: Algorithm = Algorithm::XChaCha20Poly1305;

/// Largest session in bytes. Linux allows 128 KiB for one variable, and without that limit a shell with too long
/// a one could start no program at all (`MAX_ARG_STRLEN`, execve(2)).
const SIZE_LIMIT: usize = 96 * 1024;

/// What a shell remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What decides what is loaded, as it was at the last look; see [`super::watch`].
    pub(crate) surroundings: String,
    /// Active profiles, inherited ones included: their files are looked for.
    pub(crate) profiles: Vec<String>,
    /// Files that count besides those that are found by name.
    pub(crate) watched: Vec<PathBuf>,
    /// Variables that fnox set.
    pub(crate) variables: Vec<Owned>,
    /// Files of `as_file` secrets.
    pub(crate) files: Option<FilesFolder>,
    /// What could not be loaded, and when to try again.
    pub(crate) retry: Option<Retry>,
}

/// A variable that fnox set.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Owned {
    pub(crate) name: String,
    /// Digest of the value that fnox set. A variable with another one is the user's again.
    pub(crate) digest: String,
    /// Digest of the content, where the variable names a file.
    pub(crate) content: Option<String>,
    /// The value before.
    #[serde(with = "previous")]
    pub(crate) previous: Option<SecretString>,
}

/// A later attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retry {
    /// Unix time in seconds before which nothing is tried.
    pub(crate) at: i64,
    /// How many attempts have failed.
    pub(crate) failures: u32,
    /// Secrets that are missing.
    pub(crate) names: Vec<String>,
}

/// The key that seals sessions.
#[derive(Debug)]
pub(crate) struct SessionKey(SealingKey);

impl SessionKey {
    /// The key of the state folder, made if there is none.
    pub(crate) fn obtain(folders: &Folders) -> Result<Self, CliError> {
        let path = folders.state.join("shell.key");
        let stored = |error: LedgerError| CliError::from(LeaseError::from(error));
        let unusable = |error: SealError| CliError::Input {
            what: path.display().to_string(),
            reason: error.to_string(),
            help: Some("remove the file; fnox makes another one".to_owned()),
        };
        let text = if let Some(text) = file::read(&path).map_err(stored)? {
            text
        } else {
            file::private_folder(&folders.state).map_err(stored)?;
            let fresh = SealingKey::generate(String::new()).map_err(unusable)?;
            let fresh = fresh.to_base64();
            // Of several shells that start together, one makes it.
            file::create(&path, &fresh).map_err(stored)?;
            file::read(&path).map_err(stored)?.unwrap_or(fresh)
        };
        file::require_private(&path).map_err(stored)?;
        let key = SealingKey::from_base64(String::new(), &text).map_err(unusable)?;
        Ok(Self(key.derive(&PLACE)))
    }

    /// A digest of a value, for telling whether it is still the same.
    pub(crate) fn digest(&self, name: &str, value: &[u8]) -> String {
        let mut digest = self.0.digest("shell value", &[name.as_bytes(), value]);
        digest.truncate(32);
        digest
    }

    /// Reads a session. `None`: it was made with another key, or by another version.
    pub(crate) fn open(&self, text: &str) -> Option<Session> {
        let bytes = BASE64.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(ALGORITHM.nonce_len())?;
        let sealed = Sealed {
            nonce: nonce.to_vec(),
            ciphertext: ciphertext.to_vec(),
        };
        let opened = self.0.open_bytes(ALGORITHM, &PLACE, &sealed).ok()?;
        serde_json::from_slice(opened.expose_secret()).ok()
    }

    /// The session as a variable's value. Earlier values that would make it too long are given up, the longest
    /// first; the second part names their variables.
    pub(crate) fn seal(&self, session: &mut Session) -> Result<(String, Vec<String>), CliError> {
        let mut given_up = Vec::new();
        loop {
            let text = self.sealed(session)?;
            let largest = session
                .variables
                .iter_mut()
                .filter(|variable| variable.previous.is_some())
                .max_by_key(|variable| variable.previous.as_ref().map(SecretString::len));
            match largest {
                Some(variable) if text.len() > SIZE_LIMIT => {
                    variable.previous = None;
                    given_up.push(variable.name.clone());
                }
                _ => return Ok((text, given_up)),
            }
        }
    }

    fn sealed(&self, session: &Session) -> Result<String, CliError> {
        // Room for all of it from the beginning: a buffer that grows leaves copies behind.
        let previous = session.variables.iter().map(|variable| {
            let previous = variable.previous.as_ref().map_or(0, SecretString::len);
            // A character may become `\u0000`.
            6 * previous + variable.name.len() + 256
        });
        let mut plaintext = Vec::with_capacity(previous.sum::<usize>() + 4096);
        let failed = |reason: String| CliError::Input {
            what: "the shell's session".to_owned(),
            reason,
            help: None,
        };
        serde_json::to_writer(&mut plaintext, session)
            .map_err(|error| failed(error.to_string()))?;
        let sealed = self
            .0
            .seal_bytes(ALGORITHM, &PLACE, &SecretBytes::new(plaintext))
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = sealed.nonce;
        bytes.extend(sealed.ciphertext);
        Ok([PREFIX, &BASE64.encode(bytes)].concat())
    }
}

/// Earlier values within the sealed text.
mod previous {
    use fnox_core::SecretString;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes the field itself")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<SecretString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(value.expose_secret()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SecretString>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::new))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fnox_core::Env;

    use super::*;

    fn key(root: &Path) -> SessionKey {
        let env: Env = [("HOME", root.to_str().unwrap())].into_iter().collect();
        SessionKey::obtain(&Folders::from_env(&env)).unwrap()
    }

    fn session(previous: &str) -> Session {
        Session {
            surroundings: "here".to_owned(),
            variables: vec![Owned {
                name: "A".to_owned(),
                digest: "d".to_owned(),
                content: None,
                previous: Some(previous.into()),
            }],
            ..Session::default()
        }
    }

    #[test]
    fn a_session_is_read_with_its_key_alone_and_shows_nothing() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (text, _) = key(one.path()).seal(&mut session("before")).unwrap();
        let opened = key(one.path()).open(&text).unwrap();
        assert_eq!(opened.variables[0].previous, Some("before".into()));
        assert_eq!(opened.surroundings, "here");
        assert!(key(other.path()).open(&text).is_none());
        let plain = BASE64.decode(&text[PREFIX.len()..]).unwrap();
        assert!(!plain.windows(6).any(|part| part == b"before"));
        for broken in ["", "1.", "2.AAAA", &text[..text.len() - 2], "1.***"] {
            assert!(key(one.path()).open(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn the_key_is_private_and_one_that_is_not_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        drop(key(root.path()));
        let path = root.path().join(".local/state/fnox/shell.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let env: Env = [("HOME", root.path().to_str().unwrap())]
            .into_iter()
            .collect();
        SessionKey::obtain(&Folders::from_env(&env)).unwrap_err();
    }

    #[test]
    fn earlier_values_that_no_variable_can_hold_are_given_up_by_name() {
        let root = tempfile::tempdir().unwrap();
        let key = key(root.path());
        let mut long = session(&"x".repeat(100_000));
        long.variables.extend(session("short").variables);
        "B".clone_into(&mut long.variables[1].name);
        let (text, given_up) = key.seal(&mut long).unwrap();
        assert!(text.len() <= SIZE_LIMIT);
        assert_eq!(given_up, ["A"]);
        let opened = key.open(&text).unwrap();
        assert_eq!(opened.variables[0].previous, None);
        assert_eq!(opened.variables[1].previous, Some("short".into()));
    }
}
