//! Tokens that others write into files, such as those of pods.

use std::io::Read as _;
use std::path::Path;

use fnox_core::SecretString;
use zeroize::Zeroizing;

use crate::error::ProviderError;

/// Largest token file that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// The token in a file, without space around it.
///
/// # Errors
/// `AuthenticationNeeded` if it cannot be read, is empty or larger than 64 KiB.
pub fn read(path: &Path) -> Result<SecretString, ProviderError> {
    let unusable = |reason: &str| {
        ProviderError::authentication(format!(
            "the token file {} cannot be used: {reason}",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| unusable(&error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| unusable(&error.to_string()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LIMIT {
        return Err(unusable("it is larger than 64 KiB"));
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(unusable("it is empty"));
    }
    Ok(SecretString::from(token))
}
