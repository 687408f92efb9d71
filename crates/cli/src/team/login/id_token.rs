//! What the client itself looks at in an ID token.
//!
//! The token came straight from the provider's token endpoint over TLS, so its signature need not be checked here
//! (OpenID Connect Core 1.0, section 3.1.3.7, number 6); the team server checks it, and everything else. Here it is only
//! made sure that it is the answer to this login: issuer, audience and nonce. Otherwise somebody could log a person in
//! as somebody else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use serde::Deserialize;

use crate::team::error::TeamFailure;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    #[serde(default)]
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Several(several) => several.iter().any(|one| one == client),
        }
    }
}

/// Checks that the token answers this login. `nonce` is `None` where the flow has none (RFC 8628).
///
/// # Errors
/// [`TeamFailure::Login`] that says what differs.
pub(super) fn check(
    token: &SecretString,
    issuer: &str,
    client: &str,
    nonce: Option<&str>,
) -> Result<(), TeamFailure> {
    let claims = claims(token.expose_secret())
        .ok_or_else(|| TeamFailure::login("the provider's ID token is no signed JWT"))?;
    if claims.iss != issuer {
        return Err(TeamFailure::login("the ID token is of another issuer"));
    }
    if !claims.aud.names(client) {
        return Err(TeamFailure::login("the ID token is for another client"));
    }
    if nonce.is_some() && claims.nonce.as_deref() != nonce {
        return Err(TeamFailure::login(
            "the ID token does not belong to this login: its nonce is another",
        ));
    }
    Ok(())
}

fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> SecretString {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        SecretString::new(format!("e30.{payload}.c2ln"))
    }

    #[test]
    fn a_token_of_another_login_is_refused() {
        let good = r#"{"iss":"https://i","aud":"fnox","nonce":"n","sub":"u"}"#;
        let accepts = |payload: &str, nonce| check(&token(payload), "https://i", "fnox", nonce);
        accepts(good, Some("n")).unwrap();
        accepts(good, None).unwrap();
        accepts(r#"{"iss":"https://i","aud":["x","fnox"]}"#, None).unwrap();
        for bad in [
            r#"{"iss":"https://i","aud":"fnox","nonce":"other"}"#,
            r#"{"iss":"https://i","aud":"fnox"}"#,
            r#"{"iss":"https://i/","aud":"fnox","nonce":"n"}"#,
            r#"{"iss":"https://i","aud":"fno","nonce":"n"}"#,
            r#"{"iss":"https://i","aud":[],"nonce":"n"}"#,
            r#"{"iss":"https://i","nonce":"n"}"#,
            "[]",
        ] {
            assert!(accepts(bad, Some("n")).is_err(), "{bad}");
        }
        for bad in ["", "a.b", "a.b.c.d", "a.!.c"] {
            assert!(
                check(&bad.into(), "https://i", "fnox", None).is_err(),
                "{bad}"
            );
        }
    }
}
