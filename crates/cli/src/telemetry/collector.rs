//! `[telemetry]` of server.toml and gateway.toml, `[proxy.telemetry]` of fnox.toml: which collector, and what it wants to be told with every delivery.
//!
//! Headers hold the credentials of a hosted collector. They come from a file that only few people can read, are sent
//! to no other origin, and not in clear over a network.

use std::fmt;
use std::path::Path;

use fnox_config::Fields;
use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};

use super::running::{self, Telemetry};
use crate::error::CliError;
use crate::server::error::{ServerFailure, StartProblem};
use crate::server::private;

/// What OTLP adds to a collector's address (OTLP specification, "OTLP/HTTP Request").
const PATH: &str = "v1/traces";

/// Where traces go.
pub(crate) struct Collector {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

impl Collector {
    /// What the table says, if it is there. Reads the file of headers.
    pub(crate) fn read(
        _name: &str,
        table: Option<&Fields>,
        home: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        let Some(table) = table else { return Ok(None) };
        let url = table
            .text("endpoint")
            .ok_or("is missing".to_owned())
            .and_then(traces_url)
            .map_err(|reason| table.invalid("endpoint", reason))?;
        let headers = headers(table, home)?;
        if !headers.is_empty() && url.scheme() == "http" && !is_loopback(&url) {
            let reason = "holds credentials, which `endpoint` would get in clear over the network: use https";
            return Err(table.invalid("headers_file", reason).into());
        }
        Ok(Some(Self { url, headers }))
    }

    /// Begins to send. Needs a runtime.
    pub(crate) fn start(self) -> Result<Telemetry, CliError> {
        running::start(self).map_err(|reason| {
            let message = format!("traces cannot be sent: {reason}");
            ServerFailure::start(StartProblem::Settings, message)
                .with_help("correct the table [telemetry], or take it out")
                .into()
        })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Collector")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// The address that takes traces, below that of the collector.
fn traces_url(text: &str) -> Result<Url, String> {
    // What follows may be a credential, so it is not shown.
    let mut url = Url::parse(text)
        .map_err(|error| format!("is not an address such as http://127.0.0.1:4318: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("must have no credentials in it: put them into `headers_file`".to_owned());
    }
    url.set_fragment(None);
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{PATH}"));
    Ok(url)
}

fn headers(table: &Fields, home: Option<&Path>) -> Result<HeaderMap, CliError> {
    let mut headers = HeaderMap::new();
    let Some(path) = table.path("headers_file", home) else {
        return Ok(headers);
    };
    let text = private::read(&path, "`headers_file`")?;
    for (index, line) in text.expose_secret().lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = header(line).map_err(|reason| {
            let message = format!("{}, line {}: {reason}", path.display(), index + 1);
            ServerFailure::start(StartProblem::Key, message)
                .with_help("write one header a line: `Authorization: Bearer …`")
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = line
        .split_once(':')
        .ok_or("there is no colon after a header's name")?;
    let name: HeaderName = name
        .trim()
        .parse()
        .map_err(|_| "what is before the colon is not a header's name")?;
    if [CONTENT_TYPE, CONTENT_LENGTH, HOST].contains(&name) {
        return Err("that header is set by fnox");
    }
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| "the value has characters that no header can have")?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Whether an address means this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || literal
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_address_of_the_collector() {
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            (
                "https://otlp.example.com/",
                "https://otlp.example.com/v1/traces",
            ),
            (
                "https://example.com/otlp/",
                "https://example.com/otlp/v1/traces",
            ),
        ] {
            assert_eq!(traces_url(text).unwrap().as_str(), url);
        }
    }

    #[test]
    fn an_address_that_is_none_or_holds_credentials_is_refused() {
        for text in [
            "",
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317",
            "https://user:hunter2@example.com",
            "https://example.com/?api-key=hunter2",
        ] {
            let reason = traces_url(text).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value_that_no_debug_output_shows() {
        let (name, value) = header("Authorization: Bearer a:b").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer a:b"[..])
        );
        assert!(!format!("{value:?}").contains("Bearer"));
        for line in [
            "hunter2",
            "a b: hunter2",
            "a: \u{7f}hunter2",
            "Host: hunter2",
        ] {
            assert!(!header(line).unwrap_err().contains("hunter2"));
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", true),
            ("http://[::1]:4318", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }
}
