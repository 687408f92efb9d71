//! The executable of an `external_account` configuration (google.aip.dev/auth/4117, "Executable-sourced credentials").
//!
//! What Google's libraries ask such a program for is a *subject token*, which they exchange at Google themselves. So the
//! lease must make a JSON Web Token that a workload identity pool trusts; an access token is nothing that can be
//! exchanged, and is refused here with the way that works.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::{Env, SecretString};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Unsuitable, token};
use crate::delivery::document::{Shown, render};
use crate::manager::Held;

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What a library wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    kind: &'static str,
}

impl Question {
    /// Reads the variables that a library sets. Without them a person asks, who gets a JWT.
    ///
    /// # Errors
    /// The reason, if something is wanted that no lease makes.
    pub fn of(env: &Env) -> Result<Self, String> {
        if env.var("GOOGLE_EXTERNAL_ACCOUNT_REVOKE") == Some("1") {
            return Err("leases are not revoked this way: use `fnox lease revoke`".to_owned());
        }
        match env.var("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE") {
            None | Some(JWT) => Ok(Self { kind: JWT }),
            Some(ID_TOKEN) => Ok(Self { kind: ID_TOKEN }),
            Some(_) => Err(format!(
                "only the subject token types {JWT} and {ID_TOKEN} are spoken"
            )),
        }
    }
}

/// The answer with the token.
///
/// # Errors
/// [`Unsuitable`] if the credential is no JSON Web Token.
pub fn document(
    held: &Held,
    variable: Option<&str>,
    question: Question,
) -> Result<Zeroizing<String>, Unsuitable> {
    #[derive(Serialize)]
    struct Answer<'a> {
        version: u8,
        success: bool,
        token_type: &'static str,
        id_token: Shown<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expiration_time: Option<i64>,
    }
    let token = token(held, variable)?;
    if !is_jwt(token) {
        return Err(Unsuitable::new(
            held,
            "is no JSON Web Token, which is what Google exchanges; for an access token use `fnox exec` with \
             `deliver = [\"endpoint\"]`",
        ));
    }
    let answer = Answer {
        version: 1,
        success: true,
        token_type: question.kind,
        id_token: Shown(token),
        expiration_time: held.credential.expires_at.map(jiff::Timestamp::as_second),
    };
    render(&answer).map_err(|_| Unsuitable::new(held, "cannot be written as JSON"))
}

/// The answer without one.
#[must_use]
pub fn failure(code: &str, message: &str) -> String {
    json!({ "version": 1, "success": false, "code": code, "message": message }).to_string()
}

/// Three parts, the first of which is a JSON object with `alg` (RFC 7515 section 3.1).
fn is_jwt(token: &SecretString) -> bool {
    let mut parts = token.expose_secret().split('.');
    let (Some(header), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .and_then(|header| serde_json::from_slice::<serde_json::Value>(&header).ok())
        .is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::super::tests::held;
    use super::*;

    // {"alg":"RS256"}
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

    #[test]
    fn a_jwt_is_the_subject_token() {
        let env: Env = [("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", ID_TOKEN)]
            .into_iter()
            .collect();
        let question = Question::of(&env).unwrap();
        let answer = document(
            &held(&[("T", TOKEN)], Some("2026-01-02T03:04:05Z")),
            None,
            question,
        );
        let wanted = format!(
            r#"{{"version":1,"success":true,"token_type":"{ID_TOKEN}","id_token":"{TOKEN}","expiration_time":1767323045}}"#
        );
        assert_eq!(answer.unwrap().as_str(), wanted);
    }

    #[test]
    fn what_cannot_be_exchanged_is_not_handed_out() {
        let question = Question::of(&Env::default()).unwrap();
        for token in [
            "ya29.a0Af",
            "a.b.c",
            "e30.e30.e30",
            "eyJhbGciOiJSUzI1NiJ9.e30",
            "",
        ] {
            let error = document(&held(&[("T", token)], None), None, question).unwrap_err();
            assert!(error.to_string().contains("deliver"), "{error}");
        }
        for (name, value) in [
            (
                "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE",
                "urn:ietf:params:oauth:token-type:saml2",
            ),
            ("GOOGLE_EXTERNAL_ACCOUNT_REVOKE", "1"),
        ] {
            assert!(Question::of(&[(name, value)].into_iter().collect()).is_err());
        }
    }
}
