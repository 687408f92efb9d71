//! One request and its answer, with limits.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fnox_core::SecretString;
use rand::Rng as _;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{ClientError, address};
use crate::{Problem, ProblemCode};

/// How a client talks.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Most time for one call, repetitions included. A long poll has its wait on top.
    pub time_limit: Duration,
    /// Certificates (PEM) to trust besides the machine's own.
    pub ca_file: Option<PathBuf>,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(30),
            ca_file: None,
            user_agent: concat!("fnox/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A client of one team server. Copies share connections.
#[derive(Clone)]
pub struct ApiClient {
    base: Url,
    http: reqwest::Client,
    time_limit: Duration,
    bearer: Option<SecretString>,
}

impl ApiClient {
    /// A client for the server at an address. Nothing is contacted yet.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Certificates`] and [`ClientError::Setup`].
    pub fn new(url: &str, options: &ClientOptions) -> Result<Self, ClientError> {
        Self::at(address::parse(url)?, options)
    }

    fn at(base: Url, options: &ClientOptions) -> Result<Self, ClientError> {
        // A second call finds the provider of the first one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT.min(options.time_limit))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(options.user_agent.as_str());
        builder = if address::is_loopback(&base) {
            builder.no_proxy()
        } else {
            builder.https_only(true)
        };
        if let Some(path) = &options.ca_file {
            let unusable = |reason: String| ClientError::Certificates {
                path: path.clone(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(chain(&error)))?;
            if certificates.is_empty() {
                return Err(unusable("there is none in it".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| ClientError::Setup {
            reason: chain(&error),
        })?;
        Ok(Self {
            base,
            http,
            time_limit: options.time_limit,
            bearer: None,
        })
    }

    /// The same client, in the name of whoever a token belongs to.
    #[must_use]
    pub fn with_bearer(&self, token: SecretString) -> Self {
        Self {
            bearer: Some(token),
            ..self.clone()
        }
    }

    /// In whose name it speaks.
    #[must_use]
    pub fn bearer(&self) -> Option<SecretString> {
        self.bearer.clone()
    }

    /// The server's address, without a slash at its end: also the audience of tokens for it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(super) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Call {
            client: self,
            repeats: method == Method::GET,
            method,
            url,
            bearer: self.bearer.clone(),
            body: None,
            headers: HeaderMap::new(),
            extra: Duration::ZERO,
        }
    }
}

/// Asks a CI's token service for an identity token: `GET URL&audience=AUDIENCE` with a bearer, as GitHub documents it
/// ("OpenID Connect reference"). The answer is `{"value": TOKEN}`.
///
/// # Errors
/// [`ClientError`], whose messages take the service for a team server.
pub async fn service_token(
    url: &str,
    bearer: &SecretString,
    audience: &str,
    options: &ClientOptions,
) -> Result<SecretString, ClientError> {
    #[derive(serde::Deserialize)]
    struct Issued {
        value: String,
    }
    let mut url = address::parse_with_query(url)?;
    url.query_pairs_mut().append_pair("audience", audience);
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let client = ApiClient::at(base, options)?;
    let mut call = client.call(Method::GET, &[]).bearer(bearer);
    call.url = url;
    let issued: Issued = call.read().await?;
    Ok(SecretString::new(issued.value))
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiClient")
            .field("url", &self.url())
            .field("has_bearer", &self.bearer.is_some())
            .finish_non_exhaustive()
    }
}

/// One call, being prepared.
pub(super) struct Call<'a> {
    client: &'a ApiClient,
    method: Method,
    url: Url,
    bearer: Option<SecretString>,
    body: Option<Vec<u8>>,
    headers: HeaderMap,
    /// Whether it may be repeated after the server has seen it.
    repeats: bool,
    extra: Duration,
}

/// What came back, read whole.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    is_json: bool,
    is_problem: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Call<'_> {
    pub(super) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn bearer(mut self, token: &SecretString) -> Self {
        self.bearer = Some(token.clone());
        self
    }

    /// The server may take this much longer.
    pub(super) fn waiting(mut self, extra: Duration) -> Self {
        self.extra = extra;
        self
    }

    pub(super) fn json<T: Serialize>(mut self, body: &T) -> Result<Self, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(|error| ClientError::Setup {
            reason: error.to_string(),
        })?;
        self.body = Some(bytes);
        Ok(self)
    }

    /// Sends it and reads a JSON answer.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let url = self.client.url().to_owned();
        let answer = self.send().await?;
        let status = answer.status.as_u16();
        if !answer.is_json {
            return Err(not_a_server(&url, status, "the answer is not JSON"));
        }
        // The parser's message may quote the answer, which may hold a token.
        serde_json::from_slice(&answer.body).map_err(|error| {
            let place = format!(
                "the answer is not what it should be at line {}, column {}",
                error.line(),
                error.column()
            );
            not_a_server(&url, status, &place)
        })
    }

    /// Sends it and wants no content.
    pub(super) async fn finish(self) -> Result<(), ClientError> {
        self.send().await.map(|_| ())
    }

    /// The answer if it is a good one, after repetitions.
    async fn send(self) -> Result<Answer, ClientError> {
        let limit = self.client.time_limit + self.extra;
        let deadline = Instant::now() + limit;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = tokio::time::timeout_at(deadline, self.once()).await;
            let (error, wait) = match outcome {
                Err(_) => return Err(self.timed_out(limit)),
                Ok(Ok(answer)) if answer.status.is_success() => return Ok(answer),
                Ok(Ok(answer)) => {
                    let wait = answer.retry_after;
                    let error = self.refused(&answer);
                    // What was one too many was not carried out (RFC 6585 section 4).
                    let may_repeat = self.repeats || answer.status == StatusCode::TOO_MANY_REQUESTS;
                    if !may_repeat || !is_passing(answer.status, &error) {
                        return Err(error);
                    }
                    (error, wait)
                }
                Ok(Err(Lost { error, never_sent })) => {
                    if !never_sent && !self.repeats {
                        return Err(error);
                    }
                    (error, None)
                }
            };
            let wait = wait.unwrap_or_else(|| backoff(attempt));
            if attempt == ATTEMPTS || wait > LONGEST_WAIT || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tracing::debug!("asking again in {} ms: {error}", wait.as_millis());
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self) -> Result<Answer, Lost> {
        let mut request = self
            .client
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &self.body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        self.read_answer(response).await
    }

    async fn read_answer(&self, mut response: Response) -> Result<Answer, Lost> {
        let content_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase())
            .unwrap_or_default();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        let expected = response.content_length().unwrap_or(0);
        let mut body = Zeroizing::new(Vec::with_capacity(
            usize::try_from(expected).unwrap_or(0).min(ANSWER_LIMIT),
        ));
        while let Some(part) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + part.len() > ANSWER_LIMIT {
                return Err(Lost {
                    error: ClientError::TooLarge {
                        url: self.client.url().to_owned(),
                        limit: ANSWER_LIMIT,
                    },
                    never_sent: false,
                });
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status: response.status(),
            retry_after,
            is_json: content_type == "application/json",
            is_problem: content_type == "application/problem+json",
            body,
        })
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        Lost {
            error: ClientError::Unreachable {
                url: self.client.url().to_owned(),
                reason: chain(error),
            },
            never_sent: error.is_connect(),
        }
    }

    fn timed_out(&self, limit: Duration) -> ClientError {
        ClientError::TimedOut {
            url: self.client.url().to_owned(),
            limit,
        }
    }

    /// The error that an answer stands for.
    fn refused(&self, answer: &Answer) -> ClientError {
        let status = answer.status;
        if answer.is_problem
            && let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body)
        {
            return ClientError::Problem(Box::new(problem));
        }
        let reason = if status.is_redirection() {
            format!("it sends elsewhere (status {})", status.as_u16())
        } else {
            format!("it answers with status {}", status.as_u16())
        };
        not_a_server(self.client.url(), status.as_u16(), &reason)
    }
}

/// No answer.
struct Lost {
    error: ClientError,
    /// No connection came about, so the server knows nothing of the call.
    never_sent: bool,
}

fn not_a_server(url: &str, status: u16, reason: &str) -> ClientError {
    ClientError::NotAServer {
        url: url.to_owned(),
        status,
        reason: reason.to_owned(),
    }
}

/// Whether another try may well succeed.
fn is_passing(status: StatusCode, error: &ClientError) -> bool {
    let lasting = matches!(
        error.code(),
        Some(ProblemCode::Frozen | ProblemCode::QuietTime | ProblemCode::TooManyPending)
    );
    !lasting && matches!(status.as_u16(), 408 | 425 | 429 | 502 | 503 | 504)
}

/// 200 ms, doubled each time, of which a random half is left out so that many clients do not come at once.
fn backoff(attempt: u32) -> Duration {
    let most = 200_u64 << attempt.min(5);
    Duration::from_millis(rand::rng().random_range(most / 2..=most))
}

/// The messages of an error and its causes, each once, without the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    let mut current = error.source().or(Some(error));
    while let Some(error) = current {
        let message = error.to_string();
        if messages.last().is_none_or(|last| !last.contains(&message)) {
            messages.push(message);
        }
        current = error.source();
    }
    messages.join(": ")
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 4;
/// A server that wants more patience than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
