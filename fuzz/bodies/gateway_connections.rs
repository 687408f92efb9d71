//! The first bytes of connections to the gateway: handshakes of TLS, and HTTP/2.

use fnox_core::Host;
use fnox_gateway::proxy::fuzzing::{self, HEAD_BYTES};
use fnox_gateway::request::{Bound, CanonicalRequest, Scheme, Via};
use http::Version;

use super::is_readable;

/// Where the tunnels lead.
const HOST: &str = "api.example.com";

/// What HTTP/2 clients begin with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A handshake binds a tunnel to no other host than it was opened for. A first byte of 0: the rest is the server name
/// of a message that is otherwise as it should be; else it is all that the client sent.
pub fn gateway_sni(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let sent = match kind {
        0 => client_hello(&rest[..rest.len().min(1024)]),
        _ => rest.to_vec(),
    };
    let host = Host::parse(HOST).unwrap();
    runtime().block_on(async {
        let Some(bound) = fuzzing::handshake(&host, &sent).await else {
            return;
        };
        // Names of DNS are the same in other letters, and with the root's dot.
        let same = |name: &String| name.trim_end_matches('.').eq_ignore_ascii_case(HOST);
        let is_right = bound.name.as_ref().is_none_or(same);
        assert_eq!(bound.is_refused, !is_right, "{bound:?}");
        assert!(bound.is_refused || bound.host == host, "{bound:?}");
    });
}

/// HTTP/2 as any client may write it: frames and HPACK. A first byte of 0: the rest follows a client's preface and its
/// settings. What comes through is a head within the limit, and a request that has one reading or none.
pub fn gateway_http2(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let sent = match kind {
        0 => [PREFACE, settings, rest].concat(),
        _ => rest.to_vec(),
    };
    let host = Host::parse(HOST).unwrap();
    let bound = Bound::new(Scheme::Https, host, Via::Connect);
    for parts in runtime().block_on(fuzzing::http2(&sent)) {
        assert_eq!(parts.version, Version::HTTP_2);
        let fields = parts.headers.iter();
        let length: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(length <= HEAD_BYTES, "a head of {length} bytes");
        match CanonicalRequest::parse(parts, &bound) {
            Ok(request) => assert_eq!(request.host(), bound.host(), "to somewhere else"),
            Err(refusal) => is_readable(&refusal.to_string()),
        }
    }
}

/// A `ClientHello` of TLS 1.3 in its record (RFC 8446, sections 4.1.2 and 5.1).
fn client_hello(name: &[u8]) -> Vec<u8> {
    // A list of one name of type 0 (RFC 6066, section 3).
    let name = [&[0], counted(2, name).as_slice()].concat();
    let extensions = [
        extension(0, &counted(2, &name)),
        // TLS 1.3, as the only version.
        extension(43, &counted(1, &[3, 4])),
        // Ed25519 and ECDSA on P-256.
        extension(13, &counted(2, &[8, 7, 4, 3])),
        // X25519, with a share of it.
        extension(10, &counted(2, &[0, 29])),
        extension(
            51,
            &counted(2, &[&[0, 29], counted(2, &[9; 32]).as_slice()].concat()),
        ),
    ];
    let body = [
        &[3, 3][..],
        &[7; 32],
        &counted(1, b""),
        // TLS_AES_128_GCM_SHA256.
        &counted(2, &[0x13, 0x01]),
        // No compression.
        &counted(1, &[0]),
        &counted(2, &extensions.concat()),
    ];
    let message = [&[1], counted(3, &body.concat()).as_slice()].concat();
    [&[22, 3, 1], counted(2, &message).as_slice()].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &counted(2, content)].concat()
}

/// With its length before it, in `width` bytes.
fn counted(width: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - width..], content].concat()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}
