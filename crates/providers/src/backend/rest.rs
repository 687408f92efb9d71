//! What stores elsewhere have in common.

use fnox_core::{Env, SecretString};

use crate::error::ProviderError;
use crate::provider::Request;

/// The first of these variables that is there and not empty.
pub(super) fn variable<'a>(env: &'a Env, names: &[&str]) -> Option<&'a str> {
    names
        .iter()
        .filter_map(|name| env.var(name))
        .find(|text| !text.is_empty())
}

/// The same error for all.
pub(super) fn all(
    requests: &[Request],
    error: &ProviderError,
) -> Vec<Result<SecretString, ProviderError>> {
    requests.iter().map(|_| Err(error.clone())).collect()
}
