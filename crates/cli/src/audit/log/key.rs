//! The key of the chain: `audit.key` of the state folder, a line `ID BASE64`.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::audit::{ChainKey, ChainKeys};
use fnox_leases::ledger::file;
use rand::Rng as _;
use zeroize::Zeroizing;

use super::LogError;

/// For a log that has no records.
pub(super) fn none() -> ChainKeys {
    let key = ChainKey::new(String::new(), Zeroizing::new([0; 32]));
    ChainKeys::new(key, Vec::new())
}

/// The key, made by whoever comes first. Call it under the log's lock.
pub(super) fn read_or_make(path: &Path) -> Result<ChainKeys, LogError> {
    if !path.exists() {
        let mut rng = rand::rng();
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill(bytes.as_mut_slice());
        let id = hex::encode(rng.random::<[u8; 8]>());
        let secret = Zeroizing::new(BASE64.encode(bytes.as_slice()));
        file::create(path, &Zeroizing::new(format!("{id} {}\n", *secret)))?;
    }
    read(path)
}

/// The key. That of a log with records is never made anew: none of them would fit it.
pub(super) fn read(path: &Path) -> Result<ChainKeys, LogError> {
    let unusable = |reason: &str| LogError::Io {
        action: "use the key of the log in",
        path: path.to_owned(),
        source: io::Error::other(reason.to_owned()),
    };
    let text = file::read(path)?.ok_or_else(|| unusable("it is not there"))?;
    file::require_private(path)?;
    let no_line = || unusable("it is no line `ID BASE64`");
    let (id, secret) = text.trim().split_once(' ').ok_or_else(no_line)?;
    let mut bytes = Zeroizing::new([0; 32]);
    let length = BASE64.decode_slice(secret, bytes.as_mut_slice());
    if length != Ok(32) {
        return Err(no_line());
    }
    Ok(ChainKeys::new(
        ChainKey::new(id.to_owned(), bytes),
        Vec::new(),
    ))
}
