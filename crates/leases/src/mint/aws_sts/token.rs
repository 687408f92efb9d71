//! OIDC tokens: from a file, a variable, or a GitHub Actions job's token service.
//!
//! When a token is refused, its subject and audience are shown, because STS does not say which claim it
//! disliked. They are not secret; the token is and is never shown.

use std::io::Read as _;
use std::path::Path;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::http;
use super::settings::Settings;
use super::source::{GITHUB_ACTIONS, Source};
use crate::mint::{MintContext, MintError};
use crate::wiped::Wiped;

/// Most characters that STS takes as a token.
const LONGEST: usize = 20_000;

/// The token of a source that is one.
pub(super) async fn fetch(
    settings: &Settings,
    source: Source,
    context: &MintContext,
) -> Result<SecretString, MintError> {
    let env = &context.env;
    let token = match source {
        Source::ConfiguredTokenFile => {
            from_file(settings.token_file.as_deref().unwrap_or(Path::new("")))?
        }
        Source::TokenFile => from_file(Path::new(
            env.var("AWS_WEB_IDENTITY_TOKEN_FILE").unwrap_or_default(),
        ))?,
        Source::TokenVariable => {
            let name = settings.token_variable.as_deref().unwrap_or_default();
            SecretString::from(env.var(name).unwrap_or_default().trim())
        }
        Source::GitHubActions => from_github(settings, context).await?,
        Source::Keys | Source::Profile | Source::Chain => {
            return Err(MintError::authentication("there is no OIDC token"));
        }
    };
    if token.len() < 4 || token.len() > LONGEST {
        return Err(MintError::authentication(format!(
            "the OIDC token has {} characters; STS takes 4 to {LONGEST}",
            token.len()
        )));
    }
    Ok(token)
}

/// What a token says about itself, for an error message.
pub(super) fn claims(token: &SecretString) -> String {
    #[derive(Deserialize)]
    struct Claims {
        sub: Option<serde_json::Value>,
        aud: Option<serde_json::Value>,
        iss: Option<serde_json::Value>,
    }
    let parsed = token
        .expose_secret()
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
        .and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    let Some(claims) = parsed else {
        return "the token sent is not a JWT".to_owned();
    };
    let show = |claim: Option<serde_json::Value>| match claim {
        Some(value) => {
            let text: String = value.to_string().chars().take(300).collect();
            text.escape_debug().to_string().replace("\\\"", "\"")
        }
        None => "none".to_owned(),
    };
    format!(
        "the token sent has sub {}, aud {}, iss {}",
        show(claims.sub),
        show(claims.aud),
        show(claims.iss)
    )
}

fn from_file(path: &Path) -> Result<SecretString, MintError> {
    let refuse = |reason: String| {
        MintError::authentication(format!(
            "the OIDC token file {} cannot be used: {reason}",
            path.display()
        ))
    };
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 2));
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST as u64 + 2).read_to_string(&mut text))
        .map_err(|error| refuse(error.to_string()))?;
    if text.trim().is_empty() {
        return Err(refuse("it is empty".to_owned()));
    }
    Ok(SecretString::from(text.trim()))
}

/// GitHub Docs, "OpenID Connect reference": `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` with the request token as
/// bearer answers `{"value": TOKEN}`.
async fn from_github(
    settings: &Settings,
    context: &MintContext,
) -> Result<SecretString, MintError> {
    #[derive(Deserialize)]
    struct Answer {
        value: Wiped,
    }
    let [bearer, url] = GITHUB_ACTIONS.map(|name| context.env.var(name).unwrap_or_default());
    let failed = |reason: &str| {
        MintError::unavailable(format!("the OIDC token service of GitHub Actions {reason}"))
    };
    let plain_is_fine = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
        .iter()
        .any(|loopback| url.starts_with(loopback));
    if !url.starts_with("https://") && !plain_is_fine {
        return Err(failed("has a URL that is not https"));
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}audience={}", encoded(&settings.audience));
    let mut request = HttpRequest::new(SdkBody::empty());
    request
        .set_uri(url)
        .map_err(|_| failed("has a URL that is not one"))?;
    let authorization = format!("Bearer {bearer}");
    for (name, value) in [
        ("authorization", authorization.as_str()),
        ("accept", "application/json"),
        ("user-agent", concat!("fnox/", env!("CARGO_PKG_VERSION"))),
    ] {
        request
            .headers_mut()
            .try_insert(name, value.to_owned())
            .map_err(|_| failed("has a request token that cannot be sent"))?;
    }
    let answer = http::connector(context)?
        .call(request)
        .await
        .map_err(|_| failed("did not answer"))?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        return Err(failed(&format!("answered with status {status}"))
            .with_remedy("give the job the permission `id-token: write`"));
    }
    let parsed: Option<Answer> = answer
        .body()
        .bytes()
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    match parsed {
        Some(answer) if !answer.value.0.is_empty() => Ok(answer.value.0),
        _ => Err(failed("answered without a token")),
    }
}

/// RFC 3986 section 2: everything but unreserved characters is percent-encoded.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_claims_and_never_the_token() {
        let payload = URL_SAFE_NO_PAD.encode(
            r#"{"sub":"repo:o/r:ref:refs/heads/main","aud":["a","b"],"iss":"https://i\u001b"}"#,
        );
        let shown = claims(&SecretString::from(
            format!("h.{payload}.signature").as_str(),
        ));
        assert_eq!(
            shown,
            "the token sent has sub \"repo:o/r:ref:refs/heads/main\", aud [\"a\",\"b\"], iss \"https://i\\\\u001b\""
        );
        assert!(claims(&"garbage".into()).contains("not a JWT"));
    }

    #[test]
    fn audiences_are_encoded() {
        assert_eq!(encoded("sts.amazonaws.com"), "sts.amazonaws.com");
        assert_eq!(
            encoded("https://x/?a&b=ä"),
            "https%3A%2F%2Fx%2F%3Fa%26b%3D%C3%A4"
        );
    }
}
