//! Addresses of servers: which are accepted, and their one spelling.

use std::net::IpAddr;

use reqwest::Url;

use super::ClientError;

/// Reads the address of a server: `https://HOST[:PORT][/PATH]`, or http if the host is loopback.
///
/// A token would be readable on the way to a plain http address, so there is none but on this machine.
pub(super) fn parse(text: &str) -> Result<Url, ClientError> {
    let wrong = |reason: &str| ClientError::Address {
        url: shown(text),
        reason: reason.to_owned(),
    };
    let mut url = parse_with_query(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("there is a `?` or a `#` in it"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The same, but with a query, and kept as it stands.
pub(super) fn parse_with_query(text: &str) -> Result<Url, ClientError> {
    let wrong = |reason: &str| ClientError::Address {
        url: shown(text),
        reason: reason.to_owned(),
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(wrong("plain http is for this machine only: use https")),
        _ => return Err(wrong("it does not begin with `https://`")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("there is a user or a password in it"));
    }
    Ok(url)
}

/// Whether an address means this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || literal
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An address for a message, without what may be a password.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(200).collect();
    let rest = text.split_once('@').map(|(_, rest)| format!("…@{rest}"));
    rest.unwrap_or(text).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_are_accepted_in_one_spelling() {
        for (text, expected) in [
            ("https://Fnox.Example.com/", "https://fnox.example.com/"),
            ("https://h.example/fnox/", "https://h.example/fnox"),
            ("http://127.0.0.1:8443", "http://127.0.0.1:8443/"),
            ("http://[::1]:1", "http://[::1]:1/"),
            (" http://localhost:1/ ", "http://localhost:1/"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_would_carry_tokens_in_the_open_is_refused() {
        for text in [
            "http://fnox.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "fnox.example.com",
            "https://user:hunter2@h.example",
            "https://h.example/?a=b",
            "https://h.example/#a",
            "",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
