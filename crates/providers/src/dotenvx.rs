//! Values that dotenvx encrypted: `NAME="encrypted:BASE64"` in a dotenv file.
//!
//! Each value is encrypted to the file's public key by ECIES on secp256k1 (SEC 1, section 5.1) as the library that dotenvx
//! names in its documentation defines it: an ephemeral public key of 65 bytes, a nonce of 16, a tag of 16, then
//! AES-256-GCM ciphertext. The key is HKDF-SHA-256 (RFC 5869), without salt and info, of the ephemeral key and the shared point,
//! both uncompressed. A value is not bound to its name.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fnox_core::{SecretBytes, SecretString};
use hkdf::Hkdf;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use k256::{PublicKey, SecretKey};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How an encrypted value begins.
pub const MARK: &str = "encrypted:";

/// Length of an uncompressed point (SEC 1, section 2.3.3).
const POINT: usize = 65;
const NONCE: usize = 16;
const TAG: usize = 16;

type Cipher = AesGcm<Aes256, U16>;

/// The private keys of a file: the current one, and perhaps former ones.
pub struct PrivateKeys(Vec<SecretKey>);

/// A text that holds no private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a private key is 64 hexadecimal digits; several stand with commas between them")]
pub struct NotAKey;

impl PrivateKeys {
    /// Reads `DOTENV_PRIVATE_KEY`.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn parse(text: &SecretString) -> Result<Self, NotAKey> {
        let key = |text: &str| {
            let mut bytes = Zeroizing::new([0_u8; 32]);
            hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).map_err(|_| NotAKey)?;
            SecretKey::from_slice(bytes.as_slice()).map_err(|_| NotAKey)
        };
        let keys = text.expose_secret().split(',').map(key);
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// Opens a value that begins with [`MARK`]. `None`: it is for another key, or it was changed.
    #[must_use]
    pub fn open(&self, value: &str) -> Option<SecretString> {
        // Whatever stands behind the base64 is no part of it: dotenvx leaves what it took for a comment where it was.
        let text = value.strip_prefix(MARK)?.split('#').next()?.trim();
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        self.0.iter().find_map(|key| open_with(key, &bytes))
    }
}

impl std::fmt::Debug for PrivateKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("PrivateKeys")
            .field(&self.0.len())
            .finish()
    }
}

fn open_with(key: &SecretKey, bytes: &[u8]) -> Option<SecretString> {
    let (ephemeral, rest) = bytes.split_at_checked(POINT)?;
    let (nonce, rest) = rest.split_at_checked(NONCE)?;
    let (tag, ciphertext) = rest.split_at_checked(TAG)?;
    let point = PublicKey::from_sec1_bytes(ephemeral).ok()?;
    let shared = point.to_projective() * *key.to_nonzero_scalar();
    let shared = Zeroizing::new(
        <[u8; POINT]>::try_from(shared.to_affine().to_encoded_point(false).as_bytes()).ok()?,
    );
    let mut material = Zeroizing::new([0_u8; 2 * POINT]);
    let (first, second) = material.split_at_mut(POINT);
    first.copy_from_slice(ephemeral);
    second.copy_from_slice(shared.as_slice());
    let mut cipher_key = Zeroizing::new([0_u8; 32]);
    Hkdf::<Sha256>::new(None, material.as_slice())
        .expand(&[], cipher_key.as_mut_slice())
        .ok()?;
    let cipher = Cipher::new(cipher_key.as_slice().into());
    let sealed = [ciphertext, tag].concat();
    let opened = cipher
        .decrypt(Nonce::<U16>::from_slice(nonce), sealed.as_slice())
        .ok()?;
    SecretBytes::new(opened).into_string().ok()
}
