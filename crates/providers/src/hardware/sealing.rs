//! What is kept in `fnox.toml` of a value that a device opens.
//!
//! `base64(nonce ‖ ciphertext ‖ tag)`, by AES-256-GCM (NIST SP 800-38D) with a random nonce of 12 bytes, under a key that
//! HKDF-SHA256 (RFC 5869) makes of the device's answer and of what it is for. The established CLI writes the same.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretBytes;
use hkdf::Hkdf;
use rand::TryRngCore as _;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a nonce.
const NONCE: usize = 12;

/// Why a stored value could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// It is not what is written here.
    NotSealed,
    /// Another key made it, or it was changed.
    WrongKey,
}

/// A device's answer as a key.
pub struct SealingKey(pub(super) Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealingKey([redacted])")
    }
}

impl SealingKey {
    /// Derives it. `purpose` names the provider, so that two providers of one device have two keys.
    #[must_use]
    pub fn derive(answer: &[u8], purpose: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, answer)
            .expand(purpose.as_bytes(), key.as_mut())
            .ok()?;
        Some(Self(key))
    }

    /// Seals a value. `None`: the system gives no randomness.
    #[must_use]
    pub fn seal(&self, value: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE];
        rand::rngs::OsRng.try_fill_bytes(&mut nonce).ok()?;
        let sealed = self
            .cipher()?
            .encrypt(Nonce::from_slice(&nonce), value)
            .ok()?;
        Some(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens a value.
    ///
    /// # Errors
    /// [`Unopened`]
    pub fn open(&self, stored: &str) -> Result<SecretBytes, Unopened> {
        let bytes = STANDARD.decode(stored).map_err(|_| Unopened::NotSealed)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or(Unopened::NotSealed)?;
        self.cipher()
            .ok_or(Unopened::WrongKey)?
            .decrypt(Nonce::from_slice(nonce), sealed)
            .map(SecretBytes::new)
            .map_err(|_| Unopened::WrongKey)
    }

    fn cipher(&self) -> Option<Aes256Gcm> {
        Aes256Gcm::new_from_slice(self.0.as_slice()).ok()
    }
}
