//! age encryption (age-encryption.org/v1) on texts in memory.
//!
//! Recipients and identities of every kind that the Rust implementation knows: X25519, `ssh-ed25519`,
//! `ssh-rsa` and plugins (`age-plugin-NAME` on PATH). What is written here is a plain age file that
//! `age -d` can read. Where identities come from is the caller's business, not this module's.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;

use crate::prompt::Prompt;
use crate::{SecretBytes, SecretString};

/// Largest plaintext that [`decrypt`] will produce; an environment variable cannot be larger.
pub const MAXIMUM_PLAINTEXT: u64 = 16 * 1024 * 1024;

/// A set of private keys from one source.
#[derive(Clone)]
pub struct Identities {
    keys: Arc<Vec<Box<dyn age::Identity + Send + Sync>>>,
    recipients: Vec<String>,
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
    /// A plugin that an identity needs is not installed.
    #[error("the plugin `{plugin}` is not on PATH")]
    MissingPlugin {
        /// Name of the executable, `age-plugin-…`.
        plugin: String,
    },
}

impl Identities {
    /// Reads an age identity file or an OpenSSH private key.
    ///
    /// # Errors
    /// [`IdentityError`]; messages give line numbers, never content.
    pub fn parse(text: &SecretString, prompt: &Arc<dyn Prompt>) -> Result<Self, IdentityError> {
        let text = text.expose_secret();
        if text.contains("-----BEGIN") {
            return Self::parse_ssh(text, prompt);
        }
        let mut trimmed = zeroize::Zeroizing::new(String::with_capacity(text.len() + 1));
        for line in text.lines() {
            trimmed.push_str(line.trim());
            trimmed.push('\n');
        }
        let file = age::IdentityFile::from_buffer(trimmed.as_bytes()).map_err(|error| {
            IdentityError::Malformed {
                reason: error.to_string(),
            }
        })?;
        let recipients = native_recipients(&trimmed);
        let keys = file
            .with_callbacks(Callbacks(Arc::clone(prompt)))
            .into_identities()
            .map_err(missing_plugin)?;
        if keys.is_empty() {
            return Err(IdentityError::Empty);
        }
        Ok(Self {
            keys: Arc::new(keys),
            recipients,
        })
    }

    fn parse_ssh(text: &str, prompt: &Arc<dyn Prompt>) -> Result<Self, IdentityError> {
        let identity = age::ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| {
            IdentityError::Malformed {
                reason: "it is not a readable OpenSSH private key".to_owned(),
            }
        })?;
        if matches!(identity, age::ssh::Identity::Unsupported(_)) {
            return Err(IdentityError::UnsupportedKey);
        }
        let recipients = age::ssh::Recipient::try_from(identity.clone())
            .map(|r| r.to_string())
            .into_iter()
            .collect();
        let keys: Vec<Box<dyn age::Identity + Send + Sync>> = vec![Box::new(
            identity.with_callbacks(Callbacks(Arc::clone(prompt))),
        )];
        Ok(Self {
            keys: Arc::new(keys),
            recipients,
        })
    }

    /// The recipients that belong to these identities, where they can be derived without a plugin.
    #[must_use]
    pub fn public_recipients(&self) -> &[String] {
        &self.recipients
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

/// A public key that values are encrypted to.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    kind: RecipientKind,
}

#[derive(Clone)]
enum RecipientKind {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
    Plugin(age::plugin::Recipient),
}

/// A text is not a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an age recipient: {reason}")]
pub struct InvalidRecipient {
    /// The text, which is public.
    pub text: String,
    /// What is wrong with it and what would be right.
    pub reason: &'static str,
}

impl Recipient {
    /// Reads `age1…`, `ssh-ed25519 …`, `ssh-rsa …` or `age1NAME1…` (a plugin's).
    ///
    /// # Errors
    /// [`InvalidRecipient`] with the text and the reason.
    pub fn parse(text: &str) -> Result<Self, InvalidRecipient> {
        let text = text.trim();
        let invalid = |reason| InvalidRecipient {
            text: text.to_owned(),
            reason,
        };
        let kind = if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-") {
            // Never echo a private key.
            return Err(InvalidRecipient {
                text: crate::secret::REDACTED.to_owned(),
                reason: "this is a private key; give its public key (`age-keygen -y FILE` prints it)",
            });
        } else if text.starts_with("age1pq1") {
            return Err(invalid(
                "post-quantum recipients are not supported yet; use an `age1…` key",
            ));
        } else if text.starts_with("ssh-") {
            RecipientKind::Ssh(
                text.parse()
                    .map_err(|_| invalid("only ssh-ed25519 and ssh-rsa public keys can be used"))?,
            )
        } else if let Ok(recipient) = text.parse::<age::x25519::Recipient>() {
            RecipientKind::X25519(recipient)
        } else if let Ok(recipient) = text.parse::<age::plugin::Recipient>() {
            RecipientKind::Plugin(recipient)
        } else {
            return Err(invalid(
                "expected `age1…`, `ssh-ed25519 …`, `ssh-rsa …` or a plugin's `age1name1…`",
            ));
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// The recipient as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Why a value could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// There is nobody to encrypt to.
    #[error("there are no recipients")]
    NoRecipients,
    /// A plugin that a recipient needs is not installed.
    #[error("the plugin `{plugin}` is not on PATH")]
    MissingPlugin {
        /// Name of the executable, `age-plugin-…`.
        plugin: String,
    },
    /// A recipient or its plugin refused.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Encrypts to all recipients; the result is a binary age file.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt(
    recipients: &[Recipient],
    plaintext: &[u8],
    prompt: &Arc<dyn Prompt>,
) -> Result<Vec<u8>, EncryptError> {
    let mut boxed: Vec<Box<dyn age::Recipient>> = Vec::new();
    let mut plugins: Vec<age::plugin::Recipient> = Vec::new();
    for recipient in recipients {
        match &recipient.kind {
            RecipientKind::X25519(key) => boxed.push(Box::new(key.clone())),
            RecipientKind::Ssh(key) => boxed.push(Box::new(key.clone())),
            RecipientKind::Plugin(key) => plugins.push(key.clone()),
        }
    }
    let mut names: Vec<String> = plugins.iter().map(|key| key.plugin().to_owned()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let callbacks = Callbacks(Arc::clone(prompt));
        let plugin = age::plugin::RecipientPluginV1::new(&name, &plugins, &[], callbacks).map_err(
            |error| EncryptError::MissingPlugin {
                plugin: plugin_name(&error),
            },
        )?;
        boxed.push(Box::new(plugin));
    }
    let encryptor =
        age::Encryptor::with_recipients(boxed.iter().map(AsRef::as_ref)).map_err(refused)?;
    let mut out = Vec::with_capacity(plaintext.len() + 512);
    let mut writer = encryptor
        .wrap_output(&mut out)
        .map_err(|error| io_refused(&error))?;
    writer
        .write_all(plaintext)
        .and_then(|()| writer.finish().map(|_| ()))
        .map_err(|error| io_refused(&error))?;
    Ok(out)
}

/// Why a value could not be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// None of the identities is a recipient of this value.
    #[error("it is not encrypted to this identity")]
    NoMatch,
    /// Not an age file, damaged, or of a newer version.
    #[error("the stored value is not a readable age file")]
    Malformed,
    /// The value is protected by a passphrase, which fnox does not use.
    #[error("the stored value is protected by a passphrase, not by a key")]
    Passphrase,
    /// The key itself could not be used: wrong passphrase, plugin refused, hardware absent.
    #[error("the identity could not be used: {reason}")]
    KeyUnusable {
        /// What the key or plugin said.
        reason: String,
    },
    /// The plaintext is larger than any secret may be.
    #[error("the decrypted value is larger than 16 MiB")]
    TooLarge,
}

/// Decrypts a binary or armoured age file.
///
/// # Errors
/// [`DecryptError`].
pub fn decrypt(identities: &Identities, ciphertext: &[u8]) -> Result<SecretBytes, DecryptError> {
    let reader = age::armor::ArmoredReader::new(ciphertext);
    let decryptor = age::Decryptor::new_buffered(reader).map_err(|_| DecryptError::Malformed)?;
    if decryptor.is_scrypt() {
        return Err(DecryptError::Passphrase);
    }
    let keys = identities
        .keys
        .iter()
        .map(|key| key.as_ref() as &dyn age::Identity);
    let reader = decryptor.decrypt(keys).map_err(decrypt_error)?;
    // Allocated once, so that growing leaves no copies behind.
    let mut plaintext = zeroize::Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    reader
        .take(MAXIMUM_PLAINTEXT + 1)
        .read_to_end(&mut plaintext)
        .map_err(|_| DecryptError::Malformed)?;
    if plaintext.len() as u64 > MAXIMUM_PLAINTEXT {
        return Err(DecryptError::TooLarge);
    }
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}

/// A new X25519 key pair: the identity line and its recipient.
#[must_use]
pub fn generate() -> (SecretString, String) {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    (
        SecretString::from(identity.to_string().expose_secret()),
        recipient,
    )
}

/// Hands age's questions to a [`Prompt`].
#[derive(Clone)]
struct Callbacks(Arc<dyn Prompt>);

impl age::Callbacks for Callbacks {
    fn display_message(&self, message: &str) {
        self.0.message(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.text(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<age::secrecy::SecretString> {
        self.0
            .secret(description)
            .map(|secret| secret.expose_secret().to_owned().into())
    }
}

fn native_recipients(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.parse::<age::x25519::Identity>().ok())
        .map(|identity| identity.to_public().to_string())
        .collect()
}

fn missing_plugin(error: age::DecryptError) -> IdentityError {
    match error {
        age::DecryptError::PluginResolve(error) => IdentityError::MissingPlugin {
            plugin: plugin_name(&error),
        },
        error => IdentityError::Malformed {
            reason: error.to_string(),
        },
    }
}

fn plugin_name(error: &age::plugin::ResolveError) -> String {
    match error {
        age::plugin::ResolveError::MissingPlugin { binary_name } => binary_name.clone(),
        other => other.to_string(),
    }
}

fn refused(error: age::EncryptError) -> EncryptError {
    match error {
        age::EncryptError::MissingRecipients => EncryptError::NoRecipients,
        age::EncryptError::PluginResolve(error) => EncryptError::MissingPlugin {
            plugin: plugin_name(&error),
        },
        error => EncryptError::Refused {
            reason: error.to_string(),
        },
    }
}

fn io_refused(error: &std::io::Error) -> EncryptError {
    EncryptError::Refused {
        reason: error.to_string(),
    }
}

fn decrypt_error(error: age::DecryptError) -> DecryptError {
    use age::DecryptError as Age;
    match error {
        Age::NoMatchingKeys => DecryptError::NoMatch,
        Age::InvalidHeader
        | Age::InvalidMac
        | Age::UnknownFormat
        | Age::DecryptionFailed
        | Age::Io(_) => DecryptError::Malformed,
        error => DecryptError::KeyUnusable {
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::NoPrompt;

    fn nobody() -> Arc<dyn Prompt> {
        Arc::new(NoPrompt)
    }

    #[test]
    fn a_value_opens_with_its_own_key_and_no_other() {
        let (identity, recipient) = generate();
        let (other, _) = generate();
        let sealed = encrypt(
            &[Recipient::parse(&recipient).unwrap()],
            b"value\n",
            &nobody(),
        )
        .unwrap();
        let own = Identities::parse(&identity, &nobody()).unwrap();
        assert_eq!(own.public_recipients(), [recipient]);
        assert_eq!(decrypt(&own, &sealed).unwrap().expose_secret(), b"value\n");
        let foreign = Identities::parse(&other, &nobody()).unwrap();
        assert!(matches!(
            decrypt(&foreign, &sealed),
            Err(DecryptError::NoMatch)
        ));
    }

    #[test]
    fn a_private_key_given_as_recipient_is_not_echoed() {
        let (identity, _) = generate();
        let error = Recipient::parse(identity.expose_secret())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("private key") && !error.contains("AGE-SECRET"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_identity_file_is_named_by_line_without_content() {
        let text = SecretString::from("# comment\nhunter2\n");
        let error = Identities::parse(&text, &nobody()).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn passphrase_files_and_garbage_are_told_apart() {
        let (identity, _) = generate();
        let own = Identities::parse(&identity, &nobody()).unwrap();
        assert!(matches!(
            decrypt(&own, b"garbage"),
            Err(DecryptError::Malformed)
        ));
        let scrypt = b"age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 2\nM7Q3nDdWwCGJNpgoMnWMBDvL+cF0YE5nGVkVmHvyfEw\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        assert!(matches!(
            decrypt(&own, scrypt),
            Err(DecryptError::Passphrase | DecryptError::Malformed)
        ));
    }
}
