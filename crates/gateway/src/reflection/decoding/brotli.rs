//! Brotli (RFC 7932).

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::Sink;

/// Undoes brotli. Without the large windows that only other uses of the format have.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    buffer: Vec<u8>,
    is_complete: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let allocator = StandardAlloc::default;
        Self {
            state: BrotliState::new_strict(allocator(), allocator(), allocator()),
            buffer: vec![0; 16 << 10],
            is_complete: false,
        }
    }
}

impl Brotli {
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn push(&mut self, piece: &[u8], sink: &mut Sink) -> io::Result<()> {
        let (mut available, mut read) = (piece.len(), 0);
        // Bytes behind the end are nobody's, and are left out.
        while !self.is_complete {
            let (mut room, mut written, mut total) = (self.buffer.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut available,
                &mut read,
                piece,
                &mut room,
                &mut written,
                &mut self.buffer,
                &mut total,
                &mut self.state,
            );
            sink.write_all(&self.buffer[..written])?;
            match result {
                BrotliResult::ResultSuccess => self.is_complete = true,
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultFailure => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(())
    }
}
