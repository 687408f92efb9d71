//! `kubernetes`: a service account's token, by `TokenRequest`.

use std::path::Path;

use fnox_config::LeaseConfig;

use super::Mint;
use crate::error::LeaseError;

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError`]
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Err(LeaseError::not_built(lease))
}
