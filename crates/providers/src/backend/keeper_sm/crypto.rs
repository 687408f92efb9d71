//! What Keeper Secrets Manager encrypts with: AES-256-GCM throughout, and P-256 between a device and the service.
//!
//! "Security & Encryption Model": record keys are encrypted with the application's key or a folder's, records with their own. Each
//! request has a transmission key of its own, which only the service's key opens (ECIES: the SHA-256 of the shared secret with an
//! ephemeral key is an AES key), and the device's ECDSA signature. Every ciphertext is a nonce of 12 bytes, then what
//! AES-256-GCM (NIST SP 800-38D) makes with a tag of 16.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rand::TryRngCore as _;
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

const NONCE: usize = 12;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The system gives no random bytes, or the service's public key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

/// A key of AES-256.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// A key in base64.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(&decoded(text)?)
    }

    pub(super) fn random() -> Result<Self, Unusable> {
        let mut key = Zeroizing::new([0; 32]);
        fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Unusable> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let sealed = self
            .cipher()
            .encrypt(Nonce::from_slice(&nonce), plain)
            .map_err(|_| Unusable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// `None`: it is for another key, or it was changed.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let opened = self.cipher().decrypt(Nonce::from_slice(nonce), sealed);
        opened.ok().map(Zeroizing::new)
    }

    /// The same of a ciphertext in base64.
    pub(super) fn open_text(&self, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.open(&decoded(sealed)?)
    }

    /// A key that is encrypted with this one.
    pub(super) fn unwrap(&self, sealed: &str) -> Option<Self> {
        Self::from_bytes(&self.open_text(sealed)?)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.as_slice().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key([redacted])")
    }
}

/// A transmission key for the service alone: an ephemeral point of 65 bytes, then the key's ciphertext.
pub(super) fn for_service(public_key: &[u8], key: &Key) -> Result<Vec<u8>, Unusable> {
    let ephemeral =
        EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| Unusable)?;
    let point = ephemeral.compute_public_key().map_err(|_| Unusable)?;
    let service = UnparsedPublicKey::new(&ECDH_P256, public_key);
    let shared = agree_ephemeral(ephemeral, &service, |secret| {
        let digest = ring::digest::digest(&ring::digest::SHA256, secret);
        Key::from_bytes(digest.as_ref())
    });
    let shared = shared.ok().flatten().ok_or(Unusable)?;
    Ok([point.as_ref(), &shared.seal(key.bytes())?].concat())
}

/// A device's name at the service: what it can make of a one-time token, and nobody else.
pub(super) fn client_id(token: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA512, token);
    BASE64_STANDARD.encode(ring::hmac::sign(&key, b"KEEPER_SECRETS_MANAGER_CLIENT_ID"))
}

/// A device's private key.
#[derive(Clone)]
pub(super) struct DeviceKey(SigningKey);

impl DeviceKey {
    pub(super) fn random() -> Result<Self, Unusable> {
        // A number that is none of the curve's order comes once in 2³² times.
        for _ in 0..4 {
            let mut bytes = Zeroizing::new([0_u8; 32]);
            fill(bytes.as_mut_slice())?;
            if let Ok(key) = SigningKey::from_slice(bytes.as_slice()) {
                return Ok(Self(key));
            }
        }
        Err(Unusable)
    }

    /// PKCS #8 (RFC 5958) in DER, in base64.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = decoded(text)?;
        SigningKey::from_pkcs8_der(&bytes).ok().map(Self)
    }

    pub(super) fn to_text(&self) -> Option<Zeroizing<String>> {
        let document = self.0.to_pkcs8_der().ok()?;
        Some(Zeroizing::new(BASE64_STANDARD.encode(document.as_bytes())))
    }

    /// The public key, as a point of 65 bytes (SEC 1, section 2.3.3), in base64.
    pub(super) fn public(&self) -> String {
        let point = self.0.verifying_key().to_encoded_point(false);
        BASE64_STANDARD.encode(point.as_bytes())
    }

    /// ECDSA with SHA-256, in DER, in base64.
    pub(super) fn sign(&self, text: &[u8]) -> Option<String> {
        let signature: p256::ecdsa::Signature = self.0.try_sign(text).ok()?;
        Some(BASE64_STANDARD.encode(signature.to_der().as_bytes()))
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DeviceKey([redacted])")
    }
}

/// Base64 of either alphabet, with padding and without: Keeper's own clients write all four.
pub(super) fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim();
    let alphabet = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let bytes = GeneralPurpose::new(alphabet, LENIENT).decode(text);
    bytes.ok().map(Zeroizing::new)
}

fn fill(bytes: &mut [u8]) -> Result<(), Unusable> {
    rand::rngs::OsRng
        .try_fill_bytes(bytes)
        .map_err(|_| Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_opens_with_its_key_and_unchanged_only() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let sealed = key.seal(b"plain").unwrap();
        assert_eq!(key.open(&sealed).unwrap().as_slice(), b"plain");
        assert!(other.open(&sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed).is_none(), "{at}");
            assert!(key.open(&sealed[..at]).is_none(), "{at}");
        }
    }

    #[test]
    fn base64_is_read_in_every_form_that_clients_write() {
        let bytes = [0xfb, 0xff, 0xfe, 0x01];
        for text in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ", " -__-AQ\n"] {
            assert_eq!(decoded(text).unwrap().as_slice(), bytes, "{text}");
        }
        for wrong in ["+_", "+//+A", "!"] {
            assert!(decoded(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_device_key_survives_its_text_and_shows_nothing() {
        let key = DeviceKey::random().unwrap();
        let text = key.to_text().unwrap();
        let again = DeviceKey::parse(&text).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.to_text().unwrap(), text);
        assert_eq!(format!("{key:?}"), "DeviceKey([redacted])");
        assert!(DeviceKey::parse("AAAA").is_none());
    }

    #[test]
    fn a_public_key_that_is_none_is_refused() {
        let key = Key::random().unwrap();
        for wrong in [&[] as &[u8], &[4; 65], &[2; 33]] {
            assert_eq!(for_service(wrong, &key), Err(Unusable));
        }
    }
}
