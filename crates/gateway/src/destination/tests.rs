//! The ranges one by one, and the whole decision against arithmetic on bits.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap_or_else(|_| panic!("{ip}")), port)
}

fn policy(entries: &[&str]) -> AddressPolicy {
    AddressPolicy::parse(entries).unwrap_or_else(|error| panic!("{error}"))
}

/// First and last address of what is refused, and the neighbours that are not.
const EDGES: &[(&str, &str, &[&str])] = &[
    ("0.0.0.0", "0.255.255.255", &["1.0.0.0"]),
    ("10.0.0.0", "10.255.255.255", &["9.255.255.255", "11.0.0.0"]),
    (
        "100.64.0.0",
        "100.127.255.255",
        &["100.63.255.255", "100.128.0.0"],
    ),
    (
        "127.0.0.0",
        "127.255.255.255",
        &["126.255.255.255", "128.0.0.0"],
    ),
    (
        "169.254.0.0",
        "169.254.255.255",
        &["169.253.255.255", "169.255.0.0"],
    ),
    (
        "172.16.0.0",
        "172.31.255.255",
        &["172.15.255.255", "172.32.0.0"],
    ),
    (
        "192.0.0.0",
        "192.0.0.255",
        &["191.255.255.255", "192.0.1.0"],
    ),
    ("192.0.2.0", "192.0.2.255", &["192.0.1.255", "192.0.3.0"]),
    (
        "192.88.99.0",
        "192.88.99.255",
        &["192.88.98.255", "192.88.100.0"],
    ),
    (
        "192.168.0.0",
        "192.168.255.255",
        &["192.167.255.255", "192.169.0.0"],
    ),
    (
        "198.18.0.0",
        "198.19.255.255",
        &["198.17.255.255", "198.20.0.0"],
    ),
    (
        "198.51.100.0",
        "198.51.100.255",
        &["198.51.99.255", "198.51.101.0"],
    ),
    (
        "203.0.113.0",
        "203.0.113.255",
        &["203.0.112.255", "203.0.114.0"],
    ),
    ("224.0.0.0", "255.255.255.255", &["223.255.255.255"]),
    (
        "168.63.129.16",
        "168.63.129.16",
        &["168.63.129.15", "168.63.129.17"],
    ),
    // Up to global unicast everything but NAT64, which is judged by what it carries.
    (
        "::",
        "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff",
        &["64:ff9b::8.8.8.8"],
    ),
    (
        "64:ff9b::1:0:0",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        &["2000::"],
    ),
    (
        "2001::",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        &["2001:200::"],
    ),
    (
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        &["2001:db7:ffff::", "2001:db9::"],
    ),
    (
        "2002::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        &["2001:ffff::", "2003::"],
    ),
    (
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        &["3ffe:ffff::", "3fff:1000::"],
    ),
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &[]),
];

#[test]
fn special_ranges_are_refused_from_their_first_to_their_last_address() {
    let policy = AddressPolicy::default();
    for (first, last, outside) in EDGES {
        for ip in [first, last] {
            let refusal = policy.check(address(ip, 443)).unwrap_err();
            assert_eq!(refusal.reason, Reason::PrivateAddress, "{ip}");
        }
        for ip in *outside {
            assert_eq!(policy.check(address(ip, 443)), Ok(()), "{ip}");
        }
    }
}

#[test]
fn a_refusal_names_the_range_and_the_line_that_would_allow_it() {
    for (ip, text) in [
        (
            "10.1.2.3",
            "10.1.2.3 is private (10.0.0.0/8, RFC 1918)\n\
             If it is meant, add \"10.1.2.3:443\" to `allow_private` in `[proxy]`.",
        ),
        (
            "2002:7f00:1::",
            "2002:7f00:1:: is 6to4 (2002::/16, RFC 3056)\n\
             If it is meant, add \"[2002:7f00:1::]:443\" to `allow_private` in `[proxy]`.",
        ),
        (
            "64:ff9b::127.0.0.1",
            "64:ff9b::7f00:1 stands for 127.0.0.1, which is loopback (127.0.0.0/8, RFC 1122)\n\
             If it is meant, add \"127.0.0.1:443\" to `allow_private` in `[proxy]`.",
        ),
        (
            "168.63.129.16",
            "168.63.129.16 is of the metadata service of Azure\n\
             If it is meant, add \"168.63.129.16:443\" to `allow_private` in `[proxy]`.",
        ),
    ] {
        let refusal = AddressPolicy::default().check(address(ip, 443));
        assert_eq!(refusal.unwrap_err().to_string(), text);
    }
}

#[test]
fn what_is_listed_is_allowed_at_its_port() {
    let policy = policy(&[
        "127.0.0.1:8443",
        "10.0.0.0/8",
        "[::1]:443",
        "[fd00::/8]:5432",
    ]);
    for (ip, port, allowed) in [
        ("127.0.0.1", 8443, true),
        ("::ffff:127.0.0.1", 8443, true),
        ("127.0.0.1", 8444, false),
        ("127.0.0.2", 8443, false),
        ("10.255.0.1", 1, true),
        ("11.0.0.1", 1, true),
        ("192.168.0.1", 1, false),
        ("::1", 443, true),
        ("::1", 444, false),
        ("fd12::1", 5432, true),
        ("fd12::1", 443, false),
        ("fc00::1", 5432, false),
    ] {
        assert_eq!(
            policy.check(address(ip, port)).is_ok(),
            allowed,
            "{ip} {port}"
        );
    }
}

#[test]
fn metadata_services_are_refused_unless_listed_one_by_one_with_their_port() {
    let wide = policy(&["0.0.0.0/0", "::/0"]);
    for (ip, service) in metadata::SERVICES {
        let at = SocketAddr::new(*ip, 80);
        let refusal = wide.check(at).unwrap_err();
        assert!(refusal.message.contains(service), "{refusal}");
        assert!(
            policy(&[&ip.to_string()]).check(at).is_err(),
            "{ip} without a port"
        );
        let other_port = SocketAddr::new(*ip, 81).to_string();
        assert!(policy(&[&other_port]).check(at).is_err(), "{other_port}");
        assert_eq!(policy(&[&at.to_string()]).check(at), Ok(()));
    }
}

#[test]
fn an_address_that_carries_a_forbidden_one_is_refused_even_where_it_is_listed() {
    let wide = policy(&["::/0"]);
    for ip in [
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        // Behind 48, 56, 64 and 96 bits.
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:1:a9:fea9:fe00:0",
        "64:ff9b:1:1:2:3:a9fe:a9fe",
        // The server, and the client (254.86.86.1 is 1.169.169.254 inverted).
        "2001:0:a00:1::f7f7:f7f7",
        "2001:0:808:808::5601:5601",
        "2002:a9fe:a9fe::1",
    ] {
        let refusal = wide.check(address(ip, 80)).unwrap_err();
        assert_eq!(refusal.reason, Reason::PrivateAddress, "{ip}");
    }
    for ip in ["::8.8.8.8", "64:ff9b:1:808:8:800::", "2002:808:808::1"] {
        assert_eq!(wide.check(address(ip, 80)), Ok(()), "{ip}");
    }
}

/// The same decision without a policy, written as arithmetic on bits and not as a table of networks.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let bits = ip.to_bits();
    let (top, second, third) = (bits >> 24, (bits >> 16) & 0xff, (bits >> 8) & 0xff);
    match top {
        0 | 10 | 127 | 224.. => false,
        100 => second & 0xc0 != 0x40 && bits != 0x6464_64c8,
        168 => bits != 0xa83f_8110,
        169 => second != 254,
        172 => second & 0xf0 != 0x10,
        192 => !matches!((second, third), (0, 0 | 2) | (88, 99) | (168, _)),
        198 => second & 0xfe != 18 && (second, third) != (51, 100),
        203 => (second, third) != (0, 113),
        _ => true,
    }
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let bits = ip.to_bits();
    let low = Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap());
    if bits >> 32 == 0xffff || bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000 {
        return is_public_v4(low);
    }
    let is_global = bits >> 125 == 1;
    let is_protocols = bits >> 105 == 0x2001_0000 >> 9;
    let is_documentation = bits >> 96 == 0x2001_0db8 || bits >> 108 == 0x3fff0;
    is_global && !is_protocols && !is_documentation && bits >> 112 != 0x2002
}

/// Addresses that lie close to where decisions change.
fn v4_near_an_edge() -> impl Strategy<Value = Ipv4Addr> {
    let near = prop::sample::select(EDGES).prop_filter_map("IPv4 alone", |(first, last, _)| {
        Some((
            first.parse::<Ipv4Addr>().ok()?,
            last.parse::<Ipv4Addr>().ok()?,
        ))
    });
    let close = (near, any::<bool>(), -2i32..=2).prop_map(|((first, last), is_last, step)| {
        let edge = if is_last { last } else { first };
        Ipv4Addr::from_bits(edge.to_bits().wrapping_add_signed(step))
    });
    prop_oneof![close, any::<u32>().prop_map(Ipv4Addr::from_bits)]
}

fn v6_near_an_edge() -> impl Strategy<Value = Ipv6Addr> {
    let near = prop::sample::select(EDGES).prop_filter_map("IPv6 alone", |(first, last, _)| {
        Some((
            first.parse::<Ipv6Addr>().ok()?,
            last.parse::<Ipv6Addr>().ok()?,
        ))
    });
    let close = (near, any::<bool>(), -2i128..=2).prop_map(|((first, last), is_last, step)| {
        let edge = if is_last { last } else { first };
        Ipv6Addr::from_bits(edge.to_bits().wrapping_add_signed(step))
    });
    let prefixes: Vec<u128> = vec![0, 0xffff, 0xffff_0000, 0x0064_ff9b_0000_0000_0000_0000];
    let carrying = (prop::sample::select(prefixes), v4_near_an_edge())
        .prop_map(|(prefix, ip)| Ipv6Addr::from_bits(prefix << 32 | u128::from(ip.to_bits())));
    let below_2001 = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(0x2001 << 112 | bits >> 16));
    prop_oneof![
        close,
        carrying,
        below_2001,
        any::<u128>().prop_map(Ipv6Addr::from_bits)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn ipv4_is_decided_as_arithmetic_says(ip in v4_near_an_edge()) {
        let allowed = AddressPolicy::default().check(SocketAddr::new(ip.into(), 443)).is_ok();
        prop_assert_eq!(allowed, is_public_v4(ip), "{}", ip);
    }

    #[test]
    fn ipv6_is_decided_as_arithmetic_says(ip in v6_near_an_edge()) {
        let allowed = AddressPolicy::default().check(SocketAddr::new(ip.into(), 443)).is_ok();
        prop_assert_eq!(allowed, is_public_v6(ip), "{}", ip);
    }
}
