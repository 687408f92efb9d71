//! Content codings undone piece by piece, with an end to how much a piece may become.
//!
//! What is compressed within a body (an archive, an image) is not a coding and is not looked into.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use self::brotli::Brotli;
use self::zstd::Zstd;

mod brotli;
mod zstd;

/// A content coding (RFC 9110, section 8.4.1) that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952
    Gzip,
    /// RFC 1950; RFC 1951 alone is taken too, for some servers send it under this name.
    Deflate,
    /// RFC 7932
    Brotli,
    /// RFC 8878, RFC 9659
    Zstd,
}

impl Coding {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// How much a body may grow when its coding is undone.
///
/// Deflate can make a thousand bytes of one, brotli and zstd far more. Ordinary text becomes five to twenty times as long.
#[derive(Debug, Clone, Copy)]
pub struct Expansion {
    /// So many bytes whatever came.
    pub allowance: u64,
    /// And so many for each byte that came.
    pub ratio: u64,
}

impl Default for Expansion {
    fn default() -> Self {
        Self {
            allowance: 8 << 20,
            ratio: 200,
        }
    }
}

/// Why a coding cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodingError {
    #[error("is not valid {}", .0.name())]
    Invalid(Coding),
    #[error("breaks off within its {} coding", .0.name())]
    CutOff(Coding),
    #[error("grows beyond all measure when its {} coding is undone", .0.name())]
    TooLarge(Coding),
}

/// Undoes one coding.
pub(super) struct Decoder {
    coding: Coding,
    state: State,
    expansion: Expansion,
    taken: u64,
    given: u64,
}

enum State {
    Gzip(Box<MultiGzDecoder<Sink>>),
    /// Whether the two bytes of a zlib header come first (RFC 1950, section 2.2) is not known yet.
    DeflateBegun(Vec<u8>),
    Zlib(Box<ZlibDecoder<Sink>>),
    Raw(Box<DeflateDecoder<Sink>>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    pub(super) fn new(coding: Coding, expansion: Expansion) -> Self {
        let state = match coding {
            Coding::Gzip => State::Gzip(Box::new(MultiGzDecoder::new(Sink::default()))),
            Coding::Deflate => State::DeflateBegun(Vec::new()),
            Coding::Brotli => State::Brotli(Box::default()),
            Coding::Zstd => State::Zstd(Box::default()),
        };
        Self {
            coding,
            state,
            expansion,
            taken: 0,
            given: 0,
        }
    }

    /// Takes the next piece, and gives all that it decides.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, DecodingError> {
        self.taken += piece.len() as u64;
        let limit = self.expansion.allowance + self.taken.saturating_mul(self.expansion.ratio);
        let sink = Sink {
            bytes: Vec::new(),
            left: usize::try_from(limit.saturating_sub(self.given)).unwrap_or(usize::MAX),
            is_full: false,
        };
        let (sink, result) = self.state.push(piece, sink);
        self.given += sink.bytes.len() as u64;
        match result {
            _ if sink.is_full => Err(DecodingError::TooLarge(self.coding)),
            Ok(()) => Ok(sink.bytes),
            Err(_) => Err(DecodingError::Invalid(self.coding)),
        }
    }

    /// The end. Answers without a body may name a coding too.
    pub(super) fn finish(&mut self) -> Result<(), DecodingError> {
        if self.taken == 0 || self.state.is_complete() {
            return Ok(());
        }
        Err(DecodingError::CutOff(self.coding))
    }
}

impl State {
    fn push(&mut self, piece: &[u8], mut sink: Sink) -> (Sink, io::Result<()>) {
        if let Self::DeflateBegun(begun) = self {
            begun.extend_from_slice(piece);
            let begun = std::mem::take(begun);
            *self = match begun.first_chunk() {
                None => Self::DeflateBegun(begun),
                Some(header) if is_zlib(*header) => Self::Zlib(Box::new(ZlibDecoder::new(Sink::default()))),
                Some(_) => Self::Raw(Box::new(DeflateDecoder::new(Sink::default()))),
            };
            return match self {
                Self::DeflateBegun(_) => (sink, Ok(())),
                _ => self.push(&begun, sink),
            };
        }
        let result = match self {
            Self::Gzip(decoder) => {
                *decoder.get_mut() = sink;
                let result = decoder.write_all(piece).and_then(|()| decoder.flush());
                sink = std::mem::take(decoder.get_mut());
                result
            }
            Self::Zlib(decoder) => {
                *decoder.get_mut() = sink;
                let result = until_the_end(decoder.write_all(piece)).and_then(|()| decoder.flush());
                sink = std::mem::take(decoder.get_mut());
                result
            }
            Self::Raw(decoder) => {
                *decoder.get_mut() = sink;
                let result = until_the_end(decoder.write_all(piece)).and_then(|()| decoder.flush());
                sink = std::mem::take(decoder.get_mut());
                result
            }
            Self::Brotli(decoder) => decoder.push(piece, &mut sink),
            Self::Zstd(decoder) => decoder.push(piece, &mut sink),
            Self::DeflateBegun(_) => Ok(()),
        };
        (sink, result)
    }

    /// Whether the coding's own end has come.
    fn is_complete(&mut self) -> bool {
        match self {
            Self::Gzip(decoder) => decoder.try_finish().is_ok(),
            Self::DeflateBegun(_) => false,
            Self::Zlib(decoder) => decoder.try_finish().is_ok(),
            Self::Raw(decoder) => decoder.try_finish().is_ok(),
            Self::Brotli(decoder) => decoder.is_complete(),
            Self::Zstd(decoder) => decoder.is_complete(),
        }
    }
}

/// Compression method 8, and a check (RFC 1950, section 2.2).
fn is_zlib([method, flags]: [u8; 2]) -> bool {
    method & 15 == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Bytes behind the end of a stream are nobody's, and are left out.
fn until_the_end(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WriteZero => Ok(()),
        other => other,
    }
}

/// Takes what comes out, until it is too much.
#[derive(Debug, Default)]
struct Sink {
    bytes: Vec<u8>,
    left: usize,
    is_full: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            self.is_full = true;
            return Err(io::Error::other("too much"));
        }
        self.left -= bytes.len();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
