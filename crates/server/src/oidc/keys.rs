//! An issuer's keys (RFC 7517, RFC 7518 section 6, RFC 8037), and signatures by them.
//!
//! A key is usable if everything that it says about itself fits a signature with one of the allowed algorithms. What
//! does not fit is left out with a reason, so that one odd key does not take the others away. Left out are symmetric
//! keys, weak ones, keys for encryption, keys whose private half is published, and keys that share an id.
//!
//! Defended against: confusion of algorithms (RFC 8725, section 2.1). The kind of a key decides what can be checked
//! with it, not the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::error::{quoted, shown};
use super::json;
use crate::settings::Algorithm;

/// More keys than any issuer has.
const MOST_KEYS: usize = 100;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// NIST SP 800-56B, section 6.2: greater than 2^16. The upper limit is the RSA library's.
const RSA_EXPONENTS: std::ops::Range<u64> = 65_537..(1 << 33);

/// A key that signatures can be checked with.
#[derive(Debug, Clone)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
    /// Tells equal keys from others of the same id.
    parameters: Vec<Vec<u8>>,
}

impl Key {
    /// Reads one key. The error says why it cannot be used.
    pub fn parse(jwk: &Value, allowed: &[Algorithm]) -> Result<Self, String> {
        let Value::Object(members) = jwk else {
            return Err(format!("it is {} instead of an object", json::kind(jwk)));
        };
        let kind = required(members, "kty")?;
        if members.contains_key("d") || members.contains_key("p") || members.contains_key("q") {
            return Err("its private half is published".to_owned());
        }
        let (fitting, public, parameters) = match kind {
            "RSA" => rsa(members)?,
            "EC" => elliptic_curve(members)?,
            "OKP" => edwards(members)?,
            "oct" => return Err("it is symmetric".to_owned()),
            other => return Err(format!("`kty` is {}", quoted(other))),
        };
        is_for_signatures(members)?;
        let named = text(members, "alg")?;
        let algorithms: Vec<Algorithm> = allowed
            .iter()
            .copied()
            .filter(|it| fitting.contains(it) && named.is_none_or(|named| named == it.as_str()))
            .collect();
        if algorithms.is_empty() {
            return Err(format!(
                "`kty` {kind} with `alg` {} fits none of the allowed algorithms",
                named.map_or_else(|| "missing".to_owned(), quoted)
            ));
        }
        let key = Self {
            id: text(members, "kid")?.map(str::to_owned),
            algorithms,
            public,
            parameters,
        };
        key.is_valid()?;
        Ok(key)
    }

    /// `kid`
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether `signature` (base64url) is over `signed`, with this algorithm and no other.
    #[must_use]
    pub fn has_signed(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(
                signature,
                signed.as_bytes(),
                &self.public,
                of_library(algorithm),
            )
            .unwrap_or(false)
    }

    /// Whether it can be used for a signature with this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// The library reads points of curves only when it checks something.
    fn is_valid(&self) -> Result<(), String> {
        let Some(algorithm) = self.algorithms.first() else {
            return Err("it fits no algorithm".to_owned());
        };
        jsonwebtoken::crypto::verify("AAAA", b"", &self.public, of_library(*algorithm))
            .map(drop)
            .map_err(|error| format!("its numbers are no key: {error}"))
    }
}

/// The usable keys of one document.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    refused: Vec<String>,
}

impl KeySet {
    /// Reads a JWK set. The error says why the document as a whole is none.
    pub fn parse(document: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        let value = json::parse(document)
            .map_err(|error| format!("it is not as JSON should be: {error}"))?;
        let Some(Value::Array(keys)) = value.get("keys") else {
            return Err("it has no list `keys`".to_owned());
        };
        if keys.len() > MOST_KEYS {
            return Err(format!(
                "it has {} keys, at most {MOST_KEYS} are read",
                keys.len()
            ));
        }
        let mut set = Self::default();
        for jwk in keys {
            let name = jwk.get("kid").and_then(Value::as_str).map_or_else(
                || "a key without `kid`".to_owned(),
                |kid| format!("key {}", quoted(kid)),
            );
            match Key::parse(jwk, allowed) {
                Ok(key) if key.id.as_ref().is_none_or(String::is_empty) => {
                    set.refused
                        .push(format!("{name}: a token could not name it"));
                }
                Ok(key) => set.keys.push(key),
                Err(why) => set.refused.push(format!("{name}: {why}")),
            }
        }
        set.leave_out_ambiguous_ids();
        Ok(set)
    }

    /// The key of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id.as_deref() == Some(id))
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Why the others cannot, one sentence each.
    #[must_use]
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    fn leave_out_ambiguous_ids(&mut self) {
        let all = std::mem::take(&mut self.keys);
        for key in &all {
            let others = || all.iter().filter(|other| other.id == key.id);
            let equal = others().all(|other| {
                other.parameters == key.parameters && other.algorithms == key.algorithms
            });
            let id = key.id.as_deref().unwrap_or_default();
            if !equal {
                self.refused
                    .push(format!("key {}: another key has the same id", quoted(id)));
            } else if self.find(id).is_none() {
                self.keys.push(key.clone());
            }
        }
    }
}

type Parts = (&'static [Algorithm], DecodingKey, Vec<Vec<u8>>);

fn rsa(members: &Map<String, Value>) -> Result<Parts, String> {
    const FITTING: &[Algorithm] = &[
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];
    // RFC 7518, section 6.3.1.1 forbids zeros in front, and knows that some write them all the same.
    let modulus = without_zeros(number(members, "n")?);
    let exponent = without_zeros(number(members, "e")?);
    let bits = match modulus.first() {
        Some(first) => modulus.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    };
    if !RSA_BITS.contains(&bits) {
        return Err(format!(
            "it has {bits} bits, {} to {} are used",
            RSA_BITS.start(),
            RSA_BITS.end()
        ));
    }
    if modulus.last().is_none_or(|last| last % 2 == 0) {
        return Err("its modulus is even".to_owned());
    }
    let value = exponent
        .iter()
        .take(9)
        .fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
    let fits = u64::try_from(value).is_ok_and(|value| RSA_EXPONENTS.contains(&value));
    if !fits || value % 2 == 0 {
        return Err("its exponent is even, too small or too large".to_owned());
    }
    let public = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Ok((FITTING, public, vec![modulus, exponent]))
}

fn elliptic_curve(members: &Map<String, Value>) -> Result<Parts, String> {
    let (fitting, size): (&[Algorithm], usize) = match required(members, "crv")? {
        "P-256" => (&[Algorithm::Es256], 32),
        "P-384" => (&[Algorithm::Es384], 48),
        other => return Err(format!("`crv` is {}", quoted(other))),
    };
    let (x, y) = (number(members, "x")?, number(members, "y")?);
    if x.len() != size || y.len() != size {
        return Err(format!("`x` and `y` have to be {size} bytes long"));
    }
    let public = DecodingKey::from_ec_components(required(members, "x")?, required(members, "y")?)
        .map_err(|error| format!("its numbers are no key: {error}"))?;
    Ok((fitting, public, vec![x, y]))
}

fn edwards(members: &Map<String, Value>) -> Result<Parts, String> {
    match required(members, "crv")? {
        "Ed25519" => {}
        other => return Err(format!("`crv` is {}", quoted(other))),
    }
    let x = number(members, "x")?;
    if x.len() != 32 {
        return Err("`x` has to be 32 bytes long".to_owned());
    }
    Ok((&[Algorithm::EdDsa], DecodingKey::from_ed_der(&x), vec![x]))
}

/// RFC 7517, sections 4.2 and 4.3.
fn is_for_signatures(members: &Map<String, Value>) -> Result<(), String> {
    match text(members, "use")? {
        None | Some("sig") => {}
        Some(other) => return Err(format!("`use` is {} instead of sig", quoted(other))),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|it| it == "verify") => Ok(()),
        Some(_) => Err("`key_ops` does not list verify".to_owned()),
    }
}

fn text<'members>(
    members: &'members Map<String, Value>,
    name: &str,
) -> Result<Option<&'members str>, String> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!(
            "`{name}` is {} instead of a text",
            json::kind(other)
        )),
    }
}

fn required<'members>(
    members: &'members Map<String, Value>,
    name: &str,
) -> Result<&'members str, String> {
    text(members, name)?.ok_or_else(|| format!("`{name}` is missing"))
}

fn number(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(required(members, name)?)
        .map_err(|_| format!("`{}` is not base64url without padding", shown(name)))
}

fn without_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

fn of_library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}
