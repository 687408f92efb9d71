//! Credential helpers of Docker (docs.docker.com, "docker login", credential helper protocol; texts as in
//! github.com/docker/docker-credential-helpers, `credentials/error.go`).

use fnox_core::{Host, SecretString};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::delivery::document::{Shown, render};

/// Longest question.
pub const INPUT_LIMIT: usize = 64 * 1024;

/// What Docker takes, on stdout and with exit status 1, for "not here, go on without".
pub const NOT_FOUND: &str = "credentials not found in native keychain";

/// Why a question is none. The texts are the protocol's own where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing was asked for.
    #[error("no credentials server URL")]
    Empty,
    /// Too long, not UTF-8, or with control characters.
    #[error("the server URL is no text of one line")]
    NotText,
    /// Not HTTPS.
    #[error("credentials are only for https")]
    Insecure,
    /// No host.
    #[error("the server URL has no host")]
    NoHost,
}

/// Reads which registry Docker wants a credential for: a host, or a URL such as `https://index.docker.io/v1/`.
///
/// # Errors
/// [`Malformed`]
pub fn parse(input: &[u8]) -> Result<Host, Malformed> {
    if input.len() > INPUT_LIMIT {
        return Err(Malformed::NotText);
    }
    let text = std::str::from_utf8(input).map_err(|_| Malformed::NotText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(Malformed::NotText);
    }
    let rest = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some(_) => return Err(Malformed::Insecure),
        None => text,
    };
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    Host::parse(host).map_err(|_| Malformed::NoHost)
}

/// The answer to `get`. `server` is repeated as it was asked for. `None` if it cannot be written.
#[must_use]
pub fn document(server: &str, username: &str, secret: &SecretString) -> Option<Zeroizing<String>> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<'a> {
        #[serde(rename = "ServerURL")]
        server: &'a str,
        username: &'a str,
        secret: Shown<'a>,
    }
    let answer = Answer {
        server,
        username,
        secret: Shown(secret),
    };
    render(&answer).ok()
}

/// The answer to `list`.
#[must_use]
pub fn list(host: &Host, username: &str) -> String {
    json!({ host.to_string(): username }).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn registries_are_hosts_or_urls() {
        for (text, host) in [
            ("ghcr.io", "ghcr.io"),
            ("ghcr.io\n", "ghcr.io"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("https://registry.example:5000", "registry.example:5000"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().to_string(), host);
        }
        for (text, wanted) in [
            ("", Malformed::Empty),
            ("\n", Malformed::Empty),
            ("a\nb", Malformed::NotText),
            ("a\n\n", Malformed::NotText),
            ("http://ghcr.io", Malformed::Insecure),
            ("https:///x", Malformed::NoHost),
            ("https://me@ghcr.io/", Malformed::NoHost),
            ("*.ghcr.io", Malformed::NoHost),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(wanted), "{text}");
        }
        assert_eq!(parse(b"\xff"), Err(Malformed::NotText));
        assert_eq!(parse(&vec![b'a'; INPUT_LIMIT + 1]), Err(Malformed::NotText));
    }

    #[test]
    fn answers_have_the_protocols_names() {
        let answer = document("https://ghcr.io", "me", &"s\"".into()).unwrap();
        assert_eq!(
            answer.as_str(),
            r#"{"ServerURL":"https://ghcr.io","Username":"me","Secret":"s\""}"#
        );
        assert_eq!(
            list(&Host::parse("ghcr.io").unwrap(), "me"),
            r#"{"ghcr.io":"me"}"#
        );
    }

    proptest! {
        #[test]
        fn any_input_is_a_host_or_none(input: Vec<u8>) {
            let _ = parse(&input);
        }
    }
}
