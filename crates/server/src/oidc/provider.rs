//! Logging people in: the authorization code flow with PKCE (RFC 6749, section 4.1; RFC 7636; OpenID Connect Core 1.0,
//! section 3.1).
//!
//! Guarantees: endpoints come from the issuer's document, under the rules of [`super::fetch`]; the document is read once
//! an hour, by one request at a time, and after a failure at most twice a minute. What the token endpoint answers is an
//! ID token that nobody has checked yet: [`super::Verifier`] does. The access token beside it is dropped.
//!
//! Defended against: browsers that start floods, codes that somebody else caught (PKCE), a provider's answer that leads
//! elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, SecretString};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::discovery::{self, Endpoints};
use super::error::{CodeFlowError, quoted};
use super::fetch::Fetcher;
use crate::settings::LoginSettings;

/// How long the endpoints are used without asking again.
const FRESH: Duration = Duration::from_hours(1);
/// How long they are used if the issuer cannot be reached.
const STALE: Duration = Duration::from_hours(24);
/// The least time from one failure to the next attempt.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// An issuer at which people log in.
#[derive(Debug)]
pub struct Provider {
    name: String,
    issuer: String,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    endpoints: Option<(Endpoints, Duration)>,
    /// When the issuer may be asked again.
    allowed_at: Duration,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

/// What a login is begun and finished with. All of it is this server's, and none of it is sent to anybody before the
/// provider.
#[derive(Clone)]
pub struct Attempt {
    /// `state`
    pub state: String,
    /// `nonce`
    pub nonce: String,
    /// `code_verifier`
    pub verifier: SecretString,
    /// `redirect_uri`
    pub redirect: String,
}

impl Provider {
    pub(super) fn new(
        name: &str,
        issuer: &str,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            fetcher,
            clock,
            known: Mutex::default(),
        })
    }

    /// `iss`
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where to send a browser.
    pub async fn authorization(
        self: &Arc<Self>,
        settings: &LoginSettings,
        attempt: &Attempt,
    ) -> Result<Url, CodeFlowError> {
        let endpoints = self.endpoints().await?;
        let verifier = PkceCodeVerifier::new(attempt.verifier.expose_secret().to_owned());
        let scopes = settings.scopes.iter().cloned().map(Scope::new);
        let (url, _) = self
            .client(settings, attempt, endpoints)?
            .authorize_url(|| CsrfToken::new(attempt.state.clone()))
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", attempt.nonce.clone())
            .url();
        Ok(url)
    }

    /// Exchanges a code for an ID token, which is not checked here.
    pub async fn exchange(
        self: &Arc<Self>,
        settings: &LoginSettings,
        attempt: &Attempt,
        code: SecretString,
    ) -> Result<SecretString, CodeFlowError> {
        let endpoints = self.endpoints().await?;
        let fetcher = self.fetcher.clone();
        let send = move |request| {
            let fetcher = fetcher.clone();
            async move { fetcher.send(request).await }
        };
        let answer = self
            .client(settings, attempt, endpoints)?
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(
                attempt.verifier.expose_secret().to_owned(),
            ))
            .request_async(&send)
            .await
            .map_err(|error| self.refusal(error))?;
        let IdToken { id_token } = answer.extra_fields();
        id_token
            .as_deref()
            .map(SecretString::from)
            .ok_or_else(|| self.unavailable("the token endpoint sent no `id_token`"))
    }

    fn client(
        &self,
        settings: &LoginSettings,
        attempt: &Attempt,
        endpoints: Endpoints,
    ) -> Result<CodeClient, CodeFlowError> {
        let redirect = RedirectUrl::new(attempt.redirect.clone())
            .map_err(|error| self.unavailable(&format!("`public_url` is no address: {error}")))?;
        let mut client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoints.authorization))
            .set_token_uri(TokenUrl::from_url(endpoints.token))
            .set_redirect_uri(redirect);
        if let Some(secret) = &settings.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        if endpoints.secret_in_body {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        Ok(client)
    }

    /// A task of its own: it goes on when the browser goes away, so that nobody can stop it half way. Whoever comes
    /// meanwhile waits for the same answer.
    async fn endpoints(self: &Arc<Self>) -> Result<Endpoints, CodeFlowError> {
        let provider = Arc::clone(self);
        tokio::spawn(async move { provider.look_up().await })
            .await
            .unwrap_or_else(|_| Err("the search for them broke off".to_owned()))
            .map_err(|why| self.unavailable(&why))
    }

    async fn look_up(&self) -> Result<Endpoints, String> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        let found = known.endpoints.clone();
        if let Some((endpoints, read_at)) = &found
            && now < *read_at + FRESH
        {
            return Ok(endpoints.clone());
        }
        if now >= known.allowed_at {
            known.allowed_at = now + COOL_DOWN;
            match discovery::endpoints(&self.fetcher, &self.issuer).await {
                Ok(endpoints) => {
                    known.failure = None;
                    known.endpoints = Some((endpoints.clone(), now));
                    return Ok(endpoints);
                }
                Err(why) => known.failure = Some(why),
            }
        }
        match found {
            Some((endpoints, read_at)) if now < read_at + STALE => Ok(endpoints),
            _ => Err(known
                .failure
                .clone()
                .unwrap_or_else(|| "they were not read yet".to_owned())),
        }
    }

    fn unavailable(&self, why: &str) -> CodeFlowError {
        CodeFlowError::Unavailable {
            issuer: self.name.clone(),
            why: why.to_owned(),
        }
    }

    /// Never says what the body was: tokens may be in it.
    fn refusal<E>(&self, error: RequestTokenError<E, BasicErrorResponse>) -> CodeFlowError
    where
        E: std::error::Error + 'static,
    {
        match error {
            RequestTokenError::ServerResponse(answer) => {
                let code: &BasicErrorResponseType = answer.error();
                CodeFlowError::Refused {
                    issuer: self.name.clone(),
                    is_our_fault: *code != BasicErrorResponseType::InvalidGrant,
                    code: quoted(code.as_ref()),
                    why: quoted(answer.error_description().map_or("", String::as_str)),
                }
            }
            RequestTokenError::Request(error) => self.unavailable(&error.to_string()),
            RequestTokenError::Parse(error, _) => self.unavailable(&format!(
                "the token endpoint's answer is not as RFC 6749, section 5 has it, at `{}`",
                error.path()
            )),
            RequestTokenError::Other(why) => {
                self.unavailable(&format!("the token endpoint's answer: {why}"))
            }
        }
    }
}

type CodeClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// OpenID Connect Core 1.0, section 3.1.3.3.
#[derive(Serialize, Deserialize)]
struct IdToken {
    #[serde(default, skip_serializing)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IdToken").finish_non_exhaustive()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attempt")
            .field("redirect", &self.redirect)
            .finish_non_exhaustive()
    }
}
