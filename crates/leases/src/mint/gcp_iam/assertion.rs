//! What a service account's key signs.
//!
//! Claims are those of "Using OAuth 2.0 for Server to Server Applications" and of AIP-4111.

use fnox_core::SecretString;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;

use super::CLOUD_PLATFORM;
use super::file::ServiceAccountKey;
use crate::jwt;
use crate::mint::MintError;

/// How long it may be used. Google takes up to an hour; it is used at once.
const SECONDS: i64 = 600;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    scope: &'static str,
    iat: i64,
    exp: i64,
}

/// A request to the token endpoint (RFC 7523 section 2.1).
pub(super) fn for_token_endpoint(
    key: &ServiceAccountKey,
    token_uri: &str,
    name: &str,
    now: Timestamp,
) -> Result<SecretString, MintError> {
    let claims = Claims {
        aud: Some(token_uri),
        ..claims(key, now)
    };
    signed(key, &claims, name)
}

/// An access token of the key's own making: other clouds than Google's own have no token endpoint.
pub(super) fn for_apis(
    key: &ServiceAccountKey,
    name: &str,
    now: Timestamp,
) -> Result<SecretString, MintError> {
    let claims = Claims {
        sub: Some(&key.client_email),
        ..claims(key, now)
    };
    signed(key, &claims, name)
}

/// When an assertion of this moment ends.
pub(super) fn end(now: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(now.as_second() + SECONDS).ok()
}

fn claims(key: &ServiceAccountKey, now: Timestamp) -> Claims<'_> {
    Claims {
        iss: &key.client_email,
        sub: None,
        aud: None,
        scope: CLOUD_PLATFORM,
        iat: now.as_second(),
        exp: now.as_second() + SECONDS,
    }
}

fn signed(
    key: &ServiceAccountKey,
    claims: &Claims<'_>,
    name: &str,
) -> Result<SecretString, MintError> {
    let header = Header {
        kid: key.private_key_id.clone(),
        ..Header::new(Algorithm::RS256)
    };
    let key_name = format!("`private_key` of {name}");
    jwt::sign_rs256(header, claims, &key.private_key.0, &key_name)
}
