//! Certificates: those that are to be trusted are, and no others.

use std::sync::Arc;

use fnox_api::client::{ApiClient, ClientError, ClientOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server that says it is well, its address, and its certificate.
async fn server() -> (tokio::task::JoinHandle<()>, String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut bytes = [0; 2048];
            let _ = stream.read(&mut bytes).await;
            let _ = stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\
                      connection: close\r\n\r\n{\"status\":\"ok\"}",
                )
                .await;
            let _ = stream.shutdown().await;
        }
    });
    (task, url, cert.pem())
}

#[tokio::test]
async fn a_listed_certificate_is_trusted_and_an_unknown_one_is_not() {
    let (task, url, pem) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    let options = ClientOptions {
        ca_file: Some(path),
        ..ClientOptions::default()
    };
    let client = ApiClient::new(&url, &options).unwrap();
    assert_eq!(client.health().await.unwrap().status, "ok");
    let stranger = ApiClient::new(&url, &ClientOptions::default()).unwrap();
    let error = stranger.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    task.abort();
}

#[test]
fn a_file_without_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for content in [None, Some("hello")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let options = ClientOptions {
            ca_file: Some(path.clone()),
            ..ClientOptions::default()
        };
        let error = ApiClient::new("https://h.example", &options).unwrap_err();
        assert!(matches!(error, ClientError::Certificates { .. }), "{error}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
