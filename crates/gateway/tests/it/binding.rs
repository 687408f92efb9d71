//! Where a request goes is said once, or everywhere alike.

use fnox_core::Host;
use fnox_gateway::Reason;
use fnox_gateway::request::{Bound, Scheme, Via};
use http::Version;

use crate::support::{HOST, bound, http1, http2, parse, parse_bound, reason};

const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

fn bound_via(scheme: Scheme, host: &str, via: Via) -> Bound {
    Bound::new(scheme, Host::parse(host).unwrap(), via)
}

#[test]
fn host_may_be_spelled_in_any_way_and_is_sent_in_one() {
    for spelling in [
        "api.example.com",
        "API.Example.COM",
        "api.example.com.",
        "api.example.com:443",
    ] {
        let request = parse(H1, "GET", "/", &[("host", spelling)]).unwrap();
        assert_eq!(request.host().to_string(), "api.example.com:443");
        let parts = request.into_http1().unwrap();
        assert_eq!(parts.headers["host"], "api.example.com", "{spelling}");
        assert_eq!(parts.uri.to_string(), "/");
    }
}

#[test]
fn another_host_than_the_connections_is_refused_in_every_way_to_be_bound() {
    for via in [Via::Connect, Via::Sni, Via::Socks] {
        let bound = bound_via(Scheme::Https, HOST, via);
        for other in [
            "evil.example.net",
            "example.com",
            "api.example.com.evil.net",
            "api.example.com:8443",
            "10.0.0.1",
        ] {
            let outcome = parse_bound(&bound, H1, "GET", "/", &[("host", other)]);
            assert_eq!(reason(outcome), Reason::Misdirected, "{via:?} {other}");
        }
    }
}

#[test]
fn what_is_no_host_is_refused() {
    for text in [
        "",
        "*.example.com",
        "user@api.example.com",
        "api.example.com/x",
        "[api.example.com]",
        "api.example.com:",
        "api.example.com:0443",
        "api.example.com, api.example.com",
        "api example.com",
        "0x7f.1",
        "2130706433",
        "127.1",
    ] {
        let outcome = parse(H1, "GET", "/", &[("host", text)]);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{text:?}");
    }
}

#[test]
fn a_mapped_address_is_the_address_that_would_be_dialled() {
    let bound = bound("127.0.0.1:8443");
    let fields = [("host", "[::ffff:127.0.0.1]:8443")];
    let request = parse_bound(&bound, H1, "GET", "/", &fields).unwrap();
    assert_eq!(request.host().to_string(), "127.0.0.1:8443");
    assert_eq!(
        request.into_http1().unwrap().headers["host"],
        "127.0.0.1:8443"
    );
}

#[test]
fn an_international_name_has_one_form() {
    let bound = bound("b\u{fc}cher.example");
    let fields = [("host", "xn--bcher-kva.example")];
    let request = parse_bound(&bound, H1, "GET", "/", &fields).unwrap();
    assert_eq!(request.authority(), "xn--bcher-kva.example");
}

#[test]
fn an_ipv6_address_is_sent_in_brackets() {
    let bound = bound("[::1]:443");
    let request = parse_bound(&bound, H1, "GET", "/", &[("host", "[::1]")]).unwrap();
    assert_eq!(
        request.clone().into_http1().unwrap().headers["host"],
        "[::1]"
    );
    assert_eq!(
        request.into_http2().unwrap().uri.to_string(),
        "https://[::1]/"
    );
}

#[test]
fn no_host_and_two_hosts_are_refused_even_if_alike() {
    assert_eq!(reason(parse(H1, "GET", "/", &[])), Reason::Ambiguous);
    let two = [("host", HOST), ("host", HOST)];
    assert_eq!(reason(parse(H1, "GET", "/", &two)), Reason::Ambiguous);
    assert_eq!(reason(http2("GET", "/", &two)), Reason::Ambiguous);
}

#[test]
fn absolute_form_within_a_tunnel_must_name_the_tunnels_end() {
    assert!(http1("GET", "https://api.example.com/x", &[]).is_ok());
    for target in [
        "https://evil.example.net/x",
        "https://api.example.com:8443/x",
        "http://api.example.com/x",
        "http://api.example.com:443/x",
    ] {
        assert_eq!(
            reason(http1("GET", target, &[])),
            Reason::Misdirected,
            "{target}"
        );
    }
}

#[test]
fn absolute_form_and_host_must_agree() {
    let bound = bound_via(Scheme::Http, "localhost:8080", Via::Absolute);
    let target = "http://localhost:8080/x";
    let read = |target, host| parse_bound(&bound, H1, "GET", target, &[("host", host)]);
    let request = read(target, "localhost:8080").unwrap();
    assert_eq!(request.into_http1().unwrap().uri.to_string(), "/x");
    assert_eq!(reason(read(target, "localhost")), Reason::Misdirected);
    assert_eq!(reason(read(target, "other:8080")), Reason::Misdirected);
    // A proxy is asked with a whole URL.
    assert_eq!(reason(read("/x", "localhost:8080")), Reason::Ambiguous);
}

#[test]
fn user_info_is_refused() {
    for target in [
        "https://user@api.example.com/",
        "https://user:pw@api.example.com/",
        "https://api.example.com@evil.example.net/",
    ] {
        assert_eq!(
            reason(http1("GET", target, &[])),
            Reason::Ambiguous,
            "{target}"
        );
    }
}

#[test]
fn http2_names_its_host_in_authority_and_host_may_only_repeat_it() {
    let request = http2("GET", "/x?y", &[]).unwrap();
    let parts = request.into_http2().unwrap();
    assert_eq!(parts.uri.to_string(), "https://api.example.com/x?y");
    assert!(!parts.headers.contains_key("host"));
    assert!(http2("GET", "/", &[("host", HOST)]).is_ok());
    assert_eq!(
        reason(http2("GET", "/", &[("host", "evil.example.net")])),
        Reason::Misdirected
    );
    let elsewhere = parse(H2, "GET", "https://evil.example.net/", &[("host", HOST)]);
    assert_eq!(reason(elsewhere), Reason::Misdirected);
    // Without `:authority`, `Host` says it.
    assert!(parse(H2, "GET", "/", &[("host", HOST)]).is_ok());
    assert_eq!(reason(parse(H2, "GET", "/", &[])), Reason::Ambiguous);
}

#[test]
fn fields_that_name_another_request_are_refused() {
    for name in [
        "x-http-method-override",
        "X-HTTP-Method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-host",
        "x_original_url",
    ] {
        let outcome = http1("POST", "/", &[(name, "/admin")]);
        assert_eq!(reason(outcome), Reason::Ambiguous, "{name}");
    }
}

#[test]
fn refusals_name_destinations_and_nothing_else_of_the_request() {
    let fields = [("host", "evil.example.net"), ("authorization", "sesame")];
    let refusal = parse(H1, "GET", "/sesame?sesame", &fields).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the request is for `evil.example.net:443` on a connection for `api.example.com:443`\n\
         Open a connection of its own for each host."
    );
}
