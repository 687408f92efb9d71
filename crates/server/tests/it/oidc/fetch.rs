//! Where the fetcher goes, and where it does not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_server::oidc::Verifier;
use fnox_server::oidc::fetch::{FetchError, Fetcher, LARGEST_BODY, Network, Origin, Resolve};
use fnox_server::settings::Algorithm;
use fnox_testkit::FakeClock;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::issuer::{Answer, Issuer, discovery, impatient};
use super::signer::{NOW_TEXT, Signer, claims, jwks, settings};

/// Says one answer after the other, and the last one again and again.
#[derive(Debug)]
struct Scripted {
    answers: Mutex<Vec<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|it| it.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().rev().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Resolve for Scripted {
    async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        Ok(if answers.len() > 1 {
            answers.pop().unwrap()
        } else {
            answers[0].clone()
        })
    }
}

fn with_resolver(resolver: Arc<Scripted>, allowed: &[&str]) -> Fetcher {
    let network = Network {
        resolver,
        ..impatient()
    };
    let allowed = allowed
        .iter()
        .map(|it| Origin::parse(it).unwrap())
        .collect();
    Fetcher::new(network, allowed)
}

async fn refusal(fetcher: &Fetcher, url: &str) -> String {
    match fetcher.get(&Url::parse(url).unwrap()).await {
        Err(error @ FetchError::Refused { .. }) => error.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_however_they_are_written() {
    let fetcher = Fetcher::new(impatient(), Vec::new());
    for url in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://169.254.170.2/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://localhost/",
    ] {
        let refusal = refusal(&fetcher, url).await;
        assert!(refusal.contains("is an address"), "{refusal}");
    }
    for url in [
        "http://issuer.example/",
        "http://127.0.0.1:9/",
        "ftp://issuer.example/",
        "file:///etc/passwd",
        "https://user@issuer.example/",
        "https://issuer.example/#a",
        "data:application/json,{}",
    ] {
        refusal(&fetcher, url).await;
    }
}

#[tokio::test]
async fn one_address_inside_refuses_a_whole_name() {
    for answer in [
        &["127.0.0.1:443"][..],
        &["1.1.1.1:443", "10.0.0.1:443"],
        &["1.1.1.1:443", "[::ffff:10.0.0.1]:443"],
        &["[2606:4700::1111]:443", "[fe80::1]:443"],
        &[],
    ] {
        let resolver = Scripted::new(&[answer]);
        let fetcher = with_resolver(resolver, &[]);
        refusal(&fetcher, "https://issuer.example/").await;
    }
}

#[tokio::test]
async fn listed_origins_may_be_inside_but_never_metadata() {
    let resolver = Scripted::new(&[&["169.254.169.254:8443"]]);
    let fetcher = with_resolver(resolver, &["https://issuer.example:8443"]);
    let refusal = refusal(&fetcher, "https://issuer.example:8443/").await;
    assert!(refusal.contains("never"), "{refusal}");
    // A loopback name that does not lead to loopback gets no plain http.
    let resolver = Scripted::new(&[&["10.0.0.1:9"]]);
    let fetcher = with_resolver(resolver, &["http://localhost:9"]);
    let refusal = self::refusal(&fetcher, "http://localhost:9/").await;
    assert!(refusal.contains("plain http"), "{refusal}");
}

#[tokio::test]
async fn only_the_listed_port_is_open() {
    let (listed, other) = (
        Issuer::start(json!({})).await,
        Issuer::start(json!({})).await,
    );
    let fetcher = Fetcher::new(impatient(), vec![Origin::parse(&listed.url).unwrap()]);
    let keys = |issuer: &Issuer| format!("{}/keys", issuer.url);
    fetcher
        .get(&Url::parse(&keys(&listed)).unwrap())
        .await
        .unwrap();
    refusal(&fetcher, &keys(&other)).await;
    refusal(&fetcher, &keys(&listed).replace("127.0.0.1", "127.0.0.2")).await;
    refusal(&fetcher, &keys(&listed).replace("http:", "https:")).await;
    assert_eq!((listed.fetched(), other.fetched()), (1, 0));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (issuer, target) = (
        Issuer::start(json!({})).await,
        Issuer::start(json!({})).await,
    );
    issuer.answer_keys(Answer::Redirect(format!("{}/keys", target.url)));
    let both = [&issuer, &target].map(|it| Origin::parse(&it.url).unwrap());
    let fetcher = Fetcher::new(impatient(), both.to_vec());
    let url = Url::parse(&format!("{}/keys", issuer.url)).unwrap();
    let error = fetcher.get(&url).await.unwrap_err().to_string();
    assert!(
        error.contains("302") && error.contains("not followed"),
        "{error}"
    );
    assert_eq!(target.fetched(), 0);
}

#[tokio::test]
async fn bodies_end_at_the_limit_and_answers_at_the_time_limit() {
    let issuer = Issuer::start(json!({})).await;
    let fetcher = Fetcher::new(impatient(), vec![Origin::parse(&issuer.url).unwrap()]);
    let url = Url::parse(&format!("{}/keys", issuer.url)).unwrap();
    issuer.answer_keys(Answer::Text("x".repeat(LARGEST_BODY)));
    assert_eq!(fetcher.get(&url).await.unwrap().body.len(), LARGEST_BODY);
    for answer in [Answer::Text("x".repeat(LARGEST_BODY + 1)), Answer::Endless] {
        issuer.answer_keys(answer);
        let error = fetcher.get(&url).await;
        assert!(
            matches!(error, Err(FetchError::TooLarge { .. })),
            "{error:?}"
        );
    }
    for answer in [Answer::Silence, Answer::Beginning] {
        issuer.answer_keys(answer);
        let error = fetcher.get(&url).await;
        assert!(matches!(error, Err(FetchError::Failed { .. })), "{error:?}");
    }
}

/// An issuer behind TLS, under a name that only the test's resolver knows.
struct Encrypted {
    port: u16,
    root: Vec<u8>,
    task: tokio::task::JoinHandle<()>,
}

impl Encrypted {
    async fn start(name: &str, answer: impl Fn(&str, u16) -> Value + Send + 'static) -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &rcgen::Issuer::new(parameters, authority_key))
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever does not trust the certificate goes away here.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        break;
                    };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let body = answer(path, port).to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        Self {
            port,
            root: authority.der().to_vec(),
            task,
        }
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_not_believed_twice() {
    let server = Encrypted::start("issuer.test", |_, _| json!({"a": 1})).await;
    let origin = format!("https://issuer.test:{}", server.port);
    let good = format!("127.0.0.1:{}", server.port);
    let resolver = Scripted::new(&[&[&good], &["169.254.169.254:80"]]);
    let network = Network {
        resolver: Arc::clone(&resolver) as Arc<dyn Resolve>,
        more_roots: vec![server.root.clone()],
        ..Network::default()
    };
    let fetcher = Fetcher::new(network, vec![Origin::parse(&origin).unwrap()]);
    let url = Url::parse(&origin).unwrap();
    // Asked once: what was judged is what is connected to.
    assert_eq!(fetcher.get(&url).await.unwrap().body, br#"{"a":1}"#);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    // No connection of before is used again without a judgement.
    refusal(&fetcher, &origin).await;
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn certificates_are_checked() {
    let server = Encrypted::start("issuer.test", |_, _| json!({})).await;
    let address = format!("127.0.0.1:{}", server.port);
    let get = async |name: &str, roots: Vec<Vec<u8>>| {
        let network = Network {
            resolver: Scripted::new(&[&[&address]]),
            more_roots: roots,
            ..Network::default()
        };
        let origin = format!("https://{name}:{}", server.port);
        let fetcher = Fetcher::new(network, vec![Origin::parse(&origin).unwrap()]);
        fetcher.get(&Url::parse(&origin).unwrap()).await
    };
    get("issuer.test", vec![server.root.clone()]).await.unwrap();
    for (name, roots) in [
        ("issuer.test", Vec::new()),
        ("other.test", vec![server.root.clone()]),
    ] {
        let error = get(name, roots).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_login_works_over_tls_from_discovery_to_signature() {
    let signer = Signer::es256("k");
    let keys = jwks(&[&signer]);
    let server = Encrypted::start("issuer.test", move |path, port| {
        let origin = format!("https://issuer.test:{port}");
        match path {
            "/.well-known/openid-configuration" => discovery(&origin, &format!("{origin}/keys")),
            _ => keys.clone(),
        }
    })
    .await;
    let origin = format!("https://issuer.test:{}", server.port);
    let address = format!("127.0.0.1:{}", server.port);
    let network = Network {
        resolver: Scripted::new(&[&[&address]]),
        more_roots: vec![server.root.clone()],
        ..Network::default()
    };
    let mut settings = settings(&origin, Algorithm::Es256);
    let clock = Arc::new(FakeClock::at(NOW_TEXT));
    let token = signer.sign(&Value::Object(claims(&origin)));
    // Not listed, it is an address inside.
    let verifier = Verifier::with_network(&[settings.clone()], clock.clone(), &network).unwrap();
    let error = verifier.verify(&token).await.unwrap_err().to_string();
    assert!(error.contains("allow_origins"), "{error}");
    settings.allow_origins = vec![origin];
    let verifier = Verifier::with_network(&[settings], clock, &network).unwrap();
    verifier.verify(&token).await.unwrap();
}

#[tokio::test]
async fn discovery_leads_nowhere_else() {
    let one = Signer::es256("one");
    let issuer = Issuer::start(jwks(&[&one])).await;
    let evil = Issuer::start(jwks(&[&one])).await;
    for (document, wanted) in [
        (
            discovery(&issuer.url, &format!("{}/keys", evil.url)),
            "jwks_uri",
        ),
        (
            discovery(&issuer.url, "http://169.254.169.254/keys"),
            "jwks_uri",
        ),
        (
            discovery(&evil.url, &format!("{}/keys", issuer.url)),
            "`issuer`",
        ),
    ] {
        issuer.answer_discovery(Answer::Document(document));
        let clock = Arc::new(FakeClock::at(NOW_TEXT));
        let settings = [issuer.settings(Algorithm::Es256)];
        let verifier = Verifier::with_network(&settings, clock, &impatient()).unwrap();
        let error = verifier.warm_up().await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!((evil.fetched(), issuer.fetched()), (0, 0));
}
