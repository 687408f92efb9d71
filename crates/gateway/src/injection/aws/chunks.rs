//! Bodies of signed chunks, which are sent without their signatures.
//!
//! Each chunk of `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` has a signature of the client's own in it, made with a key that does
//! not exist (Amazon S3, "Signature calculations for the Authorization header: transferring payload in multiple chunks").
//! The data is taken out of the chunks as it comes, and leaves as one body that is not signed, `UNSIGNED-PAYLOAD`, which
//! S3 takes over TLS. A checksum in a trailer (`…-PAYLOAD-TRAILER`) is signed too and goes with its chunks; S3 makes its
//! own.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::claim::{Claim, DIGEST};
use super::refused;
use crate::body::{Body, BodyError, BrokenOff};
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;

/// How long the data is.
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// Longest line before a chunk: a length, and a signature of 64 digits.
const LONGEST_LINE: usize = 256;

/// Longest trailer.
const LONGEST_TRAILER: usize = 16 * 1024;

/// How long the data in a body of signed chunks is. `None`: the body is another one.
///
/// # Errors
/// [`Reason::Ambiguous`](crate::Reason::Ambiguous) if it is not stated.
pub(super) fn decoded_length(request: &CanonicalRequest) -> Result<Option<u64>, Refusal> {
    if !Claim::parse(request).is_ok_and(|claim| claim.has_signed_chunks()) {
        return Ok(None);
    }
    let mut stated = request.headers().get_all(DECODED_LENGTH).iter();
    let length = match (stated.next(), stated.next()) {
        (Some(only), None) => only.to_str().ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    match length {
        Some(length) => Ok(Some(length)),
        None => Err(refused("is over chunks without the length of their data")),
    }
}

/// Makes the head of a request with a body of signed chunks one of a plain body, and answers with the length of that.
/// `None`: nothing was to be done.
///
/// # Errors
/// As [`decoded_length`].
pub(crate) fn without(request: &mut CanonicalRequest) -> Result<Option<u64>, Refusal> {
    let Some(length) = decoded_length(request)? else {
        return Ok(None);
    };
    let headers = request.headers_mut();
    let others: Vec<String> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked"))
        .map(str::to_owned)
        .collect();
    headers.remove(CONTENT_ENCODING);
    if let Ok(value) = HeaderValue::from_str(&others.join(", "))
        && !value.is_empty()
    {
        headers.insert(CONTENT_ENCODING, value);
    }
    // The last two are about the checksum in the trailer: S3 refuses what speaks of one and has none.
    for name in [
        DECODED_LENGTH,
        "x-amz-trailer",
        "x-amz-sdk-checksum-algorithm",
    ] {
        headers.remove(name);
    }
    headers.insert(DIGEST, HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    request.set_body_length(length);
    Ok(Some(length))
}

/// The data in a body of chunks, which must be so long.
pub(crate) fn decoded(inner: Body, length: u64, broken_off: BrokenOff) -> Body {
    let decoded = Decoded {
        inner,
        decoder: Decoder::new(length),
        ready: VecDeque::new(),
        broken_off,
    };
    let frames = stream::try_unfold(decoded, async |mut decoded| {
        let data = decoded.next().await?;
        Ok::<_, BodyError>(data.map(|data| (Frame::data(data), decoded)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A body on its way through its decoder.
struct Decoded {
    inner: Body,
    decoder: Decoder,
    ready: VecDeque<Bytes>,
    broken_off: BrokenOff,
}

impl Decoded {
    /// The next piece of data; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Ok(Some(data));
            }
            let Some(frame) = self.inner.frame().await else {
                let finished = self.decoder.finish();
                return finished.map(|()| None).map_err(|why| self.broken(why));
            };
            if let Ok(data) = frame?.into_data() {
                let pushed = self.decoder.push(data, &mut self.ready);
                pushed.map_err(|why| self.broken(why))?;
            }
        }
    }

    fn broken(&self, refusal: Refusal) -> BodyError {
        self.broken_off.note(&refusal);
        refusal.into()
    }
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// The line before a chunk, as far as it has come.
    Line(Vec<u8>),
    /// So many bytes of data.
    Data(u64),
    /// The line end after them, of which so many bytes have come.
    LineEnd(usize),
    /// What follows the chunk without data.
    Trailer(Vec<u8>),
}

/// Takes data out of chunks.
#[derive(Debug)]
struct Decoder {
    next: Next,
    /// How much data is still to come.
    left: u64,
}

impl Decoder {
    fn new(length: u64) -> Self {
        Self {
            next: Next::Line(Vec::new()),
            left: length,
        }
    }

    fn push(&mut self, mut bytes: Bytes, ready: &mut VecDeque<Bytes>) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            match &mut self.next {
                Next::Line(line) => {
                    let end = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
                    line.extend_from_slice(&bytes[..end]);
                    bytes.advance(end);
                    if line.len() > LONGEST_LINE {
                        return Err(broken());
                    }
                    if line.ends_with(b"\n") {
                        let length = length_of(line).ok_or_else(broken)?;
                        self.next = self.begun(length)?;
                    }
                }
                Next::Data(length) => {
                    let most = usize::try_from(*length).unwrap_or(usize::MAX);
                    let data = bytes.split_to(most.min(bytes.len()));
                    *length -= data.len() as u64;
                    if *length == 0 {
                        self.next = Next::LineEnd(0);
                    }
                    ready.push_back(data);
                }
                Next::LineEnd(come) => {
                    if bytes[0] != b"\r\n"[*come] {
                        return Err(broken());
                    }
                    *come += 1;
                    bytes.advance(1);
                    if *come == 2 {
                        self.next = Next::Line(Vec::new());
                    }
                }
                Next::Trailer(trailer) => {
                    trailer.extend_from_slice(&bytes);
                    bytes.clear();
                    if trailer.len() > LONGEST_TRAILER {
                        return Err(broken());
                    }
                }
            }
        }
        Ok(())
    }

    /// What follows a line that announces so many bytes.
    fn begun(&mut self, length: u64) -> Result<Next, Refusal> {
        self.left = self.left.checked_sub(length).ok_or_else(broken)?;
        Ok(match length {
            0 => Next::Trailer(Vec::new()),
            length => Next::Data(length),
        })
    }

    fn finish(&self) -> Result<(), Refusal> {
        match &self.next {
            Next::Trailer(trailer) if self.left == 0 && trailer.ends_with(b"\r\n") => Ok(()),
            _ => Err(broken()),
        }
    }
}

/// The length that a line before a chunk states: `10000;chunk-signature=…` and a line end.
fn length_of(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let (length, signature) = line.split_once(";chunk-signature=")?;
    let is_signature =
        signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_length = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_signature && is_length {
        u64::from_str_radix(length, 16).ok()
    } else {
        None
    }
}

fn broken() -> Refusal {
    refused("is over chunks that are not as they should be, or not as long as is stated")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &[u8]) -> Vec<u8> {
        let mut chunk = format!("{:x};chunk-signature={}\r\n", data.len(), "0a".repeat(32));
        chunk.push_str(std::str::from_utf8(data).unwrap());
        if !data.is_empty() {
            chunk.push_str("\r\n");
        }
        chunk.into_bytes()
    }

    /// What comes out of these bytes, given in pieces of `piece` bytes.
    fn decode(bytes: &[u8], piece: usize, length: u64) -> Result<Vec<u8>, Refusal> {
        let mut decoder = Decoder::new(length);
        let mut ready = VecDeque::new();
        for piece in bytes.chunks(piece) {
            decoder.push(Bytes::copy_from_slice(piece), &mut ready)?;
        }
        decoder.finish()?;
        Ok(ready.into_iter().flatten().collect())
    }

    #[test]
    fn data_comes_out_as_it_was_whatever_the_pieces() {
        let end = [chunk(b""), b"\r\n".to_vec()].concat();
        let with_trailer = [
            chunk(b""),
            b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:00\r\n\r\n".to_vec(),
        ]
        .concat();
        for end in [end, with_trailer] {
            let bytes = [chunk(b"first\r\n0;"), chunk(b"second"), end].concat();
            for piece in 1..=bytes.len() {
                let data = decode(&bytes, piece, 15).unwrap();
                assert_eq!(data, b"first\r\n0;second", "{piece}");
            }
        }
    }

    #[test]
    fn what_is_not_as_stated_breaks_off() {
        let end = [chunk(b""), b"\r\n".to_vec()].concat();
        let whole = [chunk(b"data"), end.clone()].concat();
        assert!(decode(&whole, 3, 4).is_ok());
        let long_line = vec![b'1'; LONGEST_LINE + 1];
        let endless = [chunk(b"data"), chunk(b""), vec![b'x'; LONGEST_TRAILER + 1]].concat();
        for (bytes, length) in [
            (&whole[..], 3),
            (&whole[..], 5),
            (&whole[..whole.len() - 2], 4),
            (&chunk(b"data")[..], 4),
            (b"4\r\ndata\r\n0\r\n\r\n", 4),
            (b"", 0),
            (&long_line[..], 4),
            (&endless[..], 4),
            (b"+4;chunk-signature=", 4),
        ] {
            let refusal = decode(bytes, 7, length).unwrap_err();
            assert_eq!(refusal.reason, crate::Reason::Ambiguous);
        }
        let mut without_line_end = chunk(b"data");
        without_line_end.truncate(without_line_end.len() - 2);
        let bytes = [without_line_end, end].concat();
        assert!(decode(&bytes, 5, 4).is_err());
    }
}
