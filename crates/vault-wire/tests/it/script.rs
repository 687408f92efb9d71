//! A vault that does what its test says, over the real protocol.

use std::path::PathBuf;
use std::time::Duration;

use fnox_core::SecretString;
use fnox_vault_wire::envelope::{EventFrame, RequestRef, Response};
use fnox_vault_wire::frame::{FrameReader, FrameWriter, MAX_FRAME};
use fnox_vault_wire::hello::{ClientHello, ServerHello};
use fnox_vault_wire::methods::{HealthReport, LeaseEvent};
use fnox_vault_wire::transport::{Listener, ReadHalf, UnixListener, UnixOptions, WriteHalf};
use fnox_vault_wire::{Client, ClientOptions, Connector, WireError};
use serde_json::Value;
use uuid::Uuid;

/// Waits, but not for ever: a test that waits for what does not come must fail.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it did not come in time")
}

/// The vault's side of a socket.
pub(crate) struct Vault {
    listener: Listener,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A request as the vault read it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: Uuid,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// The vault's side of a connection.
pub(crate) struct Line {
    pub(crate) reader: FrameReader<ReadHalf>,
    pub(crate) writer: FrameWriter<WriteHalf>,
}

impl Vault {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.sock");
        let listener = UnixListener::bind(&path, &UnixOptions::default()).unwrap();
        Self {
            listener: listener.into(),
            path,
            _folder: folder,
        }
    }

    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions::new(Connector::Unix(self.path.clone()))
            .with_token(SecretString::from("fxv_canary"))
    }

    /// A client, and the vault's side of its connection.
    pub(crate) async fn with_client(&self) -> (Client, Line) {
        let (client, line) = tokio::join!(Client::connect(self.options()), self.accept());
        (client.unwrap(), line)
    }

    /// The next connection, after the hello.
    pub(crate) async fn accept(&self) -> Line {
        let mut line = self.accept_silently().await;
        line.say(&ServerHello::accepting("fnox-vault")).await;
        line
    }

    /// The next connection. The hello is read and not answered.
    pub(crate) async fn accept_silently(&self) -> Line {
        let (stream, _) = in_time(self.listener.accept()).await.unwrap();
        let (read, write) = stream.into_split();
        let mut reader = FrameReader::new(read, MAX_FRAME);
        let hello = ClientHello::parse(reader.next().await.unwrap().unwrap()).unwrap();
        hello.check().unwrap();
        assert_eq!(hello.token, Some(SecretString::from("fxv_canary")));
        Line {
            reader,
            writer: FrameWriter::new(write),
        }
    }
}

impl Line {
    pub(crate) async fn asked(&mut self) -> Asked {
        let frame = in_time(self.reader.next()).await.unwrap();
        read(frame.expect("a request, not the end"))
    }

    /// Whether the client closed the connection.
    pub(crate) async fn ends(&mut self) -> bool {
        !matches!(in_time(self.reader.next()).await, Ok(Some(_)))
    }

    pub(crate) async fn say(&mut self, message: &impl serde::Serialize) {
        self.writer.write(message).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, asked: &Asked, result: Value) {
        self.answer_id(asked.id, result).await;
    }

    pub(crate) async fn answer_id(&mut self, id: Uuid, result: Value) {
        self.say(&Response::new(id, Ok(result))).await;
    }

    pub(crate) async fn refuse(&mut self, id: Uuid, error: WireError) {
        self.say(&Response::<Value>::new(id, Err(error))).await;
    }

    pub(crate) async fn tell(&mut self, event: &LeaseEvent) {
        self.say(&EventFrame { event }).await;
    }
}

fn read(frame: &[u8]) -> Asked {
    let request = RequestRef::parse(frame).unwrap();
    Asked {
        id: request.id,
        method: request.method.into_owned(),
        params: serde_json::from_str(request.params.get()).unwrap(),
    }
}

/// A result of `health` that can be told from others.
pub(crate) fn health(version: &str) -> Value {
    serde_json::to_value(HealthReport {
        status: "ok".to_owned(),
        version: version.to_owned(),
        details: None,
    })
    .unwrap()
}
