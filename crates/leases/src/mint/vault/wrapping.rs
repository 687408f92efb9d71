//! Wrapped answers ("Response wrapping", "/sys/wrapping/lookup", "/sys/wrapping/unwrap").
//!
//! Vault keeps the answer and sends a token for it that works once and for a minute. Whoever reads the answer on its way,
//! a proxy or a log, can use the token, but not without fnox finding it used. Whoever answers with a token of their own,
//! for an answer of their own, is found by the path at which it was created, which Vault tells to everybody who has the token.

use fnox_core::SecretString;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::json;

use super::answer::Envelope;
use super::issue::read;
use super::server::Server;
use super::settings::Settings;
use crate::issuer::{Answer, Call};
use crate::mint::{MintError, MintErrorKind};
use crate::wiped::Wiped;

/// How long the answer waits. The next call fetches it.
const TTL: &str = "60s";

/// `wrap_info` of an answer that is kept.
#[derive(Deserialize)]
pub(super) struct WrapInfo {
    token: Wiped,
}

/// Asks for a wrapped answer.
pub(super) fn wanted(call: Call) -> Result<Call, MintError> {
    Ok(call.header(HeaderName::from_static("x-vault-wrap-ttl"), TTL)?)
}

/// Fetches the answer that is kept, once. What fails here may have been read by somebody else.
pub(super) async fn unwrap(
    settings: &Settings,
    server: &mut Server,
    answer: &Answer,
) -> Result<Envelope, MintError> {
    let envelope = read(server, answer)?;
    let Some(WrapInfo {
        token: Wiped(token),
    }) = envelope.wrap_info
    else {
        return Err(alarm(settings, "Vault did not wrap its answer"));
    };
    server.issuer.hide(&token);
    let path = created_at(settings, server, &token).await?;
    let is_ours = path == settings.path
        || server
            .namespace()
            .is_some_and(|namespace| path == format!("{namespace}/{}", settings.path));
    if !is_ours {
        let path = server.issuer.cleaned(&path);
        return Err(alarm(
            settings,
            &format!("what Vault wrapped was created at `{path}`"),
        ));
    }
    // The token is in the header alone: in both places it would be used up twice.
    let call = server.call(Method::POST, "sys/wrapping/unwrap", Some(&token))?;
    let answer = server.issuer.send(call.json(&json!({}))?.changes()).await?;
    if !answer.is_success() {
        return Err(refused(settings, server, &answer, "unwrap"));
    }
    read(server, &answer)
}

/// The path at which an answer was wrapped. This call needs no other token, and the token stays good.
async fn created_at(
    settings: &Settings,
    server: &Server,
    token: &SecretString,
) -> Result<String, MintError> {
    let body = json!({"token": token.expose_secret()});
    let answer = server
        .post("sys/wrapping/lookup", None, &super::login::Secret(body))
        .await
        .map_err(MintError::maybe_issued)?;
    if !answer.is_success() {
        return Err(refused(settings, server, &answer, "look up"));
    }
    read(server, &answer)?
        .data
        .and_then(|data| data.text("creation_path").map(str::to_owned))
        .ok_or_else(|| alarm(settings, "Vault does not tell where the answer was created"))
}

/// 400 is "wrapping token is not valid or does not exist".
fn refused(settings: &Settings, server: &Server, answer: &Answer, what: &str) -> MintError {
    let said = server.said(answer);
    match answer.status() {
        400 | 403 | 404 => alarm(
            settings,
            &format!("Vault does not {what} its own answer: {said}"),
        ),
        _ => server
            .refusal(answer, &format!("sys/wrapping/{what}"), "update")
            .maybe_issued(),
    }
}

fn alarm(settings: &Settings, what: &str) -> MintError {
    MintError::new(
        MintErrorKind::Denied,
        format!("{what}: somebody else may have read the credential"),
    )
    .with_remedy(format!(
        "find out who is between this machine and Vault, and withdraw what was issued: `vault lease revoke -prefix {}`",
        settings.path
    ))
    .maybe_issued()
}
