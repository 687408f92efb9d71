//! The device flow (RFC 8628): for machines without a browser.
//!
//! The code that is shown is for whoever started this login. Nobody should type one that somebody else sent
//! (section 5.4).

use fnox_api::LoginOptions;
use fnox_core::SecretString;
use oauth2::basic::BasicErrorResponse;
use oauth2::{
    DeviceAuthorizationUrl, DeviceCodeErrorResponseType, RequestTokenError,
    StandardDeviceAuthorizationResponse, StandardErrorResponse, TokenUrl,
};

use super::discovery::{HttpError, Provider};
use super::{PATIENCE, Tell, chain, client, id_token, refused, scopes};
use crate::team::error::TeamFailure;
use crate::terminal::harmless;

/// Shows an address and a code, and waits until the person has typed it.
///
/// # Errors
/// [`TeamFailure`] if the provider has no such flow, or says no, or if nobody answers in time.
pub(crate) async fn by_device(
    provider: &Provider,
    options: &LoginOptions,
    tell: &dyn Tell,
) -> Result<SecretString, TeamFailure> {
    let Some(endpoint) = provider.device_authorization_endpoint.clone() else {
        return Err(TeamFailure::Login {
            reason: format!("the provider {} has no device flow", provider.issuer),
            help: Some("leave --device away, or get an ID token elsewhere: --token-file"),
        });
    };
    let parse = |error: oauth2::url::ParseError| TeamFailure::login(error.to_string());
    let client = client(options)
        .set_token_uri(TokenUrl::new(provider.token_endpoint.clone()).map_err(parse)?)
        .set_device_authorization_url(DeviceAuthorizationUrl::new(endpoint).map_err(parse)?);
    let send = |request| provider.send(request);
    let details: StandardDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scopes(scopes(options))
        .request_async(&send)
        .await
        .map_err(|error| refused(provider, &error))?;
    let url = details.verification_uri_complete().map_or_else(
        || details.verification_uri().to_string(),
        |url| url.secret().clone(),
    );
    tell.device(&harmless(&url), &harmless(details.user_code().secret()));
    let patience = details.expires_in().min(PATIENCE * 3);
    let tokens = client
        .exchange_device_access_token(&details)
        .request_async(&send, tokio::time::sleep, Some(patience))
        .await
        .map_err(|error| ended(provider, patience.as_secs() / 60, error))?;
    let token = id_token(&tokens)?;
    super::id_token::check(&token, &provider.issuer, &options.client_id, None)?;
    Ok(token)
}

type DeviceError = RequestTokenError<HttpError, StandardErrorResponse<DeviceCodeErrorResponseType>>;

fn ended(provider: &Provider, minutes: u64, error: DeviceError) -> TeamFailure {
    use DeviceCodeErrorResponseType::{AccessDenied, ExpiredToken};
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            ExpiredToken => TeamFailure::LoginTimedOut { minutes },
            AccessDenied => TeamFailure::login("it was refused at the provider"),
            other => {
                TeamFailure::login(format!("the provider said `{}`", harmless(other.as_ref())))
            }
        },
        RequestTokenError::Request(error) => TeamFailure::ProviderUnreachable {
            provider: provider.issuer.clone(),
            reason: chain(&error),
        },
        other => {
            // The rest is the same for both kinds of answers.
            let other: RequestTokenError<HttpError, BasicErrorResponse> = match other {
                RequestTokenError::Parse(error, body) => RequestTokenError::Parse(error, body),
                _ => RequestTokenError::Other("the answer is not usable".to_owned()),
            };
            refused(provider, &other)
        }
    }
}
