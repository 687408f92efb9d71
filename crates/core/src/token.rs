//! Bearer tokens: a prefix that says what kind it is, 256 random bits, and a checksum.
//!
//! ```text
//! fxs_ 43 characters of base64url  6 characters of a checksum
//! ```
//!
//! The checksum lets a scanner for leaked secrets tell a token from a look-alike without asking anybody; it is
//! no protection. A token is known by its SHA-256, which is all that is stored: at 256 bits of entropy it needs no
//! slower hash. A token of one kind never passes for another, because the prefix is part of what is hashed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::SecretString;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A session on a team server.
    Session,
    /// The right to fetch once.
    Grant,
    /// The first administrator of a team server.
    Bootstrap,
    /// An identity provider that tells of people who come and go (SCIM).
    Provisioning,
    /// A gateway that asks people about the requests of its agents.
    Gateway,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Session,
        Self::Grant,
        Self::Bootstrap,
        Self::Provisioning,
        Self::Gateway,
    ];

    /// What tokens of this kind begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Session => "fxs_",
            Self::Grant => "fxg_",
            Self::Bootstrap => "fxb_",
            Self::Provisioning => "fxp_",
            Self::Gateway => "fxw_",
        }
    }
}

/// A token as it is shown once to whoever may use it.
#[derive(Clone)]
pub struct Token {
    kind: TokenKind,
    text: SecretString,
}

/// What is stored of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

/// Not a token of the kind that is wanted. Says no more, since what was given may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a token that begins with `{prefix}`")]
pub struct InvalidToken {
    /// The prefix of the kind that is wanted.
    pub prefix: &'static str,
}

/// The machine has no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine gives no random numbers")]
pub struct NoRandomness;

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(kind: TokenKind) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::rngs::OsRng
            .try_fill_bytes(&mut *bytes)
            .map_err(|_| NoRandomness)?;
        let body = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        let text = Zeroizing::new(format!(
            "{}{}{}",
            kind.prefix(),
            *body,
            checksum(kind.prefix(), &body)
        ));
        Ok(Self {
            kind,
            text: text.as_str().into(),
        })
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`InvalidToken`] if it is of another kind or its checksum is wrong.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, InvalidToken> {
        let invalid = InvalidToken {
            prefix: kind.prefix(),
        };
        let rest = text.strip_prefix(kind.prefix()).ok_or(invalid)?;
        if rest.len() != BODY + CHECKSUM || !rest.is_ascii() {
            return Err(invalid);
        }
        let (body, sum) = rest.split_at(BODY);
        if checksum(kind.prefix(), body) != sum {
            return Err(invalid);
        }
        Ok(Self {
            kind,
            text: text.into(),
        })
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.text
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.text.expose_secret().as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}[redacted])", self.kind.prefix())
    }
}

/// Six characters over a prefix and what follows it.
pub(crate) fn checksum(prefix: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"fnox token checksum v1");
    hash.update(prefix.as_bytes());
    hash.update(body.as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(&hash.finalize()[..5]);
    text.truncate(CHECKSUM);
    text
}

/// Length of 32 bytes in base64url.
pub(crate) const BODY: usize = 43;
pub(crate) const CHECKSUM: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_only_as_its_own_kind() {
        for kind in TokenKind::ALL {
            let token = Token::generate(kind).unwrap();
            let text = token.secret().expose_secret().to_owned();
            assert_eq!(text.len(), 4 + BODY + CHECKSUM);
            assert_eq!(Token::parse(kind, &text).unwrap().hash(), token.hash());
            for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(Token::parse(other, &text).is_err());
                let renamed = format!("{}{}", other.prefix(), &text[4..]);
                assert!(Token::parse(other, &renamed).is_err(), "{other:?}");
            }
        }
    }

    #[test]
    fn a_changed_token_is_no_token() {
        let token = Token::generate(TokenKind::Session).unwrap();
        let text = token.secret().expose_secret().to_owned();
        for place in 4..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Token::parse(TokenKind::Session, &changed).is_err());
        }
        assert!(Token::parse(TokenKind::Session, &format!("{text} ")).is_err());
        assert!(!format!("{token:?}").contains(&text[4..]));
    }
}
