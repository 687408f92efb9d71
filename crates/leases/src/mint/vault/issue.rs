//! Asking for what a path issues, and taking it back where it cannot be handed out.

use fnox_core::Credential;
use jiff::Timestamp;
use reqwest::Method;

use super::answer::{Data, Envelope};
use super::lease::{self, Kind};
use super::login::{Token, after};
use super::server::Server;
use super::settings::Settings;
use super::wrapping;
use crate::issuer::Answer;
use crate::mint::{CreateRequest, MintContext, MintError};

/// The parameters of the request: the configured ones, and the life that is wanted.
pub(super) fn parameters(settings: &Settings, request: &CreateRequest) -> Vec<(String, String)> {
    let mut parameters: Vec<(String, String)> = settings
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !settings.parameters.contains_key("ttl") {
        parameters.push(("ttl".to_owned(), format!("{}s", request.duration.as_secs())));
    }
    parameters
}

/// What a policy must allow for the request ("Policies": `update` is `POST` and `PUT`).
fn capability(settings: &Settings) -> &'static str {
    if settings.method == Method::GET {
        "read"
    } else {
        "update"
    }
}

/// What is wanted, by whom.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) settings: &'a Settings,
    pub(super) context: &'a MintContext,
    pub(super) request: &'a CreateRequest,
}

/// Asks for the credential with a token.
pub(super) async fn issue(
    question: Question<'_>,
    server: &mut Server,
    token: &mut Token,
) -> Result<Credential, MintError> {
    let settings = question.settings;
    let mut call = server.call(settings.method.clone(), &settings.path, Some(&token.value))?;
    let parameters = parameters(settings, question.request);
    if settings.method == Method::GET {
        for (name, value) in &parameters {
            call = call.query(name, value);
        }
    } else {
        let body: serde_json::Map<String, serde_json::Value> = parameters
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        call = call.json(&body)?;
    }
    if settings.wrapped {
        call = wrapping::wanted(call)?;
    }
    let asked_at = question.context.clock.now();
    let answer = server.issuer.send(call.changes()).await?;
    if !answer.is_success() {
        return Err(server.refusal(&answer, &settings.path, capability(settings)));
    }
    let envelope = if settings.wrapped {
        wrapping::unwrap(settings, server, &answer).await?
    } else {
        read(server, &answer)?
    };
    match credential(question, server, token, &envelope, asked_at).await {
        Ok(credential) => Ok(credential),
        Err(error) if token.is_own => Err(error),
        Err(error) => Err(undo(server, &envelope, token, asked_at, error).await),
    }
}

/// The answer's envelope. A status that means success without one is no answer of Vault.
pub(super) fn read(server: &Server, answer: &Answer) -> Result<Envelope, MintError> {
    answer.json(&server.issuer)
}

async fn credential(
    question: Question<'_>,
    server: &Server,
    token: &mut Token,
    envelope: &Envelope,
    asked_at: Timestamp,
) -> Result<Credential, MintError> {
    let Question {
        settings,
        context,
        request,
    } = question;
    let Some(data) = &envelope.data else {
        let error = MintError::unavailable(format!(
            "Vault answered `{}` without `data`",
            settings.path
        ))
        .with_remedy(
            "does this path issue something? Tokens (`auth/token/create`) are not supported",
        );
        return Err(error.maybe_issued());
    };
    let found = data.variables(&settings.variables, &settings.path)?;
    let (kind, id, end) = if envelope.lease_id.is_empty() {
        let end = end_of_stored(data, envelope.lease_duration, request, asked_at);
        (Kind::Stored, request.provisional_id.clone(), Some(end))
    } else {
        if !token.is_own {
            token.expires_at = end_of(server, context, token).await;
        }
        let kind = Kind::of_answer(envelope.renewable);
        let end = lease::end(asked_at, envelope.lease_duration);
        (
            kind,
            envelope.lease_id.clone(),
            lease::sooner(end, token.expires_at),
        )
    };
    if end.is_some_and(|end| end <= context.clock.now()) {
        return Err(
            MintError::unavailable("what Vault issued has expired already")
                .with_remedy("is this machine's clock right, and the server's?"),
        );
    }
    if let Some(missing) = found.missing {
        tracing::warn!("{missing}");
    }
    Ok(Credential {
        variables: found.variables,
        expires_at: end,
        id,
        private: lease::kept(kind, token),
    })
}

/// When something without a lease is read anew: after the lease's `duration`, or sooner where Vault says so. Engines
/// without leases tell an end in `data`: "PKI secrets engine (API)" as `expiration`, "Google Cloud secrets engine (API)"
/// as `expires_at_seconds`, both in Unix time; version 1 of KV as `lease_duration`, from the secret's own `ttl`.
fn end_of_stored(
    data: &Data,
    lease_duration: i64,
    request: &CreateRequest,
    asked_at: Timestamp,
) -> Timestamp {
    /// Smaller numbers are durations or something of the user's own: this one is of 2001.
    const LEAST_UNIX_TIME: i64 = 1_000_000_000;
    let asked = i64::try_from(request.duration.as_secs()).unwrap_or(i64::MAX);
    let seconds = if lease_duration > 0 {
        lease_duration.min(asked)
    } else {
        asked
    };
    let end = lease::end(asked_at, seconds).unwrap_or(Timestamp::MAX);
    ["expiration", "expires_at_seconds"]
        .into_iter()
        .filter_map(|name| data.number(name))
        .filter(|seconds| *seconds > LEAST_UNIX_TIME)
        .filter_map(|seconds| Timestamp::from_second(seconds).ok())
        .fold(end, Timestamp::min)
}

/// When a given token ends: a lease dies with it. Unknown if Vault does not tell (the policy `default` lets it).
pub(super) async fn end_of(
    server: &Server,
    context: &MintContext,
    token: &Token,
) -> Option<Timestamp> {
    let asked_at = context.clock.now();
    let call = server
        .call(Method::GET, "auth/token/lookup-self", Some(&token.value))
        .ok()?;
    let answer = server.issuer.send(call).await.ok()?;
    if !answer.is_success() {
        tracing::debug!(
            "Vault does not tell when the token ends: status {}",
            answer.status()
        );
        return None;
    }
    after(asked_at, read(server, &answer).ok()?.data?.number("ttl")?)
}

/// Withdraws what cannot be handed out. Where that fails, the error says that it may exist.
async fn undo(
    server: &Server,
    envelope: &Envelope,
    token: &Token,
    now: Timestamp,
    error: MintError,
) -> MintError {
    if envelope.lease_id.is_empty() {
        return error;
    }
    match lease::revoke(server, Some(&envelope.lease_id), token, now).await {
        Ok(()) => MintError {
            maybe_issued: false,
            ..error
        },
        Err(_) => error.maybe_issued(),
    }
}
