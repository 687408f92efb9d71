//! Which hosts a rule means.

use std::fmt;

use super::{Host, HostName, InvalidHost, LONGEST_SHOWN, Reason, split_port};
use crate::shown;

/// Which hosts a rule means: one host, or all names below one, with a port or with any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host. Without a port it means every port of it.
    Exact(Host),
    /// All names that end in `.` and this one, at any depth, but not this one itself.
    Below {
        /// What the names end in, without the leading dot.
        suffix: String,
        /// The port, or every port.
        port: Option<u16>,
    },
}

impl HostPattern {
    /// Reads an exact host or `*.suffix`, with or without `:port`.
    ///
    /// # Errors
    /// [`InvalidHost`]; `*` alone and addresses below a wildcard are not patterns.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let fail = |reason| InvalidHost {
            text: shown(text, LONGEST_SHOWN),
            reason,
        };
        let Some(rest) = text.strip_prefix("*.") else {
            return if text.contains('*') {
                Err(fail(Reason::Wildcard))
            } else {
                Host::parse(text).map(Self::Exact)
            };
        };
        if rest.contains('*') {
            return Err(fail(Reason::Wildcard));
        }
        let (name, port) = split_port(rest).map_err(fail)?;
        match HostName::parse(name).map_err(fail)? {
            HostName::Dns(suffix) => Ok(Self::Below { suffix, port }),
            HostName::Ip(_) => Err(fail(Reason::Wildcard)),
        }
    }

    /// Whether the pattern means `host`.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact.covers(host),
            Self::Below { suffix, port } => {
                (port.is_none() || *port == host.port) && host.is_below(suffix)
            }
        }
    }

    /// Whether a right for `host` would be good for something that the pattern means. That is more than
    /// [`Self::matches`] where the pattern names a port and the host does not. A rule that forbids asks this.
    #[must_use]
    pub fn touches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact.covers(host) || host.covers(exact),
            Self::Below { suffix, port } => {
                let is_this_port = port.is_none() || host.port.is_none() || *port == host.port;
                is_this_port && host.is_below(suffix)
            }
        }
    }

    /// Whether every host that `other` means is meant by this pattern too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Exact(_), Self::Below { .. }) => false,
            (
                Self::Below { suffix, port },
                Self::Below {
                    suffix: narrower,
                    port: narrower_port,
                },
            ) => {
                let is_below = narrower == suffix
                    || narrower
                        .strip_suffix(suffix.as_str())
                        .is_some_and(|head| head.ends_with('.'));
                is_below && (port.is_none() || port == narrower_port)
            }
        }
    }

    /// Whether it means names that unrelated people own: everything below `com`, `co.uk` or `github.io`
    /// (publicsuffix.org; an unlisted top-level name counts as one too).
    #[must_use]
    pub fn is_below_public_suffix(&self) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Below { suffix, .. } => psl::suffix(suffix.as_bytes())
                .is_some_and(|public| public.as_bytes() == suffix.as_bytes()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(formatter, "{host}"),
            Self::Below { suffix, port: None } => write!(formatter, "*.{suffix}"),
            Self::Below {
                suffix,
                port: Some(port),
            } => write!(formatter, "*.{suffix}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_right_for_all_ports_touches_a_pattern_of_one() {
        for (text, asked, touches) in [
            ("a.example:22", "a.example", true),
            ("a.example:22", "a.example:22", true),
            ("a.example:22", "a.example:443", false),
            ("a.example", "a.example:443", true),
            ("*.a.example:22", "b.a.example", true),
            ("*.a.example:22", "b.a.example:443", false),
            ("*.a.example:22", "a.example", false),
            ("*.a.example", "b.a.example:443", true),
            ("a.example", "b.example", false),
        ] {
            assert_eq!(
                pattern(text).touches(&host(asked)),
                touches,
                "{text} {asked}"
            );
        }
    }

    #[test]
    fn a_wildcard_means_names_below_and_nothing_else() {
        let wild = pattern("*.atlassian.net");
        for yes in [
            "x.atlassian.net",
            "a.b.atlassian.net",
            "X.Atlassian.NET.",
            "x.atlassian.net:443",
        ] {
            assert!(wild.matches(&host(yes)), "{yes}");
        }
        for no in [
            "atlassian.net",
            "evilatlassian.net",
            "x.atlassian.net.evil.com",
            "127.0.0.1",
        ] {
            assert!(!wild.matches(&host(no)), "{no}");
        }
        for bad in [
            "*",
            "*.",
            "a.*.com",
            "*.*.com",
            "**.com",
            "*.127.0.0.1",
            "*a.com",
            "*.a b.com",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_in_a_pattern_is_asked_for() {
        assert!(pattern("localhost:8080").matches(&host("localhost:8080")));
        assert!(!pattern("localhost:8080").matches(&host("localhost")));
        assert!(!pattern("localhost:8080").matches(&host("localhost:9090")));
        assert!(pattern("localhost").matches(&host("localhost:9090")));
        assert!(!pattern("*.a.com:443").matches(&host("x.a.com:444")));
    }

    #[test]
    fn a_wildcard_over_other_peoples_names_is_known() {
        for wide in ["*.com", "*.co.uk", "*.github.io", "*.nosuchtld"] {
            assert!(pattern(wide).is_below_public_suffix(), "{wide}");
        }
        for narrow in ["*.github.com", "*.example.co.uk", "*.me.github.io", "com"] {
            assert!(!pattern(narrow).is_below_public_suffix(), "{narrow}");
        }
    }

    #[test]
    fn covering_is_what_shadows_a_rule() {
        assert!(pattern("*.a.com").covers(&pattern("*.b.a.com")));
        assert!(pattern("*.a.com").covers(&pattern("x.a.com:443")));
        assert!(!pattern("*.b.a.com").covers(&pattern("*.a.com")));
        assert!(!pattern("*.a.com:443").covers(&pattern("*.a.com")));
        assert!(!pattern("a.com").covers(&pattern("*.a.com")));
        assert!(!pattern("*.xa.com").covers(&pattern("*.a.com")));
    }

    proptest! {
        #[test]
        fn a_canonical_pattern_reads_as_itself(text in "(\\*\\.)?[a-z0-9.:-]{0,20}") {
            if let Ok(pattern) = HostPattern::parse(&text) {
                prop_assert_eq!(HostPattern::parse(&pattern.to_string()).unwrap(), pattern);
            }
        }
    }
}
