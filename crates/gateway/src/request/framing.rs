//! How long the body of a request is, by a single statement (RFC 9112, section 6).

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version};

use crate::refusal::{Reason, Refusal};

/// What a request says about the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes. None, if an HTTP/1 request says nothing.
    Known(u64),
    /// It ends when it ends: chunks, or the frames of HTTP/2.
    Unknown,
}

/// Reads the length, and refuses whatever two servers could read as different lengths.
///
/// Equal lengths are one (RFC 9112, section 6.3). What comes over HTTP/1 was read by hyper before: it has made one field of
/// them, and of a length beside `chunked` it has dropped the length and ends the connection after the request (section
/// 6.1). Here both are refused, for there would be nobody to do the latter.
pub(super) fn length(headers: &HeaderMap, version: Version) -> Result<BodyLength, Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let length = content_length(headers)?;
    let Some(coding) = coding else {
        return Ok(match length {
            Some(length) => BodyLength::Known(length),
            None if version == Version::HTTP_2 => BodyLength::Unknown,
            None => BodyLength::Known(0),
        });
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(ambiguous("has a transfer coding other than `chunked`"));
    }
    if length.is_some() {
        return Err(ambiguous(
            "has both `Content-Length` and `Transfer-Encoding`",
        ));
    }
    if version != Version::HTTP_11 {
        return Err(ambiguous(
            "has a transfer coding, which only HTTP/1.1 knows",
        ));
    }
    Ok(BodyLength::Unknown)
}

/// States a known length once. Without a body, nothing is added to what the client said.
pub(super) fn set(headers: &mut HeaderMap, length: BodyLength) {
    if let BodyLength::Known(bytes) = length
        && headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
}

/// A number in its only decimal form.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_canonical = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    is_canonical.then(|| text.parse().ok())?
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let value = value.to_str().ok().and_then(number);
        let value = value.ok_or_else(|| ambiguous("has a `Content-Length` that is no number"))?;
        if length.is_some_and(|other| other != value) {
            return Err(ambiguous("has several `Content-Length` that differ"));
        }
        length = Some(value);
    }
    Ok(length)
}

fn ambiguous(problem: &str) -> Refusal {
    Refusal::new(Reason::Ambiguous, format!("the request {problem}"))
}
