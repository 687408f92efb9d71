//! From bytes to frames.

use std::ops::Range;

use zeroize::{Zeroize as _, Zeroizing};

use super::{FIRST_BUFFER, FrameError, HEADER, KEPT_BUFFER, MAX_FRAME};

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

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn payload(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Whether a part of a frame has come, and not the rest.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        self.start < self.end
    }

    pub(super) fn advance(&mut self) -> Result<Option<Range<usize>>, FrameError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(decoder: &mut FrameDecoder, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = decoder.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            decoder.filled(count);
            rest = &rest[count..];
        }
    }

    fn holds(decoder: &FrameDecoder, needle: &[u8]) -> bool {
        decoder
            .buffer
            .windows(needle.len())
            .any(|window| window == needle)
    }

    #[test]
    fn a_frame_is_overwritten_by_the_next_call() {
        let mut decoder = FrameDecoder::new(MAX_FRAME);
        feed(&mut decoder, b"\0\0\0\x06hunter\0\0\0\x02{}");
        assert_eq!(decoder.next_frame().unwrap(), Some(&b"hunter"[..]));
        assert!(
            holds(&decoder, b"hunter"),
            "the test looks at the wrong place"
        );
        assert_eq!(decoder.next_frame().unwrap(), Some(&b"{}"[..]));
        assert!(!holds(&decoder, b"hunter"));
    }

    #[test]
    fn nothing_is_left_where_a_frame_lay_before_it_was_moved() {
        let first = [&696_u32.to_be_bytes()[..], &[b'.'; 696]].concat();
        let second = [&392_u32.to_be_bytes()[..], &b"hunter2 ".repeat(49)].concat();
        let stream = [first, second].concat();

        let mut decoder = FrameDecoder::new(MAX_FRAME);
        feed(&mut decoder, &stream[..1024]);
        assert_eq!(
            decoder.memory(),
            1024,
            "the second frame must lie at the end"
        );
        assert!(decoder.next_frame().unwrap().is_some());
        feed(&mut decoder, &stream[1024..]);
        assert_eq!(
            decoder.memory(),
            1024,
            "it must have been moved, not copied away"
        );
        assert!(decoder.next_frame().unwrap().is_some());
        assert!(holds(&decoder, b"hunter2"));
        assert!(decoder.next_frame().unwrap().is_none());
        assert!(!holds(&decoder, b"hunter2"));
    }

    #[test]
    fn memory_follows_the_bytes_that_came_not_those_announced() {
        let mut decoder = FrameDecoder::new(MAX_FRAME);
        feed(&mut decoder, &0x0010_0000_u32.to_be_bytes());
        feed(&mut decoder, b"[");
        assert!(decoder.next_frame().unwrap().is_none());
        decoder.space();
        assert!(decoder.memory() <= 1024, "{}", decoder.memory());
    }

    #[test]
    fn memory_stays_within_the_limit_and_is_given_back() {
        let mut decoder = FrameDecoder::new(4092);
        feed(&mut decoder, &4092_u32.to_be_bytes());
        feed(&mut decoder, &[b' '; 4092]);
        assert_eq!(decoder.memory(), 4096);
        assert_eq!(decoder.next_frame().unwrap().map(<[u8]>::len), Some(4092));

        decoder.set_limit(MAX_FRAME);
        feed(
            &mut decoder,
            &[&0x0010_0000_u32.to_be_bytes()[..], &vec![b' '; MAX_FRAME]].concat(),
        );
        assert_eq!(
            decoder.next_frame().unwrap().map(<[u8]>::len),
            Some(MAX_FRAME)
        );
        decoder.space();
        assert!(decoder.memory() <= 1024, "{}", decoder.memory());
    }
}
