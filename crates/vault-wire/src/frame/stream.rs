//! Frames on a stream.

use std::io;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::encode::OutgoingFrames;
use super::{FrameDecoder, FrameError, encode_into};

/// Reads frames from a stream.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    decoder: FrameDecoder,
}

impl<R> FrameReader<R> {
    /// Reads frames with payloads up to `limit`.
    pub fn new(inner: R, limit: usize) -> Self {
        Self {
            inner,
            decoder: FrameDecoder::new(limit),
        }
    }

    /// Sets another limit, for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.decoder.set_limit(limit);
    }

    /// The next frame, if it has come already together with others. Does not read.
    ///
    /// # Errors
    /// If the frame is too large.
    pub fn buffered(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.decoder.next_frame()
    }
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Waits for the next frame; `None` if the other side closed the connection between frames. The frame is
    /// overwritten by the next call. Dropping the future loses nothing, so it may stand in `select!`.
    ///
    /// # Errors
    /// If a frame is too large, the connection ends within one, or fails.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let payload = loop {
            if let Some(payload) = self.decoder.advance()? {
                break payload;
            }
            let count = self.inner.read(self.decoder.space()).await?;
            if count == 0 {
                return if self.decoder.is_within_frame() {
                    Err(FrameError::Truncated)
                } else {
                    Ok(None)
                };
            }
            self.decoder.filled(count);
        };
        Ok(Some(self.decoder.payload(payload)))
    }
}

/// Writes frames to a stream: as many as were queued in one write.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
    queue: OutgoingFrames,
}

impl<W> FrameWriter<W> {
    /// Writes to a stream.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            queue: OutgoingFrames::default(),
        }
    }

    /// Queues a frame. It is sent with the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// As [`encode_into`]; what was queued before stays.
    pub fn queue(&mut self, value: &impl Serialize) -> Result<(), FrameError> {
        encode_into(&mut self.queue.bytes, value)
    }

    /// Queues frames that were encoded elsewhere.
    pub fn queue_encoded(&mut self, frames: &[u8]) {
        self.queue.append(frames);
    }

    /// The stream. What is queued is overwritten and lost.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// How many bytes are queued.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.remaining().len()
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Sends what is queued. If the future is dropped, what is left is sent by the next call.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.queued() > 0 {
            let count = self.inner.write(self.queue.remaining()).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.queue.sent(count);
        }
        // A no-op for sockets; streams with buffers of their own need it.
        self.inner.flush().await
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// As [`encode_into`], or if the connection fails.
    pub async fn write(&mut self, value: &impl Serialize) -> Result<(), FrameError> {
        self.queue(value)?;
        Ok(self.flush().await?)
    }

    /// Sends what is queued and says that nothing more comes.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.inner.shutdown().await
    }
}
