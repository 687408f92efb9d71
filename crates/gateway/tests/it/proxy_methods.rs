//! Methods whose answers repeat the request, or that are about the connection.

use http::{Method, Request, StatusCode};

use crate::proxy_support::{
    AUTHORITY, HOST, Setup, VALUE, empty, read_to_end, real_bearer, within,
};
use fnox_gateway::rule::Mode;

#[tokio::test]
async fn trace_is_not_forwarded_whatever_it_carries() {
    for mode in [Mode::Swap, Mode::Set] {
        let proxy = Setup::with(|rule| rule.mode = mode).start().await;
        for field in ["x-a: b", "max-forwards: 0", "max-forwards: 5"] {
            let head = proxy.head("TRACE /", &[field]);
            let answer = proxy.inside().await.ask(head).await;
            assert_eq!(answer.refusal(), Some("gateway::not_allowed"), "{field}");
            // It is not answered here either: that would be the request.
            assert!(!answer.body.contains(&proxy.placeholder), "{}", answer.body);
        }
        let bare = format!("TRACE / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        let answer = proxy.inside().await.ask(bare).await;
        assert_eq!(answer.refusal(), Some("gateway::not_allowed"));
        let request = proxy.request2("TRACE", "/").body(empty()).unwrap();
        let response = proxy.http2().await.send_request(request).await.unwrap();
        assert_eq!(
            read_to_end(response).await.refusal(),
            Some("gateway::not_allowed")
        );
        assert!(proxy.received().is_empty());
    }
}

#[tokio::test]
async fn options_takes_no_credential() {
    let proxy = Setup::with(|rule| rule.mode = Mode::Set).start().await;
    let bare = format!("OPTIONS /a HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let answer = proxy.inside().await.ask(bare).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains(VALUE), "{}", answer.body);
    assert_eq!(proxy.only().header("authorization"), None);
    assert!(proxy.seen()[0].rules.is_empty());
    let answer = proxy.inside().await.ask(proxy.head("OPTIONS /", &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::no_injection"));
    assert_eq!(proxy.received().len(), 1);
}

#[tokio::test]
async fn options_goes_as_far_as_it_says() {
    let proxy = Setup::new().start().await;
    let ask = async |hops: &str| {
        let head = format!("OPTIONS / HTTP/1.1\r\nhost: {HOST}\r\nmax-forwards: {hops}\r\n\r\n");
        proxy.inside().await.ask(head).await
    };
    assert_eq!(ask("0").await.refusal(), Some("gateway::not_allowed"));
    assert_eq!(ask("-1").await.refusal(), Some("gateway::ambiguous"));
    assert!(proxy.received().is_empty());
    assert_eq!(ask("5").await.status, 200);
    assert_eq!(proxy.only().header("max-forwards"), Some("4"));
}

#[tokio::test]
async fn options_about_the_server_as_a_whole_is_refused() {
    let proxy = Setup::new().start().await;
    let head = format!("OPTIONS * HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let answer = proxy.inside().await.ask(head).await;
    assert_eq!(answer.refusal(), Some("gateway::ambiguous"));
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn max_forwards_means_nothing_to_other_methods() {
    let proxy = Setup::new().start().await;
    let head = proxy.head("GET /", &["max-forwards: 0"]);
    assert_eq!(proxy.inside().await.ask(head).await.status, 200);
    assert_eq!(proxy.only().header("max-forwards"), Some("0"));
}

#[tokio::test]
async fn connect_in_a_tunnel_is_refused() {
    let proxy = Setup::new().start().await;
    for target in [AUTHORITY, "evil.example.net:443", "127.0.0.1:22"] {
        let head = format!(
            "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nauthorization: {}\r\n\r\n",
            proxy.bearer()
        );
        let answer = proxy.inside().await.ask(head).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let request = Request::connect(target).body(empty()).unwrap();
        let response = within(proxy.http2().await.send_request(request)).await;
        assert_eq!(response.unwrap().status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(proxy.upstream.connections(), 0);
}

#[tokio::test]
async fn connect_names_a_host_and_a_port() {
    let proxy = Setup::new().start().await;
    for target in [
        "api.example.com",
        "api.example.com:0443",
        "user@api.example.com:443",
        "127.1:443",
        "0x7f000001:443",
        "[api.example.com]:443",
        "*.example.com:443",
    ] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
        let answer = proxy.wire().await.ask(head).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    assert_eq!(proxy.upstream.connections(), 0);
}

#[tokio::test]
async fn a_method_in_other_letters_is_refused() {
    let proxy = Setup::new().start().await;
    for method in ["get", "Trace", "oPTIONS"] {
        let head = proxy.head(&format!("{method} /"), &[]);
        let answer = proxy.inside().await.ask(head).await;
        assert_eq!(answer.refusal(), Some("gateway::ambiguous"), "{method}");
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn a_method_that_a_rule_does_not_name_is_refused() {
    let setup = Setup::with(|rule| rule.methods = vec![Method::GET]);
    let proxy = setup.start().await;
    let mut inside = proxy.inside().await;
    let answer = inside.ask(proxy.head("DELETE /", &[])).await;
    assert_eq!(answer.refusal(), Some("gateway::not_allowed"));
    // The connection is of use after that.
    assert_eq!(inside.ask(proxy.head("GET /", &[])).await.status, 200);
    assert_eq!(proxy.only().method, "GET");
}

#[tokio::test]
async fn head_is_answered_with_a_length_and_nothing_else() {
    let proxy = Setup::new().start().await;
    let mut http1 = proxy.http1().await;
    let request = proxy.request1("HEAD", "/bytes/1000").body(empty()).unwrap();
    let answer = read_to_end(within(http1.send_request(request)).await.unwrap()).await;
    assert_eq!(answer.headers["content-length"], "1000");
    assert!(answer.bytes.is_empty());
    assert_eq!(proxy.only().header("authorization"), Some(&*real_bearer()));
    // Nothing of a body is left in the connection.
    http1.ready().await.unwrap();
    let request = proxy.request1("GET", "/").body(empty()).unwrap();
    assert_eq!(http1.send_request(request).await.unwrap().status(), 200);
}
