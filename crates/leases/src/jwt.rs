//! JSON Web Tokens that fnox signs itself (RFC 7519, RFC 7515), such as a GitHub App's.

use fnox_core::SecretString;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

pub(crate) use fnox_providers::jwt::{claims, described};

use crate::mint::MintError;

/// Signs claims with an RSA key in PEM (PKCS #1 or PKCS #8) by RS256.
///
/// # Errors
/// [`MintError`] if the key is none; `key_name` says in messages which one it is.
pub(crate) fn sign_rs256<C: Serialize>(
    header: Header,
    claims: &C,
    pem: &SecretString,
    key_name: &str,
) -> Result<SecretString, MintError> {
    let header = Header {
        alg: Algorithm::RS256,
        ..header
    };
    sign(&header, claims, pem, key_name)
}

/// The same by PS256 (RFC 7518 section 3.5).
///
/// # Errors
/// As [`sign_rs256`].
pub(crate) fn sign_ps256<C: Serialize>(
    header: Header,
    claims: &C,
    pem: &SecretString,
    key_name: &str,
) -> Result<SecretString, MintError> {
    let header = Header {
        alg: Algorithm::PS256,
        ..header
    };
    sign(&header, claims, pem, key_name)
}

fn sign<C: Serialize>(
    header: &Header,
    claims: &C,
    pem: &SecretString,
    key_name: &str,
) -> Result<SecretString, MintError> {
    let unusable = || {
        MintError::authentication(format!("{key_name} is not a private RSA key in PEM"))
            .with_remedy(
                "it begins with `-----BEGIN PRIVATE KEY-----` or `-----BEGIN RSA PRIVATE KEY-----`",
            )
    };
    let key =
        EncodingKey::from_rsa_pem(pem.expose_secret().trim().as_bytes()).map_err(|_| unusable())?;
    // The library's own words may quote the input.
    encode(header, claims, &key)
        .map(SecretString::new)
        .map_err(|_| unusable())
}
