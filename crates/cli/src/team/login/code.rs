//! Authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252).

use fnox_api::LoginOptions;
use fnox_core::SecretString;
use oauth2::{AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, RedirectUrl, TokenUrl};

use super::discovery::Provider;
use super::loopback::{Expected, Loopback};
use super::{Browser, PATIENCE, Tell, client, id_token, refused, scopes};
use crate::team::error::TeamFailure;
use crate::terminal::harmless;

/// Sends the person's browser to the provider and waits for it to come back.
///
/// # Errors
/// [`TeamFailure`] if the provider, the person or the answer says no, or if nobody answers in time.
pub(crate) async fn by_code(
    provider: &Provider,
    options: &LoginOptions,
    port: Option<u16>,
    browser: &Browser<'_>,
    tell: &dyn Tell,
) -> Result<SecretString, TeamFailure> {
    let loopback = Loopback::bind(port).await?;
    let parse = |error: oauth2::url::ParseError| TeamFailure::login(error.to_string());
    let client = client(options)
        .set_auth_uri(AuthUrl::new(provider.authorization_endpoint.clone()).map_err(parse)?)
        .set_token_uri(TokenUrl::new(provider.token_endpoint.clone()).map_err(parse)?)
        .set_redirect_uri(RedirectUrl::new(loopback.redirect_uri()).map_err(parse)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    // The same kind of number: 128 random bits that nobody guesses.
    let nonce = CsrfToken::new_random();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scopes(scopes(options))
        .add_extra_param("nonce", nonce.secret().clone())
        .set_pkce_challenge(challenge)
        .url();
    tell.open(url.as_str(), browser.open(url.as_str()));
    let expected = Expected {
        state: state.secret().clone(),
        issuer: provider.issuer.clone(),
        names_issuer: provider.names_issuer,
    };
    let answer = tokio::time::timeout(PATIENCE, loopback.answer(expected))
        .await
        .map_err(|_| TeamFailure::LoginTimedOut {
            minutes: PATIENCE.as_secs() / 60,
        })??;
    let code = answer.map_err(|reason| {
        TeamFailure::login(format!("the provider said `{}`", harmless(&reason)))
    })?;
    let tokens = client
        .exchange_code(AuthorizationCode::new(code.to_string()))
        .set_pkce_verifier(verifier)
        .request_async(&|request| provider.send(request))
        .await
        .map_err(|error| refused(provider, &error))?;
    let token = id_token(&tokens)?;
    super::id_token::check(
        &token,
        &provider.issuer,
        &options.client_id,
        Some(nonce.secret()),
    )?;
    Ok(token)
}
