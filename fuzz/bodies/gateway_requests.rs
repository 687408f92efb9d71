//! What agents send to the gateway, and what rules say about it.

use fnox_core::{Host, HostPattern};
use fnox_gateway::Reason;
use fnox_gateway::request::{Bound, CanonicalRequest, Path, Scheme, Via};
use fnox_gateway::rule::{Hosts, PathGlob};
use http::header::{CONTENT_LENGTH, HOST, MAX_FORWARDS, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::{is_one_line, is_readable};

/// A request: what leaves is read as the same request by whoever reads it.
pub fn gateway_request(data: &[u8]) {
    let Some((parts, bound)) = request(data) else {
        return;
    };
    let original = parts.uri.path().to_owned();
    let request = match CanonicalRequest::parse(parts, &bound) {
        Ok(request) => request,
        Err(refusal) => return is_readable(&refusal.to_string()),
    };
    assert_eq!(request.host(), bound.host(), "to somewhere else");
    assert_eq!(request.scheme(), bound.scheme());
    has_one_reading(request.path().as_str(), &original);
    has_no_field_of_one_hop(request.headers());
    let bound = Bound::new(bound.scheme(), bound.host().clone(), Via::Connect);
    if let Ok(parts) = request.clone().into_http1() {
        let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
        assert_eq!(hosts, [request.authority().as_str()]);
        assert_eq!(parts.uri.to_string(), request.target());
        is_read_again(&request, parts, &bound);
    }
    if let Ok(parts) = request.clone().into_http2() {
        assert!(!parts.headers.contains_key(HOST));
        is_read_again(&request, parts, &bound);
    }
}

/// A request of text: a line of the version, `connect` or `absolute`, the scheme and the host that the connection is
/// bound to, then the method and the target, then fields.
///
/// What cannot come out of an HTTP parser is left out.
pub(super) fn request(data: &[u8]) -> Option<(Parts, Bound)> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let connection = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = connection.split(' ');
    let version = match words.next()? {
        "1.0" => Version::HTTP_10,
        "2" => Version::HTTP_2,
        "3" => Version::HTTP_3,
        _ => Version::HTTP_11,
    };
    let via = match words.next()? {
        "absolute" => Via::Absolute,
        _ => Via::Connect,
    };
    let scheme = match words.next()? {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let bound = Bound::new(scheme, Host::parse(words.next()?).ok()?, via);
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.version = version;
    parts.method = Method::from_bytes(words.next()?).ok()?;
    parts.uri = Uri::try_from(words.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            parts.headers.try_append(name, value).ok()?;
        }
    }
    Some((parts, bound))
}

fn is_read_again(request: &CanonicalRequest, parts: Parts, bound: &Bound) {
    let counts_down = request.headers().contains_key(MAX_FORWARDS);
    let is_http1 = parts.version == Version::HTTP_11;
    let again = match CanonicalRequest::parse(parts, bound) {
        Ok(again) => again,
        // `Host` is one field more, and nobody but this gateway counts them down.
        Err(refusal) if refusal.reason == Reason::TooLarge || counts_down => return,
        Err(refusal) => panic!("what leaves is refused: {refusal}"),
    };
    assert_eq!(again.host(), request.host());
    assert_eq!(again.scheme(), request.scheme());
    assert_eq!(again.method(), request.method());
    assert_eq!(again.target(), request.target());
    assert_eq!(again.path(), request.path());
    assert_eq!(again.query(), request.query());
    if request.headers().contains_key(CONTENT_LENGTH) {
        assert_eq!(again.body_length(), request.body_length());
    }
    let mut expected = request.headers().clone();
    let mut got = again.headers().clone();
    // Options of HTTP/1.1's `Connection`, and what each gateway counts down.
    for name in [TE, MAX_FORWARDS] {
        expected.remove(&name);
        got.remove(&name);
    }
    assert_eq!(got, expected);
    assert!(!is_http1 || again.is_websocket() == request.is_websocket());
}

/// No server finds another resource in a path than the one that was judged.
fn has_one_reading(path: &str, original: &str) {
    assert_eq!(decode(path), decode(original), "another resource");
    let once = decode(path);
    assert_eq!(
        decode_bytes(&once),
        once,
        "decoded twice, it is another one"
    );
    let text = std::str::from_utf8(&once).unwrap_or_else(|_| panic!("{path} is no UTF-8"));
    assert_eq!(text.matches('/').count(), path.matches('/').count());
    assert!(!text.contains("//"), "merged slashes make it another one");
    assert!(!text.contains([';', '\\', '%', '\0', '\n', '\r']), "{text}");
    let is_dots = |segment: &str| [".", ".."].contains(&segment.trim());
    assert!(!text.split('/').any(is_dots), "dot segments in {text}");
    assert!(path.is_ascii());
}

fn has_no_field_of_one_hop(headers: &HeaderMap) {
    for name in headers.keys() {
        let name = name.as_str();
        let is_of_one_hop = [
            "connection",
            "host",
            "http2-settings",
            "keep-alive",
            "transfer-encoding",
            "upgrade",
        ]
        .contains(&name);
        assert!(!is_of_one_hop && !name.starts_with("proxy-"), "{name}");
    }
    for name in ["authorization", "content-length", "content-type", "cookie"] {
        assert!(headers.get_all(name).iter().count() <= 1, "{name} twice");
    }
}

fn decode(text: &str) -> Vec<u8> {
    decode_bytes(text.as_bytes())
}

/// As a lenient server does it: what is no encoding stands for itself.
pub(super) fn decode_bytes(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        let digits = (digit(others.first()), digit(others.get(1)));
        match (first, digits) {
            (b'%', (Some(high), Some(low))) => {
                decoded.extend(u8::try_from(high * 16 + low));
                rest = &others[2..];
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// Hosts as clients name them, one a line, and a rule's pattern of them in the first line.
pub fn gateway_host(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let pattern = lines.next().unwrap_or_default();
    let hosts = match Hosts::parse(pattern) {
        Ok(hosts) => {
            let again = Hosts::parse(&hosts.to_string());
            assert_eq!(again.as_ref(), Ok(&hosts), "written and read differently");
            Some(hosts)
        }
        Err(error) => {
            is_one_line(&error.to_string());
            None
        }
    };
    for line in lines {
        let Ok(host) = Host::parse(line) else {
            continue;
        };
        assert!(
            !line.contains(['@', '/', '?', '#', '\\']),
            "more than a host: {line}"
        );
        for scheme in [Scheme::Http, Scheme::Https] {
            let bound = Bound::new(scheme, host.clone(), Via::Connect);
            let port = bound.host().port();
            assert_eq!(port, host.port().or(Some(scheme.default_port())));
            is_the_same_authority(&bound);
        }
        let host = host.with_default_port(Scheme::Https.default_port());
        if let (Some(hosts), Ok(pattern)) = (&hosts, HostPattern::parse(pattern))
            && hosts.matches(&host)
        {
            is_meant(&pattern, &host);
        }
    }
}

/// What is written as `Host` and `:authority` is the host that the connection is bound to.
fn is_the_same_authority(bound: &Bound) {
    let scheme = bound.scheme();
    let written = bound.host().authority(scheme.default_port());
    let read = Host::parse(&written).map(|host| host.with_default_port(scheme.default_port()));
    assert_eq!(read.as_ref(), Ok(bound.host()));
    let Ok(authority) = http::uri::Authority::try_from(written.as_str()) else {
        panic!("{written} is no authority");
    };
    let name = bound.host().name();
    let name = name.trim_matches(['[', ']']);
    assert_eq!(authority.host().trim_matches(['[', ']']), name);
    let port = authority.port_u16().or(Some(scheme.default_port()));
    assert_eq!(port, bound.host().port());
}

/// A star is one label, and without a port it is 443.
fn is_meant(pattern: &HostPattern, host: &Host) {
    let name = host.name();
    let port = match pattern {
        HostPattern::Exact(exact) => {
            assert_eq!(exact.name(), name);
            exact.port()
        }
        HostPattern::Below { suffix, port } => {
            let label = name.split_once('.').map(|(label, _)| label);
            assert_eq!(Some(name.clone()), label.map(|it| format!("{it}.{suffix}")));
            *port
        }
    };
    assert_eq!(host.port(), port.or(Some(Hosts::DEFAULT_PORT)));
}

/// A rule's pattern of paths in the first line, and paths. It means what trying everything finds.
pub fn gateway_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let pattern = lines.next().unwrap_or_default();
    let glob = match PathGlob::parse(pattern) {
        Ok(glob) => glob,
        Err(error) => return is_one_line(&error.to_string()),
    };
    assert_eq!(PathGlob::parse(&glob.to_string()).as_ref(), Ok(&glob));
    // A star may stand in a path, so a pattern is one too.
    let Ok(pattern) = Path::parse(pattern) else {
        panic!("{pattern} is a pattern of what is no path");
    };
    let parts: Vec<&str> = pattern.segments().collect();
    for line in lines {
        let Ok(path) = Path::parse(line) else {
            continue;
        };
        let segments: Vec<&str> = path.segments().collect();
        let is_meant = means(&parts, &segments);
        assert_eq!(glob.matches(&path), is_meant, "{glob} and {path}");
    }
}

/// Whether a pattern means a path: for each of its parts, all places up to which it can have come.
fn means(parts: &[&str], segments: &[&str]) -> bool {
    let mut reached = vec![false; segments.len() + 1];
    reached[0] = true;
    for part in parts {
        let mut next = vec![false; segments.len() + 1];
        for (at, _) in reached.iter().enumerate().filter(|(_, is)| **is) {
            match segments.get(at) {
                _ if *part == "**" => next[at..].fill(true),
                Some(segment) if part.is_empty() == segment.is_empty() && is_run(part, segment) => {
                    next[at + 1] = true;
                }
                _ => {}
            }
        }
        reached = next;
    }
    reached[segments.len()]
}

/// The same within a segment.
fn is_run(part: &str, segment: &str) -> bool {
    let segment = segment.as_bytes();
    let mut reached = vec![false; segment.len() + 1];
    reached[0] = true;
    for byte in part.bytes() {
        let mut next = vec![false; segment.len() + 1];
        for (at, _) in reached.iter().enumerate().filter(|(_, is)| **is) {
            if byte == b'*' {
                next[at..].fill(true);
            } else if segment.get(at) == Some(&byte) {
                next[at + 1] = true;
            }
        }
        reached = next;
    }
    reached[segment.len()]
}
