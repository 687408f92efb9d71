//! What came back, read whole.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{CallError, CallErrorKind};
use crate::lost::Lost;
use crate::service::Service;

/// An answer of a service.
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Self, Lost> {
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        let expected = response.content_length().unwrap_or(0);
        let mut body = Zeroizing::new(Vec::with_capacity(
            usize::try_from(expected).unwrap_or(0).min(limit),
        ));
        while let Some(part) = response.chunk().await? {
            if body.len() + part.len() > limit {
                return Err(Lost {
                    reason: format!("the answer is larger than {} MiB", limit / 1024 / 1024),
                    never_sent: false,
                });
            }
            body.extend_from_slice(&part);
        }
        Ok(Self {
            status: response.status(),
            retry_after,
            headers: response.headers().clone(),
            body,
        })
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether it is a good one (2xx).
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Its JSON. What was asked may have been done all the same, so an error says that.
    ///
    /// # Errors
    /// `Unavailable` if it is something else.
    pub fn json<T: DeserializeOwned>(&self, service: &Service) -> Result<T, CallError> {
        // The parser's message may quote the answer, which may hold a token.
        serde_json::from_slice(&self.body).map_err(|error| {
            CallError::unavailable(format!(
                "{} answered with something else than it should, at line {}, column {} (status {})",
                service.name(),
                error.line(),
                error.column(),
                self.status()
            ))
            .with_remedy("is the configured address really its API?")
            .maybe_done()
        })
    }

    /// What a refusal says, where it is said in one of the usual ways of JSON APIs.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let error = &value["error"];
        // OAuth 2.0 (RFC 6749 section 5.2); Google's and others' {error: {message}}; {message}; {errors: […]}
        if let (Some(code), Some(description)) = (text(error), text(&value["error_description"])) {
            return Some(format!("{code}: {description}"));
        }
        let first = &value["errors"][0];
        [
            &error["message"],
            error,
            &value["message"],
            &value["Message"],
            &first["message"],
            first,
            &value["error_description"],
            &value["detail"],
        ]
        .into_iter()
        .find_map(text)
    }

    /// The error that a refusal stands for: 401 is "authentication needed", 403 "denied", other 4xx "misconfigured",
    /// and everything that is no refusal "unavailable". The caller adds what to do.
    #[must_use]
    pub fn refusal(&self, service: &Service) -> CallError {
        self.refusal_saying(service, self.said())
    }

    /// The same of a service that says why in a way of its own.
    #[must_use]
    pub fn refusal_saying(&self, service: &Service, said: Option<String>) -> CallError {
        let status = self.status();
        let said = match said {
            Some(said) => service.cleaned(&said),
            None => "without a reason that fnox can read".to_owned(),
        };
        let name = service.name();
        let (kind, what) = match status {
            401 => (
                CallErrorKind::AuthenticationNeeded,
                "does not accept the credentials",
            ),
            403 => (CallErrorKind::Denied, "does not allow it"),
            400..=499 => (CallErrorKind::Misconfigured, "refused the request"),
            _ => {
                return CallError::unavailable(format!(
                    "{name} answered with status {status}, which is no answer of its API"
                ))
                .with_remedy("is the configured address really its API?");
            }
        };
        CallError::new(kind, format!("{name} {what} (status {status}): {said}"))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Answer")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}
