//! The compact form of a signed token (RFC 7515, section 7.1), read strictly.
//!
//! Nothing is checked with a key here. What comes out has exactly three segments in canonical base64url, and a header
//! with known members only: a token that brings a key along, points to one, or asks for an extension is refused, even
//! though RFC 7515 would let some of that be ignored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::error::OidcError;
use super::json;

/// The largest token that is looked at.
pub const LARGEST: usize = 16 * 1024;

/// Longer key ids are no key ids.
const LONGEST_KID: usize = 512;

/// What `typ` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `JWT`, or nothing.
    Jwt,
    /// `at+jwt` (RFC 9068).
    AccessToken,
}

/// The protected header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `alg`, any text.
    pub alg: String,
    /// `kid`
    pub kid: Option<String>,
    /// `typ`
    pub kind: TokenKind,
}

/// A token in its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact<'token> {
    /// The header.
    pub header: Header,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// What the signature is over.
    pub signed: &'token str,
    /// The signature, still in base64url.
    pub signature: &'token str,
}

impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl<'token> Compact<'token> {
    /// Takes a token apart.
    pub fn parse(token: &'token str) -> Result<Self, OidcError> {
        if token.len() > LARGEST {
            return Err(OidcError::malformed(format!(
                "it has {} bytes, at most {LARGEST} are read",
                token.len()
            )));
        }
        let segments: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = segments[..] else {
            return Err(OidcError::malformed(format!(
                "it has {} segments instead of three (RFC 7515, section 7.1)",
                segments.len()
            )));
        };
        let header_bytes = decode("header", header)?;
        let payload = decode("payload", payload)?;
        // An empty payload is no JSON, which the claims find out; as a signed text it is all right.
        if decode("signature", signature)?.is_empty() {
            return Err(OidcError::malformed("its signature is empty"));
        }
        Ok(Self {
            header: Header::parse(&header_bytes)?,
            payload,
            signed: &token[..token.len() - signature.len() - 1],
            signature,
        })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, OidcError> {
        let value = json::parse(bytes).map_err(|error| {
            OidcError::malformed(format!("its header is not as JSON should be: {error}"))
        })?;
        let Value::Object(members) = value else {
            return Err(OidcError::malformed(format!(
                "its header is {} instead of an object",
                json::kind(&value)
            )));
        };
        let (mut alg, mut id, mut kind) = (None, None, TokenKind::Jwt);
        for (name, value) in members {
            match name.as_str() {
                "alg" => alg = Some(text("alg", value)?),
                "kid" => id = Some(text("kid", value)?).filter(|kid| !kid.is_empty()),
                "typ" => kind = TokenKind::parse(&text("typ", value)?)?,
                // Digests of certificates: GitHub sends one. They choose no key here.
                "x5t" | "x5t#S256" => drop(text(&name, value)?),
                "crit" => {
                    return Err(OidcError::header(
                        "crit",
                        "no extension is understood here (RFC 7515, section 4.1.11)",
                    ));
                }
                "jwk" | "jku" | "x5u" | "x5c" => {
                    return Err(OidcError::header(
                        &name,
                        "keys come from the configured issuer only, never from a token",
                    ));
                }
                _ => {
                    return Err(OidcError::header(
                        &name,
                        "it is none of alg, kid, typ, x5t, x5t#S256",
                    ));
                }
            }
        }
        if id.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(OidcError::header("kid", "it is too long"));
        }
        Ok(Self {
            alg: alg.ok_or_else(|| OidcError::header("alg", "it is missing"))?,
            kid: id,
            kind,
        })
    }
}

impl TokenKind {
    /// RFC 7515, section 4.1.9: a media type, `application/` may be left out, case does not count.
    fn parse(text: &str) -> Result<Self, OidcError> {
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix("application/").unwrap_or(&lower) {
            "jwt" => Ok(Self::Jwt),
            "at+jwt" => Ok(Self::AccessToken),
            _ => Err(OidcError::header(
                "typ",
                format!(
                    "wanted JWT or at+jwt, got {}: this token is meant for something else",
                    super::error::quoted(text)
                ),
            )),
        }
    }
}

fn decode(segment: &str, text: &str) -> Result<Vec<u8>, OidcError> {
    // This engine takes no padding, no other alphabet, no white space, and no bits that are left over.
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        OidcError::malformed(format!(
            "its {segment} is not base64url without padding (RFC 7515, section 2)"
        ))
    })
}

fn text(member: &str, value: Value) -> Result<String, OidcError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(OidcError::header(
            member,
            format!("it is {} instead of a text", json::kind(&other)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode("{}"),
            URL_SAFE_NO_PAD.encode("signature")
        )
    }

    fn refusal(token: &str) -> String {
        Compact::parse(token).unwrap_err().to_string()
    }

    #[test]
    fn takes_apart_what_is_right() {
        let text = token(r#"{"typ":"JWT","alg":"RS256","x5t":"abc","kid":"k1"}"#);
        let compact = Compact::parse(&text).unwrap();
        assert_eq!(compact.header.alg, "RS256");
        assert_eq!(compact.header.kid.as_deref(), Some("k1"));
        assert_eq!(compact.payload, b"{}");
        assert_eq!(format!("{}.{}", compact.signed, compact.signature), text);
        assert!(!format!("{compact:?}").contains(compact.signature));
    }

    #[test]
    fn keys_and_extensions_that_the_token_brings_are_refused() {
        for (member, value) in [
            ("jwk", r#"{"kty":"RSA"}"#),
            ("jku", r#""https://evil.example/jwks""#),
            ("x5u", r#""https://evil.example/cert""#),
            ("x5c", r#"["MIIB"]"#),
            ("crit", r#"["exp"]"#),
            ("crit", "[]"),
            ("crit", "null"),
            ("b64", "false"),
            ("zip", r#""DEF""#),
            ("enc", r#""A256GCM""#),
            ("cty", r#""JWT""#),
            ("nonce", r#""x""#),
            ("ALG", r#""none""#),
        ] {
            let refused = refusal(&token(&format!(
                r#"{{"alg":"RS256","kid":"k","{member}":{value}}}"#
            )));
            assert!(refused.contains(&format!("`{member}`")), "{refused}");
        }
    }

    #[test]
    fn header_members_have_their_types() {
        for member in ["alg", "kid", "typ", "x5t", "x5t#S256"] {
            for value in ["null", "1", "true", "[]", "{}", r#"["RS256"]"#] {
                let refused = refusal(&token(&format!(r#"{{"{member}":{value}}}"#)));
                assert!(
                    refused.contains(&format!("`{member}`")),
                    "{member} {value}: {refused}"
                );
            }
        }
        assert!(refusal(&token(r#"{"kid":"k"}"#)).contains("`alg`"));
        assert!(refusal(&token(r#"{"alg":"RS256","alg":"none"}"#)).contains("twice"));
        assert!(refusal(&token(r#"["alg"]"#)).contains("a list"));
        let long = "k".repeat(LONGEST_KID + 1);
        assert!(refusal(&token(&format!(r#"{{"alg":"RS256","kid":"{long}"}}"#))).contains("`kid`"));
    }

    #[test]
    fn tokens_for_something_else_are_refused_by_their_type() {
        for typ in [
            "JWT",
            "jwt",
            "application/jwt",
            "at+jwt",
            "application/at+JWT",
        ] {
            assert!(Compact::parse(&token(&format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#))).is_ok());
        }
        for typ in ["", "JOSE", "dpop+jwt", "logout+jwt", "secevent+jwt", "JWT "] {
            let refused = refusal(&token(&format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#)));
            assert!(refused.contains("`typ`"), "{typ}: {refused}");
        }
    }

    #[test]
    fn only_three_segments_of_canonical_base64url() {
        let good = token(r#"{"alg":"RS256"}"#);
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b".to_owned(),
            format!("{good}."),
            format!("{good}.a.b"),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{good}="),
            good.replacen('.', "=.", 1),
            good.replacen('.', "+.", 1),
            good.replacen('.', "\u{e9}.", 1),
        ] {
            assert!(Compact::parse(&bad).is_err(), "{bad:?}");
        }
        // `e31` ends in bits that mean nothing; `e30` is the same text.
        assert!(Compact::parse(&good.replace(".e30.", ".e31.")).is_err());
    }

    #[test]
    fn large_tokens_are_refused_before_anything_is_read() {
        let refused = refusal(&".".repeat(LARGEST + 1));
        assert!(refused.contains("16385 bytes"), "{refused}");
    }
}
