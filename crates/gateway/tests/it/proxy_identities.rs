//! Upstreams to whom TLS presents who asks: what is kept of a connection is kept for that one alone.

use fnox_gateway::injection::Injection;
use fnox_gateway::rule::{PathGlob, Rule};
use fnox_testkit::stand_in::Upstream;
use http::Request;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::proxy_support::{Setup, empty, over_http2, read_to_end, rule, within};

/// A rule that presents a certificate, for the requests below a path.
fn presenting(name: &str, path: &str) -> Rule {
    let mut rule = rule("localhost");
    name.clone_into(&mut rule.name);
    rule.paths = vec![PathGlob::parse(path).unwrap()];
    rule.injection = Injection::parse("client-certificate").unwrap();
    rule
}

/// The certificate in a PEM that has a key too.
fn certificate(identity: &str) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_slice(identity.as_bytes());
    certificate.unwrap().to_vec()
}

#[tokio::test]
async fn a_kept_connection_is_used_for_the_certificate_that_it_was_made_with() {
    let (upstream, [one, other]) = Upstream::mutual(["one", "other"]);
    let mut setup = Setup::new();
    setup.upstream = upstream;
    setup.rules = vec![
        presenting("one", "/one/**"),
        presenting("other", "/other/**"),
    ];
    let expected = [certificate(&one), certificate(&other)];
    assert_ne!(expected[0], expected[1]);
    setup.values = [("one", one), ("other", other)]
        .map(|(rule, identity)| (rule.to_owned(), identity))
        .into();
    let proxy = setup.start().await;
    let stream = proxy.tls("localhost:443", "localhost", &["h2"]).await;
    let mut http2 = over_http2(stream.unwrap()).await;
    for target in [
        "/one/1", "/other/2", "/one/3", "/other/4", "/other/5", "/one/6",
    ] {
        let request = Request::get(format!("https://localhost{target}"));
        let request = request.body(empty()).unwrap();
        let answer = within(http2.send_request(request)).await.unwrap();
        assert_eq!(read_to_end(answer).await.status, 200, "{target}");
    }
    for request in proxy.received() {
        let target = &request.target;
        let expected = &expected[usize::from(target.starts_with("/other/"))];
        assert_eq!(request.certificate.as_ref(), Some(expected), "{target}");
    }
    assert_eq!(proxy.received().len(), 6);
    // Each has one that is kept.
    assert_eq!(proxy.upstream.connections(), 2);
}
