//! Logging in at an OpenID provider: authorization code with PKCE on a loopback port, or the device flow.
//!
//! What comes out is an ID token that the team server verifies; nothing here decides who somebody is. What is checked
//! here protects the person who logs in: that the answer belongs to the question (`state`, `nonce`, issuer), that a
//! code is worth nothing to whoever sees it (PKCE), and that nothing travels in clear.

mod code;
mod device;
mod discovery;
mod id_token;
mod loopback;

use std::time::Duration;

use fnox_api::LoginOptions;
use fnox_core::SecretString;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    Client, ClientId, EndpointNotSet, ExtraTokenFields, Scope, StandardRevocableToken,
    StandardTokenResponse,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::code::by_code;
pub(crate) use self::device::by_device;
pub(crate) use self::discovery::{Provider, http_client};
use super::error::TeamFailure;
pub(crate) use fnox_leases::browser::Browser;

/// How long a person may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// What the login tells the person.
pub(crate) trait Tell: Send + Sync {
    /// Open this address; it was opened already if `opened`.
    fn open(&self, url: &str, opened: bool);
    /// Open this address on any device, and type the code if the address does not carry it.
    fn device(&self, url: &str, code: &str);
}

/// The part of a token answer that OpenID Connect adds (Core 1.0, section 3.1.3.3).
#[derive(Serialize, Deserialize)]
pub(super) struct IdTokenField {
    #[serde(default)]
    id_token: Option<String>,
}

impl std::fmt::Debug for IdTokenField {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IdTokenField([redacted])")
    }
}

impl ExtraTokenFields for IdTokenField {}

pub(super) type Tokens = StandardTokenResponse<IdTokenField, BasicTokenType>;

pub(super) type OpenIdClient<A = EndpointNotSet, D = EndpointNotSet, T = EndpointNotSet> = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    A,
    D,
    EndpointNotSet,
    EndpointNotSet,
    T,
>;

fn client(options: &LoginOptions) -> OpenIdClient {
    // A program on a person's machine keeps no secret, so it is a public client (RFC 8252, section 8.5).
    Client::new(ClientId::new(options.client_id.clone()))
}

/// The server's scopes; without `openid` there would be no ID token.
fn scopes(options: &LoginOptions) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = options.scopes.iter().cloned().map(Scope::new).collect();
    if !options.scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, Scope::new("openid".to_owned()));
    }
    scopes
}

fn id_token(tokens: &Tokens) -> Result<SecretString, TeamFailure> {
    let token = tokens.extra_fields().id_token.as_deref();
    token
        .map(SecretString::from)
        .ok_or_else(|| TeamFailure::Login {
            reason: "the provider answered without an ID token".to_owned(),
            help: Some(
                "the client must be registered for OpenID Connect and have the scope `openid`",
            ),
        })
}

/// What a provider says went wrong, in its words.
fn refused<E: std::error::Error + 'static>(
    provider: &Provider,
    error: &oauth2::RequestTokenError<E, BasicErrorResponse>,
) -> TeamFailure {
    match error {
        oauth2::RequestTokenError::ServerResponse(answer) => {
            let word = crate::terminal::harmless(answer.error().as_ref());
            let more = answer
                .error_description()
                .map(|text| format!(": {}", crate::terminal::harmless(text)))
                .unwrap_or_default();
            TeamFailure::login(format!("the provider said `{word}`{more}"))
        }
        oauth2::RequestTokenError::Request(error) => TeamFailure::ProviderUnreachable {
            provider: provider.issuer.clone(),
            reason: chain(error),
        },
        // The text of a parse error may quote the answer, which holds tokens.
        oauth2::RequestTokenError::Parse(..) => {
            TeamFailure::login("the provider's answer is not what RFC 6749 describes")
        }
        oauth2::RequestTokenError::Other(reason) => TeamFailure::login(reason.clone()),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}
