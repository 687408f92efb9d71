//! The key of the certificate authority.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use fnox_core::SecretString;
use fnox_system::Protection;
use rsa::BigUint;
use rsa::signature::{self, RandomizedSigner as _, SignatureEncoding as _, Signer};
use ssh_key::private::{KeypairData, RsaKeypair};
use ssh_key::public::KeyData;
use ssh_key::sha2::Sha512;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PrivateKey, Signature};

use super::held::HeldKey;
use super::openssh;
use super::settings::Authority;
use crate::mint::{MintContext, MintError};

/// Largest file that is read as a key.
const LIMIT: u64 = 64 * 1024;

/// Shortest RSA key, as OpenSSH's own `ssh-keygen` would make it at the least in these days.
const FEWEST_RSA_BITS: usize = 2048;

/// Who signs.
#[derive(Debug)]
pub(super) enum Signatory {
    /// fnox, with the key.
    Own(Box<SigningKey>),
    /// An agent.
    Agent(HeldKey),
}

/// A key that can sign.
#[derive(Debug)]
pub(super) struct SigningKey(PrivateKey);

impl Signer<Signature> for SigningKey {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        match self.0.key_data() {
            // ssh-key 0.6.7 takes the first prime for both, so that no RSA key of it can sign.
            KeypairData::Rsa(pair) => sign_rsa(pair, message),
            _ => self.0.try_sign(message),
        }
    }
}

impl From<&SigningKey> for KeyData {
    fn from(key: &SigningKey) -> Self {
        key.0.public_key().key_data().clone()
    }
}

/// RFC 8332 section 3: `rsa-sha2-512`.
fn sign_rsa(pair: &RsaKeypair, message: &[u8]) -> Result<Signature, signature::Error> {
    let number = |part: &Mpint| {
        part.as_positive_bytes()
            .map(BigUint::from_bytes_be)
            .ok_or_else(signature::Error::new)
    };
    let (public, private) = (&pair.public, &pair.private);
    let key = rsa::RsaPrivateKey::from_components(
        number(&public.n)?,
        number(&public.e)?,
        number(&private.d)?,
        vec![number(&private.p)?, number(&private.q)?],
    )
    .map_err(|_| signature::Error::new())?;
    // With random numbers, the private operation takes its time independently of the key (blinding).
    let signature = rsa::pkcs1v15::SigningKey::<Sha512>::new(key)
        .try_sign_with_rng(&mut rsa::rand_core::OsRng, message)?;
    let algorithm = Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    };
    Signature::new(algorithm, signature.to_vec()).map_err(|_| signature::Error::new())
}

/// The key, ready to sign.
///
/// # Errors
/// [`MintError`] if there is none that can sign.
pub(super) fn load(authority: &Authority, context: &MintContext) -> Result<Signatory, MintError> {
    let (text, name) = match authority {
        Authority::Agent(key) => return HeldKey::new(key, context).map(Signatory::Agent),
        Authority::File(path) => (read(path)?, path.display().to_string()),
        Authority::Variable(variable) => {
            let value = context.env.var(variable).ok_or_else(|| {
                MintError::authentication(format!(
                    "{variable}, the key of the certificate authority, is not set"
                ))
            })?;
            (SecretString::from(value), variable.clone())
        }
    };
    parse(&text, &name).map(|key| Signatory::Own(Box::new(SigningKey(key))))
}

/// What tells one authority from another without its key: the fingerprint of the public part, which is readable even if
/// a passphrase protects the other one.
pub(super) fn fingerprint_of_file(path: &Path) -> String {
    read(path)
        .ok()
        .and_then(|text| openssh::read(&text))
        .map_or_else(
            || "unreadable".to_owned(),
            |key| key.fingerprint(HashAlg::Sha256).to_string(),
        )
}

fn read(path: &Path) -> Result<SecretString, MintError> {
    let unusable = |reason: String| {
        MintError::authentication(format!(
            "the key of the certificate authority, {}, cannot be used: {reason}",
            path.display()
        ))
    };
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let protection = Protection::of(&file).map_err(|error| unusable(error.to_string()))?;
    // The rule of OpenSSH: what belongs to somebody else may be laid out as that one likes.
    if let Some(others) = protection.who_else_opens()
        && protection.is_own()
    {
        let remedy = if cfg!(windows) {
            "take that right from them, in the file's properties".to_owned()
        } else {
            format!("chmod 600 {}", path.display())
        };
        return Err(unusable(format!("others may read it ({others})")).with_remedy(remedy));
    }
    let mut text = String::with_capacity(usize::try_from(LIMIT).unwrap_or_default());
    let read = file.take(LIMIT).read_to_string(&mut text);
    let text = SecretString::new(text);
    read.map_err(|error| unusable(error.to_string()))?;
    Ok(text)
}

fn parse(text: &SecretString, name: &str) -> Result<PrivateKey, MintError> {
    let key = openssh::read(text).ok_or_else(|| {
        MintError::authentication(format!("{name} is no private key in OpenSSH's format"))
            .with_remedy(
                "it begins with `-----BEGIN OPENSSH PRIVATE KEY-----`; \
                 `ssh-keygen -p -f FILE` turns other formats into it",
            )
    })?;
    if key.is_encrypted() {
        return Err(MintError::authentication(format!(
            "{name} is protected by a passphrase, which nobody could be asked for when a certificate is renewed"
        ))
        .with_remedy(
            "keep a copy without passphrase (`ssh-keygen -p`) as a secret of a provider that encrypts it, \
             and remove the file",
        ));
    }
    match unfit_to_sign(key.public_key().key_data()) {
        Some(what) => Err(unfit(name, &what)),
        None => Ok(key),
    }
}

/// What kind of key it is, if it is none that signs certificates.
pub(super) fn unfit_to_sign(key: &KeyData) -> Option<String> {
    match key {
        KeyData::Ed25519(_) => None,
        KeyData::Ecdsa(key)
            if matches!(key.curve(), EcdsaCurve::NistP256 | EcdsaCurve::NistP384) =>
        {
            None
        }
        KeyData::Rsa(key) => {
            let bits = key.n.as_positive_bytes().map_or(0, |bytes| bytes.len() * 8);
            (bits < FEWEST_RSA_BITS).then(|| format!("an RSA key of {bits} bits"))
        }
        _ => Some(format!("a key of type {}", key.algorithm())),
    }
}

fn unfit(name: &str, what: &str) -> MintError {
    MintError::authentication(format!("{name} is {what}, with which fnox does not sign"))
        .with_remedy(
            "use an Ed25519 key (`ssh-keygen -t ed25519`), ECDSA on P-256 or P-384, or RSA of 2048 bits or more",
        )
}
