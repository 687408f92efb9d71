//! Which hosts and ports a rule means.

use std::fmt;

use fnox_core::host::InvalidHost;
use fnox_core::{Host, HostPattern};

/// One host, or names below one, and the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hosts {
    pattern: HostPattern,
    /// `None`: what the pattern says, which is every port if it names none.
    default_port: Option<u16>,
    depth: Depth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Depth {
    OneLabel,
    Any,
}

impl Hosts {
    /// The port of hosts that name none.
    pub const DEFAULT_PORT: u16 = 443;

    /// Reads a host or `*.` and a host, as `fnox.toml` has them: `*` stands for one label, as in certificates
    /// (RFC 9525, section 6.3), and the port is 443 unless the text names one.
    ///
    /// # Errors
    /// [`InvalidHost`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        Self::with_port(text, Self::DEFAULT_PORT)
    }

    /// The same with another port for hosts that name none.
    ///
    /// # Errors
    /// [`InvalidHost`] with what is wrong.
    pub fn with_port(text: &str, port: u16) -> Result<Self, InvalidHost> {
        Ok(Self {
            pattern: HostPattern::parse(text)?,
            default_port: Some(port),
            depth: Depth::OneLabel,
        })
    }

    /// What a pattern of a vault's policy means: `*` stands for any number of labels, and without a port it is
    /// every port.
    #[must_use]
    pub fn of_vault(pattern: HostPattern) -> Self {
        Self {
            pattern,
            default_port: None,
            depth: Depth::Any,
        }
    }

    /// Whether `host`, whose port is known, is meant.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        let named = match &self.pattern {
            HostPattern::Exact(exact) => exact.port(),
            HostPattern::Below { port, .. } => *port,
        };
        let port = named.or(self.default_port);
        self.pattern.matches(host)
            && (port.is_none() || port == host.port())
            && self.is_deep_enough(host)
    }

    /// Whether it means names that unrelated people own.
    #[must_use]
    pub fn is_below_public_suffix(&self) -> bool {
        self.pattern.is_below_public_suffix()
    }

    fn is_deep_enough(&self, host: &Host) -> bool {
        match (&self.pattern, self.depth) {
            (HostPattern::Exact(_), _) | (_, Depth::Any) => true,
            (HostPattern::Below { suffix, .. }, Depth::OneLabel) => host
                .name()
                .strip_suffix(suffix.as_str())
                .and_then(|head| head.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.pattern)?;
        match (&self.pattern, self.default_port) {
            (HostPattern::Exact(host), Some(port))
                if host.port().is_none() && port != Self::DEFAULT_PORT =>
            {
                write!(formatter, ":{port}")
            }
            (HostPattern::Below { port: None, .. }, Some(port)) if port != Self::DEFAULT_PORT => {
                write!(formatter, ":{port}")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_label_and_the_port_is_443() {
        for (pattern, target, expected) in [
            ("api.example.com", "api.example.com:443", true),
            ("api.example.com", "api.example.com:8443", false),
            ("api.example.com:8443", "api.example.com:8443", true),
            ("api.example.com:8443", "api.example.com:443", false),
            ("*.example.com", "api.example.com:443", true),
            ("*.example.com", "example.com:443", false),
            ("*.example.com", "a.b.example.com:443", false),
            ("*.example.com", "evilexample.com:443", false),
            ("*.example.com", "api.example.com:80", false),
            ("*.example.com:80", "api.example.com:80", true),
            ("API.Example.com.", "api.example.com:443", true),
        ] {
            let matches = Hosts::parse(pattern).unwrap().matches(&host(target));
            assert_eq!(matches, expected, "{pattern} {target}");
        }
        let hosts = Hosts::with_port("*.example.com", 8080).unwrap();
        assert!(hosts.matches(&host("a.example.com:8080")));
        assert!(!hosts.matches(&host("a.example.com:443")));
        assert_eq!(hosts.to_string(), "*.example.com:8080");
    }

    #[test]
    fn a_vaults_pattern_means_what_it_means_in_the_vault() {
        let hosts = Hosts::of_vault(HostPattern::parse("*.example.com").unwrap());
        assert!(hosts.matches(&host("a.b.example.com:8443")));
        assert!(!hosts.matches(&host("example.com:443")));
    }

    #[test]
    fn no_pattern_means_every_host() {
        for text in ["*", "*.", "a.*.com", "*.1.2.3.4", "", "https://a.com"] {
            assert!(Hosts::parse(text).is_err(), "{text}");
        }
    }
}
