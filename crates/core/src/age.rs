//! age encryption (age-encryption.org/v1) on texts in memory.
//!
//! Recipients and identities of every kind that the Rust implementation knows: X25519, `ssh-ed25519`,
//! `ssh-rsa` and plugins (`age-plugin-NAME` on PATH). What is written here is a plain age file that
//! `age -d` can read; its header also carries a [`Mark`], which other programs skip. Where identities
//! come from is the caller's business, not this module's.

mod header;
mod identity;
mod recipient;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;

pub use header::{Mark, Stanza, stanzas};
pub use identity::{Identities, IdentityError};
use recipient::RecipientKind;
pub use recipient::{InvalidRecipient, Recipient};

use crate::prompt::Prompt;
use crate::{SecretBytes, SecretString};

/// Largest plaintext that [`decrypt`] will produce; an environment variable cannot be larger.
pub const MAXIMUM_PLAINTEXT: u64 = 16 * 1024 * 1024;

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
    encrypt_marked(recipients, plaintext, prompt, None)
}

/// Like [`encrypt`], with a mark in the header that says to whom and how it was encrypted.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_marked(
    recipients: &[Recipient],
    plaintext: &[u8],
    prompt: &Arc<dyn Prompt>,
    mark: Option<Mark>,
) -> Result<Vec<u8>, EncryptError> {
    if recipients.is_empty() {
        return Err(EncryptError::NoRecipients);
    }
    let mut boxed: Vec<Box<dyn age::Recipient>> = Vec::new();
    let mut plugins: Vec<age::plugin::Recipient> = Vec::new();
    for recipient in recipients {
        match recipient.kind() {
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
    if let Some(mark) = mark {
        boxed.push(Box::new(mark));
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
    /// A plugin that an identity needs is not installed.
    #[error("the plugin `{plugin}` is not on PATH")]
    MissingPlugin {
        /// Name of the executable, `age-plugin-…`.
        plugin: String,
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
    // Armour may have white space around it; the library's reader takes that for a binary file.
    let trimmed = ciphertext.trim_ascii();
    let file = if trimmed.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        trimmed
    } else {
        ciphertext
    };
    let reader = age::armor::ArmoredReader::new(file);
    let decryptor = age::Decryptor::new_buffered(reader).map_err(|_| DecryptError::Malformed)?;
    if decryptor.is_scrypt() {
        return Err(DecryptError::Passphrase);
    }
    let reader = decryptor
        .decrypt(identities.keys())
        .map_err(decrypt_error)?;
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

/// The library's messages span several lines, some of them advice for the `age` program.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
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
        Age::Io(reason) if reason.kind() == std::io::ErrorKind::PermissionDenied => {
            DecryptError::KeyUnusable {
                reason: reason.to_string(),
            }
        }
        Age::KeyDecryptionFailed => DecryptError::KeyUnusable {
            reason: "the passphrase of the SSH key is wrong".to_owned(),
        },
        Age::PluginResolve(error) => DecryptError::MissingPlugin {
            plugin: plugin_name(&error),
        },
        Age::InvalidHeader
        | Age::InvalidMac
        | Age::UnknownFormat
        | Age::DecryptionFailed
        | Age::Io(_) => DecryptError::Malformed,
        error => DecryptError::KeyUnusable {
            reason: one_line(&error.to_string()),
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

    #[test]
    fn an_identity_whose_plugin_is_missing_does_not_hide_the_others() {
        let (identity, recipient) = generate();
        let absent = age::plugin::Identity::default_for_plugin("fnoxtestabsent").unwrap();
        let text = format!("{absent}\n{}\n", identity.expose_secret());
        let both = Identities::parse(&SecretString::from(text), &nobody()).unwrap();
        let sealed = encrypt(&[Recipient::parse(&recipient).unwrap()], b"v", &nobody()).unwrap();
        assert_eq!(decrypt(&both, &sealed).unwrap().expose_secret(), b"v");
        let alone = Identities::parse(&SecretString::from(absent.to_string()), &nobody()).unwrap();
        let error = decrypt(&alone, &sealed).unwrap_err().to_string();
        assert_eq!(
            error,
            "the plugin `age-plugin-fnoxtestabsent` is not on PATH"
        );
    }

    #[test]
    fn a_mark_is_read_back_and_does_not_disturb_decryption() {
        let (identity, text) = generate();
        let recipients = [Recipient::parse(&text).unwrap()];
        let mark = Mark::new(&recipients, true);
        let sealed = encrypt_marked(&recipients, b"v", &nobody(), Some(mark.clone())).unwrap();
        let found = stanzas(&sealed).unwrap();
        assert_eq!(Mark::find(&found), Some(mark.clone()));
        assert_ne!(mark, Mark::new(&recipients, false));
        let own = Identities::parse(&identity, &nobody()).unwrap();
        assert_eq!(decrypt(&own, &sealed).unwrap().expose_secret(), b"v");
    }
}
