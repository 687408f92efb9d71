//! Where in a request placeholders stand, however they are spelled.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::index::Index;
use super::{Placeholder, Placeholders};
use crate::request::{CanonicalRequest, percent};

/// A placeholder in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Which.
    pub placeholder: Arc<Placeholder>,
    /// Where.
    pub place: Place,
    /// Whether it is there letter by letter. If not, the case of its letters is another.
    pub is_exact: bool,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A segment of the path, counted from 0.
    Segment(usize),
    /// The value of a query parameter, counted from 0.
    Parameter(usize),
    /// The value of a field.
    Header(HeaderName),
    /// Within the base64 of `authorization: Basic`.
    Basic,
    /// Where nothing ever goes: method, host, names of parameters and fields, encodings of other kinds.
    Elsewhere,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(_) => formatter.write_str("in the path"),
            Self::Parameter(_) => formatter.write_str("in the query"),
            Self::Header(name) => write!(formatter, "in the field `{name}`"),
            Self::Basic => formatter.write_str("in `authorization: Basic`"),
            Self::Elsewhere => formatter.write_str("where no credential goes"),
        }
    }
}

impl Placeholders {
    /// Every placeholder in `request` but those in its body: as it is, percent-encoded, also several times,
    /// in base64 of basic authentication, and with letters of another case.
    #[must_use]
    pub fn find(&self, request: &CanonicalRequest) -> Vec<Occurrence> {
        let mut scan = self.scan();
        scan.text(request.method().as_str().as_bytes(), &Place::Elsewhere);
        scan.text(request.host().name().as_bytes(), &Place::Elsewhere);
        for (index, segment) in request.path().segments().enumerate() {
            scan.text(&decoded(segment.as_bytes()), &Place::Segment(index));
        }
        scan.query(request);
        scan.fields(request.headers());
        scan.found
    }

    /// Every placeholder in these fields.
    #[must_use]
    pub fn find_in_fields(&self, fields: &HeaderMap) -> Vec<Occurrence> {
        let mut scan = self.scan();
        scan.fields(fields);
        scan.found
    }

    fn scan(&self) -> Scan<'_> {
        Scan {
            entries: &self.entries,
            index: self.index(),
            found: Vec::new(),
        }
    }
}

struct Scan<'a> {
    entries: &'a [Arc<Placeholder>],
    index: Arc<Index>,
    found: Vec<Occurrence>,
}

impl Scan<'_> {
    /// Notes those in `text` to be at `place`.
    fn text(&mut self, text: &[u8], place: &Place) {
        for (range, entry) in self.index.find(text) {
            let placeholder = &self.entries[entry];
            self.found.push(Occurrence {
                placeholder: Arc::clone(placeholder),
                place: place.clone(),
                is_exact: text[range] == *placeholder.text.as_bytes(),
            });
        }
    }

    fn query(&mut self, request: &CanonicalRequest) {
        let parts = self.found.len();
        for (index, parameter) in request.query().parameters().enumerate() {
            self.text(&decoded(parameter.name().as_bytes()), &Place::Elsewhere);
            let value = decoded(parameter.value().unwrap_or_default().as_bytes());
            self.text(&value, &Place::Parameter(index));
        }
        // One that has an equals sign can lie across the borders of parameters.
        let whole = request.query().to_string();
        self.whole(&decoded(whole.as_bytes()), parts);
    }

    fn fields(&mut self, fields: &HeaderMap) {
        for name in fields.keys() {
            self.text(name.as_str().as_bytes(), &Place::Elsewhere);
        }
        for (name, value) in fields {
            self.field(name, value);
        }
    }

    fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        let parts = self.found.len();
        self.text(value.as_bytes(), &Place::Header(name.clone()));
        if let Cow::Owned(decoded) = decoded(value.as_bytes()) {
            self.whole(&decoded, parts);
        }
        if let Some(credentials) = basic(value) {
            let is_read = *name == AUTHORIZATION;
            let place = if is_read {
                Place::Basic
            } else {
                Place::Elsewhere
            };
            self.text(&credentials, &place);
        }
    }

    /// Notes those in `text` that were not seen in its parts, which are what was found from `parts` on: as many of each as
    /// there are more.
    fn whole(&mut self, text: &[u8], parts: usize) {
        let before = self.found.len();
        self.text(text, &Place::Elsewhere);
        let more = self.found.split_off(before);
        let seen = self.found[parts..].iter();
        let mut seen: Vec<_> = seen.map(|it| Arc::clone(&it.placeholder)).collect();
        for occurrence in more {
            let is_it = |it: &Arc<Placeholder>| Arc::ptr_eq(it, &occurrence.placeholder);
            match seen.iter().position(is_it) {
                Some(at) => drop(seen.swap_remove(at)),
                None => self.found.push(occurrence),
            }
        }
    }
}

/// What is in a field of basic authentication (RFC 7617, section 2).
pub(crate) fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    // Servers take it without its padding and with spare bits too, so it is read in that way here.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let value = value.as_bytes().trim_ascii();
    let (scheme, credentials) = value.split_at_checked("basic".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    LENIENT.decode(credentials.trim_ascii()).ok()
}

/// Decoded until it stays the same.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let mut decoded = Cow::Borrowed(text);
    while let Some(again) = percent::decode_once(&decoded) {
        decoded = Cow::Owned(again);
    }
    decoded
}
