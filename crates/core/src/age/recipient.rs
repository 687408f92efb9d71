//! Public keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::shown;

/// More characters of a text are not in a message: the longest keys are RSA's.
const LONGEST_SHOWN: usize = 1000;

/// A public key that values are encrypted to.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    kind: RecipientKind,
}

#[derive(Clone)]
pub(super) enum RecipientKind {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
    Plugin(age::plugin::Recipient),
}

/// A text is not a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an age recipient: {reason}")]
pub struct InvalidRecipient {
    /// The text, which is public; control characters escaped.
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
            text: shown(text, LONGEST_SHOWN),
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

    /// The recipient without what does not matter, such as an SSH key's comment.
    #[must_use]
    pub fn canonical(&self) -> String {
        match &self.kind {
            RecipientKind::X25519(key) => key.to_string(),
            RecipientKind::Ssh(key) => key.to_string(),
            RecipientKind::Plugin(key) => key.to_string(),
        }
    }

    /// What a header says of this recipient: the type of its stanza, and for SSH keys the tag that
    /// tells keys apart. `None` for a plugin, whose stanzas are its own business.
    #[must_use]
    pub fn stanza(&self) -> Option<(&'static str, Option<String>)> {
        match &self.kind {
            RecipientKind::X25519(_) => Some(("X25519", None)),
            RecipientKind::Ssh(key) => {
                let text = key.to_string();
                let kind = if text.starts_with("ssh-rsa") {
                    "ssh-rsa"
                } else {
                    "ssh-ed25519"
                };
                Some((kind, ssh_tag(&text)))
            }
            RecipientKind::Plugin(_) => None,
        }
    }

    pub(super) fn kind(&self) -> &RecipientKind {
        &self.kind
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The first four bytes of SHA-256 of an SSH public key, as stanzas carry it (age's C2SP specification,
/// "SSH recipient types").
pub(super) fn ssh_tag(public_key: &str) -> Option<String> {
    let encoded = public_key.split_whitespace().nth(1)?;
    let key = STANDARD.decode(encoded).ok()?;
    let digest = Sha256::digest(key);
    Some(STANDARD_NO_PAD.encode(digest.get(..4)?))
}
