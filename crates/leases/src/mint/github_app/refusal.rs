//! What GitHub's refusals mean.
//!
//! Statuses are those of the OpenAPI description; texts are those that users of GitHub's own libraries report.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, RETRY_AFTER};

use super::settings::{Installation, Settings};
use crate::issuer::{Answer, Issuer};
use crate::mint::{MintError, MintErrorKind};

/// Clocks that differ by less are none of the reasons for a refusal: the JWT is dated back by a minute, and its end has
/// a minute to spare.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(55);

/// What a call was about.
pub(super) struct Facts<'a> {
    pub(super) settings: &'a Settings,
    /// What the JWT says.
    pub(super) claims: &'a str,
    pub(super) now: Timestamp,
}

/// A call of the app that was refused.
pub(super) fn of_app(answer: &Answer, issuer: &Issuer, facts: &Facts<'_>) -> MintError {
    let said = answer.said().unwrap_or_default();
    let mut error = answer.refusal(issuer);
    if error.kind == MintErrorKind::Unavailable {
        return error;
    }
    error.message = format!("{}; {}", error.message, facts.claims);
    let Settings {
        app_id,
        installation,
        key_variable,
        ..
    } = facts.settings;
    let place = match installation {
        Installation::Id(_) => "installation_id",
        Installation::Account(_) => "account",
    };
    match answer.status() {
        401 => match clock_in(answer, &said, facts.now) {
            Some(clock) => error.with_remedy(clock),
            None => error.with_remedy(format!(
                "is the key in {key_variable} (or `private_key_file`) one of app {app_id}, and has nobody deleted it there?"
            )),
        },
        403 if is_limit(answer, &said) => {
            error.kind = MintErrorKind::Unavailable;
            error.with_remedy(again(answer))
        }
        403 => error.with_remedy(format!(
            "has somebody suspended the installation of app {app_id}? Its owner can end that in the settings"
        )),
        404 if said.contains("Integration") => MintError {
            key: Some("app_id"),
            ..error
        }
        .with_remedy(format!("`app_id` is neither an app id nor a client id: {app_id}")),
        404 => MintError {
            key: Some(place),
            ..error
        }
        .with_remedy(format!(
            "app {app_id} has no such installation, or `api_base` is not the API of its server"
        )),
        422 if said.contains("permission") => MintError {
            key: Some("permissions"),
            ..error
        }
        .with_remedy(
            "the installation was not granted one of them: grant it in the app's settings, and let the owner of the \
             installation accept it",
        ),
        // It is not told which one, nor whether it is absent or only out of reach.
        422 if said.contains("repositor") => MintError {
            key: Some("repositories"),
            ..error
        }
        .with_remedy("one of them does not exist, or is not a part of the installation"),
        _ => error,
    }
}

/// The remedy if the clock is the reason. `Date` of the answer says what GitHub's shows.
fn clock_in(answer: &Answer, said: &str, now: Timestamp) -> Option<String> {
    let difference = answer
        .headers
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map(|date| now.duration_since(date.timestamp()));
    match difference {
        Some(difference) if difference.abs() > TOLERANCE => Some(format!(
            "set this machine's clock: it is {} s {} GitHub's",
            difference.abs().as_secs(),
            if difference.is_negative() {
                "behind"
            } else {
                "ahead of"
            }
        )),
        // "'Expiration time' claim ('exp') is too far in the future", "'Issued at' claim ('iat') must be …"
        _ if said.contains("claim ('") => Some("is this machine's clock right?".to_owned()),
        _ => None,
    }
}

/// "Rate limits for the REST API": 403 or 429, with `retry-after` or with `x-ratelimit-remaining: 0`.
fn is_limit(answer: &Answer, said: &str) -> bool {
    said.contains("rate limit")
        || answer.headers.contains_key(RETRY_AFTER)
        || answer
            .headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0")
}

fn again(answer: &Answer) -> String {
    let reset = answer
        .headers
        .get("x-ratelimit-reset")
        .and_then(|second| second.to_str().ok()?.parse().ok())
        .and_then(|second| Timestamp::from_second(second).ok());
    match reset {
        Some(end) => format!("GitHub limits the calls of the app until {end}"),
        None => "GitHub limits the calls of the app: wait some minutes".to_owned(),
    }
}
