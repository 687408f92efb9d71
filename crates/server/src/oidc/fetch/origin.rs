//! Scheme, host and port, compared as a whole.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// Where something is served: `https://issuer.example:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    encrypted: bool,
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Origin {
    /// Reads an origin as somebody lists it. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no origin: {error}"))?;
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(format!(
                "{text:?} is no origin: it has only scheme, host and port"
            ));
        }
        let origin = Self::of(&url)?;
        if !origin.encrypted && !origin.is_loopback() {
            return Err(format!(
                "{text:?} is plain http: only loopback may be (127.0.0.0/8, ::1, localhost)"
            ));
        }
        Ok(origin)
    }

    /// The origin of an address.
    pub fn of(url: &Url) -> Result<Self, String> {
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(format!("{other:?} is neither https nor http")),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("it has no host".to_owned());
        };
        // Addresses of version 6 stand in brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            encrypted,
            // A name and the same name with a dot at its end are the same host.
            host: host.strip_suffix('.').unwrap_or(host).to_owned(),
            address: bare.parse().ok(),
            port,
        })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether it names this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.address {
            Some(address) => address.is_loopback(),
            None => self.host == "localhost",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_host_and_port_all_count() {
        let listed = Origin::parse("https://issuer.example:8443").unwrap();
        for same in [
            "https://ISSUER.example:8443/a?b",
            "https://issuer.example.:8443",
        ] {
            assert_eq!(Origin::of(&Url::parse(same).unwrap()).unwrap(), listed);
        }
        for other in [
            "https://issuer.example",
            "https://issuer.example:8444",
            "http://issuer.example:8443",
            "https://issuer.example.evil:8443",
        ] {
            assert_ne!(
                Origin::of(&Url::parse(other).unwrap()).unwrap(),
                listed,
                "{other}"
            );
        }
        assert_eq!(
            Origin::parse("https://a.example").unwrap(),
            Origin::parse("https://a.example:443/").unwrap()
        );
    }

    #[test]
    fn origins_are_only_origins() {
        for text in [
            "issuer.example",
            "https://",
            "https://a.example/path",
            "https://a.example?x",
            "https://a.example#x",
            "https://user@a.example",
            "ftp://a.example",
            "http://a.example",
            "http://10.0.0.1:80",
            "http://localhost.evil.example",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
        for text in [
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "http://localhost:9",
            "http://127.9.9.9",
        ] {
            assert!(Origin::parse(text).is_ok(), "{text}");
        }
    }
}
