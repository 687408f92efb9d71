//! ntfy topics: their grammar, which servers are public, and topics that nobody guesses.
//!
//! On a server without access control the topic is all that keeps others from reading requests: "pick something that
//! is not easily guessable" (docs.ntfy.sh, "Publishing").

use std::net::IpAddr;

use rand::TryRngCore as _;

use super::NotifySetupError;

/// A topic of 131 random bits, for `fnox serve init`.
///
/// # Errors
/// [`NotifySetupError::NoRandomness`].
pub fn random_topic() -> Result<String, NotifySetupError> {
    let mut topic = String::from(PREFIX);
    while topic.len() < PREFIX.len() + RANDOM_LENGTH {
        let mut byte = [0_u8];
        rand::rngs::OsRng
            .try_fill_bytes(&mut byte)
            .map_err(|_| NotifySetupError::NoRandomness)?;
        // 6 bits, of which 62 values are taken: none is likelier than another.
        if let Some(letter) = ALPHABET.get(usize::from(byte[0] & 63)) {
            topic.push(char::from(*letter));
        }
    }
    Ok(topic)
}

/// Whether ntfy takes it (docs.ntfy.sh: letters, digits, `_` and `-`, at most 64).
pub(super) fn is_topic(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a topic may have 128 random bits. Nobody can tell from the outside, but what is short, repeats itself, or
/// consists of words in small letters has not.
pub(super) fn may_be_random(topic: &str) -> bool {
    let mut seen = topic.as_bytes().to_vec();
    seen.sort_unstable();
    seen.dedup();
    topic.len() >= RANDOM_LENGTH
        && seen.len() >= 8
        && topic
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Whether anybody may reach a host: it is neither this machine, nor a private address, nor a name that only a local
/// network knows (RFC 6761, RFC 6762, RFC 8375).
pub(super) fn is_public(host: &str) -> bool {
    if let Some(address) = address(host) {
        return !is_private(address);
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    let local = [
        "localhost",
        "local",
        "internal",
        "lan",
        "home",
        "corp",
        "test",
    ];
    host.contains('.') && !local.contains(&last) && !host.ends_with(".home.arpa")
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(address) => address.to_canonical().is_loopback(),
        None => host.eq_ignore_ascii_case("localhost"),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                // Shared address space (RFC 6598).
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

const PREFIX: &str = "fnox-";
/// 22 × log2(62) = 131.
const RANDOM_LENGTH: usize = 22;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_topic_is_good_enough_and_never_the_same() {
        let topics: std::collections::BTreeSet<String> =
            (0..64).map(|_| random_topic().unwrap()).collect();
        assert_eq!(topics.len(), 64);
        for topic in topics {
            assert!(is_topic(&topic) && may_be_random(&topic), "{topic}");
        }
    }

    #[test]
    fn words_and_short_topics_are_not_random() {
        for topic in [
            "fnox",
            "deployments-of-our-whole-team",
            "AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "Xk2mW9pQ4rT7vY1zB5nC8",
        ] {
            assert!(!may_be_random(topic), "{topic}");
        }
        assert!(may_be_random("Xk2mW9pQ4rT7vY1zB5nC8d"));
        assert!(may_be_random("0b9f5a1c2d3e4f60718293a4b5c6d7e8"));
    }

    #[test]
    fn only_hosts_that_anybody_reaches_are_public() {
        for host in ["ntfy.sh", "8.8.8.8", "[2001:db8::1]", "ntfy.example.com"] {
            assert!(is_public(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "localhost",
            "ntfy",
            "10.1.2.3",
            "192.168.0.9",
            "100.64.0.1",
            "[::1]",
            "[fd00::1]",
            "[::ffff:10.0.0.1]",
            "ntfy.local",
            "push.corp.internal",
        ] {
            assert!(!is_public(host), "{host}");
        }
        assert!(is_loopback("127.0.0.1") && is_loopback("[::1]") && is_loopback("localhost"));
        assert!(!is_loopback("127.0.0.1.example.com") && !is_loopback("10.0.0.1"));
    }
}
