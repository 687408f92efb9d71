//! Hosts, and patterns of hosts, as two different types.
//!
//! A text from outside becomes a [`Host`] once, and everything after compares and dials that value: a name in
//! lower case and in its ASCII form (UTS 46, non-transitional, STD 3 rules), without a trailing dot, or an
//! address; and a port apart. Nothing that a resolver or a URL parser could read in another way gets through:
//! no user info, no path, no control bytes, no brackets but around an IPv6 address, no decimal or short forms
//! of IPv4. A [`HostPattern`] stands only in a policy; there is no way to ask for one.

mod invalid;
mod pattern;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use self::invalid::{InvalidHost, Reason};
pub use self::pattern::HostPattern;
use crate::shown;

/// More characters of a text are not in a message: no name is longer.
const LONGEST_SHOWN: usize = 260;

/// A host name (RFC 1123) or an IP address, and a port if one was named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    name: HostName,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum HostName {
    Dns(String),
    Ip(IpAddr),
}

impl Host {
    /// Reads `name`, `name:port`, an IPv4 address, or an IPv6 address (in brackets if a port follows).
    ///
    /// ```
    /// # use fnox_core::Host;
    /// assert_eq!(Host::parse("API.GitHub.com.").unwrap().to_string(), "api.github.com");
    /// assert_eq!(Host::parse("[::1]:8443").unwrap().port(), Some(8443));
    /// assert!(Host::parse("*.github.com").is_err());
    /// ```
    ///
    /// # Errors
    /// [`InvalidHost`] with the text and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let fail = |reason| InvalidHost {
            text: shown(text, LONGEST_SHOWN),
            reason,
        };
        if text.contains('*') {
            return Err(fail(Reason::Pattern));
        }
        let (name, port) = split_port(text).map_err(fail)?;
        let name = HostName::parse(name).map_err(fail)?;
        Ok(Self { name, port })
    }

    /// The name or address, without the port.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// The port, if one was named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host with `port`, unless it names one already.
    #[must_use]
    pub fn with_default_port(mut self, port: u16) -> Self {
        self.port = self.port.or(Some(port));
        self
    }

    /// How a URL or `Host` names it (RFC 3986, section 3.2.2): an IPv6 address in brackets, and the port unless
    /// it is `default_port`.
    ///
    /// ```
    /// # use fnox_core::Host;
    /// assert_eq!(Host::parse("[::1]:443").unwrap().authority(443), "[::1]");
    /// assert_eq!(Host::parse("example.com:8443").unwrap().authority(443), "example.com:8443");
    /// ```
    #[must_use]
    pub fn authority(&self, default_port: u16) -> String {
        let name = match self.name {
            HostName::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.name(),
        };
        match self.port {
            Some(port) if port != default_port => format!("{name}:{port}"),
            _ => name,
        }
    }

    /// The address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.name {
            HostName::Ip(ip) => Some(ip),
            HostName::Dns(_) => None,
        }
    }

    /// Whether a right for this host may be used at `target`: the same name, and the same port unless this
    /// host names none.
    #[must_use]
    pub fn covers(&self, target: &Self) -> bool {
        self.name == target.name && (self.port.is_none() || self.port == target.port)
    }

    fn is_below(&self, suffix: &str) -> bool {
        match &self.name {
            HostName::Ip(_) => false,
            HostName::Dns(name) => name
                .strip_suffix(suffix)
                .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        Self::parse(text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.port) {
            (name, None) => write!(formatter, "{name}"),
            (HostName::Ip(IpAddr::V6(ip)), Some(port)) => write!(formatter, "[{ip}]:{port}"),
            (name, Some(port)) => write!(formatter, "{name}:{port}"),
        }
    }
}

impl HostName {
    fn parse(text: &str) -> Result<Self, Reason> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(Reason::Brackets)?;
            return inner
                .parse::<Ipv6Addr>()
                .map(Self::of_v6)
                .map_err(|_| Reason::Brackets);
        }
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Ok(Self::of_v6(ip));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        Self::parse_dns(text).map(Self::Dns)
    }

    /// An IPv4 address in IPv6 clothes is the IPv4 address: a resolver would dial that one.
    fn of_v6(ip: Ipv6Addr) -> Self {
        Self::Ip(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
    }

    fn parse_dns(text: &str) -> Result<String, Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Reason::ControlCharacter);
        }
        if text.contains('@') {
            return Err(Reason::UserInfo);
        }
        if text.contains(['/', '\\', '?', '#', '%', '[', ']']) {
            return Err(Reason::NotAHost);
        }
        let name = ascii_name(text.strip_suffix('.').unwrap_or(text))?;
        let labels_are_valid = name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
        if !labels_are_valid || name.len() > 253 {
            return Err(Reason::NotAHost);
        }
        // The last label of a name is never a number (RFC 3696, section 2); resolvers read `1.2.3` and
        // `0x7f.1` as addresses.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_number {
            return Err(Reason::ShortAddress);
        }
        Ok(name)
    }
}

/// The name in lower case and in its ASCII form (UTS 46).
fn ascii_name(text: &str) -> Result<String, Reason> {
    // Nearly every name is plain already, and UTS 46 would only put it into lower case.
    if text.is_ascii() && !text.to_ascii_lowercase().contains("xn--") {
        return Ok(text.to_ascii_lowercase());
    }
    // Hyphens are checked by the caller: UTS 46 refuses `r3---sn.example`, which exists.
    idna::uts46::Uts46::new()
        .to_ascii(
            text.as_bytes(),
            idna::AsciiDenyList::URL,
            idna::uts46::Hyphens::Allow,
            idna::uts46::DnsLength::Verify,
        )
        .map_err(|_| Reason::NotAHost)
        .map(std::borrow::Cow::into_owned)
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => formatter.write_str(name),
            Self::Ip(ip) => write!(formatter, "{ip}"),
        }
    }
}

/// Splits a port off. A bare IPv6 address has colons but no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), Reason> {
    if text.contains("://") {
        return Err(Reason::Address);
    }
    let (name, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(Reason::Brackets)? + 1;
        match text[end..].strip_prefix(':') {
            Some(port) => (&text[..end], port),
            None if end == text.len() => return Ok((text, None)),
            None => return Err(Reason::Brackets),
        }
    } else {
        match text.split_once(':') {
            None => return Ok((text, None)),
            Some((_, rest)) if rest.contains(':') => return Ok((text, None)),
            Some((name, port)) => (name, port),
        }
    };
    let is_canonical = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(number) if is_canonical => Ok((name, Some(number))),
        // What is before a path may be a port.
        _ if port.contains('/') => Err(Reason::NotAHost),
        _ => Err(Reason::Port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (text, canonical) in [
            ("github.com", "github.com"),
            ("GitHub.COM.", "github.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost:8080", "localhost:8080"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:443", "[::1]:443"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("[0:0:0:0:0:0:0:1]:1", "[::1]:1"),
            ("_dmarc.example.com", "_dmarc.example.com"),
        ] {
            assert_eq!(host(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_host() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a\0.example.com",
            "evil.com\0.github.com",
            "a\n",
            "*",
            "*.a.com",
            "user@host",
            "http://a",
            "a/b",
            "a/../b",
            "a:0",
            "a:01",
            "a:65536",
            "a:",
            "a:x",
            "2130706433",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "[a]:1",
            "[::1]x",
            "a%2e",
            "a?b",
            "a#b",
            "a\\b",
            "-a.com",
            "a-.com",
            "127.0.0.1.",
            "1.2.3.4.5",
            "a:1:2x",
            "github.com..",
            &"a".repeat(64),
            &format!("{}.com", "a.".repeat(130)),
        ] {
            assert!(
                Host::parse(text).is_err(),
                "{text:?} was read as {:?}",
                Host::parse(text)
            );
        }
    }

    proptest! {
        #[test]
        fn a_canonical_host_reads_as_itself(text in ".{0,40}|[a-z0-9.:\\[\\]-]{0,20}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()).unwrap(), host);
            }
        }
    }
}
