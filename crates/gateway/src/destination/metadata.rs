//! The addresses at which clouds hand out a machine's own credentials.
//!
//! Most lie in ranges that are refused anyway. They are listed apart because a configuration that opens such a
//! range (`169.254.0.0/16`, `fd00::/8`) means its neighbours and not these; and Azure's looks like a public one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose metadata service answers at `ip`.
pub(super) fn service_at(ip: IpAddr) -> Option<&'static str> {
    SERVICES
        .iter()
        .find(|(address, _)| *address == ip)
        .map(|(_, service)| *service)
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}

/// Each with the vendor's own word on it.
pub(super) const SERVICES: &[(IpAddr, &str)] = &[
    // AWS, "Access instance metadata for an EC2 instance". The same address: Google Cloud, Azure, Oracle,
    // DigitalOcean, Hetzner, IBM Cloud VPC, Akamai, OpenStack and many more.
    (
        v4(169, 254, 169, 254),
        "AWS, Google Cloud, Azure and others",
    ),
    (v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254), "AWS"),
    // AWS, "Amazon ECS task IAM role" and "Amazon ECS task metadata endpoint".
    (v4(169, 254, 170, 2), "Amazon ECS"),
    // AWS, "Set up the Amazon EKS Pod Identity Agent".
    (v4(169, 254, 170, 23), "Amazon EKS"),
    (v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0023), "Amazon EKS"),
    // Google Cloud, "View and query VM metadata": the server of instances that have IPv6 only.
    (
        v6(0xfd20_00ce_0000_0000_0000_0000_0000_0254),
        "Google Cloud",
    ),
    // Microsoft, "What is IP address 168.63.129.16?": the WireServer, which hands out the certificates of a VM.
    (v4(168, 63, 129, 16), "Azure"),
    // Alibaba Cloud, "View instance metadata".
    (v4(100, 100, 100, 200), "Alibaba Cloud"),
    // Oracle, "Retrieving Instance Metadata" of Oracle Cloud Infrastructure Compute Classic.
    (v4(192, 0, 0, 192), "Oracle Cloud"),
    // Oracle, "Getting Instance Metadata": the service of instances that have IPv6 only.
    (
        v6(0xfd00_00c1_0000_0000_0000_0000_a9fe_a9fe),
        "Oracle Cloud",
    ),
    // OpenStack Nova, "Metadata service": over IPv6 since Victoria.
    (v6(0xfe80_0000_0000_0000_0000_0000_a9fe_a9fe), "OpenStack"),
    // Tencent Cloud, "Querying Instance Metadata": what `metadata.tencentyun.com` resolves to.
    (v4(169, 254, 0, 23), "Tencent Cloud"),
    // Scaleway's, as in cloud-init's data source of that name.
    (v4(169, 254, 42, 42), "Scaleway"),
    (v6(0xfd00_0042_0000_0000_0000_0000_0000_0042), "Scaleway"),
    // Akamai, "Use the Metadata service API".
    (v6(0xfd00_a9fe_a9fe_0000_0000_0000_0000_0001), "Akamai"),
];
