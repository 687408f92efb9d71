//! An answer on its way to an agent: its header fields, its body, its trailers.

use std::fmt;

use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName,
    HeaderValue,
};
use serde::Deserialize;

use super::decoding::{Coding, Decoder, DecodingError, Expansion};
use super::scrubber::{Scrubber, scrub};
use super::table::Table;
use crate::{Reason, Refusal};

/// Names the content codings of an answer that could not be scanned.
pub const UNSCANNED: HeaderName = HeaderName::from_static("fnox-unscanned");

/// What happens to an answer that cannot be scanned: one with an unknown content coding, or a part of an encoded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unscannable {
    /// It is refused.
    #[default]
    Block,
    /// It passes, with the header field [`UNSCANNED`].
    Tag,
    /// It passes.
    Pass,
}

/// Scrubs the body of one answer.
pub struct BodyScrubber {
    /// The last applied coding first.
    decoders: Vec<Decoder>,
    scrubber: Option<Scrubber>,
}

impl fmt::Debug for BodyScrubber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BodyScrubber")
            .field("codings", &self.decoders.len())
            .field("scrubber", &self.scrubber)
            .finish()
    }
}

impl BodyScrubber {
    /// Scrubs the header fields of an answer, and prepares for its body.
    ///
    /// Content codings are undone, for a compressed body cannot be changed in place, so `Content-Encoding` goes, and
    /// with it the digests of the encoded body (RFC 9530, RFC 1864). `Content-Length` goes because the length may
    /// change. With nothing to look for everything stays as it is.
    ///
    /// # Errors
    /// [`Reason::Unscannable`] if the body cannot be scanned and `policy` says to block it.
    pub fn begin(
        table: &Table,
        headers: &mut HeaderMap,
        policy: Unscannable,
        expansion: Expansion,
    ) -> Result<Self, Refusal> {
        headers.remove(UNSCANNED);
        let mut body = Self {
            decoders: Vec::new(),
            scrubber: None,
        };
        if table.is_empty() {
            return Ok(body);
        }
        scrub_headers(table, headers);
        let names = codings(headers);
        let Some(codings) = scannable(&names, headers) else {
            match policy {
                Unscannable::Block => return Err(unscannable(&names)),
                Unscannable::Tag => {
                    let names = HeaderValue::from_str(&names.join(", "));
                    let names = names.unwrap_or(HeaderValue::from_static("unknown"));
                    headers.insert(UNSCANNED, names);
                }
                Unscannable::Pass => {}
            }
            return Ok(body);
        };
        if !codings.is_empty() {
            headers.remove(CONTENT_ENCODING);
            for digest in ["content-digest", "content-md5", "digest"] {
                headers.remove(digest);
            }
        }
        headers.remove(CONTENT_LENGTH);
        body.decoders = codings
            .into_iter()
            .rev()
            .map(|coding| Decoder::new(coding, expansion))
            .collect();
        body.scrubber = Some(Scrubber::new(table));
        Ok(body)
    }

    /// Takes the next piece, and gives what may leave. After an error the answer must be broken off, so that the agent
    /// does not take it for whole.
    ///
    /// # Errors
    /// [`Reason::Unscannable`] if a coding cannot be undone, or the body grows too much when it is.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, Refusal> {
        let Some(scrubber) = &mut self.scrubber else {
            return Ok(piece.to_vec());
        };
        let Some((first, others)) = self.decoders.split_first_mut() else {
            return Ok(scrubber.push(piece));
        };
        let mut decoded = first.push(piece).map_err(broken)?;
        for decoder in others {
            decoded = decoder.push(&decoded).map_err(broken)?;
        }
        Ok(scrubber.push(&decoded))
    }

    /// The end of the body: gives what was held back.
    ///
    /// # Errors
    /// [`Reason::Unscannable`] if the body breaks off within a coding.
    pub fn finish(&mut self) -> Result<Vec<u8>, Refusal> {
        for decoder in &mut self.decoders {
            decoder.finish().map_err(broken)?;
        }
        Ok(self.scrubber.as_mut().map(Scrubber::finish).unwrap_or_default())
    }

    /// How many values have been replaced in the body.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.scrubber.as_ref().map_or(0, Scrubber::replaced)
    }
}

/// Replaces the values of `table` in header fields or trailers, and says in how many fields.
pub fn scrub_headers(table: &Table, headers: &mut HeaderMap) -> usize {
    let mut count = 0;
    if table.is_empty() {
        return count;
    }
    for value in headers.values_mut() {
        let scrubbed = match scrub(table, value.as_bytes()) {
            std::borrow::Cow::Borrowed(_) => continue,
            std::borrow::Cow::Owned(bytes) => HeaderValue::from_bytes(&bytes),
        };
        // Placeholders are visible characters, so there is nothing that could fail.
        *value = scrubbed.unwrap_or(HeaderValue::from_static("[redacted]"));
        count += 1;
    }
    count
}

/// Leaves of what a request accepts the codings that can be undone without delay: gzip, deflate and br, and none.
///
/// A request that accepts no coding by name stays as it is: servers take that for *none*.
pub fn accept_scannable(headers: &mut HeaderMap) {
    let Some(first) = headers.get(ACCEPT_ENCODING) else {
        return;
    };
    let is_single = headers.get_all(ACCEPT_ENCODING).iter().nth(1).is_none();
    let accepted: Vec<_> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| is_undone_at_once(item.split(';').next().unwrap_or_default().trim()))
        .collect();
    let accepted = match accepted.as_slice() {
        [] => "identity".to_owned(),
        accepted => accepted.join(", "),
    };
    if is_single && first.as_bytes() == accepted.as_bytes() {
        return;
    }
    if let Ok(accepted) = HeaderValue::from_str(&accepted) {
        headers.insert(ACCEPT_ENCODING, accepted);
    }
}

fn is_undone_at_once(coding: &str) -> bool {
    coding.eq_ignore_ascii_case("identity")
        || Coding::parse(coding).is_some_and(|coding| coding != Coding::Zstd)
}

/// The codings of a body in the order in which they were applied, as they are called.
fn codings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        .collect()
}

/// The same as what can be undone, or nothing if one cannot. Nobody encodes a body more than twice but to have it
/// grow; and the beginning of a part of an encoded body is not there.
fn scannable(names: &[String], headers: &HeaderMap) -> Option<Vec<Coding>> {
    let codings: Vec<_> = names
        .iter()
        .map(|name| Coding::parse(name))
        .collect::<Option<_>>()?;
    let is_part = headers.contains_key(CONTENT_RANGE) && !codings.is_empty();
    (codings.len() <= 2 && !is_part).then_some(codings)
}

fn unscannable(names: &[String]) -> Refusal {
    let names: String = names.join(", ").escape_debug().take(80).collect();
    Refusal::new(
        Reason::Unscannable,
        format!("the answer is encoded as `{names}` and cannot be scanned for credentials"),
    )
    .with_remedy("Ask for it with `Accept-Encoding: identity` and without `Range`.")
}

fn broken(error: DecodingError) -> Refusal {
    Refusal::new(Reason::Unscannable, format!("the answer {error}"))
        .with_remedy("Ask for it with `Accept-Encoding: identity`.")
}

#[cfg(test)]
mod tests;
