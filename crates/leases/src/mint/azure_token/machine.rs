//! A managed identity: the endpoint that App Service, Container Apps and Functions tell by variables, or the instance
//! metadata service of a virtual machine.
//!
//! Both answer plain HTTP on the machine itself. A header that no web page can make a browser send keeps others out.

use fnox_core::Env;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::Issued;
use super::login::{Seconds, later, without_end};
use super::settings::Settings;
use crate::issuer::{self, Call, Issuer, below};
use crate::mint::{MintContext, MintError, PlannedCall};
use crate::wiped::Wiped;

/// Azure Instance Metadata Service: by its address, so that no name server can lead elsewhere.
const METADATA_SERVICE: &str = "http://169.254.169.254";

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Wiped,
    /// Seconds since 1970; App Service gives this one alone.
    expires_on: Option<Seconds>,
    expires_in: Option<Seconds>,
}

/// Asks for a token of the machine's identity.
pub(super) async fn token(
    settings: &Settings,
    context: &MintContext,
    mut issuer: Issuer,
) -> Result<Issued, MintError> {
    let env = &context.env;
    refuse_unsupported(settings, env)?;
    let call = match app_service(settings, env) {
        Some(endpoint) => {
            let url = issuer::parse_of_machine(endpoint).map_err(|reason| {
                MintError::authentication(format!("the variable IDENTITY_ENDPOINT {reason}"))
            })?;
            let header = env.secret("IDENTITY_HEADER").unwrap_or_else(|| "".into());
            issuer.hide(&header);
            Call::get(url)
                .query("api-version", "2019-08-01")
                .secret_header(HeaderName::from_static("x-identity-header"), &header)?
        }
        None => Call::get(metadata_url(settings)?)
            .query("api-version", "2018-02-01")
            .header(HeaderName::from_static("metadata"), "true")?,
    };
    let mut call = call.query("resource", settings.resource());
    if let Some(client) = &settings.managed_identity {
        call = call.query("client_id", client);
    }
    let asked_at = context.clock.now();
    let answer = issuer.send(call).await?;
    if !answer.is_success() {
        let error = answer.refusal(&issuer);
        return Err(match (answer.status(), &settings.managed_identity) {
            // "Identity not found", and App Service's words for it
            (400 | 404, Some(client)) => MintError {
                key: Some("managed_identity_client_id"),
                ..error
            }
            .with_remedy(format!("is the identity with the client id {client} assigned to this machine?")),
            (400 | 404, None) => error.with_remedy(
                "assign an identity to this machine, or say by `managed_identity_client_id` which one; \
                 is the resource of `scope` right?",
            ),
            _ => error,
        });
    }
    let answer: TokenAnswer = answer.json(&issuer)?;
    let expires_at = match answer.expires_on.and_then(|seconds| seconds.0) {
        Some(second) => Timestamp::from_second(second).ok(),
        None => answer
            .expires_in
            .and_then(|seconds| later(asked_at, seconds)),
    };
    Ok(Issued {
        token: answer.access_token.0,
        expires_at: expires_at.ok_or_else(|| without_end("the managed identity endpoint"))?,
    })
}

/// The call that [`token`] would make.
pub(super) fn explain(settings: &Settings, env: &Env) -> PlannedCall {
    let target = match app_service(settings, env) {
        Some(endpoint) => endpoint.to_owned(),
        None => metadata_url(settings).map_or_else(|error| error.message, |url| url.to_string()),
    };
    let identity = settings.managed_identity.as_deref();
    PlannedCall {
        action: "GET".to_owned(),
        target,
        purpose: "get a token of the machine's identity".to_owned(),
        master: format!(
            "the managed identity {}",
            identity.unwrap_or("of the system")
        ),
        details: vec![("resource".to_owned(), settings.resource().to_owned())],
    }
}

fn app_service<'a>(settings: &Settings, env: &'a Env) -> Option<&'a str> {
    if settings.managed_identity_endpoint.is_some() {
        return None;
    }
    env.var("IDENTITY_HEADER")?;
    env.var("IDENTITY_ENDPOINT")
}

fn metadata_url(settings: &Settings) -> Result<Url, MintError> {
    let base = match &settings.managed_identity_endpoint {
        Some(url) => url.clone(),
        None => issuer::parse_of_machine(METADATA_SERVICE).map_err(MintError::unavailable)?,
    };
    Ok(below(&base, &["metadata", "identity", "oauth2", "token"]))
}

/// Machines whose endpoints want more than a header.
fn refuse_unsupported(settings: &Settings, env: &Env) -> Result<(), MintError> {
    if settings.managed_identity_endpoint.is_some() {
        return Ok(());
    }
    let has = |name: &str| env.var(name).is_some();
    let what = if has("IDENTITY_SERVER_THUMBPRINT") {
        "Service Fabric (IDENTITY_SERVER_THUMBPRINT is set)"
    } else if has("IDENTITY_ENDPOINT") && has("IMDS_ENDPOINT") && !has("IDENTITY_HEADER") {
        "Azure Arc (IDENTITY_ENDPOINT and IMDS_ENDPOINT are set)"
    } else {
        return Ok(());
    };
    Err(MintError::misconfigured(
        "auth",
        format!("managed identities of {what} are not supported"),
    )
    .with_remedy("use `auth = \"certificate\"` or `auth = \"federated\"` on this machine"))
}
