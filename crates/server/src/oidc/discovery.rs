//! Where an issuer keeps its keys, and where people log in (OpenID Connect Discovery 1.0, section 4).

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
    let (address, body) = fetch(fetcher, issuer).await?;
    Document::read(&body, issuer, &address, fetcher)
        .and_then(|document| document.server("jwks_uri"))
        .map_err(|why| format!("{address}: {why}"))
}

/// Where people log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    /// Where their browsers are sent to.
    pub(super) authorization: Url,
    /// Where this server exchanges codes.
    pub(super) token: Url,
    /// Whether the client's secret goes into the body (`client_secret_post`), not into a header.
    pub(super) secret_in_body: bool,
}

/// Asks the issuer where people log in.
pub(super) async fn endpoints(fetcher: &Fetcher, issuer: &str) -> Result<Endpoints, String> {
    let (address, body) = fetch(fetcher, issuer).await?;
    Document::read(&body, issuer, &address, fetcher)
        .and_then(|document| document.endpoints())
        .map_err(|why| format!("{address}: {why}"))
}

async fn fetch(fetcher: &Fetcher, issuer: &str) -> Result<(Url, Vec<u8>), String> {
    let address = document_address(issuer)?;
    let answer = fetcher
        .get(&address)
        .await
        .map_err(|error| error.to_string())?;
    Ok((address, answer.body))
}

/// An issuer's document, which speaks for this issuer and no other.
struct Document<'a> {
    members: Value,
    address: &'a Url,
    fetcher: &'a Fetcher,
}

impl<'a> Document<'a> {
    fn read(
        body: &[u8],
        issuer: &str,
        address: &'a Url,
        fetcher: &'a Fetcher,
    ) -> Result<Self, String> {
        let members =
            json::parse(body).map_err(|error| format!("not as JSON should be: {error}"))?;
        let document = Self {
            members,
            address,
            fetcher,
        };
        // Section 4.3: byte by byte. Otherwise one issuer could speak for another.
        let says = document.text("issuer")?;
        if says != issuer {
            return Err(format!(
                "`issuer` is {} instead of {}",
                quoted(says),
                quoted(issuer)
            ));
        }
        Ok(document)
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        match self.members.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(other) => Err(format!(
                "`{name}` is {} instead of a text",
                json::kind(other)
            )),
            None => Err(format!("`{name}` is missing")),
        }
    }

    /// An address that browsers may be sent to: of any host, since whoever speaks for the issuer could send them on
    /// anyway.
    fn browser(&self, name: &str) -> Result<(Url, Origin), String> {
        let url = Url::parse(self.text(name)?)
            .map_err(|error| format!("`{name}` is no address: {error}"))?;
        let origin = self
            .fetcher
            .check(&url)
            .map_err(|error| format!("`{name}`: {error}"))?;
        Ok((url, origin))
    }

    /// An address that this server may connect to: of the issuer's host, or listed.
    fn server(&self, name: &str) -> Result<Url, String> {
        let (url, origin) = self.browser(name)?;
        let same = Origin::of(self.address).is_ok_and(|own| own == origin);
        if !same && !self.fetcher.is_allowed(&url) {
            return Err(format!(
                "`{name}` is at another host; list {origin} in `allow_origins` if it is meant"
            ));
        }
        Ok(url)
    }

    fn endpoints(&self) -> Result<Endpoints, String> {
        // Section 3: without a list it is `client_secret_basic`.
        let methods = self.members.get("token_endpoint_auth_methods_supported");
        let knows = |method: &str| {
            methods
                .and_then(Value::as_array)
                .is_some_and(|methods| methods.iter().any(|it| it == method))
        };
        Ok(Endpoints {
            authorization: self.browser("authorization_endpoint")?.0,
            token: self.server("token_endpoint")?,
            secret_in_body: knows("client_secret_post") && !knows("client_secret_basic"),
        })
    }
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
        Document::read(document.as_bytes(), issuer, &address, &fetcher)?.server("jwks_uri")
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

    fn endpoints_of(members: &str) -> Result<Endpoints, String> {
        let issuer = "https://issuer.example";
        let fetcher = Fetcher::new(Network::default(), Vec::new());
        let address = document_address(issuer).unwrap();
        let document = format!(r#"{{"issuer":"{issuer}",{members}}}"#);
        Document::read(document.as_bytes(), issuer, &address, &fetcher)?.endpoints()
    }

    #[test]
    fn codes_are_exchanged_at_the_issuer_only() {
        let fine = endpoints_of(
            r#""authorization_endpoint":"https://login.example/a?x=1","token_endpoint":"https://issuer.example/t""#,
        )
        .unwrap();
        assert_eq!(fine.authorization.as_str(), "https://login.example/a?x=1");
        assert!(!fine.secret_in_body);
        for (authorization, token) in [
            ("https://issuer.example/a", "https://evil.example/t"),
            ("https://issuer.example/a", "http://issuer.example/t"),
            ("https://issuer.example/a", "http://169.254.169.254/t"),
            ("http://issuer.example/a", "https://issuer.example/t"),
            ("javascript:alert(1)", "https://issuer.example/t"),
            ("https://issuer.example/a#x", "https://issuer.example/t"),
            ("/a", "https://issuer.example/t"),
        ] {
            let members =
                format!(r#""authorization_endpoint":"{authorization}","token_endpoint":"{token}""#);
            assert!(endpoints_of(&members).is_err(), "{members}");
        }
        assert!(endpoints_of(r#""token_endpoint":"https://issuer.example/t""#).is_err());
    }

    #[test]
    fn the_secret_is_in_the_body_only_where_the_header_is_not_known() {
        let with = |methods: &str| {
            endpoints_of(&format!(
                r#""authorization_endpoint":"https://issuer.example/a","token_endpoint":"https://issuer.example/t",
                "token_endpoint_auth_methods_supported":{methods}"#
            ))
            .unwrap()
            .secret_in_body
        };
        assert!(with(r#"["client_secret_post", "private_key_jwt"]"#));
        assert!(!with(r#"["client_secret_post", "client_secret_basic"]"#));
        assert!(!with("[]"));
    }
}
