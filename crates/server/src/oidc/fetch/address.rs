//! Which addresses are outside (IANA's special-purpose registries, RFC 6890).
//!
//! Of version 6, only what is global unicast today (`2000::/3`) is outside; of version 4, what is not listed here.
//! Forms in which an address of version 4 hides in one of version 6 are never outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Outside.
    Public,
    /// Loopback or a private network: only for listed origins.
    Inside,
    /// Link-local, metadata services, multicast, reserved and translated ones: nobody has a good reason.
    Never,
}

/// Judges an address.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let bits = u128::from(address.to_bits());
    let is_in = |networks: &[(Ipv4Addr, u32)]| {
        networks
            .iter()
            .any(|(network, length)| shares(u128::from(network.to_bits()), bits, 32 - length))
    };
    if is_in(NEVER_V4) {
        Reach::Never
    } else if is_in(INSIDE_V4) {
        Reach::Inside
    } else {
        Reach::Public
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let bits = address.to_bits();
    let is_in = |networks: &[(Ipv6Addr, u32)]| {
        networks
            .iter()
            .any(|(network, length)| shares(network.to_bits(), bits, 128 - length))
    };
    if is_in(&[TRANSLATED]) {
        // Behind a translator that this network runs. What it leads to decides, and it has to be listed.
        let [.., high, low] = address.segments();
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        return match reach_v4(Ipv4Addr::new(a, b, c, d)) {
            Reach::Public => Reach::Inside,
            Reach::Inside | Reach::Never => Reach::Never,
        };
    }
    if is_in(NEVER_V6) {
        Reach::Never
    } else if is_in(INSIDE_V6) {
        Reach::Inside
    } else if is_in(&[GLOBAL_UNICAST]) {
        Reach::Public
    } else {
        Reach::Never
    }
}

/// Whether two addresses are the same but for their last bits.
fn shares(network: u128, address: u128, last: u32) -> bool {
    network >> last == address >> last
}

const NEVER_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),
    // Metadata of Alibaba, inside the carriers' space, and of Azure, at an address that looks public.
    (Ipv4Addr::new(100, 100, 100, 200), 32),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local, with the metadata of AWS, Google, Azure and others.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments, with the metadata of Oracle.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Relays of 6to4.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast; reserved and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

const INSIDE_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared by carriers (RFC 6598).
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

const NEVER_V6: &[(Ipv6Addr, u32)] = &[
    // Metadata of AWS and Google, inside the unique local space.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0), 32),
    // Protocol assignments, with Teredo and ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

const INSIDE_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::LOCALHOST, 128),
    // Unique local.
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
];

/// NAT64 (RFC 6052).
const TRANSLATED: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str], wanted: Reach) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), wanted, "{address}");
        }
    }

    #[test]
    fn what_is_outside() {
        all(
            &[
                "1.1.1.1",
                "8.8.8.8",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.1",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.1",
                "192.167.1.1",
                "198.17.0.1",
                "198.20.0.1",
                "223.255.255.255",
                "2606:4700::1111",
                "2001:4860:4860::8888",
                "2001:200::1",
                "3ffe::1",
                "3fff:1000::1",
            ],
            Reach::Public,
        );
    }

    #[test]
    fn what_is_inside() {
        all(
            &[
                "127.0.0.1",
                "127.255.255.255",
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "100.127.255.255",
                "::1",
                "fc00::1",
                "fdff::1",
                "64:ff9b::8.8.8.8",
            ],
            Reach::Inside,
        );
    }

    #[test]
    fn what_is_never_connected_to() {
        all(
            &[
                "0.0.0.0",
                "0.1.2.3",
                "169.254.169.254",
                "169.254.170.2",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.1",
                "192.88.99.1",
                "198.18.0.1",
                "198.19.255.255",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "::127.0.0.1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "::ffff:8.8.8.8",
                "64:ff9b::127.0.0.1",
                "64:ff9b::169.254.169.254",
                "64:ff9b:1::8.8.8.8",
                "2002:7f00:1::",
                "2002:808:808::",
                "2001::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "3fff::1",
                "100::1",
                "5f00::1",
                "fd00:ec2::254",
                "fd20:ce::254",
                "fe80::1",
                "fec0::1",
                "ff02::1",
                "4000::1",
            ],
            Reach::Never,
        );
    }
}
