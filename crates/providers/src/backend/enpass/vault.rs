//! A vault's folder: `vault.json`, `vault.enpassdb`, and the key that opens it.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::Path;

use fnox_core::{SecretBytes, SecretString};
use ring::pbkdf2;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::sqlcipher::{self, KEY};
use crate::error::ProviderError;

/// Largest database that is read, in bytes.
const LIMIT: u64 = 256 * 1024 * 1024;
/// Largest `vault.json` and key file, in bytes.
const SMALL_LIMIT: u64 = 1024 * 1024;
/// Enpass says some hundred thousand; what takes longer than this is not meant to be opened.
const MOST_ROUNDS: u32 = 10_000_000;

/// What a rollback journal that still has to be played back starts with ("Database File Format", section 3).
const JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// `vault.json`, as far as it says how the database is encrypted.
#[derive(Debug, Deserialize)]
struct Description {
    #[serde(default = "pbkdf2_name")]
    kdf_algo: String,
    kdf_iter: u32,
    #[serde(default = "aes_name")]
    encryption_algo: String,
    #[serde(default)]
    have_keyfile: u8,
}

fn pbkdf2_name() -> String {
    "pbkdf2".to_owned()
}

fn aes_name() -> String {
    "aes-256-cbc".to_owned()
}

/// How the key is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Derivation {
    rounds: NonZeroU32,
    /// Whether a key file takes part.
    pub(super) has_keyfile: bool,
}

/// Reads and checks `vault.json`.
pub(super) fn describe(folder: &Path) -> Result<Derivation, ProviderError> {
    let path = folder.join("vault.json");
    let fault = |why: String| {
        ProviderError::misconfigured(format!("{}: {why}", path.display())).at_key("vault")
    };
    let bytes = read(&path, SMALL_LIMIT).map_err(|error| {
        fault(error.to_string())
            .with_remedy("`vault` is the folder that has `vault.json` and `vault.enpassdb` in it")
    })?;
    let said: Description = serde_json::from_slice(&bytes)
        .map_err(|error| fault(format!("it does not describe an Enpass 6 vault: {error}")))?;
    for (key, value, known) in [
        ("kdf_algo", &said.kdf_algo, pbkdf2_name()),
        ("encryption_algo", &said.encryption_algo, aes_name()),
    ] {
        if !value.eq_ignore_ascii_case(&known) {
            return Err(fault(format!(
                "`{key}` is `{}`, and only `{known}` can be read",
                value.escape_debug()
            )));
        }
    }
    let rounds = NonZeroU32::new(said.kdf_iter).filter(|rounds| rounds.get() <= MOST_ROUNDS);
    let rounds = rounds.ok_or_else(|| {
        fault(format!(
            "`kdf_iter` is {}, which is not between 1 and {MOST_ROUNDS}",
            said.kdf_iter
        ))
    })?;
    Ok(Derivation {
        rounds,
        has_keyfile: said.have_keyfile != 0,
    })
}

/// The database file, if no other program is in the middle of writing it.
pub(super) fn database(folder: &Path) -> Result<Vec<u8>, ProviderError> {
    let path = folder.join("vault.enpassdb");
    let bytes = read(&path, LIMIT).map_err(|error| {
        ProviderError::misconfigured(format!("{}: {error}", path.display())).at_key("vault")
    })?;
    let has_log = std::fs::metadata(folder.join("vault.enpassdb-wal"))
        .is_ok_and(|metadata| metadata.len() > 0);
    let mut start = [0; JOURNAL.len()];
    let has_journal = File::open(folder.join("vault.enpassdb-journal"))
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == JOURNAL);
    if has_log || has_journal {
        return Err(ProviderError::unavailable(format!(
            "{} has changes that Enpass has not written into it yet",
            path.display()
        ))
        .with_remedy("let Enpass finish, or close it, and try again"));
    }
    Ok(bytes)
}

/// What a key file adds to the password: the bytes of its hexadecimal key, else the file as it is.
pub(super) fn keyfile(path: &Path) -> Result<SecretBytes, ProviderError> {
    let fault = |why: &str| {
        ProviderError::misconfigured(format!("the key file {}: {why}", path.display()))
            .at_key("keyfile")
    };
    let bytes = read(path, SMALL_LIMIT)
        .map(Zeroizing::new)
        .map_err(|error| fault(&error.to_string()))?;
    let key = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.trim().strip_prefix("<key>")?.strip_suffix("</key>"));
    match key {
        Some(key) => hex::decode(key.trim())
            .map(SecretBytes::new)
            .map_err(|_| fault("its key is not hexadecimal")),
        None => Ok(SecretBytes::new(bytes.to_vec())),
    }
}

/// PBKDF2-HMAC-SHA512 of the password and what the key file adds ("Enpass Security Whitepaper", "Vault Key").
pub(super) fn key(
    derivation: Derivation,
    file: &[u8],
    password: Option<&SecretString>,
    keyfile: Option<&SecretBytes>,
) -> Result<Zeroizing<[u8; KEY]>, sqlcipher::Unreadable> {
    let password = password.map_or(&[][..], |text| text.expose_secret().as_bytes());
    let keyfile = keyfile.map_or(&[][..], SecretBytes::expose_secret);
    let both = Zeroizing::new([password, keyfile].concat());
    let mut key = Zeroizing::new([0; KEY]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        derivation.rounds,
        sqlcipher::salt(file)?,
        &both,
        key.as_mut(),
    );
    Ok(key)
}

fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other("it is too large"));
    }
    Ok(bytes)
}
