//! JSON Web Tokens that are made for one request each (RFC 7519), with a key that the client does not hold.
//!
//! Some services take a token that their client signs itself: there is no server to ask for one. A rule says what it
//! claims and for how long it is good, at most five minutes; who signed it, the client never learns more than that.

use std::fmt;
use std::time::Duration;

use fnox_core::SecretString;
use http::HeaderName;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};

use super::{HeaderFormat, header, unfit};
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// How long a token is good if nothing else is said.
const USUAL: Duration = Duration::from_mins(1);

/// How long it may be.
const LONGEST: Duration = Duration::from_mins(5);

/// What the other keys of a rule say, or what is made for each token.
const RESERVED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The algorithms that there are (RFC 7518, section 3.1, and RFC 8037), by name.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What tokens are like, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwtSigning {
    field: HeaderName,
    format: Option<HeaderFormat>,
    terms: JwtTerms,
}

/// What a token claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct JwtTerms {
    /// How it is signed, such as `RS256`.
    pub algorithm: String,
    /// `iss`
    pub issuer: Option<String>,
    /// `sub`
    pub subject: Option<String>,
    /// `aud`: one is a text, several are a list.
    pub audience: Vec<String>,
    /// `kid` in its header.
    pub key_id: Option<String>,
    /// How long it is good. Default: a minute.
    pub lifetime: Option<Duration>,
    /// Other claims.
    pub claims: Map<String, Value>,
}

/// A rule's tokens cannot be as it says. The first field is the key at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwt {
    /// There is no such algorithm.
    #[error(
        "is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA"
    )]
    Algorithm,
    /// It would be good for too long, or not at all.
    #[error("must be from 1s to 5m: a token is made for each request")]
    Lifetime,
    /// A claim that is not the rule's to set in this way.
    #[error("has `{0}`, which has a key of its own or is made for each token")]
    Claim(String),
}

impl InvalidJwt {
    /// Which key of the table is wrong.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm",
            Self::Lifetime => "lifetime",
            Self::Claim(_) => "claims",
        }
    }
}

impl JwtSigning {
    /// Tokens that go into a field; `None` for `authorization: Bearer`. Nothing is said yet of what they claim.
    pub(super) fn into_field(field: Option<(HeaderName, Option<HeaderFormat>)>) -> Self {
        let (field, format) =
            field.unwrap_or_else(|| (AUTHORIZATION, HeaderFormat::parse("Bearer {}").ok()));
        Self {
            field,
            format,
            terms: JwtTerms::default(),
        }
    }

    /// The same with what they claim.
    ///
    /// # Errors
    /// [`InvalidJwt`]
    pub fn on(self, terms: JwtTerms) -> Result<Self, InvalidJwt> {
        if algorithm(&terms.algorithm).is_none() {
            return Err(InvalidJwt::Algorithm);
        }
        let lifetime = terms.lifetime.unwrap_or(USUAL);
        if lifetime.as_secs() == 0 || lifetime > LONGEST {
            return Err(InvalidJwt::Lifetime);
        }
        let mut names = terms.claims.keys();
        if let Some(name) = names.find(|name| RESERVED.contains(&name.as_str())) {
            return Err(InvalidJwt::Claim(name.clone()));
        }
        Ok(Self { terms, ..self })
    }

    /// Where they go.
    pub(super) fn field(&self) -> &HeaderName {
        &self.field
    }

    fn claims(&self, now: Timestamp, id: String) -> Map<String, Value> {
        let terms = &self.terms;
        let mut claims = terms.claims.clone();
        for (name, text) in [("iss", &terms.issuer), ("sub", &terms.subject)] {
            if let Some(text) = text {
                claims.insert(name.to_owned(), text.clone().into());
            }
        }
        match terms.audience.as_slice() {
            [] => {}
            [one] => {
                claims.insert("aud".to_owned(), one.clone().into());
            }
            several => {
                claims.insert("aud".to_owned(), several.to_vec().into());
            }
        }
        let lifetime = terms.lifetime.unwrap_or(USUAL).as_secs();
        let end = now
            .as_second()
            .saturating_add(i64::try_from(lifetime).unwrap_or(0));
        claims.insert("iat".to_owned(), now.as_second().into());
        claims.insert("exp".to_owned(), end.into());
        claims.insert("jti".to_owned(), id.into());
        claims
    }
}

/// Makes a token with `key` and puts it into its field, instead of whatever the client has there. The answer is the
/// token's signature, without which it is worth nothing.
///
/// # Errors
/// [`Reason::Credential`](crate::Reason::Credential) if the value is no key for the algorithm, or one that is too short;
/// [`Reason::Ambiguous`](crate::Reason::Ambiguous) if the client sent the field twice.
pub fn inject(
    request: &mut CanonicalRequest,
    rule: &Rule,
    signing: &JwtSigning,
    key: &SecretString,
    now: Timestamp,
) -> Result<SecretString, Refusal> {
    header::is_there_at_most_once(request, rule, &signing.field)?;
    let token = sign(rule, signing, key, now)?;
    match &signing.format {
        Some(format) => header::put(request, rule, &signing.field, &format.fill(&token))?,
        None => header::put(request, rule, &signing.field, &token)?,
    }
    let signature = token.rsplit('.').next().unwrap_or_default();
    Ok(SecretString::from(signature))
}

fn sign(
    rule: &Rule,
    signing: &JwtSigning,
    key: &SecretString,
    now: Timestamp,
) -> Result<String, Refusal> {
    let algorithm = algorithm(&signing.terms.algorithm)
        .ok_or_else(|| unfit(rule, "has no algorithm to sign with"))?;
    let key = encoding_key(rule, algorithm, key)?;
    let header = Header {
        kid: signing.terms.key_id.clone(),
        ..Header::new(algorithm)
    };
    let id = hex::encode(rand::random::<[u8; 16]>());
    // The library's own words may quote the key.
    encode(&header, &signing.claims(now, id), &key)
        .map_err(|_| unfit(rule, "is no key for the algorithm of the rule"))
}

fn encoding_key(
    rule: &Rule,
    algorithm: Algorithm,
    key: &SecretString,
) -> Result<EncodingKey, Refusal> {
    let pem = key.expose_secret().trim().as_bytes();
    let no_key = |what: &str| unfit(rule, &format!("is no private {what} key in PEM"));
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            let key = key.expose_secret().as_bytes();
            // RFC 7518, section 3.2: at least as long as the hash.
            let least = match algorithm {
                Algorithm::HS256 => 32,
                Algorithm::HS384 => 48,
                _ => 64,
            };
            if key.len() < least {
                let problem = format!("is too short: this algorithm needs {least} bytes or more");
                return Err(unfit(rule, &problem));
            }
            Ok(EncodingKey::from_secret(key))
        }
        Algorithm::ES256 | Algorithm::ES384 => {
            EncodingKey::from_ec_pem(pem).map_err(|_| no_key("EC (PKCS #8)"))
        }
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem).map_err(|_| no_key("Ed25519 (PKCS #8)")),
        _ => EncodingKey::from_rsa_pem(pem).map_err(|_| no_key("RSA")),
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    let found = ALGORITHMS.iter().find(|(known, _)| *known == name)?;
    Some(found.1)
}

impl fmt::Display for JwtSigning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bearer = Self::into_field(None);
        match &self.format {
            format if self.field == bearer.field && *format == bearer.format => {
                formatter.write_str("jwt")
            }
            None => write!(formatter, "jwt:{}", self.field),
            Some(format) => write!(formatter, "jwt:{}:{format}", self.field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut JwtTerms)) -> Result<JwtSigning, InvalidJwt> {
        let mut terms = JwtTerms {
            algorithm: "HS256".to_owned(),
            ..JwtTerms::default()
        };
        change(&mut terms);
        JwtSigning::into_field(None).on(terms)
    }

    #[test]
    fn what_no_token_should_be_like_is_refused_with_its_key() {
        let key = |outcome: Result<JwtSigning, InvalidJwt>| outcome.unwrap_err().key();
        for name in ["", "none", "hs256", "ES512", "RS1"] {
            assert_eq!(
                key(with(|terms| terms.algorithm = name.to_owned())),
                "algorithm"
            );
        }
        for seconds in [0, 301, 3600] {
            let lifetime = Some(Duration::from_secs(seconds));
            assert_eq!(key(with(|terms| terms.lifetime = lifetime)), "lifetime");
        }
        for name in RESERVED {
            let outcome = with(|terms| {
                terms.claims.insert(name.to_owned(), "x".into());
            });
            assert_eq!(key(outcome), "claims", "{name}");
        }
    }

    #[test]
    fn a_token_claims_what_its_rule_says_and_ends_soon() {
        let other = serde_json::json!({
            "scope": "read", "level": 3, "share": 0.5, "admin": false,
            "groups": ["a", 2], "bot": { "id": 7, "exp": "its own" }
        });
        let signing = with(|terms| {
            terms.issuer = Some("us".to_owned());
            terms.audience = vec!["them".to_owned()];
            terms.lifetime = Some(Duration::from_mins(5));
            terms.claims = serde_json::from_value(other.clone()).unwrap();
        });
        let claims = signing
            .unwrap()
            .claims(Timestamp::UNIX_EPOCH, "id".to_owned());
        let mut expected = other;
        for (name, value) in [("iss", "us"), ("aud", "them"), ("jti", "id")] {
            expected[name] = value.into();
        }
        (expected["iat"], expected["exp"]) = (0.into(), 300.into());
        assert_eq!(Value::Object(claims), expected);
        let several = with(|terms| terms.audience = vec!["a".to_owned(), "b".to_owned()]);
        let claims = several
            .unwrap()
            .claims(Timestamp::UNIX_EPOCH, String::new());
        assert_eq!(claims["aud"], serde_json::json!(["a", "b"]));
        assert_eq!(claims["exp"], 60);
    }

    /// By the library's own reading: the one for HS256 in the tests of the proxy is another's.
    #[test]
    fn keys_in_pem_sign_and_those_of_another_kind_do_not() {
        use fnox_core::LeaseName;
        use jsonwebtoken::{DecodingKey, Validation, decode};

        use crate::rule::{CredentialRef, Hosts};

        let credential = CredentialRef::Lease {
            name: LeaseName::parse("x").unwrap(),
            variable: None,
        };
        let rule = Rule::new("r", Hosts::parse("api.example.com").unwrap(), credential);
        let kinds = [
            ("ES256", &rcgen::PKCS_ECDSA_P256_SHA256),
            ("ES384", &rcgen::PKCS_ECDSA_P384_SHA384),
            ("EdDSA", &rcgen::PKCS_ED25519),
        ];
        let now = "2026-07-22T12:00:00Z".parse().unwrap();
        for (name, kind) in kinds {
            let pair = rcgen::KeyPair::generate_for(kind).unwrap();
            let pem = SecretString::from(pair.serialize_pem());
            for (other, _) in kinds {
                let signing = with(|terms| terms.algorithm = other.to_owned()).unwrap();
                let token = sign(&rule, &signing, &pem, now);
                if other != name {
                    assert!(token.is_err(), "{name} {other}");
                    continue;
                }
                let public = pair.public_key_pem();
                let key = match name {
                    "EdDSA" => DecodingKey::from_ed_pem(public.as_bytes()),
                    _ => DecodingKey::from_ec_pem(public.as_bytes()),
                };
                let mut validation = Validation::new(algorithm(name).unwrap());
                validation.validate_exp = false;
                let read = decode::<Value>(&token.unwrap(), &key.unwrap(), &validation).unwrap();
                assert_eq!(read.claims["iat"], 1_784_721_600);
            }
        }
    }
}
