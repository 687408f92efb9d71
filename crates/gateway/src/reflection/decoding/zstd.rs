//! Zstandard (RFC 8878), with windows of up to 8 MiB as the content coding has them (RFC 9659).
//!
//! The decoder below gives bytes out only once its window has moved on or their frame ends. So an answer is
//! delayed by up to a window: [`accept_scannable`](super::super::accept_scannable) does not ask for this coding,
//! and it is undone when it comes nevertheless.

use std::io;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Sink;

/// The largest window of the content coding (RFC 9659, section 3).
const WINDOW: u64 = 8 << 20;
/// As much as a block holds or becomes at most (RFC 8878, section 3.1.1.2.4).
const LARGEST_BLOCK: usize = 128 << 10;
const MAGIC: u32 = 0xfd2f_b528;
/// Sixteen magic numbers of frames to skip, but for their last four bits (RFC 8878, section 3.1.2).
const SKIPPABLE: u32 = 0x184d_2a50;

/// Undoes Zstandard.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    has_checksum: bool,
    next: Next,
    /// What has come and is not a whole of what comes next.
    begun: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Frame,
    Block,
    /// This much of a frame to skip.
    Skipped(usize),
}

impl Default for Zstd {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self {
            decoder,
            has_checksum: false,
            next: Next::Frame,
            begun: Vec::new(),
        }
    }
}

impl Zstd {
    pub(super) fn is_complete(&self) -> bool {
        self.next == Next::Frame && self.begun.is_empty()
    }

    pub(super) fn push(&mut self, piece: &[u8], sink: &mut Sink) -> io::Result<()> {
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(piece);
        let mut taken = 0;
        while let Some(length) = self.step(&begun[taken..], sink)? {
            taken += length;
        }
        begun.drain(..taken);
        self.begun = begun;
        Ok(())
    }

    /// Takes the next frame header or block if it is whole, and says how long it was.
    fn step(&mut self, bytes: &[u8], sink: &mut Sink) -> io::Result<Option<usize>> {
        match self.next {
            Next::Frame => self.frame(bytes),
            Next::Block => self.block(bytes, sink),
            Next::Skipped(length) => {
                let skipped = length.min(bytes.len());
                self.next = match length - skipped {
                    0 => Next::Frame,
                    left => Next::Skipped(left),
                };
                Ok((skipped > 0).then_some(skipped))
            }
        }
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(magic) = bytes.first_chunk().copied().map(u32::from_le_bytes) else {
            return Ok(None);
        };
        if magic & !15 == SKIPPABLE {
            let Some(length) = bytes[4..].first_chunk().copied().map(u32::from_le_bytes) else {
                return Ok(None);
            };
            self.next = match usize::try_from(length).unwrap_or(usize::MAX) {
                0 => Next::Frame,
                length => Next::Skipped(length),
            };
            return Ok(Some(8));
        }
        if magic != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(descriptor) = bytes.get(4) else {
            return Ok(None);
        };
        let length = header_length(*descriptor);
        let Some(header) = bytes.get(..length) else {
            return Ok(None);
        };
        self.decoder.reset(header).map_err(io::Error::other)?;
        self.has_checksum = descriptor & 4 != 0;
        self.next = Next::Block;
        Ok(Some(length))
    }

    /// A block with its header of three bytes (RFC 8878, section 3.1.1.2), and the checksum behind the last one.
    fn block(&mut self, bytes: &[u8], sink: &mut Sink) -> io::Result<Option<usize>> {
        let Some([one, two, three]) = bytes.first_chunk().copied() else {
            return Ok(None);
        };
        let header = u32::from_le_bytes([one, two, three, 0]);
        let is_last = header & 1 == 1;
        let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        if size > LARGEST_BLOCK {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let size = match header >> 1 & 3 {
            // One byte, repeated.
            1 => 1,
            _ => size,
        };
        let checksum = if is_last && self.has_checksum { 4 } else { 0 };
        let Some(block) = bytes.get(..3 + size + checksum) else {
            return Ok(None);
        };
        self.decoder
            .decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(io::Error::other)?;
        self.decoder.collect_to_writer(&mut *sink)?;
        if is_last {
            self.next = Next::Frame;
            let told = self.decoder.get_checksum_from_data();
            if told.is_some() && told != self.decoder.get_calculated_checksum() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(Some(block.len()))
    }
}

/// The length of a frame header, magic number included, after its descriptor (RFC 8878, section 3.1.1.1).
fn header_length(descriptor: u8) -> usize {
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        power => 1 << power,
    };
    5 + window + dictionary + content_size
}
