//! What a JSON Web Token says (RFC 7519), for messages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;

/// The claims of a token without any check of it, for messages: they are no secret, the signature is.
#[must_use]
pub fn claims(token: &SecretString) -> Option<serde_json::Map<String, serde_json::Value>> {
    let mut parts = token.expose_secret().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        serde_json::Value::Object(claims) => Some(claims),
        _ => None,
    }
}

/// The claims that decide about a token at its receiver, in a sentence part: `the token has iss=…, sub=…, aud=…`.
#[must_use]
pub fn described(token: &SecretString) -> String {
    let Some(claims) = claims(token) else {
        return "the token is not a JWT".to_owned();
    };
    let told: Vec<String> = ["iss", "sub", "aud"]
        .into_iter()
        .filter_map(|name| Some((name, claims.get(name)?)))
        .map(|(name, value)| {
            let value: String = value
                .to_string()
                .chars()
                .filter(|c| !c.is_control())
                .take(300)
                .collect();
            format!("{name}={value}")
        })
        .collect();
    format!("the token has {}", told.join(", "))
}
