//! Frames: a length of four bytes, big-endian, and so many bytes of JSON, at most 1 MiB.
//!
//! [`FrameDecoder`] and [`encode_into`] do no I/O; [`FrameReader`] and [`FrameWriter`] put them on a stream.
//! Guarantees: memory grows with the bytes that came and never with the length that was announced; nothing is
//! written of a frame that is too large; every byte that was part of a frame is overwritten as soon as it is no
//! longer needed, and so is every buffer that was outgrown, because frames carry secrets and tokens.

use std::io;
use std::ops::Range;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Longest payload, both ways.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Bytes of the length.
pub const HEADER: usize = 4;

/// Read at once when nothing is known of the other side yet.
const FIRST_BUFFER: usize = 1024;

/// Larger buffers are given back as soon as they are empty, so that idle connections are cheap.
const KEPT_BUFFER: usize = 16 * 1024;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than allowed here.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// As announced, or as far as it was counted.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The other side closed the connection within a frame.
    #[error("the connection ended within a frame")]
    Truncated,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// A value that JSON cannot hold.
    #[error("the message cannot be written as JSON")]
    Json,
}

/// Takes bytes as they come and gives frames. Does no I/O.
///
/// ```
/// use fnox_vault_wire::frame::FrameDecoder;
///
/// let mut decoder = FrameDecoder::new(16);
/// for byte in [0, 0, 0, 2, b'{', b'}'] {
///     decoder.space()[0] = byte;
///     decoder.filled(1);
/// }
/// assert_eq!(decoder.next_frame()?, Some(&b"{}"[..]));
/// assert_eq!(decoder.next_frame()?, None);
/// # Ok::<(), fnox_vault_wire::frame::FrameError>(())
/// ```
pub struct FrameDecoder {
    /// All of it may be written to. Outside `start..end` and `given` no payload is left.
    buffer: Zeroizing<Vec<u8>>,
    /// The payload that was given out last.
    given: Range<usize>,
    /// The first byte that belongs to no frame that was given out.
    start: usize,
    /// The first byte that has not come yet.
    end: usize,
    limit: usize,
}

impl FrameDecoder {
    /// Frames with payloads up to `limit`, which is never more than [`MAX_FRAME`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Zeroizing::default(),
            given: 0..0,
            start: 0,
            end: 0,
            limit: limit.min(MAX_FRAME),
        }
    }

    /// Sets another limit, for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_FRAME);
    }

    /// Where to put the bytes that come next; never empty. Overwrites the frame that was given out last.
    pub fn space(&mut self) -> &mut [u8] {
        self.forget_given();
        if self.start == self.end {
            let was_full = self.end == self.buffer.len();
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > KEPT_BUFFER {
                self.buffer = Zeroizing::default();
            } else if was_full && self.buffer.len() < KEPT_BUFFER {
                // More seems to be waiting than was read: read more at once.
                self.buffer = Zeroizing::new(vec![0; self.larger_size().min(KEPT_BUFFER)]);
            }
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        &mut self.buffer[self.end..]
    }

    /// Says how many bytes were put into [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next frame's payload, if all of it has come. Overwrites the one before.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as the length is known. Nothing can be read after that.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        Ok(match self.advance()? {
            Some(payload) => Some(&self.buffer[payload]),
            None => None,
        })
    }

    /// Whether a part of a frame has come, and not the rest.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        self.start < self.end
    }

    fn advance(&mut self) -> Result<Option<Range<usize>>, FrameError> {
        self.forget_given();
        let Some(length) = self.announced() else {
            return Ok(None);
        };
        if length > self.limit {
            return Err(FrameError::TooLarge {
                length,
                limit: self.limit,
            });
        }
        let payload = self.start + HEADER..self.start + HEADER + length;
        if payload.end > self.end {
            return Ok(None);
        }
        self.start = payload.end;
        self.given = payload.clone();
        Ok(Some(payload))
    }

    /// The length of the frame that comes next, once it is known.
    fn announced(&self) -> Option<usize> {
        let header = self.buffer[self.start..self.end].first_chunk::<HEADER>()?;
        usize::try_from(u32::from_be_bytes(*header)).ok()
    }

    fn forget_given(&mut self) {
        let given = std::mem::take(&mut self.given);
        self.buffer[given].zeroize();
    }

    /// Moves what is there to the front, and if there is nothing to gain, to a buffer of four times the size.
    fn make_room(&mut self) {
        let kept = self.start..self.end;
        let largest = HEADER + self.limit;
        if self.start > 0 && (self.start >= self.buffer.len() / 2 || self.buffer.len() >= largest) {
            self.buffer.copy_within(kept.clone(), 0);
            self.buffer[kept.len().max(kept.start)..kept.end].zeroize();
        } else {
            // One frame must fit, and there must be room for one byte whatever the limit is.
            let size = self.larger_size().max(kept.len() + 1);
            let mut larger = Zeroizing::new(vec![0; size]);
            larger[..kept.len()].copy_from_slice(&self.buffer[kept.clone()]);
            self.buffer = larger;
        }
        self.start = 0;
        self.end = kept.len();
    }

    fn larger_size(&self) -> usize {
        (self.buffer.len() * 4)
            .max(FIRST_BUFFER)
            .min(HEADER + self.limit)
    }
}

impl std::fmt::Debug for FrameDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FrameDecoder")
            .field("waiting", &(self.end - self.start))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

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
        Ok(Some(&self.decoder.buffer[payload]))
    }
}

/// Appends one frame to a buffer. On failure the buffer is as it was. When the buffer must grow, the old one is
/// overwritten; who owns it overwrites the last.
///
/// # Errors
/// If the value is larger than [`MAX_FRAME`], or not to be had as JSON.
pub fn encode_into(buffer: &mut Vec<u8>, value: &impl Serialize) -> Result<(), FrameError> {
    let start = buffer.len();
    let mut payload = Payload {
        buffer,
        begin: start + HEADER,
        length: 0,
    };
    payload.append(&[0; HEADER]);
    payload.length = 0;
    let outcome = serde_json::to_writer(&mut payload, value);
    let length = payload.length;
    let failure = if length > MAX_FRAME {
        FrameError::TooLarge {
            length,
            limit: MAX_FRAME,
        }
    } else if outcome.is_err() {
        FrameError::Json
    } else if let Ok(header) = u32::try_from(length) {
        buffer[start..start + HEADER].copy_from_slice(&header.to_be_bytes());
        return Ok(());
    } else {
        FrameError::Json
    };
    buffer[start..].zeroize();
    buffer.truncate(start);
    Err(failure)
}

/// Where JSON is written: stops at the limit, and leaves no copies behind when it grows.
struct Payload<'a> {
    buffer: &'a mut Vec<u8>,
    begin: usize,
    length: usize,
}

impl Payload<'_> {
    fn append(&mut self, bytes: &[u8]) {
        let wanted = self.buffer.len() + bytes.len();
        if wanted > self.buffer.capacity() {
            let mut larger = Vec::with_capacity((wanted * 2).max(256));
            larger.extend_from_slice(self.buffer);
            self.buffer.as_mut_slice().zeroize();
            *self.buffer = larger;
        }
        self.buffer.extend_from_slice(bytes);
    }
}

impl io::Write for Payload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length = self.buffer.len() - self.begin + bytes.len();
        if self.length > MAX_FRAME {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

/// Encoded frames on their way out. Overwritten when they are sent.
#[derive(Default)]
pub(crate) struct OutgoingFrames {
    bytes: Zeroizing<Vec<u8>>,
    sent: usize,
}

impl OutgoingFrames {
    pub(crate) fn append(&mut self, frames: &[u8]) {
        let begin = self.bytes.len();
        Payload {
            buffer: &mut self.bytes,
            begin,
            length: 0,
        }
        .append(frames);
    }

    pub(crate) fn remaining(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent < self.bytes.len() {
            return;
        }
        self.sent = 0;
        if self.bytes.capacity() > KEPT_BUFFER {
            // Dropping it overwrites it.
            self.bytes = Zeroizing::default();
        } else {
            // Only what was used: `Vec::zeroize` would overwrite the whole capacity for every frame.
            self.bytes.as_mut_slice().zeroize();
            self.bytes.clear();
        }
    }
}

impl std::fmt::Debug for OutgoingFrames {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.remaining().len())
    }
}

/// For fuzzing: reads frames from bytes that come in pieces, and checks that pieces make no difference.
/// The first byte says how large the pieces are.
///
/// # Panics
/// If they make one.
#[doc(hidden)]
pub fn fuzz_frame(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else {
        return;
    };
    let whole = all_frames(stream, usize::MAX);
    let pieces = all_frames(stream, usize::from(piece).max(1));
    assert_eq!(whole, pieces, "frames depend on how their bytes came");
}

/// All frames of a stream that comes in pieces of at most `piece` bytes, and whether it ends within one or
/// with one that is too large.
fn all_frames(mut stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = FrameDecoder::new(MAX_FRAME);
    let mut frames = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => frames.push(frame.to_vec()),
            Err(_) => return (frames, true),
            Ok(None) if stream.is_empty() => return (frames, decoder.is_within_frame()),
            Ok(None) => {
                let space = decoder.space();
                let count = space.len().min(piece).min(stream.len());
                space[..count].copy_from_slice(&stream[..count]);
                stream = &stream[count..];
                decoder.filled(count);
            }
        }
    }
}
