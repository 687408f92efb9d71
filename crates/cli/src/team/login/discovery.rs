//! An OpenID provider: what it says of itself, and a client that speaks with it.
//!
//! No redirects are followed (a provider could send a code elsewhere), answers are capped, and everything goes over
//! https; plain http is only for loopback.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use oauth2::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::chain;
use crate::team::error::TeamFailure;

/// Largest answer that is read.
const ANSWER_LIMIT: usize = 256 * 1024;

/// An OpenID provider (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    /// RFC 8628, section 4.
    pub(super) device_authorization_endpoint: Option<String>,
    /// RFC 9207: answers name the issuer, so one without the name is not the provider's.
    pub(super) names_issuer: bool,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// A request to the provider failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than 256 KiB")]
    TooLarge,
    #[error(transparent)]
    Message(#[from] oauth2::http::Error),
}

impl Provider {
    /// Asks the provider for its description.
    ///
    /// # Errors
    /// [`TeamFailure`] if it does not answer, or if what it says cannot be trusted.
    pub(crate) async fn discover(issuer: &str, http: reqwest::Client) -> Result<Self, TeamFailure> {
        safe("the issuer", issuer)?;
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let unreachable = |reason: String| TeamFailure::ProviderUnreachable {
            provider: issuer.to_owned(),
            reason,
        };
        let answer = http
            .get(&url)
            .send()
            .await
            .map_err(|error| unreachable(chain(&error)))?;
        if !answer.status().is_success() {
            return Err(unreachable(format!("{url} answered {}", answer.status())));
        }
        let body = capped(answer)
            .await
            .map_err(|error| unreachable(chain(&error)))?;
        let document: Document = serde_json::from_slice(&body)
            .map_err(|_| unreachable(format!("{url} is not an OpenID provider's description")))?;
        // Discovery 1.0, section 4.3: the same, byte for byte.
        if document.issuer != issuer {
            return Err(TeamFailure::login(format!(
                "the provider calls itself `{}`, and the server names `{issuer}`",
                crate::terminal::harmless(&document.issuer)
            )));
        }
        safe(
            "the authorization endpoint",
            &document.authorization_endpoint,
        )?;
        safe("the token endpoint", &document.token_endpoint)?;
        if let Some(endpoint) = &document.device_authorization_endpoint {
            safe("the device endpoint", endpoint)?;
        }
        Ok(Self {
            issuer: document.issuer,
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            device_authorization_endpoint: document.device_authorization_endpoint,
            names_issuer: document.authorization_response_iss_parameter_supported,
            http,
        })
    }

    /// Sends one request of the protocol.
    pub(super) fn send(
        &self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + '_>> {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)?;
            let answer = self.http.execute(request).await?;
            let mut builder = oauth2::http::Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                builder = builder.header(name, value);
            }
            Ok(builder.body(capped(answer).await?)?)
        })
    }
}

/// The client for providers.
///
/// # Errors
/// [`TeamFailure::Login`] if TLS cannot be set up.
pub(crate) fn http_client() -> Result<reqwest::Client, TeamFailure> {
    // Set once for the process; that it is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| TeamFailure::login(format!("TLS cannot be set up: {}", chain(&error))))
}

async fn capped(mut answer: reqwest::Response) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > ANSWER_LIMIT {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// https, or http to this machine.
fn safe(what: &str, text: &str) -> Result<(), TeamFailure> {
    use oauth2::url::{Host, Url};
    let url = Url::parse(text).map_err(|error| {
        TeamFailure::login(format!(
            "{what} `{}` is no URL: {error}",
            text.escape_debug()
        ))
    })?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback) {
        return Ok(());
    }
    Err(TeamFailure::login(format!(
        "{what} `{}` is not https: a code or token would travel in clear",
        text.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_travels_in_clear_but_on_this_machine() {
        for good in [
            "https://login.example.com/a",
            "http://127.0.0.1:1/x",
            "http://[::1]:2",
            "http://localhost:3/",
        ] {
            assert!(safe("it", good).is_ok(), "{good}");
        }
        for bad in [
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "login.example.com",
            "",
        ] {
            assert!(safe("it", bad).is_err(), "{bad}");
        }
    }
}
