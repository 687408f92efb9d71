//! An answer on its way to an agent: its header fields, its body, its trailers.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, response};
use hyper::ext::ReasonPhrase;
use serde::Deserialize;

use super::decoding::{Coding, Decoders, DecodingError, Expansion};
use super::fields;
use super::scrubber::Scrubber;
use super::table::Table;
use crate::{Reason, Refusal};

/// Names the content codings of an answer that could not be scanned.
pub const UNSCANNED: HeaderName = HeaderName::from_static("fnox-unscanned");

/// Nobody encodes a body more often but to have it grow.
const MOST_CODINGS: usize = 2;

/// What happens to a body that cannot be scanned: one with an unknown content coding, or a part of an encoded one.
///
/// It is about bodies of which that is known beforehand. One whose coding turns out to be broken, cut off or a bomb
/// is refused or broken off there whatever is chosen here: its header fields say that it is not encoded, and its end
/// must not look like the end of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unscannable {
    /// The answer is refused.
    #[default]
    Block,
    /// The body passes as it is, with the header field [`UNSCANNED`].
    Tag,
    /// The body passes as it is.
    Pass,
}

/// How answers are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanPolicy {
    /// What happens to those that cannot be.
    pub unscannable: Unscannable,
    /// How much they may grow when their codings are undone.
    pub expansion: Expansion,
}

/// Replaces the values of a [`Table`] in one answer.
///
/// A body whose coding is known is decoded and leaves without a coding: a compressed one cannot be changed in place.
/// What a piece brings leaves with it, but for the last bytes if they may be the beginning of a value, or are of
/// a coding that does not give them out yet. So events of a stream are not late.
///
/// The header fields are made right for the body that leaves. That is told before the body is known, so
/// `Content-Length` and the digests (RFC 9530) go from every answer that is scanned. `Content-Encoding` and
/// `Accept-Ranges` go, and a strong `ETag` becomes weak, where a coding is undone; else the tag stays, so that
/// `If-Match` goes on to work. `Cache-Control: no-transform` (RFC 9110, section 7.7) is not heeded: it would let an
/// upstream choose that nothing is scanned.
///
/// Messages after an upgrade (RFC 9110, section 7.8) are no body and are not scanned.
///
/// ```
/// # use bytes::Bytes;
/// # use fnox_core::SecretString;
/// # use fnox_gateway::reflection::{ResponseScrub, ScanPolicy, Table};
/// # use http::{Method, Response};
/// let table = Table::builder()
///     .replace(&SecretString::from("ghp_realrealreal"), "ghp_placeholder0")
///     .build();
/// let (mut parts, ()) = Response::builder()
///     .header("content-length", "40")
///     .header("x-echo", "token ghp_realrealreal")
///     .body(())?
///     .into_parts();
///
/// let mut scrub = ResponseScrub::start(&table, &Method::GET, &mut parts, ScanPolicy::default())?;
/// assert_eq!(parts.headers["x-echo"], "token ghp_placeholder0");
/// assert!(!parts.headers.contains_key("content-length"));
///
/// assert_eq!(scrub.push(&Bytes::from("data: one\n\n"))?, "data: one\n\n");
/// assert_eq!(scrub.push(&Bytes::from("data: ghp_real"))?, "data: ");
/// assert_eq!(scrub.push(&Bytes::from("realreal\n\n"))?, "ghp_placeholder0\n\n");
/// assert_eq!(scrub.finish()?, "");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ResponseScrub {
    table: Table,
    body: Body,
    /// Besides those that a scrubber of the body counts.
    replaced: u64,
}

enum Body {
    /// Leaves as it is.
    Passes,
    Scanned {
        decoders: Decoders,
        scrubber: Scrubber,
    },
    /// Has been broken off.
    Broken(Refusal),
}

impl fmt::Debug for ResponseScrub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseScrub")
            .field("passes", &self.passes())
            .field("replaced", &self.replaced())
            .finish_non_exhaustive()
    }
}

impl ResponseScrub {
    /// Scrubs the header fields of the answer to a request of `method`, and prepares for its body.
    ///
    /// With nothing to look for everything stays as it is.
    ///
    /// # Errors
    /// [`Reason::Unscannable`] if the body cannot be scanned and `policy` says to block it.
    pub fn start(
        table: &Table,
        method: &Method,
        response: &mut response::Parts,
        policy: ScanPolicy,
    ) -> Result<Self, Refusal> {
        let headers = &mut response.headers;
        // Ours to say.
        headers.remove(UNSCANNED);
        let mut this = Self {
            table: table.clone(),
            body: Body::Passes,
            replaced: 0,
        };
        if table.is_empty() {
            return Ok(this);
        }
        // A text of the upstream's choice that HTTP/1 would hand on (RFC 9112, section 4).
        response.extensions.remove::<ReasonPhrase>();
        this.replaced = fields::scrub_values(table, headers);
        let has_content = has_content(method, response.status);
        let names = fields::coding_names(headers);
        let Some(codings) = scannable(&names, response.status) else {
            if has_content {
                unscannable(&names, headers, policy.unscannable)?;
            }
            return Ok(this);
        };
        if !codings.is_empty() {
            fields::of_decoded(headers);
        }
        fields::of_scrubbed(headers, has_content);
        this.body = Body::Scanned {
            decoders: Decoders::new(&codings, policy.expansion),
            scrubber: Scrubber::new(table),
        };
        Ok(this)
    }

    /// Whether the body leaves as it came, so that it need not come through here.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self.body, Body::Passes)
    }

    /// Whether a coding of the body is undone, which may turn out to be broken.
    #[must_use]
    pub fn decodes(&self) -> bool {
        matches!(&self.body, Body::Scanned { decoders, .. } if !decoders.is_empty())
    }

    /// Takes the next piece of the body, and gives what may leave, which may be nothing. Of an encoded body that is at
    /// most what [`Expansion`] says, and a bit that was held back.
    ///
    /// # Errors
    /// [`Reason::Unscannable`] if a coding cannot be undone, or the body grows too much when it is. Then the answer
    /// must be broken off, so that the agent does not take it for whole; there is nothing but the same error after it.
    pub fn push(&mut self, piece: &Bytes) -> Result<Bytes, Refusal> {
        match &mut self.body {
            Body::Passes => Ok(piece.clone()),
            Body::Broken(refusal) => Err(refusal.clone()),
            Body::Scanned { decoders, scrubber } if decoders.is_empty() => Ok(scrubber.push(piece)),
            Body::Scanned { decoders, scrubber } => match decoders.push(piece) {
                Ok(decoded) => Ok(scrubber.push(&decoded.into())),
                Err(error) => Err(self.break_off(error)),
            },
        }
    }

    /// The end of the body: gives what was held back.
    ///
    /// # Errors
    /// As [`Self::push`], also if the body breaks off within a coding.
    pub fn finish(&mut self) -> Result<Bytes, Refusal> {
        match &mut self.body {
            Body::Passes => Ok(Bytes::new()),
            Body::Broken(refusal) => Err(refusal.clone()),
            Body::Scanned { decoders, scrubber } => match decoders.finish() {
                Ok(()) => Ok(scrubber.finish()),
                Err(error) => Err(self.break_off(error)),
            },
        }
    }

    /// Scrubs the trailers (RFC 9110, section 6.5).
    pub fn trailers(&mut self, trailers: &mut HeaderMap) {
        self.replaced += fields::scrub_values(&self.table, trailers);
        if !self.passes() {
            fields::remove_digests(trailers);
        }
    }

    /// How many values have been replaced in the body, and in how many fields.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        match &self.body {
            Body::Scanned { scrubber, .. } => self.replaced + scrubber.replaced(),
            _ => self.replaced,
        }
    }

    fn break_off(&mut self, error: DecodingError) -> Refusal {
        let refusal = Refusal::new(Reason::Unscannable, format!("the answer {error}"))
            .with_remedy("Ask for it with `Accept-Encoding: identity`.");
        self.replaced = self.replaced();
        self.body = Body::Broken(refusal.clone());
        refusal
    }
}

/// Whether an answer has a body at all (RFC 9112, section 6.3).
fn has_content(method: &Method, status: StatusCode) -> bool {
    let never = status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    method != Method::HEAD && !never
}

/// What can be undone, or nothing if a coding cannot; nor can the part of an encoded body whose beginning is not
/// there.
fn scannable(names: &[String], status: StatusCode) -> Option<Vec<Coding>> {
    let codings: Vec<_> = names
        .iter()
        .map(|name| Coding::parse(name))
        .collect::<Option<_>>()?;
    let is_part = status == StatusCode::PARTIAL_CONTENT && !codings.is_empty();
    (codings.len() <= MOST_CODINGS && !is_part).then_some(codings)
}

fn unscannable(
    names: &[String],
    headers: &mut HeaderMap,
    policy: Unscannable,
) -> Result<(), Refusal> {
    let names: String = names.join(", ").escape_default().take(80).collect();
    match policy {
        Unscannable::Pass => {}
        Unscannable::Tag => {
            let names = HeaderValue::from_str(&names);
            let names = names.unwrap_or(HeaderValue::from_static("unknown"));
            headers.insert(UNSCANNED, names);
        }
        Unscannable::Block => {
            let message =
                format!("the answer is encoded as `{names}` and cannot be scanned for credentials");
            let remedy = "Ask for it with `Accept-Encoding: identity` and without `Range`.";
            return Err(Refusal::new(Reason::Unscannable, message).with_remedy(remedy));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
