//! A certificate authority whose key an SSH agent holds, for keys that no program can read: those of a PKCS#11 token, which
//! `ssh-add -s` adds.
//!
//! Only the public key is configured, and what the agent signs is checked with it, so whoever answers at `SSH_AUTH_SOCK` can refuse
//! a certificate, but not put another authority's signature under it. The agent may ask its user first; it has as long as any issuer.
//!
//! Source: draft-ietf-sshm-ssh-agent-05, sections 3.5 and 3.6.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rsa::signature::{self, Signer, Verifier as _};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey, Signature};

use super::wire::{add_string, string};
use crate::mint::{MintContext, MintError, MintErrorKind};

/// Where an agent is found.
pub(super) const SOCKET: &str = "SSH_AUTH_SOCK";

/// Longest message, as in OpenSSH's agent.
#[cfg(unix)]
const LIMIT: usize = 256 * 1024;

// Section 5.1 "Message numbers", and 5.3 "Signature flags".
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const RSA_SHA2_512: u32 = 4;

/// What to do about a key that is not there.
const REMEDY: &str = "`ssh-add -s MODULE` adds the keys of a PKCS#11 token, `ssh-add FILE` that of a file, and `ssh-add -L` lists \
                      which are there";

/// An agent that holds the key.
#[derive(Debug)]
pub(super) struct HeldKey {
    key: KeyData,
    socket: PathBuf,
    limit: Duration,
}

impl HeldKey {
    /// # Errors
    /// [`MintError`] without an agent.
    pub(super) fn new(key: &PublicKey, context: &MintContext) -> Result<Self, MintError> {
        let socket = context.env.var(SOCKET).ok_or_else(|| {
            MintError::authentication(format!(
                "{SOCKET} is not set, so no SSH agent has the key of the certificate authority"
            ))
            .with_remedy(REMEDY)
        })?;
        Ok(Self {
            key: key.key_data().clone(),
            socket: socket.into(),
            limit: context.call_limit,
        })
    }

    pub(super) fn public(&self) -> &KeyData {
        &self.key
    }

    /// Signs a text.
    ///
    /// # Errors
    /// [`MintError`] if the agent cannot be reached, refuses, or answers with something that this key did not sign.
    pub(super) async fn sign(&self, text: &[u8]) -> Result<Signature, MintError> {
        let work = async {
            let answer = self.ask(&self.request(text)?).await?;
            match answer.split_first() {
                Some((&SIGN_RESPONSE, rest)) => self.read(rest, text),
                _ => Err(self.refused().await),
            }
        };
        tokio::time::timeout(self.limit, work)
            .await
            .unwrap_or_else(|_| {
                Err(self.unavailable("it did not answer in time; does it wait for somebody?"))
            })
    }

    fn request(&self, text: &[u8]) -> Result<Vec<u8>, MintError> {
        let flags = match self.key {
            KeyData::Rsa(_) => RSA_SHA2_512,
            _ => 0,
        };
        let write = || {
            let mut body = vec![SIGN_REQUEST];
            add_string(&mut body, &self.name()?)?;
            add_string(&mut body, text)?;
            body.extend(flags.to_be_bytes());
            Some(body)
        };
        write().ok_or_else(|| self.unavailable("the certificate is longer than a message"))
    }

    /// The key as messages name it.
    fn name(&self) -> Option<Vec<u8>> {
        PublicKey::from(self.key.clone()).to_bytes().ok()
    }

    fn read(&self, rest: &[u8], text: &[u8]) -> Result<Signature, MintError> {
        let signature = string(rest)
            .filter(|(_, rest)| rest.is_empty())
            .and_then(|(signature, _)| Signature::try_from(signature).ok())
            .ok_or_else(|| self.unavailable("its answer is no signature"))?;
        // RFC 8332 section 3: servers refuse what `ssh-rsa`, with SHA-1, signed.
        let is_usual = match signature.algorithm() {
            Algorithm::Rsa { hash } => hash == Some(HashAlg::Sha512),
            _ => true,
        };
        if !is_usual || self.key.verify(text, &signature).is_err() {
            return Err(self.unavailable("its answer is not a signature by this key"));
        }
        Ok(signature)
    }

    /// The protocol has no reasons, so the agent is asked for its keys.
    async fn refused(&self) -> MintError {
        let listed = self.ask(&[REQUEST_IDENTITIES]).await.unwrap_or_default();
        let fingerprint = self.key.fingerprint(HashAlg::Sha256);
        let place = self.socket.display();
        if self.name().is_some_and(|name| lists(&listed, &name)) {
            return MintError::new(MintErrorKind::Denied, format!(
                "the SSH agent at {place} has the key of the certificate authority, {fingerprint}, and did not sign with it"
            ))
            .with_remedy("was it to be confirmed, is the token still plugged in, or has its PIN to be given again (`ssh-add -e`, then `ssh-add -s`)?");
        }
        MintError::authentication(format!(
            "the SSH agent at {place} does not have the key of the certificate authority, {fingerprint}, or it is locked"
        ))
        .with_remedy(REMEDY)
    }

    async fn ask(&self, body: &[u8]) -> Result<Vec<u8>, MintError> {
        exchange(&self.socket, body)
            .await
            .map_err(|error| self.unavailable(&error.to_string()))
    }

    fn unavailable(&self, reason: &str) -> MintError {
        MintError::unavailable(format!(
            "the SSH agent at {} signed no certificate: {reason}",
            self.socket.display()
        ))
    }
}

/// Whether an agent's list of keys has this one.
fn lists(answer: &[u8], name: &[u8]) -> bool {
    let Some((&IDENTITIES_ANSWER, rest)) = answer.split_first() else {
        return false;
    };
    let mut rest = rest.get(4..).unwrap_or_default();
    while let Some((key, after)) = string(rest) {
        if key == name {
            return true;
        }
        rest = string(after).map_or(&[][..], |(_, after)| after);
    }
    false
}

#[cfg(unix)]
async fn exchange(socket: &Path, body: &[u8]) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::UnixStream::connect(socket).await?;
    let mut message = Vec::with_capacity(body.len() + 4);
    add_string(&mut message, body).ok_or(std::io::ErrorKind::InvalidInput)?;
    stream.write_all(&message).await?;
    let length = stream.read_u32().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LIMIT {
        return Err(std::io::Error::other("its answer is too long"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(not(unix))]
async fn exchange(_: &Path, _: &[u8]) -> std::io::Result<Vec<u8>> {
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "fnox asks agents on Linux and macOS only",
    ))
}

/// Keeps what a certificate's signer is to sign, and signs nothing.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    key: &'a KeyData,
    text: std::cell::RefCell<Vec<u8>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(key: &'a KeyData) -> Self {
        Self {
            key,
            text: std::cell::RefCell::default(),
        }
    }

    pub(super) fn text(self) -> Vec<u8> {
        self.text.into_inner()
    }
}

impl Signer<Signature> for Recorder<'_> {
    fn try_sign(&self, text: &[u8]) -> Result<Signature, signature::Error> {
        self.text.replace(text.to_vec());
        Err(signature::Error::new())
    }
}

impl From<&Recorder<'_>> for KeyData {
    fn from(recorder: &Recorder<'_>) -> Self {
        recorder.key.clone()
    }
}

/// A signature that was made before, for the text that it is of.
#[derive(Debug)]
pub(super) struct Made<'a> {
    pub(super) key: &'a KeyData,
    pub(super) signature: Signature,
}

impl Signer<Signature> for Made<'_> {
    fn try_sign(&self, text: &[u8]) -> Result<Signature, signature::Error> {
        self.key.verify(text, &self.signature)?;
        Ok(self.signature.clone())
    }
}

impl From<&Made<'_>> for KeyData {
    fn from(made: &Made<'_>) -> Self {
        made.key.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_far_as_it_goes() {
        let mut answer = vec![IDENTITIES_ANSWER, 0, 0, 0, 2];
        for text in ["one", "first", "two", "second"] {
            add_string(&mut answer, text.as_bytes()).unwrap();
        }
        assert!(lists(&answer, b"one") && lists(&answer, b"two"));
        // A comment is no key.
        assert!(!lists(&answer, b"first"));
        for end in 0..answer.len() {
            lists(&answer[..end], b"two");
        }
        assert!(!lists(&[5], b"one"));
    }
}
