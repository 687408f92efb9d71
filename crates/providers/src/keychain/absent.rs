//! Systems whose keychain is not built.

use fnox_core::SecretString;

use super::Call;
use crate::error::ProviderError;

fn absent() -> ProviderError {
    ProviderError::misconfigured("the keychain of this operating system is not supported yet")
        .with_remedy("use another provider, for example `age`")
}

pub(super) async fn read(
    _: Call<'_>,
    _: &str,
    _: &[&str],
) -> Result<Vec<Result<SecretString, ProviderError>>, ProviderError> {
    Err(absent())
}

pub(super) async fn write(
    _: Call<'_>,
    _: &str,
    _: &str,
    _: &SecretString,
) -> Result<(), ProviderError> {
    Err(absent())
}

pub(super) async fn delete(_: Call<'_>, _: &str, _: &str) -> Result<(), ProviderError> {
    Err(absent())
}

pub(super) async fn check(_: Call<'_>) -> Result<(), ProviderError> {
    Err(absent())
}
