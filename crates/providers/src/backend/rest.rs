//! What stores over HTTP have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fnox_core::{Env, SecretString};
use fnox_http::{Answer, Limits, Service, Url, address};

use crate::error::ProviderError;
use crate::provider::{Context, Request};
use crate::settings::Settings;

/// The largest answer: some hundreds of values of 64 KiB, with JSON's escapes.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What came of one batch, by reference.
pub(super) type Found = BTreeMap<String, Result<SecretString, ProviderError>>;

/// What one operation may take.
pub(super) fn limits(context: &Context) -> Limits {
    let connect = context.time_limit.min(CONNECT_LIMIT);
    Limits {
        answer: ANSWER_LIMIT,
        ..Limits::new(connect, context.time_limit)
    }
}

/// The way to a store, which messages call `name`.
pub(super) fn service(
    name: &str,
    context: &Context,
    ca_file: Option<&Path>,
) -> Result<Service, ProviderError> {
    Ok(Service::new(name, limits(context), ca_file)?)
}

/// The first of these variables that is there and not empty.
pub(super) fn variable<'a>(env: &'a Env, names: &[&str]) -> Option<&'a str> {
    names
        .iter()
        .filter_map(|name| env.var(name))
        .find(|text| !text.is_empty())
}

/// A secret key, else the first of these variables, without space around it: what is copied often ends with a newline, which no
/// header can have.
pub(super) fn credential(
    settings: &Settings,
    key: &str,
    env: &Env,
    names: &[&str],
) -> Option<SecretString> {
    let of_key = settings.secret(key);
    let text = match &of_key {
        Some(secret) => secret.expose_secret(),
        None => variable(env, names)?,
    };
    Some(SecretString::from(text.trim())).filter(|secret| !secret.is_empty())
}

/// An address that a variable may change.
pub(super) fn base(env: &Env, names: &[&str], default: &str) -> Result<Url, ProviderError> {
    let text = variable(env, names).unwrap_or(default);
    address::parse(text).map_err(|reason| {
        let name = names.first().copied().unwrap_or_default();
        ProviderError::misconfigured(format!("{name} {reason}"))
    })
}

/// The error that a refusal stands for, of a service that says why at this place of its JSON (RFC 6901).
pub(super) fn refusal(service: &Service, answer: &Answer, pointer: &str) -> ProviderError {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = body.pointer(pointer).and_then(serde_json::Value::as_str);
    answer
        .refusal_saying(service, said.map(str::to_owned))
        .into()
}

/// The answers in the order of the requests.
pub(super) fn in_order(
    requests: &[Request],
    found: &Found,
) -> Vec<Result<SecretString, ProviderError>> {
    requests
        .iter()
        .map(|request| match found.get(&request.reference) {
            Some(answer) => answer.clone(),
            None => Err(ProviderError::not_found(&request.reference)),
        })
        .collect()
}

/// The same error for all.
pub(super) fn all(
    requests: &[Request],
    error: &ProviderError,
) -> Vec<Result<SecretString, ProviderError>> {
    requests.iter().map(|_| Err(error.clone())).collect()
}
