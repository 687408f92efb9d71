//! JSON Web Tokens for stand-ins: keys, tokens of an issuer, and the check of a token that somebody signed.
//!
//! The check is of the signature and of nothing else; what the claims must be is the service's business, by the service's
//! own clock. The keys are of this repository's tests and secure nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// An RSA key pair in PEM.
#[derive(Debug, Clone, Copy)]
pub struct KeyPair {
    /// PKCS #8.
    pub private: &'static str,
    /// SubjectPublicKeyInfo.
    pub public: &'static str,
}

/// A key pair.
pub const FIRST: KeyPair = KeyPair {
    private: include_str!("jwt/first.key"),
    public: include_str!("jwt/first.pub"),
};

/// Another key pair.
pub const SECOND: KeyPair = KeyPair {
    private: include_str!("jwt/second.key"),
    public: include_str!("jwt/second.pub"),
};

/// A certificate of the first key pair, in PEM.
pub const FIRST_CERTIFICATE: &str = include_str!("jwt/first.crt");

/// A token by RS256 with a `kid`, as an OIDC issuer signs it.
///
/// # Panics
/// If the key is none.
#[must_use]
pub fn signed(claims: &Value, key: KeyPair, kid: &str) -> String {
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::RS256)
    };
    let key = EncodingKey::from_rsa_pem(key.private.as_bytes()).expect("an RSA key");
    jsonwebtoken::encode(&header, claims, &key).expect("a token")
}

/// Header and claims of a token that this public key has signed by this algorithm; `None` if it has not.
#[must_use]
pub fn verified(
    token: &str,
    public: &str,
    algorithm: Algorithm,
) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let key = DecodingKey::from_rsa_pem(public.as_bytes()).ok()?;
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode(token, &key, &validation).ok()?.claims;
    Some((header(token)?, claims))
}

/// The header of a token, unverified.
#[must_use]
pub fn header(token: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The `x5t#S256` of a certificate (RFC 7515 section 4.1.8), or `None` if the text has none.
#[must_use]
pub fn thumbprint(certificate: &str) -> Option<String> {
    let (_, rest) = certificate.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .ok()?;
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(der)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_signed_verifies() {
        let claims = serde_json::json!({"sub": "x", "exp": 1});
        let token = signed(&claims, FIRST, "k1");
        let (header, seen) = verified(&token, FIRST.public, Algorithm::RS256).unwrap();
        assert_eq!(Value::Object(seen), claims);
        assert_eq!(header["kid"], "k1");
        assert!(verified(&token, SECOND.public, Algorithm::RS256).is_none());
        assert!(verified(&token, FIRST.public, Algorithm::PS256).is_none());
    }
}
