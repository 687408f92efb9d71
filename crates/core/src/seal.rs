//! The envelope in which fnox seals everything secret that it writes.
//!
//! XChaCha20-Poly1305 with a random 24-byte nonce (draft-irtf-cfrg-xchacha-03): nonces are long enough
//! to be drawn at random for the life of a key. Where a standard asks for it, AES-256-GCM (NIST SP 800-38D)
//! with a random 12-byte nonce; its keys must be used for few messages, so callers derive one for each
//! record. The associated data says what the value is and where it belongs, each part length-prefixed, so
//! that a blob cannot be moved to another place. A failed opening says nothing about why.

use aes_gcm::Aes256Gcm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{self, Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand::TryRngCore as _;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::SecretBytes;

/// The only envelope version so far.
const VERSION: u8 = 1;

/// How a value is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// AES-256-GCM (NIST SP 800-38D), 96-bit nonce.
    #[serde(rename = "AES-256-GCM")]
    Aes256Gcm,
    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), 192-bit nonce.
    #[serde(rename = "XChaCha20-Poly1305")]
    XChaCha20Poly1305,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::XChaCha20Poly1305];

    /// The name that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::XChaCha20Poly1305 => "XChaCha20-Poly1305",
        }
    }

    /// Reads the name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    /// Length of the nonce in bytes.
    #[must_use]
    pub fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A sealed value in bytes. Which algorithm and key sealed it is told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The nonce, as long as the algorithm says.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// A 256-bit sealing key and the id under which envelopes name it.
#[derive(Clone)]
pub struct SealingKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    /// Wraps existing key bytes.
    #[must_use]
    pub fn new(id: String, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, bytes }
    }

    /// Draws a new key from the operating system's generator.
    ///
    /// # Errors
    /// [`SealError::Randomness`] if the system has none to give.
    pub fn generate(id: String) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::rngs::OsRng
            .try_fill_bytes(bytes.as_mut())
            .map_err(|_| SealError::Randomness)?;
        Ok(Self { id, bytes })
    }

    /// The key's id, which is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as base64, for the one place that stores it.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.bytes.as_slice()))
    }

    /// Reads a key that [`Self::to_base64`] wrote.
    ///
    /// # Errors
    /// [`SealError::MalformedKey`] if it is not 32 bytes of base64.
    pub fn from_base64(id: String, text: &str) -> Result<Self, SealError> {
        let decoded = Zeroizing::new(
            BASE64
                .decode(text.trim())
                .map_err(|_| SealError::MalformedKey)?,
        );
        let bytes: [u8; 32] = decoded
            .as_slice()
            .try_into()
            .map_err(|_| SealError::MalformedKey)?;
        Ok(Self {
            id,
            bytes: Zeroizing::new(bytes),
        })
    }

    /// A keyed digest of several parts, as hex. Without the key nobody can test guesses against it.
    /// Each part is length-prefixed, so that parts cannot run into one another.
    #[must_use]
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> String {
        let key = Zeroizing::new(blake3::derive_key(
            "fnox 2026 keyed digest v1",
            self.bytes.as_slice(),
        ));
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&framed(&[purpose.as_bytes()]));
        hasher.update(&framed(parts));
        hasher.finalize().to_hex().to_string()
    }

    /// A key for one purpose or record, derived by HKDF-SHA-256 (RFC 5869). It keeps this key's id, and
    /// nothing about this key can be learnt from it.
    #[must_use]
    pub fn derive(&self, purpose: &[&str]) -> Self {
        let parts: Vec<&[u8]> = purpose.iter().map(|part| part.as_bytes()).collect();
        let mut bytes = Zeroizing::new([0u8; 32]);
        // invariant: one block of output is never too long (RFC 5869, section 2.3).
        #[expect(
            clippy::expect_used,
            clippy::missing_panics_doc,
            reason = "HKDF gives 32 bytes"
        )]
        Hkdf::<Sha256>::new(None, self.bytes.as_slice())
            .expand(&framed(&parts), bytes.as_mut())
            .expect("HKDF gives 32 bytes");
        Self {
            id: self.id.clone(),
            bytes,
        }
    }

    /// The key's bytes, for a purpose that is not sealing, such as a MAC.
    #[must_use]
    pub fn expose_bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.bytes
    }

    /// Seals `plaintext` for the place that `place` describes.
    ///
    /// # Errors
    /// [`SealError::Randomness`]; sealing itself fails only beyond 64 GiB.
    pub fn seal_bytes(
        &self,
        algorithm: Algorithm,
        place: &[&str],
        plaintext: &SecretBytes,
    ) -> Result<Sealed, SealError> {
        let mut nonce = vec![0u8; algorithm.nonce_len()];
        rand::rngs::OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_| SealError::Randomness)?;
        let payload = Payload {
            msg: plaintext.expose_secret(),
            aad: &self.associated_data(algorithm, place),
        };
        let ciphertext = encrypt(algorithm, &self.bytes, &nonce, payload);
        let ciphertext = ciphertext.map_err(|_| SealError::Opaque)?;
        Ok(Sealed { nonce, ciphertext })
    }

    /// Opens what was sealed for the same place with this key and algorithm.
    ///
    /// # Errors
    /// [`SealError::Opaque`].
    pub fn open_bytes(
        &self,
        algorithm: Algorithm,
        place: &[&str],
        sealed: &Sealed,
    ) -> Result<SecretBytes, SealError> {
        if sealed.nonce.len() != algorithm.nonce_len() {
            return Err(SealError::Opaque);
        }
        let payload = Payload {
            msg: &sealed.ciphertext,
            aad: &self.associated_data(algorithm, place),
        };
        let plaintext = decrypt(algorithm, &self.bytes, &sealed.nonce, payload);
        plaintext
            .map(SecretBytes::new)
            .map_err(|_| SealError::Opaque)
    }

    /// Seals `plaintext` into a text form, with XChaCha20-Poly1305.
    ///
    /// # Errors
    /// As [`Self::seal_bytes`].
    pub fn seal(&self, place: &[&str], plaintext: &SecretBytes) -> Result<Envelope, SealError> {
        let algorithm = Algorithm::XChaCha20Poly1305;
        let sealed = self.seal_bytes(algorithm, place, plaintext)?;
        Ok(Envelope {
            version: VERSION,
            key_id: self.id.clone(),
            algorithm: algorithm.as_str().to_owned(),
            nonce: BASE64.encode(sealed.nonce),
            ciphertext: BASE64.encode(sealed.ciphertext),
        })
    }

    /// Opens an envelope that was sealed for the same place with this key.
    ///
    /// # Errors
    /// [`SealError::UnknownFormat`] for another version or algorithm, [`SealError::Opaque`] otherwise.
    pub fn open(&self, place: &[&str], envelope: &Envelope) -> Result<SecretBytes, SealError> {
        let algorithm = Algorithm::XChaCha20Poly1305;
        if envelope.version != VERSION || envelope.algorithm != algorithm.as_str() {
            return Err(SealError::UnknownFormat {
                version: envelope.version,
                algorithm: envelope.algorithm.clone(),
            });
        }
        if envelope.key_id != self.id {
            return Err(SealError::Opaque);
        }
        let decode = |text: &str| BASE64.decode(text).map_err(|_| SealError::Opaque);
        let sealed = Sealed {
            nonce: decode(&envelope.nonce)?,
            ciphertext: decode(&envelope.ciphertext)?,
        };
        self.open_bytes(algorithm, place, &sealed)
    }

    fn associated_data(&self, algorithm: Algorithm, place: &[&str]) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = vec![
            b"fnox envelope",
            &[VERSION],
            algorithm.as_str().as_bytes(),
            self.id.as_bytes(),
        ];
        parts.extend(place.iter().map(|part| part.as_bytes()));
        framed(&parts)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SealingKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A sealed value as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Version of this layout.
    pub version: u8,
    /// Which key opens it.
    pub key_id: String,
    /// Which algorithm sealed it.
    pub algorithm: String,
    /// Base64 of the nonce.
    pub nonce: String,
    /// Base64 of ciphertext and tag.
    pub ciphertext: String,
}

/// Why sealing or opening failed. By intention it says little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Wrong key, wrong place or changed data; which of these is nobody's business.
    #[error("the sealed data could not be opened")]
    Opaque,
    /// Written by another version of fnox.
    #[error(
        "sealed data of version {version} with algorithm {algorithm} is not known to this fnox"
    )]
    UnknownFormat {
        /// The version that was found.
        version: u8,
        /// The algorithm that was found.
        algorithm: String,
    },
    /// Not a key.
    #[error("the sealing key is not 32 bytes of base64")]
    MalformedKey,
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Randomness,
}

/// The bare algorithm. `nonce` has its length.
fn encrypt(
    algorithm: Algorithm,
    key: &[u8; 32],
    nonce: &[u8],
    payload: Payload<'_, '_>,
) -> Result<Vec<u8>, aead::Error> {
    match algorithm {
        Algorithm::XChaCha20Poly1305 => {
            XChaCha20Poly1305::new(key.into()).encrypt(XNonce::from_slice(nonce), payload)
        }
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new(key.into()).encrypt(aes_gcm::Nonce::from_slice(nonce), payload)
        }
    }
}

/// As [`encrypt`], the other way.
fn decrypt(
    algorithm: Algorithm,
    key: &[u8; 32],
    nonce: &[u8],
    payload: Payload<'_, '_>,
) -> Result<Vec<u8>, aead::Error> {
    match algorithm {
        Algorithm::XChaCha20Poly1305 => {
            XChaCha20Poly1305::new(key.into()).decrypt(XNonce::from_slice(nonce), payload)
        }
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new(key.into()).decrypt(aes_gcm::Nonce::from_slice(nonce), payload)
        }
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum::<usize>() + 8);
    out.extend_from_slice(&(parts.len() as u64).to_be_bytes());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SealingKey {
        SealingKey::new("k1".to_owned(), Zeroizing::new([7; 32]))
    }

    #[test]
    fn opens_only_at_the_place_it_was_sealed_for() {
        let envelope = key()
            .seal(&["ledger", "/a"], &SecretBytes::new(b"x".to_vec()))
            .unwrap();
        assert_eq!(
            key()
                .open(&["ledger", "/a"], &envelope)
                .unwrap()
                .expose_secret(),
            b"x"
        );
        for place in [
            &["ledger", "/b"][..],
            &["ledger/", "a"],
            &["ledger"],
            &["ledger", "/a", ""],
        ] {
            assert_eq!(
                key().open(place, &envelope),
                Err(SealError::Opaque),
                "{place:?}"
            );
        }
    }

    #[test]
    fn a_key_of_the_same_id_but_other_bytes_opens_nothing() {
        let envelope = key().seal(&[], &SecretBytes::new(b"x".to_vec())).unwrap();
        let other = SealingKey::new("k1".to_owned(), Zeroizing::new([8; 32]));
        assert_eq!(other.open(&[], &envelope), Err(SealError::Opaque));
    }

    #[test]
    fn what_one_algorithm_sealed_the_other_does_not_open() {
        let secret = SecretBytes::new(b"x".to_vec());
        for algorithm in Algorithm::ALL {
            let sealed = key().seal_bytes(algorithm, &["a"], &secret).unwrap();
            assert_eq!(
                key().open_bytes(algorithm, &["a"], &sealed).unwrap(),
                secret
            );
            for other in Algorithm::ALL
                .into_iter()
                .filter(|other| *other != algorithm)
            {
                assert_eq!(
                    key().open_bytes(other, &["a"], &sealed),
                    Err(SealError::Opaque)
                );
            }
        }
    }

    #[test]
    fn derived_keys_differ_by_purpose() {
        let one = key().derive(&["secret", "1"]);
        assert_ne!(one.bytes, key().derive(&["secret", "2"]).bytes);
        assert_ne!(one.bytes, key().derive(&["secret1"]).bytes);
        assert_eq!(one.bytes, key().derive(&["secret", "1"]).bytes);
    }

    #[test]
    fn keys_survive_base64() {
        let key = SealingKey::generate("k".to_owned()).unwrap();
        let copy = SealingKey::from_base64("k".to_owned(), &key.to_base64()).unwrap();
        assert_eq!(key.bytes, copy.bytes);
        assert!(SealingKey::from_base64("k".to_owned(), "c2hvcnQ=").is_err());
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(text in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..80, bit in 0u8..8) {
            let envelope = key().seal(&["p"], &SecretBytes::new(text)).unwrap();
            let mut bytes = BASE64.decode(&envelope.ciphertext).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let changed = Envelope { ciphertext: BASE64.encode(bytes), ..envelope };
            prop_assert_eq!(key().open(&["p"], &changed), Err(SealError::Opaque));
        }

        #[test]
        fn digests_do_not_confuse_borders(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}", d in ".{0,8}") {
            let one = key().digest("t", &[a.as_bytes(), b.as_bytes()]);
            let two = key().digest("t", &[c.as_bytes(), d.as_bytes()]);
            prop_assert_eq!(one == two, (a, b) == (c, d));
        }
    }
}
