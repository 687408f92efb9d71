//! Addresses of services, from the configuration or the environment.

use reqwest::Url;

use crate::error::CallError;

/// An address of a service from the configuration or the environment: `https`, or `http` on this machine.
///
/// # Errors
/// [`CallError`] of the kind `Misconfigured` that names the key.
pub fn of_key(key: &'static str, text: &str) -> Result<Url, CallError> {
    parse(text).map_err(|reason| CallError::misconfigured(key, format!("`{key}` {reason}")))
}

/// The same for a check of the configuration.
///
/// # Errors
/// The reason why it is not acceptable, to follow the key.
pub fn parse(text: &str) -> Result<Url, String> {
    parse_with(text, is_loopback)
}

/// The same for a service that a cloud offers to its own machine: `http` also at a link-local address, such as that of a
/// metadata service. What is sent there does not leave the machine's own link (RFC 3927 section 2.7).
///
/// # Errors
/// The reason why it is not acceptable, to follow the key.
pub fn parse_of_machine(text: &str) -> Result<Url, String> {
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
#[must_use]
pub fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Whether it is on this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// `169.254.0.0/16`, written as a number: a name could lead anywhere.
pub(crate) fn is_link_local(url: &Url) -> bool {
    url.host_str()
        .and_then(|host| host.parse::<std::net::Ipv4Addr>().ok())
        .is_some_and(|address| address.is_link_local())
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
            let error = of_key("endpoint", wrong).unwrap_err();
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
