//! A connection to a destination, which hears what the destination said before it closed.
//!
//! A server that does not want a body may answer and close before it has read it (RFC 9112, section 9.6). What is
//! written to it afterwards fails, and the answer waits to be read. So such a failure is kept back until everything
//! was read: then whoever writes is told.
//!
//! TLS gives out one record at a time. Of a long answer many are there at once, and are read at once: each piece of it
//! goes from task to task and is searched for itself, which costs the same however long it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Most bytes that are read at a time. More would wait for each other instead of being on their way.
const AT_A_TIME: usize = 32 * 1024;

/// A connection to a destination.
pub(super) struct Stream {
    transport: Transport,
    /// What reading failed with after something had been read.
    failed: Option<io::Error>,
    /// Why nothing can be written any more.
    closed: Option<io::ErrorKind>,
    /// Whether everything was read.
    ended: bool,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::of(Transport::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::of(Transport::Tls(Box::new(stream)))
    }

    fn of(transport: Transport) -> Self {
        Self {
            transport,
            failed: None,
            closed: None,
            ended: false,
        }
    }

    /// What becomes of an attempt to write: `instead` while there may be an answer to read.
    fn heard<T>(&mut self, outcome: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Ready(Err(error)) if !self.ended && is_closed(error.kind()) => {
                self.closed = Some(error.kind());
                Poll::Ready(Ok(instead))
            }
            outcome => outcome,
        }
    }

    /// What is known without trying.
    fn known<T>(&self, instead: T) -> Option<Poll<io::Result<T>>> {
        let kind = self.closed?;
        Some(Poll::Ready(if self.ended {
            Err(kind.into())
        } else {
            Ok(instead)
        }))
    }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match &self.transport {
            Transport::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let before = buffer.remaining();
        let outcome = match &mut own.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => records(stream, &mut own.failed, context, buffer),
        };
        let nothing_came = buffer.remaining() == before;
        match &outcome {
            Poll::Ready(Ok(())) => own.ended |= nothing_came && before > 0,
            Poll::Ready(Err(_)) => own.ended = true,
            Poll::Pending => {}
        }
        outcome
    }
}

/// Reads as many records as are there.
fn records(
    stream: &mut TlsStream<TcpStream>,
    failed: &mut Option<io::Error>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if let Some(error) = failed.take() {
        return Poll::Ready(Err(error));
    }
    let mut left = buffer.remaining().min(AT_A_TIME);
    let mut came = false;
    while left > 0 {
        let mut stream = Pin::new(&mut *stream);
        let data = match stream.as_mut().poll_fill_buf(context) {
            Poll::Ready(Ok([])) => break,
            Poll::Ready(Ok(data)) => data,
            // What came is handed on first.
            Poll::Pending if came => break,
            Poll::Ready(Err(error)) if came => {
                *failed = Some(error);
                break;
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        };
        let count = data.len().min(left);
        buffer.put_slice(&data[..count]);
        stream.consume(count);
        left -= count;
        came = true;
    }
    Poll::Ready(Ok(()))
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        if let Some(known) = own.known(bytes.len()) {
            return known;
        }
        let outcome = match &mut own.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        };
        own.heard(outcome, bytes.len())
    }

    /// A frame of HTTP/2 is a head and its data. Without this each of them would be a record of TLS and a write of its own.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let length = pieces.iter().map(|piece| piece.len()).sum();
        if let Some(known) = own.known(length) {
            return known;
        }
        let outcome = match &mut own.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Transport::Tls(stream) => {
                Pin::new(stream.as_mut()).poll_write_vectored(context, pieces)
            }
        };
        own.heard(outcome, length)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if let Some(known) = own.known(()) {
            return known;
        }
        let outcome = match &mut own.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        };
        own.heard(outcome, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
