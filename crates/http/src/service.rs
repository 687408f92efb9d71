//! One service, and the calls of one operation.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use fnox_core::SecretString;
use fnox_core::secret::{REDACTED, SHORTEST_HIDDEN};
use reqwest::{ClientBuilder, StatusCode};
use tokio::time::Instant;

use crate::address::{is_link_local, is_loopback};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::CallError;
use crate::lost::Lost;
use crate::tls::{self, Tls};

/// How often a call is made at most.
const ATTEMPTS: u32 = 4;

/// What an operation may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long one operation may take in all, repetitions included.
    pub operation: Duration,
    /// The largest answer that is read, in bytes.
    pub answer: usize,
}

impl Limits {
    /// Answers of 1 MiB at most.
    #[must_use]
    pub fn new(connect: Duration, operation: Duration) -> Self {
        Self {
            connect,
            operation,
            answer: 1024 * 1024,
        }
    }
}

/// One service during one operation. The clock of the operation starts with [`Service::new`], and anew with
/// [`Service::restarted`].
#[derive(Clone)]
pub struct Service {
    name: String,
    remote: reqwest::Client,
    local: reqwest::Client,
    limits: Limits,
    deadline: Instant,
    hidden: Vec<SecretString>,
}

impl Service {
    /// `name` is what messages call it, such as `GitHub`. `ca_file` has certificates that are trusted besides
    /// the machine's own.
    ///
    /// # Errors
    /// [`CallError`] if the file has no certificates.
    pub fn new(name: &str, limits: Limits, ca_file: Option<&Path>) -> Result<Self, CallError> {
        Self::from_builders(name, limits, |_, builder| trusting(builder, ca_file))
    }

    /// A service with certificates of its own. Where `tls` says nothing, the same as [`Service::new`].
    ///
    /// # Errors
    /// [`CallError`] if a certificate or a key is none.
    pub fn with_tls(name: &str, limits: Limits, tls: &Tls) -> Result<Self, CallError> {
        Self::from_builders(name, limits, |is_local, builder| {
            tls.apply(is_local, builder)
        })
    }

    fn from_builders(
        name: &str,
        limits: Limits,
        finish: impl Fn(bool, ClientBuilder) -> Result<ClientBuilder, CallError>,
    ) -> Result<Self, CallError> {
        let client = |is_local: bool| {
            finish(is_local, builder(limits, is_local))?
                .build()
                .map_err(|error| {
                    CallError::unavailable(format!("{name} cannot be called: {error}"))
                })
        };
        Ok(Self {
            name: name.to_owned(),
            remote: client(false)?,
            local: client(true)?,
            limits,
            deadline: Instant::now() + limits.operation,
            hidden: Vec::new(),
        })
    }

    /// The same for another operation, whose clock starts now.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self {
            deadline: Instant::now() + self.limits.operation,
            ..self.clone()
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps a secret out of messages from now on, as the credentials are.
    pub fn hide(&mut self, secret: &SecretString) {
        self.hidden.push(secret.clone());
    }

    /// Makes a call. Answers that mean "later" (408, 425, 429, 5xx) are asked for again where that is safe and are errors
    /// in the end; all others, refusals too, are the caller's to judge.
    ///
    /// # Errors
    /// [`CallError`] of the kind `Unavailable`.
    pub async fn send(&self, call: Call) -> Result<Answer, CallError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = tokio::time::timeout_at(self.deadline, self.once(&call)).await;
            let (error, wait) = match outcome {
                Err(_) => return Err(self.timed_out(&call)),
                Ok(Ok(answer)) if !is_passing(answer.status) => return Ok(answer),
                Ok(Ok(answer)) => {
                    let is_429 = answer.status == StatusCode::TOO_MANY_REQUESTS;
                    let wait = answer.retry_after.or(call.after_429.filter(|_| is_429));
                    let error = self.later(&answer, &call);
                    // "Too many requests" is said before anything is done.
                    if call.changes && !is_429 {
                        return Err(error);
                    }
                    (error, wait)
                }
                Ok(Err(lost)) => {
                    let never_sent = lost.never_sent;
                    let error = self.lost(&lost, &call);
                    if call.changes && !never_sent {
                        return Err(error);
                    }
                    (error, None)
                }
            };
            let wait = wait.unwrap_or_else(|| backoff(attempt));
            if attempt == ATTEMPTS || Instant::now() + wait >= self.deadline {
                return Err(error);
            }
            tracing::debug!("asking {} again in {} ms", self.name, wait.as_millis());
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Answer, Lost> {
        let client = if is_loopback(&call.url) || is_link_local(&call.url) {
            &self.local
        } else {
            &self.remote
        };
        let response = call.request(client).send().await.map_err(Lost::from)?;
        Answer::read(response, self.limits.answer).await
    }

    /// Text from the service for people, see [`cleaned`].
    #[must_use]
    pub fn cleaned(&self, text: &str) -> String {
        cleaned(text, &self.hidden)
    }

    fn timed_out(&self, call: &Call) -> CallError {
        call.mark(CallError::unavailable(format!(
            "{} did not answer within {} s",
            self.name,
            self.limits.operation.as_secs()
        )))
    }

    fn later(&self, answer: &Answer, call: &Call) -> CallError {
        let status = answer.status.as_u16();
        if status == 429 {
            return CallError::unavailable(format!(
                "{} says that it was asked too often (status 429)",
                self.name
            ))
            .with_remedy("wait a little and try again");
        }
        call.mark(CallError::unavailable(format!(
            "{} failed with status {status}{}",
            self.name,
            answer
                .said()
                .map(|said| format!(": {}", self.cleaned(&said)))
                .unwrap_or_default()
        )))
    }

    fn lost(&self, lost: &Lost, call: &Call) -> CallError {
        let host = call.url.host_str().unwrap_or_default();
        let error = CallError::unavailable(format!(
            "{} cannot be reached at {host}: {}",
            self.name,
            self.cleaned(&lost.reason)
        ));
        if lost.never_sent {
            error
        } else {
            call.mark(error)
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Service")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Text from a service for people: one line, without control characters and these secrets (but see
/// [`SHORTEST_HIDDEN`]), 300 characters at most.
#[must_use]
pub fn cleaned(text: &str, hidden: &[SecretString]) -> String {
    let mut clean: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    for secret in hidden {
        let value = secret.expose_secret();
        if value.len() >= SHORTEST_HIDDEN && clean.contains(value) {
            clean = clean.replace(value, REDACTED);
        }
    }
    clean.trim().chars().take(300).collect()
}

fn builder(limits: Limits, is_local: bool) -> ClientBuilder {
    // A second call finds the provider of the first one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(limits.connect)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
    if is_local {
        builder.no_proxy()
    } else {
        builder.https_only(true)
    }
}

fn trusting(builder: ClientBuilder, ca_file: Option<&Path>) -> Result<ClientBuilder, CallError> {
    let Some(path) = ca_file else {
        return Ok(builder);
    };
    let shown = path.display().to_string();
    let pem = std::fs::read(path).map_err(|error| tls::unusable(&shown, &error.to_string()))?;
    Ok(builder.tls_certs_merge(tls::certificates(&shown, &pem)?))
}

/// Whether another try may well succeed (RFC 9110 section 15; RFC 6585 section 4; RFC 8470 section 5.2).
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// 200 ms, doubled each time, of which a random half is left out so that many clients do not come at once.
fn backoff(attempt: u32) -> Duration {
    use rand::Rng as _;
    let most = 200_u64 << attempt.min(5);
    Duration::from_millis(rand::rng().random_range(most / 2..=most))
}
