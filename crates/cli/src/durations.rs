//! Durations on the command line.

use fnox_core::Lifetime;

use crate::error::CliError;

/// Seconds of a duration on the command line.
pub(crate) fn seconds(text: &str, flag: &str) -> Result<u64, CliError> {
    let lifetime =
        Lifetime::parse(text).map_err(|error| CliError::usage(format!("{flag}: {error}")))?;
    if lifetime.as_secs() == 0 {
        return Err(CliError::usage(format!("{flag}: must be at least 1s")));
    }
    Ok(lifetime.as_secs())
}
