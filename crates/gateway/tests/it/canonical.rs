//! What was judged is what is sent, and reads the same again.

use fnox_gateway::request::{BodyLength, CanonicalRequest};
use http::request::Parts;
use proptest::prelude::*;

use crate::support::{HOST, bound, http1, http2};

/// Targets made of what paths and queries break on.
fn target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "B", "~", "-", ".", "..", "/", "//", "%2e", "%2F", "%5c", "%25", "%41", "%c3%bc",
        "\u{fc}", "%ff", ";", "%3b", ":", "%3A", "@", "!", "*", "+", "=", "&", "?", "%", "%4", "[",
        "|", "\\", "'", "%00", "%20", ",", "$", "(",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let field = prop::sample::select(vec![
        ("accept", "*/*"),
        ("accept", "text/html"),
        ("authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("connection", "keep-alive"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("proxy-connection", "keep-alive"),
        ("x-other", "\u{fc}"),
    ]);
    prop::collection::vec(field, 0..5)
}

fn read_again(parts: Parts) -> CanonicalRequest {
    CanonicalRequest::parse(parts, &bound(HOST)).unwrap()
}

/// Percent-decoding as another crate does it.
fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

proptest! {
    #[test]
    fn a_request_that_was_sent_reads_the_same(target in target(), fields in fields()) {
        for outcome in [http1("GET", &target, &fields), http2("GET", &target, &fields)] {
            let Ok(request) = outcome else { continue };
            let again = read_again(request.clone().into_http2().unwrap());
            if request.body_length() == BodyLength::Unknown {
                prop_assert_eq!(&again, &request);
            }
            let sent = request.clone().into_http1().unwrap();
            let again = read_again(sent.clone());
            prop_assert_eq!(again.target(), request.target());
            // Sending it once more changes no byte.
            let resent = again.into_http1().unwrap();
            prop_assert_eq!(resent.uri, sent.uri);
            prop_assert_eq!(resent.method, sent.method);
            prop_assert_eq!(resent.headers, sent.headers);
        }
    }

    #[test]
    fn an_independent_decoder_reads_the_same_path_from_what_came_and_what_is_sent(
        target in target(),
    ) {
        let Ok(request) = http1("GET", &target, &[]) else { return Ok(()) };
        let came = target.split_once('?').map_or(target.as_str(), |(path, _)| path);
        let sent = request.into_http1().unwrap().uri;
        prop_assert_eq!(decode(came), decode(sent.path()));
        // However often it is decoded, and with backslashes for slashes, it has the segments that were judged.
        let once = String::from_utf8(decode(sent.path())).unwrap();
        prop_assert_eq!(decode(&once), once.as_bytes());
        let slashes = |text: &str| text.matches(['/', '\\']).count();
        prop_assert_eq!(slashes(&once), slashes(sent.path()));
        for segment in once.split('/') {
            prop_assert!(segment != "." && segment != "..");
            prop_assert!(!segment.contains(';'));
        }
        prop_assert!(!once.contains("//"));
    }

    #[test]
    fn an_independent_parser_reads_the_same_parameters(target in target()) {
        let Ok(request) = http1("GET", &target, &[]) else { return Ok(()) };
        let read: Vec<(Vec<u8>, Vec<u8>)> = request
            .query()
            .parameters()
            .map(|it| (it.decoded_name().into_owned(), it.decoded_value().into_owned()))
            .collect();
        let text = request.query().to_string();
        // As servers that split at semicolons do it, too.
        let expected: Vec<(Vec<u8>, Vec<u8>)> = text
            .split(['&', ';'])
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        if !request.query().is_empty() {
            prop_assert_eq!(read, expected);
        }
    }
}
