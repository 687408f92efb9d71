//! One connection: opened, greeted, ready for requests.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::{ClientError, ClientOptions};
use crate::error::Code;
use crate::frame::{FrameError, FrameReader, FrameWriter, MAX_FRAME, OutgoingFrames};
use crate::hello::{ClientHello, PROTOCOLS, ServerHello, VERSION};
use crate::transport::{ReadHalf, WriteHalf};

/// A hello is short; who sends more is not a vault.
const HELLO_LIMIT: usize = 4096;

/// A connection over which the hello has been said.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) reader: FrameReader<ReadHalf>,
    pub(super) writer: WriteHalf,
    pub(super) out: OutgoingFrames,
    /// Where each request that is not yet all written ends, counted from the first byte after the hello.
    pub(super) ends: VecDeque<(u64, Uuid)>,
    /// Bytes queued since the hello.
    pub(super) queued: u64,
    /// Bytes written since the hello.
    pub(super) written: u64,
}

impl Connection {
    /// Puts a frame behind those that are waiting to be written.
    pub(super) fn queue(&mut self, id: Uuid, frame: &[u8]) {
        self.out.append(frame);
        self.queued += frame.len() as u64;
        self.ends.push_back((self.queued, id));
    }

    /// Notes that so many bytes were written, and gives the next request that is now written to its end.
    pub(super) fn next_written(&mut self, count: usize) -> Option<Uuid> {
        if count > 0 {
            self.out.sent(count);
            self.written += count as u64;
        }
        let (_, id) = *self.ends.front().filter(|(end, _)| *end <= self.written)?;
        self.ends.pop_front();
        Some(id)
    }
}

/// Connects and says hello, within the time limit for both.
pub(super) async fn open(options: &ClientOptions) -> Result<Connection, ClientError> {
    let unreachable = |source: io::Error| ClientError::Connect {
        to: options.connector.to_string(),
        source: Arc::new(source),
    };
    match tokio::time::timeout(options.connect_timeout, greet(options, &unreachable)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(unreachable(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {:?}", options.connect_timeout),
        ))),
    }
}

async fn greet(
    options: &ClientOptions,
    unreachable: &impl Fn(io::Error) -> ClientError,
) -> Result<Connection, ClientError> {
    let connected = if options.allow_any_address {
        options.connector.connect_anywhere().await
    } else {
        options.connector.connect().await
    };
    let (read, write) = connected.map_err(unreachable)?.into_split();
    let mut reader = FrameReader::new(read, HELLO_LIMIT);
    let mut writer = FrameWriter::new(write);

    let failed = |error: FrameError| match error {
        FrameError::Io(source) => unreachable(source),
        FrameError::Truncated => unreachable(io::ErrorKind::UnexpectedEof.into()),
        other => ClientError::protocol(format!("in the hello: {other}")),
    };
    let hello = ClientHello::new(options.token.clone());
    // A vault that refuses at once may have closed its side before this is written: its answer counts.
    let written = writer.write(&hello).await;
    let answer = match reader.next().await {
        Ok(Some(answer)) => ServerHello::parse(answer)
            .map_err(|_| ClientError::protocol("the answer to the hello is not one"))?,
        Ok(None) => {
            written.map_err(failed)?;
            return Err(unreachable(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed without an answer to the hello",
            )));
        }
        Err(error) => return Err(failed(error)),
    };
    check(answer)?;
    written.map_err(failed)?;
    reader.set_limit(MAX_FRAME);
    Ok(Connection {
        reader,
        writer: writer.into_inner(),
        out: OutgoingFrames::default(),
        ends: VecDeque::new(),
        queued: 0,
        written: 0,
    })
}

fn check(answer: ServerHello) -> Result<(), ClientError> {
    if !answer.ok {
        return Err(ClientError::Refused {
            // zerolease sends no code; it refuses for its protocol's sake only.
            code: answer
                .code
                .unwrap_or_else(|| Code::InvalidRequest.as_str().to_owned()),
            message: answer
                .error
                .unwrap_or_else(|| "no reason was given".to_owned()),
        });
    }
    if !PROTOCOLS.contains(&answer.protocol.as_str()) || answer.version != VERSION {
        return Err(ClientError::protocol(format!(
            "the vault speaks version {} of another protocol",
            answer.version
        )));
    }
    Ok(())
}
