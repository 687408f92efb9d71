//! Who is at the other end of a connection on loopback.
//!
//! Any user of the machine can connect to 127.0.0.1. On Linux the kernel tells whose socket the other end is, in
//! `/proc/net/tcp` and `/proc/net/tcp6` (proc(5), `Documentation/networking/proc_net_tcp.rst`): the row whose local
//! address is our remote one and the other way round. A client with an IPv6 socket that speaks to 127.0.0.1 stands in
//! `tcp6` with mapped addresses (RFC 4291 section 2.5.5.2). Where there is no such file, the token alone protects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// What is known of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of this user.
    User(u32),
    /// The kernel has no such connection (any more).
    Nobody,
    /// This system does not tell.
    Unknown,
}

/// Whether a user is the one of this process.
#[cfg(unix)]
pub(super) fn is_own(user: u32) -> bool {
    user == rustix::process::geteuid().as_raw()
}

/// Windows has no such numbers, and nobody tells one there.
#[cfg(not(unix))]
pub(super) fn is_own(_: u32) -> bool {
    false
}

/// Who made the connection from `theirs` to `ours`.
pub(super) fn of(theirs: SocketAddr, ours: SocketAddr) -> Peer {
    if cfg!(target_os = "linux") {
        in_tables(theirs, ours, |name| {
            std::fs::read_to_string(Path::new("/proc/net").join(name)).ok()
        })
    } else {
        Peer::Unknown
    }
}

fn in_tables(theirs: SocketAddr, ours: SocketAddr, read: impl Fn(&str) -> Option<String>) -> Peer {
    let mut has_told = false;
    for name in ["tcp", "tcp6"] {
        let Some(table) = read(name) else { continue };
        has_told = true;
        let rows = table.lines().skip(1);
        if let Some(user) = rows.filter_map(Row::parse).find_map(|row| {
            (row.local == mapped(theirs) && row.remote == mapped(ours)).then_some(row.user)
        }) {
            return Peer::User(user);
        }
    }
    if has_told {
        Peer::Nobody
    } else {
        Peer::Unknown
    }
}

struct Row {
    local: (Ipv6Addr, u16),
    remote: (Ipv6Addr, u16),
    user: u32,
}

impl Row {
    /// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        Some(Self {
            local: address(words.next()?)?,
            remote: address(words.next()?)?,
            user: words.nth(4)?.parse().ok()?,
        })
    }
}

/// `0100007F:1F90`: words of 32 bits in the byte order of the machine, then the port.
fn address(text: &str) -> Option<(Ipv6Addr, u16)> {
    let (digits, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !digits.is_ascii() {
        return None;
    }
    let word = |number: usize| -> Option<[u8; 4]> {
        let word = digits.get(number * 8..number * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let ip = match digits.len() {
        8 => Ipv4Addr::from(word(0)?).to_ipv6_mapped(),
        32 => {
            let mut bytes = [0; 16];
            for (number, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(number)?);
            }
            Ipv6Addr::from(bytes)
        }
        _ => return None,
    };
    Some((ip, port))
}

fn mapped(address: SocketAddr) -> (Ipv6Addr, u16) {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    (ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place) else {
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, theirs) = listener.accept().unwrap();
            let ours = server.local_addr().unwrap();
            let own = rustix::process::geteuid().as_raw();
            assert_eq!(of(theirs, ours), Peer::User(own));
            // The row of the server's own end is another one.
            assert_eq!(of(ours, "127.0.0.1:1".parse().unwrap()), Peer::Nobody);
            drop(client);
        }
    }

    #[test]
    fn exactly_the_pair_counts() {
        let hex = |ip: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(ip.octets()));
        let home = hex(Ipv4Addr::LOCALHOST);
        let row = |local: &str, remote: &str, user: u32| {
            format!(
                "   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000  {user}        0 1 1 0 20 4 30 10 -1\n"
            )
        };
        let table = |rows: &str| format!("  sl  local_address rem_address   st\n{rows}");
        let theirs: SocketAddr = "127.0.0.1:4096".parse().unwrap();
        let ours: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let (client, server) = (format!("{home}:1000"), format!("{home}:1F90"));
        let decoys = row(&server, &client, 1) + &row(&client, &format!("{home}:1F91"), 2);
        let with = |tcp: String, tcp6: String| {
            in_tables(theirs, ours, move |name| {
                Some(if name == "tcp" {
                    tcp.clone()
                } else {
                    tcp6.clone()
                })
            })
        };
        assert_eq!(with(table(&decoys), table("")), Peer::Nobody);
        let real = row(&client, &server, 1000);
        assert_eq!(
            with(table(&(decoys.clone() + &real)), table("")),
            Peer::User(1000)
        );
        let prefix = format!(
            "0000000000000000{:08X}",
            u32::from_ne_bytes([0, 0, 0xff, 0xff])
        );
        let mapped = row(
            &format!("{prefix}{client}"),
            &format!("{prefix}{server}"),
            7,
        );
        assert_eq!(with(table(&decoys), table(&mapped)), Peer::User(7));
        assert_eq!(in_tables(theirs, ours, |_| None), Peer::Unknown);
    }

    #[test]
    fn what_is_no_row_is_passed_over() {
        for line in [
            "",
            "0:",
            "0: 0100007F:1F90",
            "0: é100007F:1 x:1 01 a b c 0",
            "0: 01:1 01:1 1 1 1 1 1",
        ] {
            assert!(Row::parse(line).is_none(), "{line}");
        }
    }
}
