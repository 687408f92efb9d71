//! The identity token that a CI gives its job for one audience.
//!
//! Looked at in this order: `FNOX_OIDC_TOKEN_FILE` (read anew each time), `FNOX_OIDC_TOKEN`; GitHub Actions' token
//! service; `FNOX_ID_TOKEN` and the variable that sigstore's convention names for the audience
//! (`HTTPS___FNOX_EXAMPLE_COM_ID_TOKEN`), as GitLab's `id_tokens` sets them; `buildkite-agent`; `circleci`, and
//! `CIRCLE_OIDC_TOKEN_V2` where that program is missing.
//!
//! A token that is ready made was issued for some audience. Where it says another one than is wanted, it is not used:
//! a server that a project names could spend it at the server it was meant for. Only a server on this machine, as in a
//! test, gets it anyway. CircleCI's ready-made token has its organisation as audience and is the exception.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_api::client::{ClientError, ClientOptions, service_token};
use fnox_core::{Env, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::process::Program;

/// Most bytes of a token; servers take less.
const LONGEST: u64 = 64 * 1024;

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSource {
    /// `FNOX_OIDC_TOKEN_FILE`
    File,
    /// `FNOX_OIDC_TOKEN`
    Variable,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`
    GitHubActions,
    /// `FNOX_ID_TOKEN`, or the audience's own variable.
    GitLab,
    /// `buildkite-agent oidc request-token`
    Buildkite,
    /// `circleci run oidc get`, or `CIRCLE_OIDC_TOKEN_V2`
    CircleCi,
}

impl TokenSource {
    /// The source that [`find`] would ask.
    #[must_use]
    pub fn of(env: &Env, audience: &str) -> Option<Self> {
        let is_set = |name: &str| env.var(name).is_some();
        let by_convention = audience_variable(audience);
        [
            (is_set("FNOX_OIDC_TOKEN_FILE"), Self::File),
            (is_set("FNOX_OIDC_TOKEN"), Self::Variable),
            (GITHUB.iter().all(|name| is_set(name)), Self::GitHubActions),
            (is_set(GITLAB) || is_set(&by_convention), Self::GitLab),
            (env.switch("BUILDKITE") == Some(true), Self::Buildkite),
            (
                env.switch("CIRCLECI") == Some(true) || is_set(CIRCLE),
                Self::CircleCi,
            ),
        ]
        .into_iter()
        .find_map(|(is_there, source)| is_there.then_some(source))
    }

    /// Whether the source gives a new token each time it is asked. A server takes each token once.
    #[must_use]
    pub fn renews(self) -> bool {
        matches!(
            self,
            Self::File | Self::GitHubActions | Self::Buildkite | Self::CircleCi
        )
    }
}

/// The token of this job for an audience; `None` where no CI is.
///
/// # Errors
/// [`ProviderError`] if there is a source and it gives none, or one for another audience.
pub async fn find(
    env: &Env,
    audience: &str,
    time_limit: Duration,
) -> Result<Option<SecretString>, ProviderError> {
    let Some(source) = TokenSource::of(env, audience) else {
        return match env.switch("GITHUB_ACTIONS") {
            Some(true) => Err(github_gives_none()),
            _ => Ok(None),
        };
    };
    let token = match source {
        TokenSource::File => {
            let path = env.var("FNOX_OIDC_TOKEN_FILE").unwrap_or_default();
            meant_for(audience, "FNOX_OIDC_TOKEN_FILE", read(Path::new(path))?)?
        }
        TokenSource::Variable => from_variable(env, "FNOX_OIDC_TOKEN", audience)?,
        TokenSource::GitHubActions => from_github(env, audience, time_limit).await?,
        TokenSource::GitLab => {
            let by_convention = audience_variable(audience);
            // The audience's own variable first: the other may be for another server.
            let name = [by_convention.as_str(), GITLAB]
                .into_iter()
                .find(|name| env.var(name).is_some())
                .unwrap_or(GITLAB);
            from_variable(env, name, audience)?
        }
        TokenSource::Buildkite => from_buildkite(env, audience, time_limit).await?,
        TokenSource::CircleCi => from_circleci(env, audience, time_limit).await?,
    };
    tracing::debug!("the identity token is from {source:?}");
    Ok(Some(token))
}

/// The variable that sigstore's convention names for an audience: upper case, and `_` for all but letters and digits.
#[must_use]
pub fn audience_variable(audience: &str) -> String {
    let name: String = audience
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    name + "_ID_TOKEN"
}

fn from_variable(env: &Env, name: &str, audience: &str) -> Result<SecretString, ProviderError> {
    let text = env.var(name).unwrap_or_default();
    meant_for(audience, name, checked(name, text)?)
}

fn read(path: &Path) -> Result<SecretString, ProviderError> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(|error| {
            ProviderError::authentication(format!(
                "the identity token cannot be read from {}: {error}",
                path.display()
            ))
            .with_remedy("correct FNOX_OIDC_TOKEN_FILE, or unset it")
        })?;
    checked(&path.display().to_string(), &text)
}

/// A token goes into a header: one word, and not an endless one.
fn checked(from: &str, text: &str) -> Result<SecretString, ProviderError> {
    let token = text.trim();
    let is_one = !token.is_empty()
        && token.len() as u64 <= LONGEST
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one {
        return Ok(token.into());
    }
    let message = format!("what {from} gives is not an identity token");
    Err(ProviderError::authentication(message))
}

/// Keeps a ready-made token from a server that it was not made for.
fn meant_for(
    audience: &str,
    from: &str,
    token: SecretString,
) -> Result<SecretString, ProviderError> {
    let Some(said) = audiences(&token) else {
        return Ok(token);
    };
    let same = |said: &String| said.trim_end_matches('/') == audience.trim_end_matches('/');
    if said.iter().any(same) || is_this_machine(audience) {
        return Ok(token);
    }
    let said: String = said.join(", ").chars().take(300).collect();
    Err(ProviderError::authentication(format!(
        "the identity token of {from} is for `{}`, not for `{audience}`, and is not sent there",
        said.escape_debug()
    ))
    .with_remedy(format!(
        "let the CI issue a token with the audience `{audience}`"
    )))
}

/// The audiences that a token names. `None`: it is no JWT; the server says so.
fn audiences(token: &SecretString) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    #[derive(Deserialize)]
    struct Claims {
        aud: Option<Audience>,
    }
    let payload = token.expose_secret().split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    Some(match claims.aud {
        None => Vec::new(),
        Some(Audience::One(one)) => vec![one],
        Some(Audience::Many(many)) => many,
    })
}

fn is_this_machine(url: &str) -> bool {
    // A server's URL has its host in one spelling, so this needs no parser.
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|start| {
            url.strip_prefix(start)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        })
}

fn github_gives_none() -> ProviderError {
    ProviderError::authentication(
        "this job of GitHub Actions has no right to an identity token: ACTIONS_ID_TOKEN_REQUEST_URL is not set",
    )
    .with_remedy(
        "give the job `permissions: { id-token: write }`; GitHub gives none to pull requests from forks",
    )
}

async fn from_github(
    env: &Env,
    audience: &str,
    time_limit: Duration,
) -> Result<SecretString, ProviderError> {
    let [url, bearer] = GITHUB.map(|name| env.secret(name).unwrap_or_else(|| "".into()));
    let options = ClientOptions {
        time_limit,
        ..ClientOptions::default()
    };
    let failed = |reason: String| {
        ProviderError::unavailable(format!(
            "the token service of GitHub Actions gave no identity token: {reason}"
        ))
    };
    let token = service_token(url.expose_secret(), &bearer, audience, &options)
        .await
        .map_err(|error| match error {
            ClientError::NotAServer {
                status: 401 | 403, ..
            } => {
                let message = "the token service of GitHub Actions refuses this job";
                ProviderError::authentication(message)
                    .with_remedy("give the job `permissions: { id-token: write }`")
            }
            ClientError::NotAServer { status, reason, .. } => {
                failed(format!("{reason} (status {status})"))
            }
            ClientError::Address { reason, .. } | ClientError::Unreachable { reason, .. } => {
                failed(reason)
            }
            error => failed(error.to_string()),
        })?;
    checked("the token service of GitHub Actions", token.expose_secret())
}

async fn from_buildkite(
    env: &Env,
    audience: &str,
    time_limit: Duration,
) -> Result<SecretString, ProviderError> {
    let arguments = ["oidc", "request-token", "--audience", audience];
    printed("buildkite-agent", &arguments, env, time_limit).await
}

async fn from_circleci(
    env: &Env,
    audience: &str,
    time_limit: Duration,
) -> Result<SecretString, ProviderError> {
    let claims = serde_json::json!({ "aud": audience }).to_string();
    let arguments = ["run", "oidc", "get", "--claims", &claims];
    let asked = printed("circleci", &arguments, env, time_limit).await;
    match (asked, env.var(CIRCLE)) {
        (Err(error), Some(ready)) => {
            tracing::debug!("{CIRCLE} is used: {error}");
            checked(CIRCLE, ready)
        }
        (asked, _) => asked,
    }
}

/// What a CI's own program prints.
async fn printed(
    name: &str,
    arguments: &[&str],
    env: &Env,
    time_limit: Duration,
) -> Result<SecretString, ProviderError> {
    let program = Program {
        name,
        arguments: arguments.iter().map(Into::into).collect(),
        env,
        input: None,
        time_limit,
        install_hint: "run fnox where the CI's own program is on PATH, or set FNOX_OIDC_TOKEN_FILE",
    };
    let output = program.run().await?;
    if !output.status.success() {
        let said: String = output.stderr.chars().take(500).collect();
        let command = arguments
            .iter()
            .take(3)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        return Err(ProviderError::unavailable(format!(
            "`{name} {command}` failed ({}): {}",
            output.status,
            said.escape_debug()
        )));
    }
    let text = output.stdout.into_string().unwrap_or_else(|_| "".into());
    checked(&format!("`{name}`"), text.expose_secret())
}

const GITHUB: [&str; 2] = [
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
];
const GITLAB: &str = "FNOX_ID_TOKEN";
const CIRCLE: &str = "CIRCLE_OIDC_TOKEN_V2";

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://fnox.example.com";

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_ready_made_token_goes_only_where_it_was_made_for() {
        let check = |audience: &str, claims: &str| {
            meant_for(audience, "FNOX_OIDC_TOKEN", jwt(claims).as_str().into())
        };
        for (audience, claims) in [
            (SERVER, r#"{"aud":"https://fnox.example.com"}"#),
            (SERVER, r#"{"aud":["other","https://fnox.example.com/"]}"#),
            (
                "http://127.0.0.1:8443",
                r#"{"aud":"https://fnox.example.com"}"#,
            ),
        ] {
            assert!(check(audience, claims).is_ok(), "{audience} {claims}");
        }
        for (audience, claims) in [
            (
                "https://evil.example",
                r#"{"aud":"https://fnox.example.com"}"#,
            ),
            (
                "http://127.0.0.1.evil.example",
                r#"{"aud":"https://fnox.example.com"}"#,
            ),
            (SERVER, "{}"),
            (SERVER, r#"{"aud":[]}"#),
        ] {
            let error = check(audience, claims).unwrap_err();
            assert_eq!(error.code(), "provider::authentication_needed");
            assert!(!error.to_string().contains("e30."), "{error}");
        }
    }

    #[test]
    fn sources_are_looked_at_in_their_order() {
        let mut variables = vec![
            ("CIRCLECI", "true"),
            ("BUILDKITE", "true"),
            ("HTTPS___FNOX_EXAMPLE_COM_ID_TOKEN", "t"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "u"),
            ("FNOX_OIDC_TOKEN", "t"),
            ("FNOX_OIDC_TOKEN_FILE", "f"),
        ];
        let mut found = Vec::new();
        while !variables.is_empty() {
            let env: Env = variables.iter().copied().collect();
            found.push(TokenSource::of(&env, SERVER).unwrap());
            variables.pop();
        }
        let expected = [
            TokenSource::File,
            TokenSource::Variable,
            TokenSource::GitHubActions,
            TokenSource::GitLab,
            TokenSource::GitLab,
            TokenSource::Buildkite,
            TokenSource::CircleCi,
        ];
        assert_eq!(found, expected);
        assert_eq!(TokenSource::of(&Env::default(), SERVER), None);
    }

    #[test]
    fn a_token_is_one_word() {
        for text in ["", " ", "a b", "a\nb", "ä", &"x".repeat(70_000)] {
            let error = checked("it", text).unwrap_err().to_string();
            assert_eq!(error, "what it gives is not an identity token");
        }
        assert_eq!(checked("it", " a.b.c\n").unwrap().expose_secret(), "a.b.c");
    }
}
