//! The entries of `[proxy] allow_private`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

/// An address or a network, and a port or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    network: IpNet,
    port: Option<u16>,
}

impl Entry {
    /// Reads `10.0.0.1`, `10.0.0.1:443`, `10.0.0.0/8`, `10.0.0.0/8:443`, `::1`, `[::1]:443`, `fd00::/8` or
    /// `[fd00::/8]:443`.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidEntry> {
        let fail = |reason| InvalidEntry {
            entry: text.escape_debug().take(100).collect(),
            reason,
        };
        let (address, port) = split_port(text).map_err(fail)?;
        let network = parse_network(address).map_err(fail)?;
        Ok(Self { network, port })
    }

    /// Whether it means `ip` at `port`, be it as one of a network.
    pub(super) fn contains(&self, ip: IpAddr, port: u16) -> bool {
        self.network.contains(&ip) && self.port.is_none_or(|it| it == port)
    }

    /// Whether it means `ip` at `port` and nothing else.
    pub(super) fn is_exactly(&self, ip: IpAddr, port: u16) -> bool {
        self.network == IpNet::from(ip) && self.port == Some(port)
    }
}

/// Splits a port off. A bare IPv6 address has colons but no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), InvalidEntryReason> {
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest
            .split_once(']')
            .filter(|(address, _)| address.contains(':'))
            .ok_or(InvalidEntryReason::NotAnAddress)?;
        match rest.strip_prefix(':') {
            Some(port) => (address, port),
            None if rest.is_empty() => return Ok((address, None)),
            None => return Err(InvalidEntryReason::NotAnAddress),
        }
    } else {
        match text.split_once(':') {
            None => return Ok((text, None)),
            Some((_, rest)) if rest.contains(':') => return Ok((text, None)),
            Some((address, port)) => (address, port),
        }
    };
    let is_canonical = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(number) if is_canonical => Ok((address, Some(number))),
        _ => Err(InvalidEntryReason::Port),
    }
}

fn parse_network(text: &str) -> Result<IpNet, InvalidEntryReason> {
    let network = if text.contains('/') {
        text.parse::<IpNet>().ok()
    } else {
        text.parse::<IpAddr>().ok().map(IpNet::from)
    };
    let network = network.ok_or(InvalidEntryReason::NotAnAddress)?;
    if network.trunc() != network {
        return Err(InvalidEntryReason::HostBits {
            network: network.trunc(),
        });
    }
    // What is dialled is the IPv4 address, so that is what the entry would have to contain.
    match network {
        IpNet::V6(net) if mapped().contains(&net) => Err(InvalidEntryReason::Mapped),
        _ => Ok(network),
    }
}

/// `::ffff:0:0/96`
fn mapped() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96)
}

/// An entry of `allow_private` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` in `allow_private`: {reason}")]
pub struct InvalidEntry {
    /// The entry, control characters escaped.
    pub entry: String,
    /// What is wrong with it.
    pub reason: InvalidEntryReason,
}

/// What is wrong with an entry of `allow_private`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEntryReason {
    /// Neither an address nor a network. Names are none: the check is made on what they resolve to.
    #[error(
        "it is neither an address nor a network; write `10.0.0.1`, `10.0.0.0/8` or `[fd00::1]`, and `:443` \
         after it for one port"
    )]
    NotAnAddress,
    /// A port that is none.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// `10.1.2.3/8`
    #[error("it has bits behind its prefix; write `{network}` if the whole network is meant")]
    HostBits {
        /// The network that it lies in.
        network: IpNet,
    },
    /// `::ffff:10.0.0.1`
    #[error("write the IPv4 address itself, without `::ffff:`")]
    Mapped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_entry_is_an_address_or_a_network_with_or_without_a_port() {
        for (text, network, port) in [
            ("127.0.0.1", "127.0.0.1/32", None),
            ("127.0.0.1:8443", "127.0.0.1/32", Some(8443)),
            ("10.0.0.0/8", "10.0.0.0/8", None),
            ("10.0.0.0/8:443", "10.0.0.0/8", Some(443)),
            ("::1", "::1/128", None),
            ("[::1]", "::1/128", None),
            ("[::1]:443", "::1/128", Some(443)),
            ("fd00::/8", "fd00::/8", None),
            ("[fd00::/8]:443", "fd00::/8", Some(443)),
            ("64:ff9b:1::/48", "64:ff9b:1::/48", None),
            ("0.0.0.0/0", "0.0.0.0/0", None),
        ] {
            let network = network.parse().unwrap();
            assert_eq!(entry(text), Entry { network, port }, "{text}");
        }
    }

    #[test]
    fn errors_name_the_entry_and_what_to_write() {
        use InvalidEntryReason::{HostBits, Mapped, NotAnAddress, Port};
        let network = "10.0.0.0/8".parse().unwrap();
        for (text, reason) in [
            ("", NotAnAddress),
            ("localhost", NotAnAddress),
            ("localhost:80", NotAnAddress),
            ("10.0.0", NotAnAddress),
            ("10.0.0.0/33", NotAnAddress),
            ("010.0.0.1", NotAnAddress),
            ("[10.0.0.1]:443", NotAnAddress),
            ("[::1", NotAnAddress),
            ("[::1]443", NotAnAddress),
            ("fe80::1%eth0", NotAnAddress),
            (" 10.0.0.1", NotAnAddress),
            ("10.0.0.1\n", NotAnAddress),
            ("10.0.0.1:", Port),
            ("10.0.0.1:0", Port),
            ("10.0.0.1:0443", Port),
            ("10.0.0.1:65536", Port),
            ("[::1]:+1", Port),
            ("10.1.2.3/8", HostBits { network }),
            ("::ffff:10.0.0.1", Mapped),
            ("[::ffff:10.0.0.0/104]:443", Mapped),
        ] {
            let error = Entry::parse(text).unwrap_err();
            assert_eq!(error.reason, reason, "{text}");
            let shown = error.to_string();
            assert!(shown.contains(&text.escape_debug().to_string()), "{shown}");
            assert!(!shown.contains('\n'), "{shown}");
        }
    }
}
