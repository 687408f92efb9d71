//! Content codings undone piece by piece, with an end to how much a piece may become.
//!
//! What is compressed within a body (an archive, an image) is not a coding and is not looked into.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use self::brotli::Brotli;
use self::deflate::Deflate;
use self::zstd::Zstd;

mod brotli;
mod deflate;
mod zstd;

/// A content coding (RFC 9110, section 8.4.1) that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 7932
    Brotli,
    /// RFC 1950; RFC 1951 alone is taken too, for some servers send it under this name.
    Deflate,
    /// RFC 1952
    Gzip,
    /// RFC 8878, RFC 9659
    Zstd,
}

impl Coding {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// How much a body may grow when its codings are undone.
///
/// Deflate can make a thousand bytes of one, brotli and zstd far more, and who sends a body chooses which: so the
/// memory that it takes needs a bound. Ordinary text becomes five to twenty times as long.
///
/// Of the two amounts, what a piece did not use counts for later ones up to the allowance and no further. So what
/// comes of one piece is never more than `allowance + ratio * piece`, however long and harmless the body was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expansion {
    /// So many bytes whatever came.
    pub allowance: usize,
    /// And so many for each byte that came.
    pub ratio: usize,
}

impl Default for Expansion {
    /// 8 MiB, and a hundred bytes for one.
    fn default() -> Self {
        Self {
            allowance: 8 << 20,
            ratio: 100,
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

/// Undoes the codings of one body.
pub(super) struct Decoders {
    /// The last applied one first.
    chain: Vec<Decoder>,
    expansion: Expansion,
}

impl Decoders {
    /// For codings in the order in which they were applied.
    pub(super) fn new(codings: &[Coding], expansion: Expansion) -> Self {
        Self {
            chain: codings
                .iter()
                .rev()
                .map(|coding| Decoder::new(*coding, expansion))
                .collect(),
            expansion,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Takes the next piece, and gives all that it decides.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, DecodingError> {
        // By what came and not by what one coding made of it: ratios would multiply.
        let more = piece.len().saturating_mul(self.expansion.ratio);
        let mut decoded = None;
        for decoder in &mut self.chain {
            let input = decoded.as_deref().unwrap_or(piece);
            decoder.left = decoder.left.min(self.expansion.allowance);
            decoder.left = decoder.left.saturating_add(more);
            decoded = Some(decoder.push(input)?);
        }
        Ok(decoded.unwrap_or_else(|| piece.to_vec()))
    }

    /// The end.
    pub(super) fn finish(&mut self) -> Result<(), DecodingError> {
        self.chain.iter_mut().try_for_each(Decoder::finish)
    }
}

/// Undoes one coding.
struct Decoder {
    coding: Coding,
    state: State,
    is_begun: bool,
    /// How many bytes may still come out.
    left: usize,
}

enum State {
    Brotli(Box<Brotli>),
    Deflate(Deflate),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    fn new(coding: Coding, expansion: Expansion) -> Self {
        let state = match coding {
            Coding::Brotli => State::Brotli(Box::default()),
            Coding::Deflate => State::Deflate(Deflate::default()),
            Coding::Gzip => State::Gzip(Box::new(MultiGzDecoder::new(Sink::default()))),
            Coding::Zstd => State::Zstd(Box::default()),
        };
        Self {
            coding,
            state,
            is_begun: false,
            left: expansion.allowance,
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, DecodingError> {
        if piece.is_empty() {
            return Ok(Vec::new());
        }
        self.is_begun = true;
        let mut sink = Sink {
            left: self.left,
            ..Sink::default()
        };
        let result = match &mut self.state {
            State::Brotli(decoder) => decoder.push(piece, &mut sink),
            State::Deflate(decoder) => decoder.push(piece, &mut sink),
            State::Gzip(decoder) => {
                *decoder.get_mut() = sink;
                let result = decoder.write_all(piece).and_then(|()| decoder.flush());
                sink = std::mem::take(decoder.get_mut());
                result
            }
            State::Zstd(decoder) => decoder.push(piece, &mut sink),
        };
        self.left = sink.left;
        match result {
            Ok(()) => Ok(sink.bytes),
            Err(_) if sink.is_full => Err(DecodingError::TooLarge(self.coding)),
            Err(_) => Err(DecodingError::Invalid(self.coding)),
        }
    }

    /// An empty body may name a coding too: nothing was begun that could break off.
    fn finish(&mut self) -> Result<(), DecodingError> {
        let is_complete = match &mut self.state {
            State::Brotli(decoder) => decoder.is_complete(),
            State::Deflate(decoder) => decoder.is_complete(),
            State::Gzip(decoder) => decoder.try_finish().is_ok(),
            State::Zstd(decoder) => decoder.is_complete(),
        };
        if is_complete || !self.is_begun {
            return Ok(());
        }
        Err(DecodingError::CutOff(self.coding))
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
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.is_full = true;
            return Err(io::Error::other("too much"));
        };
        self.left = left;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::reflection) mod tests;
