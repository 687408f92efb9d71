//! Address space that is not the public Internet.
//!
//! After the IPv4 and IPv6 Special-Purpose Address Registries of IANA (RFC 6890, RFC 8190) and its registries of
//! multicast. A block is refused unless the registry says that it is globally reachable; where parts of such a
//! block are (the anycast addresses of PCP and TURN in `192.0.0.0/24`, AMT and `ORCHIDv2` in `2001::/23`), the
//! whole is refused, for nothing there speaks HTTP. Of IPv6 only `2000::/3` is assigned as global unicast, so
//! everything else is refused, known or not, but NAT64, through which IPv6-only networks reach the IPv4
//! Internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// A block that is not public.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range<Network> {
    network: Network,
    what: &'static str,
    defined_in: &'static str,
}

impl<Network: fmt::Display> fmt::Display for Range<Network> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network,
            what,
            defined_in,
        } = self;
        write!(formatter, "{what} ({network}, {defined_in})")
    }
}

/// What `ip` is, if it is not public.
pub(super) fn special(ip: IpAddr) -> Option<String> {
    match ip {
        IpAddr::V4(ip) => V4
            .iter()
            .find(|range| range.network.contains(&ip))
            .map(Range::to_string),
        IpAddr::V6(ip) if NAT64.contains(&ip) => None,
        IpAddr::V6(ip) => V6
            .iter()
            .find(|range| range.network.contains(&ip))
            .map(Range::to_string)
            .or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then(|| "outside of 2000::/3".to_owned())),
    }
}

/// The IPv4 addresses that a translator, a relay or an old stack would send to, given `ip`. IPv4-mapped addresses
/// (RFC 4291, section 2.5.5.2) are not among them: they are dialled as what they carry.
pub(super) fn carried(ip: IpAddr) -> Vec<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else {
        return Vec::new();
    };
    let bytes = ip.octets();
    let at = |from: usize| four(bytes, [from, from + 1, from + 2, from + 3]);
    match ip.segments() {
        // Neither is IPv4-compatible.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // Compatible (RFC 4291, section 2.5.5.1) and translated (RFC 2765, section 2.1); NAT64 (RFC 6052).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(12)],
        [0x64, 0xff9b, 1, ..] => carried_by_local_nat64(bytes),
        // Teredo (RFC 4380, section 4): its server, and the client with all bits inverted.
        [0x2001, 0, ..] => vec![at(4), Ipv4Addr::from_bits(!at(12).to_bits())],
        // 6to4 (RFC 3056, section 2).
        [0x2002, ..] => vec![at(2)],
        _ => Vec::new(),
    }
}

/// `64:ff9b:1::/48` belongs to the network, which chooses how long its prefix is (RFC 8215, section 3): the
/// address follows after 48, 56, 64 or 96 bits, the byte at bit 64 is skipped, and zeros follow (RFC 6052,
/// section 2.2). Every reading that fits is judged.
fn carried_by_local_nat64(bytes: [u8; 16]) -> Vec<Ipv4Addr> {
    let ends_at = |end: usize| bytes[8] == 0 && bytes[end..].iter().all(|byte| *byte == 0);
    let readings = [
        (11, [6, 7, 9, 10]),
        (12, [7, 9, 10, 11]),
        (13, [9, 10, 11, 12]),
    ];
    let found: Vec<_> = readings
        .into_iter()
        .filter(|(end, _)| ends_at(*end))
        .map(|(_, places)| four(bytes, places))
        .collect();
    if found.is_empty() {
        return vec![four(bytes, [12, 13, 14, 15])];
    }
    found
}

fn four(bytes: [u8; 16], places: [usize; 4]) -> Ipv4Addr {
    Ipv4Addr::from(places.map(|place| bytes[place]))
}

const fn v4(
    address: [u8; 4],
    length: u8,
    what: &'static str,
    defined_in: &'static str,
) -> Range<Ipv4Net> {
    let [a, b, c, d] = address;
    Range {
        network: Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length),
        what,
        defined_in,
    }
}

const fn v6(
    address: [u16; 4],
    length: u8,
    what: &'static str,
    defined_in: &'static str,
) -> Range<Ipv6Net> {
    Range {
        network: net6(address, length),
        what,
        defined_in,
    }
}

const fn net6(address: [u16; 4], length: u8) -> Ipv6Net {
    let [a, b, c, d] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

const GLOBAL_UNICAST: Ipv6Net = net6([0x2000, 0, 0, 0], 3);
const NAT64: Ipv6Net = net6([0x64, 0xff9b, 0, 0], 96);

const V4: [Range<Ipv4Net>; 15] = [
    v4([0, 0, 0, 0], 8, "of this network", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private", "RFC 1918"),
    v4([100, 64, 0, 0], 10, "shared by carriers", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    v4([169, 254, 0, 0], 16, "link-local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private", "RFC 1918"),
    v4([192, 0, 0, 0], 24, "of IETF protocols", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "for documentation", "RFC 5737"),
    v4([192, 88, 99, 0], 24, "of 6to4 relays", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([198, 18, 0, 0], 15, "for benchmarks", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "for documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "for documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([240, 0, 0, 0], 4, "reserved", "RFC 1112"),
];

/// Parts before what contains them.
const V6: [Range<Ipv6Net>; 17] = [
    Range {
        network: Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        what: "loopback",
        defined_in: "RFC 4291",
    },
    v6([0, 0, 0, 0], 128, "unspecified", "RFC 4291"),
    v6([0, 0, 0, 0], 96, "IPv4-compatible", "RFC 4291"),
    v6([0x64, 0xff9b, 1, 0], 48, "local NAT64", "RFC 8215"),
    v6([0x100, 0, 0, 0], 64, "for discarding", "RFC 6666"),
    v6([0x100, 0, 0, 1], 64, "a dummy prefix", "RFC 9780"),
    v6([0x2001, 0, 0, 0], 32, "Teredo", "RFC 4380"),
    v6([0x2001, 2, 0, 0], 48, "for benchmarks", "RFC 5180"),
    v6([0x2001, 0, 0, 0], 23, "of IETF protocols", "RFC 2928"),
    v6([0x2001, 0xdb8, 0, 0], 32, "for documentation", "RFC 3849"),
    v6([0x2002, 0, 0, 0], 16, "6to4", "RFC 3056"),
    v6([0x3fff, 0, 0, 0], 20, "for documentation", "RFC 9637"),
    v6([0x5f00, 0, 0, 0], 16, "segment routing", "RFC 9602"),
    v6([0xfc00, 0, 0, 0], 7, "unique local", "RFC 4193"),
    v6([0xfe80, 0, 0, 0], 10, "link-local", "RFC 4291"),
    v6([0xfec0, 0, 0, 0], 10, "site-local", "RFC 3879"),
    v6([0xff00, 0, 0, 0], 8, "multicast", "RFC 4291"),
];
