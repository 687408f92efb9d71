//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fnox_core::{SecretBytes, SecretString};
use zeroize::Zeroizing;

/// sops draws 32 bytes of nonce, from which GCM derives its counter (NIST SP 800-38D, section 7.1).
type Cipher = AesGcm<Aes256, U32>;

/// The key of a file's values.
pub(super) struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    pub(super) fn new(bytes: &SecretBytes) -> Option<Self> {
        let bytes: [u8; 32] = bytes.expose_secret().try_into().ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// `None`: the value, its place or the key is another one.
    pub(super) fn open(&self, value: &Encrypted, place: &str) -> Option<SecretBytes> {
        let cipher = Cipher::new(self.0.as_slice().into());
        let payload = Payload {
            msg: &value.sealed,
            aad: place.as_bytes(),
        };
        let opened = cipher.decrypt(Nonce::<U32>::from_slice(&value.nonce), payload);
        opened.ok().map(SecretBytes::new)
    }
}

/// What stands in the file.
pub(super) struct Encrypted {
    /// Ciphertext and tag.
    sealed: Vec<u8>,
    nonce: [u8; 32],
    is_flag: bool,
}

impl Encrypted {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("ENC[AES256_GCM,")?.strip_suffix(']')?;
        let mut parts = inner.split(',');
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix(':');
        let (data, nonce, tag, kind) = (part("data")?, part("iv")?, part("tag")?, part("type")?);
        let mut sealed = BASE64_STANDARD.decode(data).ok()?;
        let tag: [u8; 16] = BASE64_STANDARD.decode(tag).ok()?.try_into().ok()?;
        sealed.extend(tag);
        Some(Self {
            sealed,
            nonce: BASE64_STANDARD.decode(nonce).ok()?.try_into().ok()?,
            is_flag: kind == "bool",
        })
    }

    /// The text of an opened value: flags are encrypted as `True` and `False` and printed as YAML and JSON have them.
    pub(super) fn shown(&self, value: SecretString) -> SecretString {
        match value.expose_secret() {
            "True" if self.is_flag => SecretString::from("true"),
            "False" if self.is_flag => SecretString::from("false"),
            _ => value,
        }
    }
}
