//! Private keys, and why a text holds none.
//!
//! Native and unencrypted SSH keys come first, then keys that need a person or a plugin, so that nobody
//! is asked for anything while a key at hand opens the value. A plugin that is not installed is no reason
//! to refuse the keys beside it: it is reported when nothing else opened the value.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use age_core::format::{FileKey, Stanza};

use super::Callbacks;
use super::recipient::ssh_tag;
use crate::SecretString;
use crate::prompt::Prompt;

type Key = Box<dyn age::Identity + Send + Sync>;

/// A set of private keys from one source.
#[derive(Clone)]
pub struct Identities {
    keys: Arc<Vec<Key>>,
    recipients: Vec<String>,
    may_ask: bool,
}

/// Why a text holds no identities.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text is neither an age identity file nor an OpenSSH private key.
    #[error("{reason}")]
    Malformed {
        /// What is wrong with it, without its content.
        reason: String,
    },
    /// An SSH key of a kind that age does not support.
    #[error("this SSH key cannot be used with age: use ssh-ed25519 or ssh-rsa")]
    UnsupportedKey,
    /// The text parses but names no key.
    #[error("there is no identity in it")]
    Empty,
}

impl Identities {
    /// Reads an age identity file or an OpenSSH private key.
    ///
    /// # Errors
    /// [`IdentityError`]; messages give line numbers, never content.
    pub fn parse(text: &SecretString, prompt: &Arc<dyn Prompt>) -> Result<Self, IdentityError> {
        Self::parse_from("the SSH key", text, prompt)
    }

    /// Like [`Self::parse`]; `source` names the text when a passphrase is asked for.
    ///
    /// # Errors
    /// [`IdentityError`]; messages give line numbers, never content.
    pub fn parse_from(
        source: &str,
        text: &SecretString,
        prompt: &Arc<dyn Prompt>,
    ) -> Result<Self, IdentityError> {
        let text = text.expose_secret();
        let start = text.trim_start();
        if start.starts_with("age-encryption.org/")
            || start.starts_with("-----BEGIN AGE ENCRYPTED FILE")
        {
            return Err(malformed(
                "it is itself encrypted; fnox needs the decrypted identities",
            ));
        }
        if text.contains("-----BEGIN") {
            return parse_ssh(source, text, prompt);
        }
        parse_lines(text, prompt)
    }

    /// The recipients that belong to these identities, where they can be derived without a plugin.
    #[must_use]
    pub fn public_recipients(&self) -> &[String] {
        &self.recipients
    }

    /// Whether using them can ask a person or run a plugin.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.may_ask
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys
            .iter()
            .map(|key| key.as_ref() as &dyn age::Identity)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identities")
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

fn malformed(reason: impl Into<String>) -> IdentityError {
    IdentityError::Malformed {
        reason: reason.into(),
    }
}

fn parse_lines(text: &str, prompt: &Arc<dyn Prompt>) -> Result<Identities, IdentityError> {
    let mut keys: Vec<Key> = Vec::new();
    let mut recipients = Vec::new();
    let mut plugins: BTreeMap<String, Vec<age::plugin::Identity>> = BTreeMap::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Ok(identity) = line.parse::<age::x25519::Identity>() {
            recipients.push(identity.to_public().to_string());
            keys.push(Box::new(identity));
        } else if let Ok(identity) = line.parse::<age::plugin::Identity>() {
            plugins
                .entry(identity.plugin().to_owned())
                .or_default()
                .push(identity);
        } else if line.starts_with("AGE-SECRET-KEY-PQ-") {
            return Err(malformed(format!(
                "line {} is a post-quantum identity, which is not supported yet",
                index + 1
            )));
        } else {
            return Err(malformed(format!("line {} is no age identity", index + 1)));
        }
    }
    let may_ask = !plugins.is_empty();
    // At the end, because a key that cannot be used ends the search.
    let mut absent: Vec<Key> = Vec::new();
    for (name, identities) in plugins {
        let callbacks = Callbacks(Arc::clone(prompt));
        match age::plugin::IdentityPluginV1::new(&name, &identities, callbacks) {
            Ok(plugin) => keys.push(Box::new(plugin)),
            Err(error) => absent.push(Box::new(AbsentPlugin(error))),
        }
    }
    keys.append(&mut absent);
    if keys.is_empty() {
        return Err(IdentityError::Empty);
    }
    Ok(Identities {
        keys: Arc::new(keys),
        recipients,
        may_ask,
    })
}

fn parse_ssh(
    source: &str,
    text: &str,
    prompt: &Arc<dyn Prompt>,
) -> Result<Identities, IdentityError> {
    // The parser wants the line end that variables often lose.
    let mut buffer = zeroize::Zeroizing::new(String::with_capacity(text.len() + 1));
    for line in text.trim().lines() {
        buffer.push_str(line.trim_end());
        buffer.push('\n');
    }
    let identity = age::ssh::Identity::from_buffer(buffer.as_bytes(), None)
        .map_err(|_| malformed("it is not a readable OpenSSH private key"))?;
    let recipient = age::ssh::Recipient::try_from(identity.clone())
        .ok()
        .map(|recipient| recipient.to_string());
    let (key, may_ask): (Key, bool) = match identity {
        age::ssh::Identity::Unsupported(_) => return Err(IdentityError::UnsupportedKey),
        age::ssh::Identity::Unencrypted(_) => (Box::new(identity), false),
        age::ssh::Identity::Encrypted(key) => (
            Box::new(LockedKey {
                source: source.to_owned(),
                tag: recipient
                    .as_deref()
                    .and_then(ssh_tag)
                    .ok_or(IdentityError::UnsupportedKey)?,
                key,
                prompt: Arc::clone(prompt),
                opened: Mutex::new(None),
            }),
            true,
        ),
    };
    Ok(Identities {
        keys: Arc::new(vec![key]),
        recipients: recipient.into_iter().collect(),
        may_ask,
    })
}

/// A plugin's identity whose plugin is not installed.
struct AbsentPlugin(age::plugin::ResolveError);

impl age::Identity for AbsentPlugin {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        Some(Err(age::DecryptError::PluginResolve(self.0.clone())))
    }

    fn unwrap_stanzas(&self, _: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        Some(Err(age::DecryptError::PluginResolve(self.0.clone())))
    }
}

/// An SSH key under a passphrase. The library would ask for every stanza of every value; this asks once,
/// and only for a value that is encrypted to this very key.
struct LockedKey {
    source: String,
    tag: String,
    key: age::ssh::EncryptedKey,
    prompt: Arc<dyn Prompt>,
    opened: Mutex<Option<Result<age::ssh::Identity, age::DecryptError>>>,
}

impl LockedKey {
    fn open(&self) -> Result<age::ssh::Identity, age::DecryptError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = opened.as_ref() {
            return outcome.clone();
        }
        let question = format!("Passphrase of {}", self.source);
        let Some(passphrase) = self.prompt.secret(&question) else {
            return Err(age::DecryptError::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "its passphrase is needed and nobody can be asked",
            )));
        };
        let outcome = self
            .key
            .decrypt(passphrase.expose_secret().to_owned().into())
            .map(age::ssh::Identity::Unencrypted);
        opened.insert(outcome).clone()
    }
}

impl age::Identity for LockedKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        if !stanza.tag.starts_with("ssh-") || stanza.args.first() != Some(&self.tag) {
            return None;
        }
        match self.open() {
            Ok(identity) => identity.unwrap_stanza(stanza),
            Err(error) => Some(Err(error)),
        }
    }
}
