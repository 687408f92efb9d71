//! Who a token says that it is, once it is certain that the issuer said so.
//!
//! [`Verifier`] checks in this order, and stops at the first thing that is wrong: size, three segments, header
//! ([`jws`]), whether the issuer is configured, all before anything is fetched; then the key ([`keys`], kept by a cache
//! that strangers cannot make fetch more often than twice a minute), the signature, and each claim with its type. The
//! policy and the store of used tokens come after, elsewhere.
//!
//! Guarantees: a token is taken only with an algorithm that the issuer's settings list and a key that fits it; `iss`
//! is equal byte by byte; our audience is in it; every time is a whole number. Whoever only sends tokens can make this
//! server connect to nothing but the configured issuers, and only at public addresses ([`fetch`]).
//!
//! Defended against: confusion of algorithms, keys that the token brings along, lenient base64 and JSON, floods of
//! unknown key ids, issuers that redirect, answer with gigabytes or point to addresses inside. RFC 7515, 7517, 7519,
//! 8725; OpenID Connect Core and Discovery 1.0.

mod cache;
mod claims;
mod discovery;
mod error;
pub mod fetch;
mod json;
pub mod jws;
pub mod keys;
mod own_issuer;
mod provider;
mod setup;
mod verify;

use jiff::Timestamp;

use crate::settings::Preset;
use crate::subject::Claims;

pub use error::{CodeFlowError, OidcError, OidcSetupError};
pub use own_issuer::{OwnIssuer, OwnIssuerError};
pub use provider::{Attempt, Provider};
pub use verify::Verifier;

/// What a token proved.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    /// The configured name of the issuer.
    pub issuer: String,
    /// What kind of issuer it is.
    pub preset: Preset,
    /// `sub`
    pub subject: String,
    /// All claims.
    pub claims: Claims,
    /// `iat`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// SHA-256 over issuer and `jti`, or over issuer and what was signed if it has none. The signature is left out: who
    /// has an ECDSA signature can make a second one.
    pub replay_id: [u8; 32],
    /// How long `replay_id` must be remembered: until no clock within the leeway takes the token any more.
    pub keep_until: Timestamp,
}
