//! Frames: a length of four bytes, big-endian, and so many bytes of JSON, at most 1 MiB.
//!
//! [`FrameDecoder`] and [`encode_into`] do no I/O; [`FrameReader`] and [`FrameWriter`] put them on a stream.
//! Guarantees: memory grows with the bytes that came and never with the length that was announced; nothing is
//! written of a frame that is too large; every byte that was part of a frame is overwritten as soon as it is no
//! longer needed, and so is every buffer that was outgrown, because frames carry secrets and tokens.

mod decode;
mod encode;
mod stream;

use std::io;

pub use self::decode::FrameDecoder;
pub(crate) use self::encode::OutgoingFrames;
pub use self::encode::encode_into;
pub use self::stream::{FrameReader, FrameWriter};

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
