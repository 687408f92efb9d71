//! Login in this machine's browser: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252).
//!
//! `GET /authorize` of the OIDC endpoint is not in AWS's description of the service; its parameters, `scopes` in the
//! plural among them, are those that the AWS CLI sends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Token;
use super::login::not_confirmed;
use super::loopback::Loopback;
use super::oidc::{BY_CODE, BY_REFRESH, Grant, NewClient, Oidc, Refusal};
use super::settings::{Portal, Settings};
use crate::browser::Browser;
use crate::issuer::below;
use crate::mint::{MintContext, MintError};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is registered. RFC 8252 section 7.3: the port is free to vary.
const REGISTERED: &str = "http://127.0.0.1/oauth/callback";

/// Sends the person's browser to the portal and waits for it to come back.
pub(super) async fn log_in(
    settings: &Settings,
    portal: &Portal,
    context: &MintContext,
    issuer: Oidc<'_>,
) -> Result<Token, MintError> {
    let registration = issuer
        .register(&NewClient {
            name: format!("fnox-{}", settings.lease),
            kind: "public",
            scopes: &portal.scopes,
            grant_types: [BY_CODE, BY_REFRESH],
            redirect_uris: Some([REGISTERED]),
            issuer_url: Some(&portal.start_url),
        })
        .await?;
    let state = random();
    let loopback = Loopback::bind(state.clone()).await?;
    let verifier = random();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret().as_bytes()));
    let redirect = loopback.redirect_uri();
    let mut page = below(&portal.oidc, &["authorize"]);
    page.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &registration.id)
        .append_pair("redirect_uri", &redirect)
        .append_pair("state", state.expose_secret())
        .append_pair("code_challenge_method", "S256")
        .append_pair("scopes", &portal.scopes.join(" "))
        .append_pair("code_challenge", &challenge);
    let opened = Browser::new(&context.env, settings.open_browser).open(page.as_str());
    context.prompt.message(&format!(
        "Log in to AWS for lease `{}`. {}\n{page}",
        settings.lease,
        if opened {
            "A browser opens"
        } else {
            "Open in a browser on this machine"
        },
    ));
    let code = match tokio::time::timeout(PATIENCE, loopback.code()).await {
        Err(_) => return Err(not_confirmed(settings, Refusal::Expired)),
        Ok(code) => code?,
    };
    let grant = Grant {
        kind: BY_CODE,
        code: Some(&code),
        redirect_uri: Some(&redirect),
        code_verifier: Some(&verifier),
        ..Grant::default()
    };
    issuer
        .token(&registration, &grant)
        .await
        .map_err(|refusal| not_confirmed(settings, refusal))
}

/// 256 random bits, as text.
fn random() -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(&mut *bytes);
    SecretString::new(URL_SAFE_NO_PAD.encode(*bytes))
}
