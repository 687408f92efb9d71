//! Where a request goes is said several times, and a credential goes nowhere unless all of them agree.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use fnox_gateway::Reason;
use fnox_gateway::destination::Resolver;
use fnox_gateway::rule::Hosts;
use fnox_testkit::stand_in::Upstream;
use http::{Request, StatusCode};
use rustls::pki_types::{IpAddr, ServerName};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::proxy_support::{
    AUTHORITY, Answer, EVIL, HOST, NAMES, Names, OTHER, Proxy, Setup, Wire, body, connector, empty,
    over_http2, read_to_end, real_bearer, rule, within,
};

/// A request through a tunnel to `connect`, in whose TLS `name` is named, with this head.
async fn ask(proxy: &Proxy, connect: &str, name: &str, head: &str) -> Answer {
    let stream = proxy.tls(connect, name, &["http/1.1"]).await.unwrap();
    Wire::new(stream).ask(head).await
}

#[tokio::test]
async fn a_request_that_says_the_same_everywhere_gets_its_credential() {
    let proxy = Setup::new().start().await;
    let answer = proxy
        .inside()
        .await
        .ask(proxy.head("GET /a?b=c", &[]))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = proxy.only();
    assert_eq!(received.header("authorization"), Some(&*real_bearer()));
    assert_eq!((&*received.host, &*received.target), (HOST, "/a?b=c"));
    assert_eq!(proxy.seen()[0].rules, ["token"]);
}

/// As behind a guest's door, which wants no password: programs believe that they speak with their destination.
#[tokio::test]
async fn tls_at_once_is_bound_to_the_name_in_its_handshake() {
    let proxy = Setup::new().start().await;
    let mut http1 = Wire::new(proxy.tls_at_once("http/1.1").await);
    let answer = http1.ask(proxy.head("GET /1", &[])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut http2 = over_http2(proxy.tls_at_once("h2").await).await;
    let request = proxy.request2("GET", "/2").body(empty()).unwrap();
    let answer = within(http2.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let received = proxy.received();
    let targets: Vec<&str> = received.iter().map(|it| &*it.target).collect();
    assert_eq!(targets, ["/1", "/2"]);
    for request in &received {
        assert_eq!(request.header("authorization"), Some(&*real_bearer()));
        assert_eq!(request.host, HOST);
    }
    // What is not for that name is for nobody, whether a rule reaches it or not.
    for host in [OTHER, EVIL, "api.example.com:8443"] {
        let head = format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nauthorization: {}\r\n\r\n",
            proxy.bearer()
        );
        let answer = Wire::new(proxy.tls_at_once("http/1.1").await)
            .ask(head)
            .await;
        assert_eq!(answer.status, 421, "{host}");
        assert_eq!(answer.refusal(), Some("gateway::misdirected"), "{host}");
        let request = Request::get(format!("https://{host}/"))
            .header("authorization", proxy.bearer())
            .body(empty());
        let answer = within(http2.send_request(request.unwrap())).await.unwrap();
        let answer = read_to_end(answer).await;
        assert_eq!(answer.status, 421, "{host}");
        assert_eq!(answer.refusal(), Some("gateway::misdirected"), "{host}");
    }
    assert_eq!(proxy.received().len(), 2);
}

#[tokio::test]
async fn another_server_name_than_in_connect_is_refused() {
    let proxy = Setup::new().start().await;
    for (connect, name, host) in [
        (AUTHORITY, EVIL, EVIL),
        (AUTHORITY, EVIL, HOST),
        (AUTHORITY, OTHER, HOST),
        ("other.example.org:443", HOST, HOST),
        ("evil.example.net:443", HOST, HOST),
        ("127.0.0.1:443", HOST, HOST),
    ] {
        let head = format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nauthorization: {}\r\n\r\n",
            proxy.bearer()
        );
        let answer = ask(&proxy, connect, name, &head).await;
        assert_eq!(answer.status, 421, "{connect} {name} {host}");
        assert_eq!(answer.refusal(), Some("gateway::misdirected"));
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn another_host_than_in_connect_is_refused() {
    let proxy = Setup::new().start().await;
    for host in [EVIL, OTHER, "api.example.com:8443", "127.0.0.1"] {
        let head = format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nauthorization: {}\r\n\r\n",
            proxy.bearer()
        );
        let answer = ask(&proxy, AUTHORITY, HOST, &head).await;
        assert_eq!(answer.status, 421, "{host}");
        let mut http2 = proxy.http2().await;
        let request = Request::get(format!("https://{host}/")).body(empty());
        let response = within(http2.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        // `Host` beside `:authority` (RFC 9113, section 8.3.1).
        let request = proxy
            .request2("GET", "/")
            .header("host", host)
            .body(empty());
        let response = within(http2.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn a_second_host_is_refused() {
    let proxy = Setup::new().start().await;
    for second in [HOST, EVIL] {
        let field = format!("Host: {second}");
        let answer = proxy
            .inside()
            .await
            .ask(proxy.head("GET /", &[&field]))
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let request = proxy.request2("GET", "/").header("host", HOST);
        let request = request.header("host", second).body(empty()).unwrap();
        let response = proxy.http2().await.send_request(request).await.unwrap();
        assert_eq!(
            read_to_end(response).await.refusal(),
            Some("gateway::ambiguous")
        );
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn absolute_form_in_a_tunnel_must_name_its_end() {
    let proxy = Setup::new().start().await;
    for url in [
        "https://evil.example.net/",
        "http://api.example.com/",
        "https://api.example.com:8443/",
    ] {
        let head = proxy.head(&format!("GET {url}"), &[]);
        let answer = proxy.inside().await.ask(head).await;
        assert_eq!(answer.refusal(), Some("gateway::misdirected"), "{url}");
    }
    assert!(proxy.received().is_empty());
    let head = proxy.head("GET https://api.example.com/x", &[]);
    assert_eq!(proxy.inside().await.ask(head).await.status, 200);
    assert_eq!(proxy.only().target, "/x");
}

#[tokio::test]
async fn https_in_absolute_form_needs_connect() {
    let proxy = Setup::new().start().await;
    let head = proxy.head("GET https://api.example.com/", &[]);
    let answer = proxy.wire().await.ask(head).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("Use CONNECT"), "{}", answer.body);
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn plain_http_does_not_leave_the_machine() {
    let mut setup = Setup::new();
    setup.rules.push(rule("api.example.com:80"));
    setup.open.push(Hosts::parse("93.184.216.34:80").unwrap());
    let proxy = setup.start().await;
    for host in [HOST, "93.184.216.34"] {
        let head = format!(
            "GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\nauthorization: {}\r\n\r\n",
            proxy.bearer()
        );
        let answer = proxy.wire().await.ask(head).await;
        assert_eq!(answer.refusal(), Some("gateway::not_allowed"), "{answer:?}");
    }
    assert_eq!(proxy.upstream.connections(), 0);
}

#[tokio::test]
async fn a_name_below_localhost_that_is_elsewhere_is_refused() {
    /// Somebody's resolver says that this machine is another one.
    struct Elsewhere;

    #[async_trait]
    impl Resolver for Elsewhere {
        async fn resolve(&self, _name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))])
        }
    }

    let mut setup = Setup::with(|rule| rule.hosts = Hosts::parse("x.localhost:80").unwrap());
    setup.resolver = Some(Box::new(Elsewhere));
    let proxy = setup.start().await;
    let head = "GET http://x.localhost/ HTTP/1.1\r\nhost: x.localhost\r\n\r\n";
    let answer = proxy.wire().await.ask(head).await;
    assert_eq!(
        answer.refusal(),
        Some("gateway::private_address"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn another_host_beside_connect_is_refused() {
    let proxy = Setup::new().start().await;
    let connect = |fields: &str| format!("CONNECT {AUTHORITY} HTTP/1.1\r\n{fields}\r\n");
    for (fields, reason) in [
        ("host: evil.example.net\r\n", "gateway::misdirected"),
        ("host: api.example.com:8443\r\n", "gateway::misdirected"),
        ("host: \r\n", "gateway::ambiguous"),
        (
            "host: api.example.com\r\nhost: api.example.com\r\n",
            "gateway::ambiguous",
        ),
    ] {
        let answer = proxy.wire().await.ask(connect(fields)).await;
        assert_eq!(answer.refusal(), Some(reason), "{fields}: {answer:?}");
    }
    for fields in [
        "",
        "host: api.example.com\r\n",
        "host: API.example.com:443\r\n",
    ] {
        let mut wire = proxy.wire().await;
        wire.write(connect(fields)).await.unwrap();
        let head = wire.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{fields}: {head}");
    }
}

#[tokio::test]
async fn connect_names_a_host_and_a_port_and_nothing_else() {
    let proxy = Setup::new().start().await;
    for target in [
        "http://api.example.com:443",
        "http://api.example.com:443/",
        "http://api.example.com:443/x?y=z",
        "https://api.example.com:443/",
        "/",
        "*",
    ] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {AUTHORITY}\r\n\r\n");
        let answer = proxy.wire().await.ask(head).await;
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert_eq!(answer.refusal(), Some("gateway::ambiguous"), "{target}");
    }
    assert_eq!(proxy.upstream.connections(), 0);
}

#[tokio::test]
async fn http_instead_of_tls_in_a_tunnel_is_refused() {
    let proxy = Setup::new().start().await;
    let mut wire = Wire::new(proxy.tunnel(AUTHORITY).await);
    let answer = wire.ask(proxy.head("GET /", &[])).await;
    assert!(answer.refusal().is_some(), "{answer:?}");
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn a_redirect_is_the_clients_to_follow() {
    let proxy = Setup::new().start().await;
    let place = "https%3A%2F%2Fevil.example.net%2F";
    let request = proxy.request2("GET", &format!("/redirect?to={place}"));
    let mut http2 = proxy.http2().await;
    let response = within(http2.send_request(request.body(empty()).unwrap())).await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "https://evil.example.net/");
    assert_eq!(proxy.received().len(), 1);
    // There, the placeholder is worth nothing.
    let head = format!(
        "GET / HTTP/1.1\r\nhost: {OTHER}\r\nauthorization: {}\r\n\r\n",
        proxy.bearer()
    );
    let answer = ask(&proxy, "other.example.org:443", OTHER, &head).await;
    assert_eq!(answer.refusal(), Some("gateway::placeholder"));
    assert_eq!(proxy.received().len(), 1);
}

#[tokio::test]
async fn a_client_gets_a_certificate_for_an_address() {
    let mut setup = Setup::new();
    let port = setup.upstream.port();
    setup.rules = vec![rule(&format!("127.0.0.1:{port}"))];
    let proxy = setup.start().await;
    let address = format!("127.0.0.1:{port}");
    let stream = proxy.tunnel(&address).await;
    let name = ServerName::IpAddress(IpAddr::try_from("127.0.0.1").unwrap());
    let tls = connector(&proxy.authority, &["http/1.1"]);
    let stream = within(tls.connect(name, stream)).await.unwrap();
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [GeneralName::IPAddress(&[127, 0, 0, 1])]
    );
    let head = format!(
        "GET / HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\n\r\n",
        proxy.bearer()
    );
    assert_eq!(Wire::new(stream).ask(head).await.status, 200);
    assert_eq!(proxy.only().header("authorization"), Some(&*real_bearer()));
}

#[tokio::test]
async fn a_client_that_does_not_believe_the_gateway_is_reported_and_never_tunnelled() {
    let proxy = Setup::new().start().await;
    let stream = proxy.tunnel(AUTHORITY).await;
    // It believes in the destination's own authority, as a client that pins it does.
    let tls = connector(proxy.upstream.authority(), &["h2"]);
    let outcome = within(tls.connect(ServerName::try_from(HOST).unwrap(), stream)).await;
    assert!(outcome.is_err());
    within(async {
        while proxy.broken().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (host, problem) = &proxy.broken()[0];
    assert_eq!(host, AUTHORITY);
    assert!(
        problem.contains("did not take the gateway's certificate"),
        "{problem}"
    );
    assert_eq!(proxy.upstream.connections(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_somebody_else_gets_nothing() {
    let mut setup = Setup::new();
    setup.upstream = Upstream::named(&["somebody.example"]);
    let proxy = setup.start().await;
    let answer = proxy.inside().await.ask(proxy.head("GET /", &[])).await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("TLS with"), "{}", answer.body);
    assert_eq!(proxy.only_refusal(), Reason::Upstream);
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn a_name_that_is_bound_to_a_private_address_meanwhile_is_not_followed() {
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let mut setup = Setup::new().speaking(protocols);
        let upstream = SocketAddr::from(([127, 0, 0, 1], setup.upstream.port()));
        // A second one, which is what the attacker is after.
        let inner = Upstream::named(&NAMES);
        let resolver = Names::at(upstream);
        setup.resolver = Some(Box::new(resolver.clone()));
        let proxy = setup.start().await;
        let mut client = proxy.http1().await;
        let mut ask = async |target| {
            client.ready().await.unwrap();
            let request = proxy.request1("POST", target).body(body("x")).unwrap();
            read_to_end(within(client.send_request(request)).await.unwrap()).await
        };
        assert_eq!(ask("/1").await.status, 200);
        for rebound in [
            vec![SocketAddr::from(([127, 0, 0, 1], inner.port()))],
            vec![upstream, SocketAddr::from(([169, 254, 169, 254], 80))],
        ] {
            resolver.rebind(rebound);
            // What is connected goes on to the address that was judged.
            assert_eq!(ask("/2").await.status, 200);
        }
        assert_eq!(proxy.upstream.connections(), 1);
        // A new connection is judged anew. WebSockets have their own.
        let handshake = ["connection: upgrade", "upgrade: websocket"];
        let head = proxy.head("GET /upgrade", &handshake);
        let answer = proxy.inside().await.ask(head).await;
        assert_eq!(answer.refusal(), Some("gateway::private_address"));
        assert_eq!(proxy.upstream.connections(), 1);
        assert_eq!(inner.connections(), 0);
    }
}
