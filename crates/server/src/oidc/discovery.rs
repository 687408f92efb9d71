//! Where an issuer keeps its keys (OpenID Connect Discovery 1.0, section 4).

use reqwest::Url;
use serde_json::Value;

use super::error::quoted;
use super::fetch::{Fetcher, Origin};
use super::json;

/// The address of an issuer's document.
pub(super) fn document_address(issuer: &str) -> Result<Url, String> {
    let url = Url::parse(issuer).map_err(|error| format!("is no address: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".to_owned());
    }
    // Section 4.1: a slash at the end is taken away first.
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.strip_suffix('/').unwrap_or(issuer)
    );
    Url::parse(&address).map_err(|error| format!("is no address: {error}"))
}

/// Asks the issuer where its keys are.
pub(super) async fn keys_address(fetcher: &Fetcher, issuer: &str) -> Result<Url, String> {
    let address = document_address(issuer)?;
    let answer = fetcher
        .get(&address)
        .await
        .map_err(|error| error.to_string())?;
    read(&answer.body, issuer, &address, fetcher).map_err(|why| format!("{address}: {why}"))
}

fn read(body: &[u8], issuer: &str, address: &Url, fetcher: &Fetcher) -> Result<Url, String> {
    let document = json::parse(body).map_err(|error| format!("not as JSON should be: {error}"))?;
    let member = |name: &str| match document.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(format!(
            "`{name}` is {} instead of a text",
            json::kind(other)
        )),
        None => Err(format!("`{name}` is missing")),
    };
    // Section 4.3: byte by byte. Otherwise one issuer could speak for another.
    let says = member("issuer")?;
    if says != issuer {
        return Err(format!(
            "`issuer` is {} instead of {}",
            quoted(says),
            quoted(issuer)
        ));
    }
    let text = member("jwks_uri")?;
    let url = Url::parse(text).map_err(|error| format!("`jwks_uri` is no address: {error}"))?;
    let origin = fetcher
        .check(&url)
        .map_err(|error| format!("`jwks_uri`: {error}"))?;
    let same = Origin::of(address).is_ok_and(|own| own == origin);
    if !same && !fetcher.is_allowed(&url) {
        return Err(format!(
            "`jwks_uri` is at another host; list {origin} in `allow_origins` if it is meant"
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::fetch::Network;
    use super::*;

    fn keys_at(document: &str) -> Result<Url, String> {
        let issuer = "https://issuer.example/a";
        let fetcher = Fetcher::new(
            Network::default(),
            vec![
                Origin::parse("https://keys.example").unwrap(),
                Origin::parse("http://127.0.0.1:9").unwrap(),
            ],
        );
        let address = document_address(issuer).unwrap();
        read(document.as_bytes(), issuer, &address, &fetcher)
    }

    fn with_keys(address: &str) -> Result<Url, String> {
        keys_at(&format!(
            r#"{{"issuer":"https://issuer.example/a","jwks_uri":"{address}","x":1}}"#
        ))
    }

    #[test]
    fn the_document_is_below_the_issuer() {
        for (issuer, document) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/x/y",
                "https://a.example/x/y/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(document_address(issuer).unwrap().as_str(), document);
        }
        for issuer in ["", "issuer", "https://a.example?x", "https://a.example#x"] {
            assert!(document_address(issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn keys_are_at_the_issuer_or_where_the_settings_say() {
        for fine in [
            "https://issuer.example/keys",
            "https://keys.example/keys",
            "http://127.0.0.1:9/keys",
        ] {
            assert_eq!(with_keys(fine).unwrap().as_str(), fine);
        }
        for bad in [
            "http://issuer.example/keys",
            "https://issuer.example:8443/keys",
            "https://issuer.example.evil.example/keys",
            "https://evil.example/keys",
            "https://keys.example:8443/keys",
            "http://127.0.0.1:10/keys",
            "http://169.254.169.254/latest",
            "https://user@issuer.example/keys",
            "file:///etc/passwd",
            "/keys",
            "",
        ] {
            assert!(with_keys(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_speaks_only_for_itself() {
        for issuer in [
            r#""https://issuer.example/a/""#,
            r#""https://issuer.example""#,
            r#""https://ISSUER.example/a""#,
            r#"["https://issuer.example/a"]"#,
            "null",
        ] {
            let document =
                format!(r#"{{"issuer":{issuer},"jwks_uri":"https://issuer.example/keys"}}"#);
            assert!(
                keys_at(&document).unwrap_err().contains("`issuer`"),
                "{issuer}"
            );
        }
        assert!(keys_at(r#"{"issuer":"https://issuer.example/a"}"#).is_err());
        assert!(keys_at("[]").is_err());
        assert!(keys_at("<html>").is_err());
    }
}
