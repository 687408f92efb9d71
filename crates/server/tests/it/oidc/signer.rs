//! Keys that sign tokens, and tokens to sign.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_server::settings::{Algorithm, IssuerSettings, Preset};
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};

/// When the tests' clock starts: 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045;
pub(crate) const NOW_TEXT: &str = "2026-01-02T03:04:05Z";
pub(crate) const AUDIENCE: &str = "https://fnox.example";

/// A key pair.
pub(crate) struct Signer {
    pub(crate) kid: String,
    algorithm: jsonwebtoken::Algorithm,
    private: EncodingKey,
    jwk: Value,
}

impl Signer {
    /// A new key of the curve P-256.
    pub(crate) fn es256(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        // SEC 1, section 2.3.3: 4, then both coordinates.
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        Self {
            kid: kid.to_owned(),
            algorithm: jsonwebtoken::Algorithm::ES256,
            private: EncodingKey::from_ec_der(&pair.serialize_der()),
            jwk: json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            }),
        }
    }

    /// A new Ed25519 key.
    pub(crate) fn eddsa(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: jsonwebtoken::Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(&pair.serialize_der()),
            jwk: json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
                "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw()),
            }),
        }
    }

    /// One of the RSA keys of the published vectors, named there.
    pub(crate) fn rsa(algorithm: Algorithm, name: &str, kid: &str) -> Self {
        let vectors: Value = serde_json::from_str(super::wycheproof::VECTORS).unwrap();
        let jwk = vectors["testGroups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| &group["private"])
            .find(|jwk| jwk["kid"] == name)
            .unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: algorithm.as_str().parse().unwrap(),
            private: EncodingKey::from_rsa_der(&rsa_der(jwk)),
            jwk: json!({
                "kty": "RSA", "alg": algorithm.as_str(), "use": "sig", "kid": kid,
                "n": jwk["n"], "e": jwk["e"],
            }),
        }
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A header as it should be.
    pub(crate) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": format!("{:?}", self.algorithm), "kid": self.kid})
    }

    /// A token of these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_texts(&self.header().to_string(), &claims.to_string())
    }

    /// A token of these texts, whatever they are.
    pub(crate) fn sign_texts(&self, header: &str, payload: &str) -> String {
        self.sign_segments(
            &URL_SAFE_NO_PAD.encode(header),
            &URL_SAFE_NO_PAD.encode(payload),
        )
    }

    /// A token of these segments, whatever they are.
    pub(crate) fn sign_segments(&self, header: &str, payload: &str) -> String {
        let signed = format!("{header}.{payload}");
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

/// base64url without padding.
pub(crate) fn encode_bytes(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A document of keys.
pub(crate) fn jwks(keys: &[&Signer]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// Claims that are accepted.
pub(crate) fn claims(issuer: &str) -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "iss": issuer,
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW,
        "nbf": NOW - 600,
        "jti": "f1a5e7b2-0d3c-4f7e-9a86-3c2b1d0e9f88",
        "repository_id": "1296269",
    }) else {
        unreachable!()
    };
    claims
}

/// An issuer that is found by discovery.
pub(crate) fn settings(url: &str, algorithm: Algorithm) -> IssuerSettings {
    IssuerSettings {
        name: "test".to_owned(),
        preset: Preset::Generic,
        url: url.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: vec![algorithm],
        jwks_file: None,
        allow_origins: Vec::new(),
        leeway: std::time::Duration::from_mins(1),
        longest_life: std::time::Duration::from_hours(24),
    }
}

/// An RSA private key as RFC 8017, appendix A.1.2 has it.
fn rsa_der(jwk: &Value) -> Vec<u8> {
    let mut numbers = vec![0x02, 1, 0];
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        // A first bit of 1 would be a sign.
        let sign = usize::from(bytes[0] >= 0x80);
        der(&mut numbers, 0x02, &[&[0][..sign], &bytes].concat());
    }
    let mut sequence = Vec::new();
    der(&mut sequence, 0x30, &numbers);
    sequence
}

fn der(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len().to_be_bytes();
    match content.len() {
        0..=0x7f => out.push(length[7]),
        0x80..=0xff => out.extend([0x81, length[7]]),
        _ => out.extend([0x82, length[6], length[7]]),
    }
    out.extend_from_slice(content);
}
