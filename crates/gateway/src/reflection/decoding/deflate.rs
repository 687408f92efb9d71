//! The coding that is called deflate: zlib (RFC 1950), and what some servers send under its name (RFC 1951).

use std::io::{self, Write as _};

use flate2::{Decompress, FlushDecompress, Status};

use super::Sink;

/// Undoes deflate.
pub(super) struct Deflate {
    /// The first byte, while the second one is not there that tells which format it is.
    first: Option<u8>,
    decoder: Option<Decompress>,
    buffer: Vec<u8>,
    is_complete: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            first: None,
            decoder: None,
            buffer: vec![0; 16 << 10],
            is_complete: false,
        }
    }
}

impl Deflate {
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn push(&mut self, piece: &[u8], sink: &mut Sink) -> io::Result<()> {
        if self.decoder.is_some() {
            return self.inflate(piece, sink);
        }
        let begun = [self.first.as_slice(), piece].concat();
        if let Some(header) = begun.first_chunk() {
            self.decoder = Some(Decompress::new(is_zlib(*header)));
            return self.inflate(&begun, sink);
        }
        self.first = begun.first().copied();
        Ok(())
    }

    fn inflate(&mut self, mut input: &[u8], sink: &mut Sink) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        // Bytes behind the end are nobody's, and are left out.
        while !self.is_complete {
            let (taken, given) = (decoder.total_in(), decoder.total_out());
            let status = decoder.decompress(input, &mut self.buffer, FlushDecompress::None)?;
            let count = |total: u64| usize::try_from(total).unwrap_or(usize::MAX);
            let (taken, given) = (
                count(decoder.total_in() - taken),
                count(decoder.total_out() - given),
            );
            input = &input[taken..];
            sink.write_all(&self.buffer[..given])?;
            self.is_complete = status == Status::StreamEnd;
            // It may have more to give, or to say that it ends, when it has taken all.
            if taken == 0 && given == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Compression method 8, and a check (RFC 1950, section 2.2).
fn is_zlib([method, flags]: [u8; 2]) -> bool {
    method & 15 == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}
