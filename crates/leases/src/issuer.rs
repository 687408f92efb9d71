//! Calls to issuers over HTTP, for every mint alike.
//!
//! One connect limit and one limit for everything that a mint does, repetitions and waiting included; answers of
//! 1 MiB at most; no redirects; TLS except on this machine. A call that may have issued something is not
//! repeated once the issuer can have seen it, and its failure says that something may exist. Messages never
//! hold a master, a token or a query.

mod answer;
mod call;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use fnox_core::SecretString;
use reqwest::{StatusCode, Url};
use tokio::time::Instant;

pub(crate) use self::answer::Answer;
pub(crate) use self::call::Call;
use crate::mint::{MintContext, MintError};

/// Largest answer that is read.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// How often a call is made at most.
const ATTEMPTS: u32 = 4;

/// One issuer during one operation of a mint. The clock of the operation starts with [`Issuer::new`].
pub(crate) struct Issuer {
    name: String,
    remote: reqwest::Client,
    local: reqwest::Client,
    limit: Duration,
    deadline: Instant,
    masters: Vec<SecretString>,
}

impl Issuer {
    /// `name` is what messages call it, such as `GitHub`. `ca_file` has certificates that are trusted besides
    /// the machine's own.
    ///
    /// # Errors
    /// [`MintError`] if the file has no certificates.
    pub(crate) fn new(
        name: &str,
        context: &MintContext,
        ca_file: Option<&Path>,
    ) -> Result<Self, MintError> {
        let client = |is_local: bool| client(name, context, ca_file, is_local);
        Ok(Self {
            name: name.to_owned(),
            remote: client(false)?,
            local: client(true)?,
            limit: context.call_limit,
            deadline: Instant::now() + context.call_limit,
            masters: context.masters.clone(),
        })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Keeps a secret out of messages from now on, as the masters are.
    pub(crate) fn hide(&mut self, secret: &SecretString) {
        self.masters.push(secret.clone());
    }

    /// Makes a call. Answers that mean "later" (408, 425, 429, 5xx) are asked for again where that is safe and are errors
    /// in the end; all others, refusals too, are the caller's to judge.
    ///
    /// # Errors
    /// [`MintError`] of the kind `Unavailable`.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, MintError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = tokio::time::timeout_at(self.deadline, self.once(&call)).await;
            let (error, wait) = match outcome {
                Err(_) => return Err(self.timed_out(&call)),
                Ok(Ok(answer)) if !is_passing(answer.status) => return Ok(answer),
                Ok(Ok(answer)) => {
                    let wait = answer.retry_after;
                    let error = self.later(&answer, &call);
                    // "Too many requests" is said before anything is done.
                    if call.issues && answer.status != StatusCode::TOO_MANY_REQUESTS {
                        return Err(error);
                    }
                    (error, wait)
                }
                Ok(Err(lost)) => {
                    let never_sent = lost.never_sent;
                    let error = self.lost(lost, &call);
                    if call.issues && !never_sent {
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
        Answer::read(response, ANSWER_LIMIT).await
    }

    /// Text from the issuer for people, see [`cleaned`].
    pub(crate) fn cleaned(&self, text: &str) -> String {
        cleaned(text, &self.masters)
    }

    fn timed_out(&self, call: &Call) -> MintError {
        call.mark(MintError::unavailable(format!(
            "{} did not answer within {} s",
            self.name,
            self.limit.as_secs()
        )))
    }

    fn later(&self, answer: &Answer, call: &Call) -> MintError {
        let status = answer.status.as_u16();
        if status == 429 {
            return MintError::unavailable(format!(
                "{} says that it was asked too often (status 429)",
                self.name
            ))
            .with_remedy("wait a little and try again");
        }
        call.mark(MintError::unavailable(format!(
            "{} failed with status {status}{}",
            self.name,
            answer
                .said()
                .map(|said| format!(": {}", self.cleaned(&said)))
                .unwrap_or_default()
        )))
    }

    fn lost(&self, lost: Lost, call: &Call) -> MintError {
        let host = call.url.host_str().unwrap_or_default();
        let error = MintError::unavailable(format!(
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

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Text from an issuer for people: one line, without control characters and masters, 300 characters at most.
pub(crate) fn cleaned(text: &str, masters: &[SecretString]) -> String {
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
    for master in masters {
        let value = master.expose_secret();
        // Short values would blot out ordinary words.
        if value.len() >= 6 && clean.contains(value) {
            clean = clean.replace(value, "[redacted]");
        }
    }
    clean.trim().chars().take(300).collect()
}

/// An address of an issuer from the configuration or the environment: `https`, or `http` on this machine.
///
/// # Errors
/// [`MintError`] of the kind `Misconfigured` that names the key.
pub(crate) fn address(key: &'static str, text: &str) -> Result<Url, MintError> {
    parse(text).map_err(|reason| MintError::misconfigured(key, format!("`{key}` {reason}")))
}

/// The same for a check of the configuration: the reason why it is not acceptable, to follow the key.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    parse_with(text, is_loopback)
}

/// The same for a service that a cloud offers to its own machine: `http` also at a link-local address, such as that of a
/// metadata service. What is sent there does not leave the machine's own link (RFC 3927 section 2.7).
pub(crate) fn parse_of_machine(text: &str) -> Result<Url, String> {
    parse_with(text, |url| is_loopback(url) || is_link_local(url))
}

fn parse_with(text: &str, is_near: impl Fn(&Url) -> bool) -> Result<Url, String> {
    let shown = text.escape_debug();
    let url = Url::parse(text).map_err(|_| format!("is not a URL: {shown}"))?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_near(&url));
    if !is_safe || url.host_str().is_none() {
        return Err(format!(
            "must be an `https://` URL (`http://` only on this machine): {shown}"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must have neither a user nor a fragment".to_owned());
    }
    Ok(url)
}

/// A URL below a base: `base` with these segments, each percent-encoded as one.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// `169.254.0.0/16`, written as a number: a name could lead anywhere.
fn is_link_local(url: &Url) -> bool {
    url.host_str()
        .and_then(|host| host.parse::<std::net::Ipv4Addr>().ok())
        .is_some_and(|address| address.is_link_local())
}

fn client(
    name: &str,
    context: &MintContext,
    ca_file: Option<&Path>,
    is_local: bool,
) -> Result<reqwest::Client, MintError> {
    // A second call finds the provider of the first one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(context.connect_limit)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
    builder = if is_local {
        builder.no_proxy()
    } else {
        builder.https_only(true)
    };
    if let Some(path) = ca_file {
        let unusable = |reason: &str| {
            MintError::authentication(format!(
                "the certificates of {} cannot be used: {reason}",
                path.display()
            ))
        };
        let pem = std::fs::read(path).map_err(|error| unusable(&error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| unusable(&error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("there is none in it"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| MintError::unavailable(format!("{name} cannot be called: {error}")))
}

/// No answer.
#[derive(Debug)]
struct Lost {
    reason: String,
    /// No connection came about, so the issuer knows nothing of the call.
    never_sent: bool,
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect() || error.is_builder();
        // The outermost message has the whole URL, query included.
        let error = error.without_url();
        let mut messages: Vec<String> = Vec::new();
        let mut current: Option<&dyn std::error::Error> =
            std::error::Error::source(&error).or(Some(&error));
        while let Some(error) = current {
            let message = error.to_string();
            if messages.last().is_none_or(|last| !last.contains(&message)) {
                messages.push(message);
            }
            current = error.source();
        }
        Self {
            reason: messages.join(": "),
            never_sent,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_taken() {
        for good in [
            "https://api.example.com/v4",
            "http://127.0.0.1:1/x",
            "http://[::1]:8/",
            "http://localhost:9",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for wrong in [
            "api.example.com",
            "http://example.com",
            "http://127.0.0.1.example.com",
            "ftp://x",
            "https://u:p@x/",
            "https://x/#f",
        ] {
            let error = address("endpoint", wrong).unwrap_err();
            assert!(error.message.starts_with("`endpoint` "), "{error}");
            assert_eq!(error.key, Some("endpoint"));
        }
    }

    #[test]
    fn a_metadata_service_is_taken_only_where_one_is_wanted() {
        let imds = "http://169.254.169.254/metadata";
        assert!(parse_of_machine(imds).is_ok());
        assert!(parse(imds).is_err());
        assert!(parse_of_machine("http://127.0.0.1:1").is_ok());
        for wrong in [
            "http://metadata.google.internal",
            "http://169.254.169.254.x",
            "http://10.0.0.1",
        ] {
            assert!(parse_of_machine(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let base = parse("https://x/v1/").unwrap();
        assert_eq!(below(&base, &["a/b", ".."]).as_str(), "https://x/v1/a%2Fb");
        assert_eq!(
            below(&base, &["a b", "c?d"]).as_str(),
            "https://x/v1/a%20b/c%3Fd"
        );
    }
}
