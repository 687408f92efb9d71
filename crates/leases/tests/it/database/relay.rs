//! A server that is reached through something that can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What stands between a client and a server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relay {
    /// Passes everything on until the client says this; the server hears it, and the client no answer.
    LosesAnswerTo(&'static str),
    /// The same, and the client waits for the answer for ever.
    WithholdsAnswerTo(&'static str),
    /// Takes connections and closes them.
    HangsUp,
    /// Takes connections and says nothing.
    Silent,
    /// Answers with something else.
    Garbage,
}

impl Relay {
    /// Starts it on a port of its own. It ends with the test's runtime.
    pub(super) async fn start(self, server_port: u16) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(self.serve(client, server_port));
            }
        });
        port
    }

    async fn serve(self, mut client: TcpStream, server_port: u16) {
        match self {
            Self::HangsUp => {}
            Self::Silent => {
                let mut buffer = [0; 1024];
                while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            }
            Self::Garbage => {
                let _ = client.write_all(&[b'?'; 4096]).await;
                let _ = client.shutdown().await;
                let mut buffer = [0; 1024];
                while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            }
            Self::LosesAnswerTo(words) => loses_answer(client, server_port, words, true).await,
            Self::WithholdsAnswerTo(words) => {
                loses_answer(client, server_port, words, false).await;
            }
        }
    }
}

async fn loses_answer(client: TcpStream, server_port: u16, words: &str, hangs_up: bool) {
    let server = TcpStream::connect(("127.0.0.1", server_port))
        .await
        .unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_lost = Arc::new(AtomicBool::new(false));
    let answers = {
        let is_lost = Arc::clone(&is_lost);
        async move {
            let mut buffer = vec![0; 65536];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if is_lost.load(Ordering::SeqCst) {
                    // The server has heard the words and done what they say.
                    if hangs_up {
                        break;
                    }
                    continue;
                }
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        }
    };
    let questions = async move {
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            let said = &buffer[..count];
            if said
                .windows(words.len())
                .any(|window| window == words.as_bytes())
            {
                is_lost.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(said).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        () = questions => {}
    }
}
