//! TLS before a real server that speaks none, such as moto.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::serving::Serving;
use super::upstream::certificates;

/// Serves as `localhost` and `127.0.0.1` on a port of its own until it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    authority: String,
    server: Serving,
}

impl TlsFront {
    /// Hands everything on to `address` (`HOST:PORT`), and back.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn before(address: &str) -> Self {
        let (authority, mut config, []) = certificates(&["localhost", "127.0.0.1"], []);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = address.to_owned();
        Self {
            authority,
            server: Serving::start(move |listener| serve(listener, acceptor, address)),
        }
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Writes its authority's certificate to `front.pem` in a folder.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[must_use]
    pub fn write_authority(&self, folder: &Path) -> PathBuf {
        let path = folder.join("front.pem");
        std::fs::write(&path, &self.authority).expect("the authority's file");
        path
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, address: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, address) = (acceptor.clone(), address.clone());
        tokio::spawn(async move {
            // Whoever breaks off sees so.
            if let (Ok(mut near), Ok(mut far)) = (
                acceptor.accept(stream).await,
                TcpStream::connect(address).await,
            ) {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
