//! What a client that speaks HTTP/2 sends first (RFC 9113, section 3.4).

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, join, split};

/// How long it is. What it is, whoever serves the connection checks.
const LENGTH: usize = 24;

/// Waits for all of it, and hands on a stream that has it still: the server waits for it without a limit, and nothing
/// watches over the connection before it has come.
///
/// # Errors
/// If the client goes away before.
pub(super) async fn read<S>(mut stream: S) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut preface = [0; LENGTH];
    stream.read_exact(&mut preface).await?;
    let (reader, writer) = split(stream);
    Ok(join(Cursor::new(preface).chain(reader), writer))
}
