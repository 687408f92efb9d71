//! How long a body is, and which fields belong to one hop.

use fnox_gateway::Reason;
use fnox_gateway::injection::check_trailers;
use fnox_gateway::placeholder::Placeholders;
use fnox_gateway::request::{BodyLength, MAX_FIELD_BYTES, MAX_FIELDS};
use http::{HeaderValue, Version};

use crate::support::{HOST, http1, http2, parse, reason};

fn sent(fields: &[(&str, &str)]) -> http::HeaderMap {
    http1("POST", "/", fields)
        .unwrap()
        .into_http1()
        .unwrap()
        .headers
}

#[test]
fn a_length_and_a_transfer_coding_together_are_refused() {
    let both = [("content-length", "4"), ("transfer-encoding", "chunked")];
    assert_eq!(reason(http1("POST", "/", &both)), Reason::Ambiguous);
    assert_eq!(reason(http2("POST", "/", &both)), Reason::Ambiguous);
}

#[test]
fn lengths_that_differ_or_are_no_numbers_are_refused() {
    let two = |one, other| {
        http1(
            "POST",
            "/",
            &[("content-length", one), ("content-length", other)],
        )
    };
    assert_eq!(reason(two("4", "5")), Reason::Ambiguous);
    let request = two("4", "4").unwrap();
    assert_eq!(request.body_length(), BodyLength::Known(4));
    let headers = request.into_http1().unwrap().headers;
    assert_eq!(headers.get_all("content-length").iter().count(), 1);
    for text in [
        "",
        "+4",
        "-4",
        "04",
        "4, 4",
        "0x4",
        "4 4",
        "4.0",
        "99999999999999999999",
    ] {
        let outcome = http1("POST", "/", &[("content-length", text)]);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{text:?}");
    }
}

#[test]
fn the_only_transfer_coding_is_chunked() {
    let coded = |coding| http1("POST", "/", &[("transfer-encoding", coding)]);
    let request = coded("Chunked").unwrap();
    assert_eq!(request.body_length(), BodyLength::Unknown);
    // The sender frames the body anew.
    assert!(!request.headers().contains_key("transfer-encoding"));
    for coding in [
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "identity",
        "",
        "xchunked",
        "chunked;q=1",
    ] {
        assert_eq!(reason(coded(coding)), Reason::Ambiguous, "{coding:?}");
    }
    let twice = [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "chunked"),
    ];
    assert_eq!(reason(http1("POST", "/", &twice)), Reason::Ambiguous);
    let fields = [("host", HOST), ("transfer-encoding", "chunked")];
    let old = parse(Version::HTTP_10, "POST", "/", &fields);
    assert_eq!(reason(old), Reason::Ambiguous);
}

#[test]
fn a_body_is_as_long_as_it_says() {
    let length = |outcome: Result<fnox_gateway::request::CanonicalRequest, _>| {
        outcome.unwrap().body_length()
    };
    assert_eq!(length(http1("GET", "/", &[])), BodyLength::Known(0));
    assert_eq!(length(http2("POST", "/", &[])), BodyLength::Unknown);
    let ten_gigabytes = [("content-length", "10737418240")];
    assert_eq!(
        length(http1("PUT", "/", &ten_gigabytes)),
        BodyLength::Known(10_737_418_240)
    );
}

#[test]
fn folded_lines_and_control_characters_cannot_be_in_a_field() {
    for text in ["a\r\n b", "a\nb", "a\rb", "a\0b", "a\x7f"] {
        assert!(HeaderValue::from_str(text).is_err(), "{text:?}");
    }
}

#[test]
fn fields_of_one_hop_end_here() {
    let headers = sent(&[
        ("connection", "keep-alive, X-Hop"),
        ("connection", "te"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic c2VzYW1l"),
        ("proxy-connection", "keep-alive"),
        ("proxy-anything", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("x-end", "1"),
    ]);
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-end"]);
}

#[test]
fn connection_takes_nothing_away_that_is_for_the_server() {
    for name in [
        "host",
        "Content-Length",
        "transfer-encoding",
        "authorization",
        "cookie",
        "content-type",
    ] {
        let outcome = http1("POST", "/", &[("connection", name)]);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{name}");
    }
    let outcome = http1("POST", "/", &[("connection", "a b")]);
    assert_eq!(reason(outcome), Reason::Ambiguous);
}

#[test]
fn trailers_are_announced_over_http2_alone() {
    let request = http2("POST", "/", &[("te", "trailers")]).unwrap();
    assert_eq!(
        request.clone().into_http2().unwrap().headers["te"],
        "trailers"
    );
    assert!(!request.into_http1().unwrap().headers.contains_key("te"));
    let request = http2("POST", "/", &[("te", "gzip")]).unwrap();
    assert!(!request.into_http2().unwrap().headers.contains_key("te"));
}

#[test]
fn the_only_upgrade_is_to_websocket() {
    let handshake = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let request = http1("GET", "/", &handshake).unwrap();
    assert!(request.is_websocket());
    let headers = request.into_http1().unwrap().headers;
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");

    for (method, fields) in [
        ("POST", &handshake[..]),
        ("GET", &handshake[1..]),
        ("GET", &[("connection", "upgrade"), ("upgrade", "h2c")]),
        (
            "GET",
            &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
        ),
        ("GET", &[("connection", "upgrade")]),
    ] {
        let request = http1(method, "/", fields).unwrap();
        assert!(!request.is_websocket(), "{method} {fields:?}");
        assert!(
            !request
                .into_http1()
                .unwrap()
                .headers
                .contains_key("upgrade")
        );
    }
}

#[test]
fn cookies_are_one_field() {
    let crumbs = [("cookie", "a=1"), ("cookie", "b=2")];
    let request = http2("GET", "/", &crumbs).unwrap();
    assert_eq!(request.headers()["cookie"], "a=1; b=2");
    assert!(request.headers()["cookie"].is_sensitive());
    assert_eq!(reason(http1("GET", "/", &crumbs)), Reason::Ambiguous);
}

#[test]
fn what_a_request_may_have_once_it_has_once() {
    for name in ["authorization", "content-type", "expect"] {
        let outcome = http1("POST", "/", &[(name, "a"), (name, "a")]);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{name}");
    }
    let request = http1("GET", "/", &[("accept", "a"), ("accept", "b")]).unwrap();
    assert_eq!(request.headers().get_all("accept").iter().count(), 2);
}

#[test]
fn underscores_do_not_make_a_second_field() {
    for fields in [
        &[("content_length", "5")][..],
        &[("authorization", "a"), ("Transfer_Encoding", "chunked")],
        &[("x-scope", "read"), ("x_scope", "write")],
    ] {
        let outcome = http1("POST", "/", fields);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{fields:?}");
    }
    assert!(http1("GET", "/", &[("x_scope", "read")]).is_ok());
}

#[test]
fn many_fields_and_large_ones_are_refused() {
    let some = |count| vec![("accept", "a"); count];
    // `Host` is one of them.
    assert!(http1("GET", "/", &some(MAX_FIELDS - 1)).is_ok());
    assert_eq!(
        reason(http1("GET", "/", &some(MAX_FIELDS))),
        Reason::TooLarge
    );
    let large = "a".repeat(MAX_FIELD_BYTES);
    let outcome = http1("GET", "/", &[("x-large", &large)]);
    assert_eq!(reason(outcome), Reason::TooLarge);
}

#[test]
fn versions_other_than_1_and_2_are_refused() {
    for version in [Version::HTTP_09, Version::HTTP_3] {
        let outcome = parse(version, "GET", "/", &[("host", HOST)]);
        assert_eq!(reason(outcome), Reason::Ambiguous);
    }
}

#[test]
fn trailers_add_nothing_to_what_was_judged() {
    let check = |name: &str| {
        let mut trailers = http::HeaderMap::new();
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        trailers.insert(name, HeaderValue::from_static("x"));
        check_trailers(&trailers, &Placeholders::default())
    };
    assert!(check("grpc-status").is_ok());
    assert!(check("x-amz-checksum-crc32").is_ok());
    for name in [
        "Host",
        "content-length",
        "transfer-encoding",
        "Authorization",
        "cookie",
        "te",
        "x-original-url",
        "proxy-authorization",
        "content_length",
        "expect",
    ] {
        assert_eq!(reason(check(name)), Reason::Ambiguous, "{name}");
    }
}
