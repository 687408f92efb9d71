//! Requests that are signed with a secret key (HMAC, RFC 2104).
//!
//! A client that signs with its placeholder makes a signature that is good for nothing. The one that leaves is made here,
//! over the request as it leaves and with the key that the client does not hold; whatever the client put into the field
//! goes. There is no one way to do this that all services share, so a rule says what is signed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256, Sha512};

use super::{HeaderFormat, header, unfit};
use crate::placeholder::Place;
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HmacSigning {
    hash: Hash,
    encoding: Encoding,
    /// Where the signature goes.
    field: HeaderName,
    format: Option<HeaderFormat>,
    signed: Vec<Part>,
    /// Where the time goes that is signed.
    timestamp: Option<HeaderName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Hash {
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Encoding {
    Hex,
    Base64,
}

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Method,
    /// With the port, if it is not the scheme's own.
    Host,
    Path,
    Query,
    /// Path and query.
    Target,
    /// Seconds since 1970.
    Timestamp,
    Body,
    /// SHA-256, in hex.
    BodyHash,
}

/// What names a kind of signature.
const KINDS: [(&str, Hash, Encoding); 4] = [
    ("hmac-sha256", Hash::Sha256, Encoding::Hex),
    ("hmac-sha256-base64", Hash::Sha256, Encoding::Base64),
    ("hmac-sha512", Hash::Sha512, Encoding::Hex),
    ("hmac-sha512-base64", Hash::Sha512, Encoding::Base64),
];

/// What stands for a part.
const PARTS: [(&str, Part); 8] = [
    ("{method}", Part::Method),
    ("{host}", Part::Host),
    ("{path}", Part::Path),
    ("{query}", Part::Query),
    ("{target}", Part::Target),
    ("{timestamp}", Part::Timestamp),
    ("{body}", Part::Body),
    ("{body-sha256}", Part::BodyHash),
];

/// A rule does not say what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSigning {
    /// A brace that belongs to no part.
    #[error(
        "has a brace that is no part: there are {{method}}, {{host}}, {{path}}, {{query}}, {{target}}, {{timestamp}}, \
         {{body}} and {{body-sha256}}"
    )]
    Part,
    /// Nothing of the request is signed, so the signature would be good for any other.
    #[error("signs nothing of the request")]
    Nothing,
    /// The time is signed and not sent, or sent and not signed.
    #[error("has {{timestamp}} exactly where the rule has `timestamp`, the field for it")]
    Timestamp,
}

impl HmacSigning {
    /// Of a kind such as `hmac-sha256`, which signs the body and puts the signature into `field`. `None`: there is no
    /// such kind.
    pub(super) fn of_kind(
        kind: &str,
        field: HeaderName,
        format: Option<HeaderFormat>,
    ) -> Option<Self> {
        let (_, hash, encoding) = KINDS.into_iter().find(|(name, ..)| *name == kind)?;
        Some(Self {
            hash,
            encoding,
            field,
            format,
            signed: vec![Part::Body],
            timestamp: None,
        })
    }

    /// The same over other parts of the request: a text with `{method}`, `{host}`, `{path}`, `{query}`, `{target}`,
    /// `{timestamp}`, `{body}` and `{body-sha256}` in it. The time goes into the field `timestamp`, in seconds since
    /// 1970.
    ///
    /// # Errors
    /// [`InvalidSigning`]
    pub fn over(self, signed: &str, timestamp: Option<HeaderName>) -> Result<Self, InvalidSigning> {
        let signed = parts(signed)?;
        if signed
            .iter()
            .all(|part| matches!(part, Part::Text(_) | Part::Timestamp))
        {
            return Err(InvalidSigning::Nothing);
        }
        if signed.contains(&Part::Timestamp) != timestamp.is_some() {
            return Err(InvalidSigning::Timestamp);
        }
        Ok(Self {
            signed,
            timestamp,
            ..self
        })
    }

    /// Where the signature goes.
    pub(super) fn field(&self) -> &HeaderName {
        &self.field
    }

    /// Whether the body must be there to sign.
    pub(super) fn has_body(&self) -> bool {
        self.signed
            .iter()
            .any(|part| matches!(part, Part::Body | Part::BodyHash))
    }

    /// What is signed.
    fn message(&self, request: &CanonicalRequest, body: &[u8], time: &str) -> Vec<u8> {
        let mut message = Vec::new();
        for part in &self.signed {
            match part {
                Part::Text(text) => message.extend_from_slice(text.as_bytes()),
                Part::Method => message.extend_from_slice(request.method().as_str().as_bytes()),
                Part::Host => message.extend_from_slice(request.authority().as_bytes()),
                Part::Path => message.extend_from_slice(request.path().to_string().as_bytes()),
                Part::Query => message.extend_from_slice(request.query().to_string().as_bytes()),
                Part::Target => message.extend_from_slice(request.target().as_bytes()),
                Part::Timestamp => message.extend_from_slice(time.as_bytes()),
                Part::Body => message.extend_from_slice(body),
                Part::BodyHash => {
                    message.extend_from_slice(hex::encode(Sha256::digest(body)).as_bytes());
                }
            }
        }
        message
    }

    fn signature(&self, key: &[u8], message: &[u8]) -> Option<String> {
        let bytes = match self.hash {
            Hash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .ok()?
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
            Hash::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .ok()?
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
        };
        Some(match self.encoding {
            Encoding::Hex => hex::encode(bytes),
            Encoding::Base64 => STANDARD.encode(bytes),
        })
    }
}

/// Signs a request as it is now: everything else must be in it. `body` is the whole of it, if that is signed.
///
/// # Errors
/// [`Reason::Credential`](crate::Reason::Credential) if the key is empty;
/// [`Reason::Ambiguous`](crate::Reason::Ambiguous) if the client sent one of the fields twice.
pub fn sign(
    request: &mut CanonicalRequest,
    rule: &Rule,
    signing: &HmacSigning,
    key: &SecretString,
    body: &[u8],
    now: Timestamp,
) -> Result<Place, Refusal> {
    let key = key.expose_secret().as_bytes();
    if key.is_empty() {
        return Err(unfit(rule, "is empty"));
    }
    for field in [&signing.field].into_iter().chain(&signing.timestamp) {
        header::is_there_at_most_once(request, rule, field)?;
    }
    let time = now.as_second().to_string();
    let message = signing.message(request, body, &time);
    let signature = signing
        .signature(key, &message)
        .ok_or_else(|| unfit(rule, "is no key"))?;
    if let Some(field) = &signing.timestamp {
        let value = HeaderValue::from(now.as_second());
        request.headers_mut().insert(field.clone(), value);
    }
    match &signing.format {
        Some(format) => header::put(request, rule, &signing.field, &format.fill(&signature))?,
        None => header::put(request, rule, &signing.field, &signature)?,
    }
    Ok(Place::Header(signing.field.clone()))
}

fn parts(text: &str) -> Result<Vec<Part>, InvalidSigning> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (name, part) = PARTS
            .iter()
            .find(|(name, _)| from.starts_with(name))
            .ok_or(InvalidSigning::Part)?;
        parts.push(part.clone());
        rest = &from[name.len()..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

impl fmt::Display for HmacSigning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS
            .iter()
            .find(|(_, hash, encoding)| *hash == self.hash && *encoding == self.encoding);
        let kind = kind.map_or("hmac", |(name, ..)| name);
        write!(formatter, "{kind}:{}", self.field)?;
        match &self.format {
            Some(format) => write!(formatter, ":{format}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signing(kind: &str) -> HmacSigning {
        let field = HeaderName::from_static("x-signature");
        HmacSigning::of_kind(kind, field, None).unwrap()
    }

    /// RFC 4231, section 4.3, and GitHub Docs, "Validating webhook deliveries", "Testing the webhook payload validation".
    #[test]
    fn signatures_are_those_that_are_published() {
        let (key, message) = (b"Jefe", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let hex256 = signing("hmac-sha256").signature(key, message);
        assert_eq!(hex256.as_deref(), Some(expected));
        let base64 = signing("hmac-sha256-base64").signature(key, message);
        let same = STANDARD.encode(hex::decode(expected).unwrap());
        assert_eq!(base64, Some(same));
        let expected = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
                        caeab1a34d4a6b4b636e070a38bce737";
        let hex512 = signing("hmac-sha512").signature(key, message);
        assert_eq!(hex512.as_deref(), Some(expected));
        let github =
            signing("hmac-sha256").signature(b"It's a Secret to Everybody", b"Hello, World!");
        let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(github.as_deref(), Some(expected));
        assert_eq!(
            HmacSigning::of_kind("hmac-md5", HeaderName::from_static("x"), None),
            None
        );
    }

    #[test]
    fn what_is_signed_is_told_in_parts() {
        let time = || Some(HeaderName::from_static("x-time"));
        let over = |text, time| signing("hmac-sha256").over(text, time).map(|it| it.signed);
        assert_eq!(
            over("v0:{timestamp}:{body}", time()).unwrap(),
            [
                Part::Text("v0:".to_owned()),
                Part::Timestamp,
                Part::Text(":".to_owned()),
                Part::Body
            ]
        );
        assert!(
            !signing("hmac-sha256")
                .over("{target}", None)
                .unwrap()
                .has_body()
        );
        for text in ["{}", "{body", "body}", "{Body}", "{{body}}"] {
            assert_eq!(over(text, None), Err(InvalidSigning::Part), "{text}");
        }
        for (text, time) in [("", None), ("v0", None), ("{timestamp}", time())] {
            assert_eq!(over(text, time), Err(InvalidSigning::Nothing), "{text}");
        }
        assert_eq!(
            over("{timestamp}{body}", None),
            Err(InvalidSigning::Timestamp)
        );
        assert_eq!(over("{body}", time()), Err(InvalidSigning::Timestamp));
    }
}
