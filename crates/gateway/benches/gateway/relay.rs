//! The plain limit: TLS ended on both sides, and nothing but bytes copied in between.

use std::io::Read as _;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Relays to a port, whose authority is in a file, until its standard input ends.
pub(crate) fn run(arguments: &[String]) {
    let [port, authority] = arguments else {
        return;
    };
    let upstream: u16 = port.parse().unwrap();
    let authority = std::fs::read(authority).unwrap();
    // As many threads as the gateway has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (certificate, server) = server();
        let port = listener.local_addr().unwrap().port();
        println!("{}", json!({"port": port, "authority": certificate}));
        let server = Arc::new(server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (server, authority) = (Arc::clone(&server), authority.clone());
                // A client that goes away ends its connection.
                tokio::spawn(async move { relay(stream, server, upstream, &authority).await.ok() });
            }
        });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await
            .unwrap()
            .unwrap();
    });
}

async fn relay(
    near: TcpStream,
    server: Arc<ServerConfig>,
    upstream: u16,
    authority: &[u8],
) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    let mut near = TlsAcceptor::from(server).accept(near).await?;
    let protocol = near.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let mut far = connect(upstream, authority, protocol.as_deref().unwrap_or_default()).await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

/// Speaks TLS with `localhost`, in one protocol.
pub(crate) async fn connect(
    port: u16,
    authority: &[u8],
    protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    encrypt(stream, authority, protocol).await
}

/// The same over a connection that is there.
pub(crate) async fn encrypt(
    stream: TcpStream,
    authority: &[u8],
    protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(authority).map(Result::unwrap);
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// A certificate for `localhost` in PEM, and TLS with it.
fn server() -> (String, ServerConfig) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (certificate.pem(), config)
}
