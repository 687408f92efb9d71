//! Paths and methods that servers read in different ways do not leave.

use fnox_gateway::Reason;
use fnox_gateway::request::MAX_TARGET_BYTES;
use http::Version;

use crate::support::{get, http1, http2, parse, reason};

#[track_caller]
fn is_ambiguous(targets: &[&str]) {
    for target in targets {
        assert_eq!(
            reason(http1("GET", target, &[])),
            Reason::Ambiguous,
            "{target}"
        );
        assert_eq!(
            reason(http2("GET", target, &[])),
            Reason::Ambiguous,
            "{target}"
        );
    }
}

#[test]
fn dot_segments_are_refused_as_they_are_and_encoded() {
    is_ambiguous(&[
        "/api/../admin",
        "/api/..",
        "/./api",
        "/api/.",
        "/..",
        "/api/%2e%2e/admin",
        "/api/.%2E/admin",
        "/api/%2e/x",
        "/api/..%20/admin",
        "/api/%20.",
        "/api/file%2ejson",
    ]);
}

#[test]
fn encoded_slashes_and_backslashes_are_refused() {
    is_ambiguous(&[
        "/api/..%2fadmin",
        "/a%2Fb",
        "/a%5cb",
        "/a%5C..%5Cb",
        "/a\\b",
        "/a\\..\\b",
        "/%2f",
    ]);
}

#[test]
fn what_is_encoded_twice_or_wrongly_is_refused() {
    is_ambiguous(&[
        "/a%252fb",
        "/%25",
        "/%252e%252e/admin",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002f",
        // Overlong UTF-8 of `/` and `.`
        "/a%c0%afb",
        "/%c0%ae%c0%ae/admin",
        "/a%ff",
    ]);
}

#[test]
fn path_parameters_are_refused() {
    is_ambiguous(&[
        "/public/..;/admin",
        "/admin;.json",
        "/a;jsessionid=1/b",
        "/a%3bb",
    ]);
}

#[test]
fn empty_segments_are_refused_but_a_last_one() {
    is_ambiguous(&["//", "//admin", "/api//admin", "/api//"]);
    assert_eq!(get("/api/").target(), "/api/");
}

#[test]
fn encoded_control_characters_are_refused() {
    is_ambiguous(&[
        "/a%00",
        "/a%0d%0aHost:%20x",
        "/a%7f",
        "/a%09b",
        "/a%c2%85",
        "/?a%00",
    ]);
}

#[test]
fn a_fragment_is_no_part_of_what_is_judged_and_sent() {
    let request = get("/a?b=c#/../d");
    assert_eq!(request.target(), "/a?b=c");
    assert_eq!(request.into_http1().unwrap().uri.to_string(), "/a?b=c");
}

#[test]
fn what_is_sent_has_one_percent_encoding() {
    for (target, canonical) in [
        ("/%41%7E?%61=%7e", "/A~?a=~"),
        ("/a%3ab:c?u=a%3ab:c", "/a%3Ab:c?u=a%3Ab:c"),
        ("/b\u{fc}cher?q=\u{fc}", "/b%C3%BCcher?q=%C3%BC"),
        ("/a|b?x[]=1;2", "/a%7Cb?x%5B%5D=1%3B2"),
        ("/a?", "/a?"),
    ] {
        let request = get(target);
        assert_eq!(request.target(), canonical, "{target}");
        let sent = request.clone().into_http1().unwrap().uri.to_string();
        assert_eq!(sent, canonical);
        let sent = request.into_http2().unwrap().uri.to_string();
        assert_eq!(sent, format!("https://api.example.com{canonical}"));
    }
}

#[test]
fn trace_and_connect_are_not_forwarded() {
    assert_eq!(reason(http1("TRACE", "/", &[])), Reason::NotAllowed);
    assert_eq!(reason(http2("TRACE", "/", &[])), Reason::NotAllowed);
    assert_eq!(reason(http2("CONNECT", "/", &[])), Reason::NotAllowed);
    let tunnel = parse(
        Version::HTTP_11,
        "CONNECT",
        "api.example.com:443",
        &[("host", "api.example.com:443")],
    );
    assert_eq!(reason(tunnel), Reason::NotAllowed);
}

#[test]
fn methods_are_in_capital_letters_or_of_the_servers_own() {
    for method in ["get", "Delete", "trace", "pOST"] {
        assert_eq!(reason(http1(method, "/", &[])), Reason::Ambiguous);
    }
    for method in ["PROPFIND", "PURGE", "m-search"] {
        assert_eq!(http1(method, "/", &[]).unwrap().method(), method);
    }
}

#[test]
fn options_of_the_whole_server_are_refused() {
    assert_eq!(reason(http1("OPTIONS", "*", &[])), Reason::Ambiguous);
}

#[test]
fn max_forwards_of_options_is_counted_down_and_ends() {
    let options = |hops| http1("OPTIONS", "/", &[("max-forwards", hops)]);
    assert_eq!(options("3").unwrap().headers()["max-forwards"], "2");
    assert_eq!(reason(options("0")), Reason::NotAllowed);
    for text in ["", "-1", "+1", "01", "1, 2", "x"] {
        assert_eq!(reason(options(text)), Reason::Ambiguous, "{text:?}");
    }
    let request = http1("GET", "/", &[("max-forwards", "0")]).unwrap();
    assert_eq!(request.headers()["max-forwards"], "0");
}

#[test]
fn long_targets_are_refused_before_and_after_encoding() {
    let long = |length| format!("/{}", "a".repeat(length - 1));
    assert!(http1("GET", &long(MAX_TARGET_BYTES), &[]).is_ok());
    let outcome = http1("GET", &long(MAX_TARGET_BYTES + 1), &[]);
    assert_eq!(reason(outcome), Reason::TooLarge);
    let grows = format!("/{}", "|".repeat(MAX_TARGET_BYTES / 2));
    assert_eq!(reason(http1("GET", &grows, &[])), Reason::TooLarge);
}
