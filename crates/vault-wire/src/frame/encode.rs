//! From messages to bytes.

use std::io;

use serde::Serialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::{FrameError, HEADER, KEPT_BUFFER, MAX_FRAME};

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

/// Encoded frames on their way out. Overwritten when they are sent.
#[derive(Default)]
pub(crate) struct OutgoingFrames {
    pub(super) bytes: Zeroizing<Vec<u8>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_sent_in_parts_is_not_sent_again() {
        let mut out = OutgoingFrames::default();
        encode_into(&mut out.bytes, &"hunter2").unwrap();
        let length = out.remaining().len();
        out.sent(length - 1);
        assert_eq!(out.remaining(), b"\"");
        out.sent(1);
        assert!(out.remaining().is_empty());
    }

    #[test]
    fn a_frame_over_the_limit_leaves_the_buffer_as_it_was() {
        let mut buffer = b"before".to_vec();
        let refused = encode_into(&mut buffer, &" ".repeat(MAX_FRAME - 1)).unwrap_err();
        assert!(matches!(refused, FrameError::TooLarge { length, .. } if length > MAX_FRAME));
        assert_eq!(buffer, b"before");

        encode_into(&mut buffer, &" ".repeat(MAX_FRAME - 2)).unwrap();
        assert_eq!(buffer.len(), 6 + HEADER + MAX_FRAME);
        assert_eq!(buffer[6..10], 0x0010_0000_u32.to_be_bytes());
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let mut buffer = Vec::new();
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(matches!(
            encode_into(&mut buffer, &odd),
            Err(FrameError::Json)
        ));
        assert!(buffer.is_empty());
    }
}
