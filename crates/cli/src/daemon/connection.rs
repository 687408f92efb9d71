//! Requests and answers on a connection, from either end.

use std::time::Duration;

use fnox_vault_wire::frame::{FrameError, FrameReader, FrameWriter, MAX_FRAME};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::error::DaemonFailure;
use super::place::Place;
use super::protocol::{Answer, Outgoing, Request, VERSION};

/// How long a client waits for an answer. The daemon only looks up, so a longer silence is a sick daemon, and resolving
/// without it is quicker than waiting on.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A connection to the daemon.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    place: &'a Place,
    reader: FrameReader<OwnedReadHalf>,
    writer: FrameWriter<OwnedWriteHalf>,
}

/// Both directions of a stream.
pub(super) fn frames(
    stream: UnixStream,
) -> (FrameReader<OwnedReadHalf>, FrameWriter<OwnedWriteHalf>) {
    let (read, write) = stream.into_split();
    (FrameReader::new(read, MAX_FRAME), FrameWriter::new(write))
}

impl<'a> Connection<'a> {
    pub(super) async fn open(place: &'a Place) -> Result<Self, DaemonFailure> {
        let (reader, writer) = frames(place.connect().await?);
        Ok(Self {
            place,
            reader,
            writer,
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, DaemonFailure> {
        let socket = self.place.socket().to_owned();
        let answer = timeout(ANSWER_LIMIT, self.exchange(request)).await;
        match answer {
            Err(_) => Err(DaemonFailure::Silent {
                socket,
                seconds: ANSWER_LIMIT.as_secs(),
            }),
            Ok(Err(error)) => Err(DaemonFailure::frame(socket, error)),
            Ok(Ok(None)) => Err(DaemonFailure::Protocol {
                socket,
                reason: "it closed the connection".to_owned(),
            }),
            Ok(Ok(Some(Answer::Error { code, versions, .. }))) if code == "unsupported_version" => {
                Err(DaemonFailure::Version { versions })
            }
            Ok(Ok(Some(Answer::Error { message, .. }))) => Err(DaemonFailure::Protocol {
                socket,
                reason: message,
            }),
            Ok(Ok(Some(answer))) => Ok(answer),
        }
    }

    /// An answer that does not belong to the request.
    pub(super) fn unexpected(&self) -> DaemonFailure {
        DaemonFailure::Protocol {
            socket: self.place.socket().to_owned(),
            reason: "the answer belongs to another request".to_owned(),
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Option<Answer>, FrameError> {
        let outgoing = Outgoing {
            version: VERSION,
            request,
        };
        self.writer.write(&outgoing).await?;
        match self.reader.next().await? {
            Some(frame) => serde_json::from_slice(frame)
                .map(Some)
                .map_err(|_| FrameError::Json),
            None => Ok(None),
        }
    }
}
