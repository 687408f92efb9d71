//! TLS before a real server that speaks none, such as moto.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::upstream::certificates;

/// Serves as `localhost` and `127.0.0.1` on a port of its own until it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    authority: String,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
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
        let (stop, mut stopped) = watch::channel(false);
        let (ready, started) = std::sync::mpsc::channel();
        let address = address.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let own = listener.local_addr().expect("an address");
                ready.send(own.port()).expect("somebody waits");
                tokio::select! {
                    () = serve(listener, acceptor, address) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            port: started.recv().expect("the server starts"),
            authority,
            stop,
            thread: Some(thread),
        }
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
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

impl Drop for TlsFront {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
