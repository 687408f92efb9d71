//! One POST to a configured address.
//!
//! HTTPS, or plain HTTP on this machine only; no redirects, so that a token goes nowhere else; limits on time and on
//! what is read. A proxy of the environment (`HTTPS_PROXY`) is used for other machines. The address itself is never
//! part of an error: a webhook's path is a secret.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::error::Again;
use super::topic::is_loopback;
use super::{NotifyError, NotifySetupError, shorten, visible};

/// Where messages go.
#[derive(Clone)]
pub(super) struct Target {
    channel: &'static str,
    url: Url,
    client: Client,
}

impl Target {
    /// Checks the address and sets the client up.
    pub(super) fn new(channel: &'static str, url: &str) -> Result<Self, NotifySetupError> {
        let url = parse(channel, url)?;
        // The first provider of a process stays; reqwest has none of its own here.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            .https_only(url.scheme() == "https")
            .referer(false)
            .user_agent(concat!("fnox/", env!("CARGO_PKG_VERSION")));
        if is_loopback(url.host_str().unwrap_or_default()) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| NotifySetupError::Client {
            channel,
            problem: causes(&error.without_url()),
        })?;
        Ok(Self {
            channel,
            url,
            client,
        })
    }

    /// The host's name.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Scheme, host and port.
    pub(super) fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// A request that only lacks headers.
    pub(super) fn post(&self, body: String) -> RequestBuilder {
        self.client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(body)
    }

    /// Sends it; anything but a 2xx is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<(), NotifyError> {
        let answer = request.send().await.map_err(|error| self.lost(error))?;
        let status = answer.status();
        let retry_after = retry_after(&answer);
        let text = read(answer).await.unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        Err(NotifyError::Refused {
            channel: self.channel,
            place: self.place(),
            status: status.as_u16(),
            answer: shorten(&visible(&String::from_utf8_lossy(&text)), ANSWER_SHOWN),
            again: again(status, retry_after),
        })
    }

    fn lost(&self, error: reqwest::Error) -> NotifyError {
        NotifyError::Unreachable {
            channel: self.channel,
            place: self.place(),
            problem: causes(&error.without_url()),
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Target")
            .field(&self.place())
            .finish()
    }
}

fn parse(channel: &'static str, url: &str) -> Result<Url, NotifySetupError> {
    let refuse = |problem| NotifySetupError::Address { channel, problem };
    let parsed = Url::parse(url).map_err(|_| refuse("is no URL"))?;
    let host = parsed.host_str().ok_or_else(|| refuse("has no host"))?;
    match parsed.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => return Err(refuse("is http:// and not on this machine")),
        _ => return Err(refuse("is neither https:// nor http://")),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("has a user name or a password in it"));
    }
    if parsed.fragment().is_some() {
        return Err(refuse("has a # in it"));
    }
    Ok(parsed)
}

/// Which refusals are worth another attempt: RFC 9110, section 15.5.9, RFC 6585, section 4, RFC 8470, section 5.2.
fn again(status: StatusCode, retry_after: Option<Duration>) -> Again {
    let transient = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    match retry_after {
        _ if !transient => Again::Never,
        Some(pause) => Again::After(pause),
        None => Again::Soon,
    }
}

/// In seconds; the form with a date is rare, and the own pause does for it.
fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of an answer. The rest is not read.
async fn read(mut answer: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_LIMIT {
        match answer.chunk().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT)]),
            None => break,
        }
    }
    Ok(bytes)
}

/// An error with what caused it: the outermost text alone says little.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    shorten(&visible(&text), ANSWER_SHOWN)
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(15);
const ANSWER_LIMIT: usize = 16 * 1024;
const ANSWER_SHOWN: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine() {
        for good in [
            "https://ntfy.sh",
            "http://127.0.0.1:8080/",
            "http://localhost/x",
            "http://[::1]:9/",
        ] {
            assert!(parse("ntfy", good).is_ok(), "{good}");
        }
        for bad in [
            "http://ntfy.sh",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.com/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https://user:word@ntfy.sh/",
            "https://ntfy.sh/#x",
            "ntfy.sh",
            "",
        ] {
            assert!(parse("ntfy", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_output_has_no_path() {
        let target = Target::new("slack", "https://hooks.example.com/services/T0/B0/word").unwrap();
        assert_eq!(
            format!("{target:?}"),
            "Target(\"https://hooks.example.com\")"
        );
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let one = Duration::from_secs(1);
        assert_eq!(again(StatusCode::FORBIDDEN, Some(one)), Again::Never);
        assert_eq!(again(StatusCode::FOUND, None), Again::Never);
        assert_eq!(again(StatusCode::BAD_GATEWAY, None), Again::Soon);
        assert_eq!(
            again(StatusCode::TOO_MANY_REQUESTS, Some(one)),
            Again::After(one)
        );
    }
}
