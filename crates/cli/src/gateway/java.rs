//! Java reads none of the variables that lead programs to the gateway, but options: its launcher, since Java 9, those in
//! `JDK_JAVA_OPTIONS`, which may name a file of them.
//!
//! Of no proxy does Java take a password from its options, so this is for sandboxes, into which the gateway's door is led
//! and which need none. And it believes no PEM file: its trust store is one of its own, in the format that
//! `KeyStore.getInstance("JKS")` reads.

use std::path::Path;

use sha1::{Digest as _, Sha1};

/// The variable that names the file of options.
pub(crate) const VARIABLE: &str = "JDK_JAVA_OPTIONS";

/// Begins each trust store (`sun.security.provider.JavaKeyStore`: magic number and version).
const BEGIN: [u8; 8] = [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];

/// An entry that is a certificate and nothing else.
const TRUSTED_CERTIFICATE: u32 = 2;

/// With what everybody knows, which makes a checksum of the digest at the end: what is here is no secret.
const PASSWORD: &str = "changeit";

/// A trust store with one certificate (DER).
///
/// Numbers are big-endian, texts have their length before them in two bytes. The digest at the end is one of the password
/// in UTF-16, a constant, and everything before it.
pub(crate) fn trust_store(certificate: &[u8]) -> Vec<u8> {
    let mut store = BEGIN.to_vec();
    store.extend(1_u32.to_be_bytes());
    store.extend(TRUSTED_CERTIFICATE.to_be_bytes());
    text(&mut store, "fnox");
    // When it was made is looked at by nobody.
    store.extend(0_u64.to_be_bytes());
    text(&mut store, "X.509");
    let length = u32::try_from(certificate.len()).unwrap_or(u32::MAX);
    store.extend(length.to_be_bytes());
    store.extend(certificate);
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(b"Mighty Aphrodite");
    digest.update(&store);
    store.extend(digest.finalize());
    store
}

fn text(store: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    store.extend(length.to_be_bytes());
    store.extend(text.as_bytes());
}

/// The options, one a line, for a program that goes to the gateway at `port` of this machine.
pub(crate) fn options(port: u16, trust_store: &Path) -> String {
    // Without the empty list of exceptions loopback would be one.
    format!(
        "-DsocksProxyHost=127.0.0.1\n-DsocksProxyPort={port}\n-DsocksNonProxyHosts=\n\
         -Djavax.net.ssl.trustStoreType=JKS\n-Djavax.net.ssl.trustStore={}\n",
        quoted(&trust_store.to_string_lossy())
    )
}

/// As a file of options has a text with spaces ("The java Command", argument files).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_store_is_as_long_as_its_parts() {
        let store = trust_store(&[7; 300]);
        let fields = 8 + 4 + 4 + (2 + 4) + 8 + (2 + 5) + 4;
        assert_eq!(store.len(), fields + 300 + 20);
        assert_eq!(store[..8], BEGIN);
        assert_eq!(store[fields..fields + 300], [7; 300]);
    }

    #[test]
    fn a_path_may_have_anything_in_it() {
        let options = options(1, Path::new("/a b/\"c\\d"));
        assert!(options.contains("-Djavax.net.ssl.trustStore=\"/a b/\\\"c\\\\d\"\n"));
    }
}
