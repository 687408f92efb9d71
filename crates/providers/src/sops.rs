//! Files that sops encrypted: YAML, JSON and dotenv, read only.
//!
//! The format is the one that the documentation of sops describes under "Encryption Protocol". Names stay in
//! clear; each value is AES-256-GCM under one data key per file, with the names on the way to it as associated
//! data, so that values cannot change places. The data key is encrypted to each recipient. A message
//! authentication code over all values in their order, itself encrypted with the time of the last change as
//! associated data, shows values that were removed, added or replaced by clear ones. Nothing is handed out
//! before that code fits.
//!
//! Only the data key's age recipients are used; key groups (Shamir's secret sharing) and rules that go by
//! comments are refused, because a guess would be one about what is secret.

mod metadata;
mod tree;
mod value;

use fnox_core::{SecretBytes, SecretString};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use self::metadata::{Metadata, Rule};
use self::tree::{Leaf, Scalar};
use self::value::{DataKey, Encrypted};
use crate::dotenv;
use crate::error::ProviderError;

/// What a hash over only the encrypted values begins with: the SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Why a file does not open; never with a value in it.
#[derive(Debug, thiserror::Error)]
pub enum SopsError {
    /// It is no file of sops.
    #[error("it is not encrypted by sops: there is no `sops` section in it")]
    NotSops,
    /// It is not of its syntax.
    #[error("it is not valid {syntax}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Syntax {
        /// The syntax.
        syntax: &'static str,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
    },
    /// Its `sops` section is not what it should be.
    #[error("its `sops` section cannot be used: {reason}")]
    Metadata {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody can open it by age.
    #[error("its data key is not encrypted to any age recipient")]
    NoAge,
    /// No identity opens it.
    #[error("its data key does not open: {0}")]
    Locked(#[source] ProviderError),
    /// A value is not as it was encrypted.
    #[error("`{path}` does not open: it was changed, or belongs to another name")]
    Changed {
        /// The names on the way to it.
        path: String,
    },
    /// A value should be encrypted and stands in clear.
    #[error("`{path}` stands in clear although the file's rule encrypts it")]
    InClear {
        /// The names on the way to it.
        path: String,
    },
    /// The message authentication code does not fit.
    #[error(
        "its message authentication code does not fit: values were added, removed, moved or replaced"
    )]
    Forged,
}

/// One value and the names on the way to it; those of list elements are their numbers, from 0.
#[derive(Debug)]
pub struct Entry {
    /// The names.
    pub path: Vec<String>,
    /// The value, as sops would print it; that of a dotenv file without the quotes around it.
    pub value: SecretString,
}

/// Reads a file. `open` decrypts age files, each the same data key for another recipient; the first that opens counts.
///
/// # Errors
/// [`SopsError`]. Nothing is answered unless all of it is as sops wrote it.
pub fn read(
    text: &str,
    open: impl FnOnce(&[Vec<u8>]) -> Vec<Result<SecretBytes, ProviderError>>,
) -> Result<Vec<Entry>, SopsError> {
    let document = tree::read(text)?;
    let metadata = document.metadata;
    let key = data_key(&metadata, open)?;
    let mut hash = Sha512::new();
    if metadata.mac_only_encrypted {
        hash.update(ONLY_ENCRYPTED);
    }
    let mut entries = Vec::new();
    for leaf in document.leaves {
        if let Some(mut value) = opened(&leaf, &key, &metadata, &mut hash)? {
            if document.is_dotenv {
                value = unquoted(value);
            }
            let path = leaf.path;
            entries.push(Entry { path, value });
        }
    }
    let expected = hex::encode_upper(hash.finalize());
    let mac = Encrypted::parse(&metadata.mac)
        .and_then(|mac| key.open(&mac, &metadata.lastmodified))
        .ok_or(SopsError::Forged)?;
    if mac.expose_secret() != expected.as_bytes() {
        return Err(SopsError::Forged);
    }
    Ok(entries)
}

fn data_key(
    metadata: &Metadata,
    open: impl FnOnce(&[Vec<u8>]) -> Vec<Result<SecretBytes, ProviderError>>,
) -> Result<DataKey, SopsError> {
    let files: Vec<Vec<u8>> = metadata
        .age
        .iter()
        .map(|key| key.clone().into_bytes())
        .collect();
    if files.is_empty() {
        return Err(SopsError::NoAge);
    }
    let mut last = None;
    for answer in open(&files) {
        match answer {
            Ok(bytes) => {
                return DataKey::new(&bytes).ok_or_else(|| SopsError::Metadata {
                    reason: "the data key has not 32 bytes".to_owned(),
                });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(SopsError::NoAge, SopsError::Locked))
}

/// The value of one leaf, which goes into the hash as well. `None`: it has no value.
fn opened(
    leaf: &Leaf,
    key: &DataKey,
    metadata: &Metadata,
    hash: &mut Sha512,
) -> Result<Option<SecretString>, SopsError> {
    let path = || leaf.names.join(".");
    let encrypted = metadata.rule.encrypts(&leaf.names);
    let scalar = match &leaf.scalar {
        // Neither is encrypted, nor has it bytes that could be counted.
        None => return Ok(None),
        Some(Scalar::Text(text)) if text.is_empty() => return Ok(Some(SecretString::from(""))),
        Some(scalar) => scalar,
    };
    if !encrypted {
        if !metadata.mac_only_encrypted {
            hash.update(scalar.hashed());
        }
        return Ok(Some(SecretString::from(scalar.shown())));
    }
    let Scalar::Text(text) = scalar else {
        return Err(SopsError::InClear { path: path() });
    };
    let sealed = Encrypted::parse(text).ok_or_else(|| SopsError::InClear { path: path() })?;
    // The names of maps alone, each with a colon behind it: elements of one list have the same.
    let place: String = leaf.names.iter().flat_map(|name| [name, ":"]).collect();
    let bytes = key
        .open(&sealed, &place)
        .ok_or_else(|| SopsError::Changed { path: path() })?;
    hash.update(bytes.expose_secret());
    let value = bytes.into_string().map_err(|_| SopsError::Metadata {
        reason: format!("`{}` is not a text", path()),
    })?;
    Ok(Some(sealed.shown(value)))
}

/// sops takes the quotes of a dotenv file for a part of the value. Whoever reads the decrypted file does not.
fn unquoted(value: SecretString) -> SecretString {
    let text = value.expose_secret();
    if !text.starts_with(['"', '\'']) || text.contains('\n') {
        return value;
    }
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 2));
    line.push_str("V=");
    line.push_str(text);
    let read = dotenv::parse(&line).ok().and_then(|mut pairs| pairs.pop());
    read.map_or(value, |(_, value)| value)
}

impl Rule {
    /// Whether the value at these names is encrypted.
    fn encrypts(&self, names: &[String]) -> bool {
        let ends = |suffix: &str| names.iter().any(|name| name.ends_with(suffix));
        match self {
            Self::AllBut(suffix) => !ends(suffix),
            Self::Only(suffix) => ends(suffix),
            Self::AllButMatching(pattern) => !names.iter().any(|name| pattern.is_match(name)),
            Self::OnlyMatching(pattern) => names.iter().any(|name| pattern.is_match(name)),
        }
    }
}
