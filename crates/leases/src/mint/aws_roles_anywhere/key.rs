//! Private keys in PEM: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017), SEC 1 (RFC 5915); RSA, P-256 and P-384.
//!
//! Whatever the curve, AWS's algorithms hash with SHA-256. ECDSA signatures are deterministic (RFC 6979) and in DER; RSA
//! ones are PKCS #1 version 1.5, made with blinding. Nothing of a key is in any message.

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPublicKey as _};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};

use crate::mint::MintError;

/// RFC 8017 section 9.2, note 1: the beginning of `DigestInfo` for SHA-256.
const SHA_256: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A private key.
pub(super) enum Key {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl Key {
    /// The private key of a PEM text. `name` says in messages which one it is.
    pub(super) fn from_pem(text: &str, name: &str) -> Result<Self, MintError> {
        let unusable = |reason: &str| {
            MintError::authentication(format!("{name} is not a private key that fnox can use: {reason}"))
                .with_remedy(
                    "it is in PEM without a password (PKCS #8, PKCS #1 or SEC 1), and RSA, P-256 or P-384",
                )
        };
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("ENCRYPTED\n") {
            return Err(unusable("it is encrypted"));
        }
        let other = || unusable("it is damaged, or of another kind");
        if let Some(pem) = block(text, "PRIVATE KEY") {
            return pkcs8(pem).ok_or_else(other);
        }
        if let Some(pem) = block(text, "RSA PRIVATE KEY") {
            let key = RsaPrivateKey::from_pkcs1_pem(pem).map_err(|_| other())?;
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Some(pem) = block(text, "EC PRIVATE KEY") {
            return sec1(pem).ok_or_else(other);
        }
        Err(unusable("there is none in it"))
    }

    /// The name of the signature's algorithm.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "AWS4-X509-RSA-SHA256",
            Self::P256(_) | Self::P384(_) => "AWS4-X509-ECDSA-SHA256",
        }
    }

    /// Whether a certificate's `subjectPublicKey` is this key's.
    pub(super) fn is_of(&self, public_key: &[u8]) -> bool {
        // SEC 1 section 2.3.3: 2 and 3 begin a compressed point.
        let is_compressed = matches!(public_key.first(), Some(2 | 3));
        let own = match self {
            Self::Rsa(key) => match key.to_public_key().to_pkcs1_der() {
                Ok(der) => der.as_bytes().to_vec(),
                Err(_) => return false,
            },
            Self::P256(key) => key
                .verifying_key()
                .to_encoded_point(is_compressed)
                .as_bytes()
                .to_vec(),
            Self::P384(key) => key
                .verifying_key()
                .to_encoded_point(is_compressed)
                .as_bytes()
                .to_vec(),
        };
        own == public_key
    }

    /// Signs a text.
    pub(super) fn sign(&self, text: &str) -> Result<Vec<u8>, MintError> {
        let hash = Sha256::digest(text.as_bytes());
        let signed = match self {
            Self::Rsa(key) => {
                let padding = Pkcs1v15Sign {
                    hash_len: Some(hash.len()),
                    prefix: Box::new(SHA_256),
                };
                key.sign_with_rng(&mut OsRng, padding, &hash).ok()
            }
            Self::P256(key) => {
                let signature: Option<p256::ecdsa::Signature> = key.sign_prehash(&hash).ok();
                signature.map(|signature| signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: Option<p384::ecdsa::Signature> = key.sign_prehash(&hash).ok();
                signature.map(|signature| signature.to_der().as_bytes().to_vec())
            }
        };
        signed.ok_or_else(|| MintError::authentication("the private key cannot sign"))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = match self {
            Self::Rsa(key) => key.size() * 8,
            Self::P256(_) => 256,
            Self::P384(_) => 384,
        };
        write!(formatter, "{} ({bits} bits)", self.algorithm())
    }
}

fn pkcs8(pem: &str) -> Option<Key> {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_pem(pem) {
        return Some(Key::Rsa(Box::new(key)));
    }
    if let Ok(key) = p256::SecretKey::from_pkcs8_pem(pem) {
        return Some(Key::P256(key.into()));
    }
    let key = p384::SecretKey::from_pkcs8_pem(pem).ok()?;
    Some(Key::P384(key.into()))
}

fn sec1(pem: &str) -> Option<Key> {
    if let Ok(key) = p256::SecretKey::from_sec1_pem(pem) {
        return Some(Key::P256(key.into()));
    }
    let key = p384::SecretKey::from_sec1_pem(pem).ok()?;
    Some(Key::P384(key.into()))
}

/// The block with a label. Tools write others before it, such as `EC PARAMETERS`.
fn block<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let mark = format!("-----END {label}-----");
    let end = text[begin..].find(&mark)? + begin + mark.len();
    Some(&text[begin..end])
}
