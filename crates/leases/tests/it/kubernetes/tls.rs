//! Servers with certificates of their own, and users with certificates. A proxy that ends TLS stands before the stand-in.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use fnox_core::ExitStatus;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::kubernetes::Kubernetes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Folder, kubeconfig, no_complaints, project, reading};
use crate::support::minted;

struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }
}

/// Starts a proxy whose certificate has this name; it ends with the test's runtime. With `clients` it asks for a
/// certificate of theirs.
async fn proxy(
    authority: &Authority,
    name: &str,
    clients: Option<&Authority>,
    server: &Issuer<Kubernetes>,
) -> SocketAddr {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (certificate, key) = authority.certify(name);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = match clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            ServerConfig::builder().with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = server.url().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, backend) = (acceptor.clone(), backend.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inside = TcpStream::connect(backend).await.unwrap();
                // How a client ends a connection is its own business.
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn token() -> String {
    format!("    token: {}\n", Kubernetes::USER_TOKEN)
}

#[tokio::test]
async fn the_clusters_own_authority_is_trusted_and_another_one_is_not() {
    let server = Issuer::start(Kubernetes::new());
    let (authority, other) = (Authority::new(), Authority::new());
    let address = proxy(&authority, "127.0.0.1", None, &server).await;
    let url = format!("https://{address}");
    let data = |authority: &Authority| {
        format!(
            "    certificate-authority-data: {}\n",
            base64(&authority.pem)
        )
    };
    let (_folder, project) = reading(&kubeconfig(&url, &data(&authority), &token()), "");
    minted(project.exec("x").await.unwrap());
    let file = "    certificate-authority: ca.crt\n";
    let (folder, project) = reading(&kubeconfig(&url, file, &token()), "");
    folder.write("ca.crt", &authority.pem);
    minted(project.exec("x").await.unwrap());
    let unchecked = "    insecure-skip-tls-verify: true\n";
    let (_folder, project) = reading(&kubeconfig(&url, unchecked, &token()), "");
    minted(project.exec("x").await.unwrap());
    let before = server.requests().len();
    for cluster in [String::new(), data(&other)] {
        let (_folder, project) = reading(&kubeconfig(&url, &cluster, &token()), "");
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Unavailable);
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    assert_eq!(server.requests().len(), before);
    no_complaints(&server);
}

#[tokio::test]
async fn the_certificate_must_have_the_name_that_the_kubeconfig_says() {
    let server = Issuer::start(Kubernetes::new());
    let authority = Authority::new();
    let name = "kubernetes.example.internal";
    let address = proxy(&authority, name, None, &server).await;
    let url = format!("https://{address}");
    let data = format!(
        "    certificate-authority-data: {}\n",
        base64(&authority.pem)
    );
    let named = format!("{data}    tls-server-name: {name}\n");
    let (_folder, project) = reading(&kubeconfig(&url, &named, &token()), "");
    minted(project.exec("x").await.unwrap());
    for cluster in [
        data.clone(),
        format!("{data}    tls-server-name: other.internal\n"),
    ] {
        let (_folder, project) = reading(&kubeconfig(&url, &cluster, &token()), "");
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    }
    no_complaints(&server);
}

#[tokio::test]
async fn a_user_with_a_certificate_shows_it() {
    let mut service = Kubernetes::new();
    service.is_by_certificate = true;
    let server = Issuer::start(service);
    let (authority, clients) = (Authority::new(), Authority::new());
    let address = proxy(&authority, "127.0.0.1", Some(&clients), &server).await;
    let url = format!("https://{address}");
    let cluster = format!(
        "    certificate-authority-data: {}\n",
        base64(&authority.pem)
    );
    let (certificate, key) = clients.certify("ada");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let inline = format!(
        "    client-certificate-data: {}\n    client-key-data: {}\n",
        base64(&certificate),
        base64(&key)
    );
    let (_folder, project) = reading(&kubeconfig(&url, &cluster, &inline), "");
    minted(project.exec("x").await.unwrap());

    let files = "    client-certificate: ada.crt\n    client-key: ada.key\n";
    let (folder, project) = reading(&kubeconfig(&url, &cluster, files), "");
    folder.write("ada.crt", &certificate);
    folder.write("ada.key", &key);
    minted(project.exec("x").await.unwrap());

    // A program may answer with a certificate too.
    let exec = "    exec:\n      command: sh\n      args: ['-c', 'cat \"$FILE\"']\n      interactiveMode: Never\n      \
                apiVersion: client.authentication.k8s.io/v1\n";
    let folder = Folder::new();
    let status = json!({"clientCertificateData": certificate, "clientKeyData": key});
    let answer = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    });
    let answer = folder.write("answer", &answer.to_string());
    let config = folder.write("config", &kubeconfig(&url, &cluster, exec));
    let env = [
        ("KUBECONFIG", config.to_str().unwrap()),
        ("FILE", answer.to_str().unwrap()),
    ];
    minted(super::project("", &env).exec("x").await.unwrap());

    let before = server.requests().len();
    let (strange, _) = Authority::new().certify("eve");
    let stranger = inline.replace(&base64(&certificate), &base64(&strange.pem()));
    let (_folder, project) = reading(&kubeconfig(&url, &cluster, &stranger), "");
    let error = project.exec("x").await.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        !told.contains(&base64(&key)) && !told.contains("PRIVATE KEY"),
        "{told}"
    );
    assert_eq!(server.requests().len(), before);
    no_complaints(&server);
}

#[tokio::test]
async fn a_pod_uses_its_own_account() {
    let server = Issuer::start(Kubernetes::new());
    let authority = Authority::new();
    let address = proxy(&authority, "127.0.0.1", None, &server).await;
    let folder = Folder::new();
    folder.write("token", Kubernetes::USER_TOKEN);
    folder.write("ca.crt", &authority.pem);
    folder.write("namespace", "apps");
    let more = format!("service_account_folder = '{}'", folder.path().display());
    let port = address.port().to_string();
    let env = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", port.as_str()),
    ];
    minted(project(&more, &env).exec("x").await.unwrap());
    let claims = server.change(|server| server.issued()[0].clone());
    assert_eq!(claims["sub"], "system:serviceaccount:apps:deploy");
    no_complaints(&server);
}
