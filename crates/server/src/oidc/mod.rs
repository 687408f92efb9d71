//! Who a token says that it is, once it is certain that the issuer said so.

use jiff::Timestamp;

use crate::settings::Preset;
use crate::subject::Claims;

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
    /// SHA-256 over issuer and `jti`, or over issuer and the whole token if it has none.
    pub replay_id: [u8; 32],
    /// How long `replay_id` must be remembered: until no clock within the leeway takes the token any more.
    pub keep_until: Timestamp,
}
