//! The header fields and trailers of an answer, and the codings that a request asks for.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName,
    HeaderValue,
};

use super::decoding::Coding;
use super::scrubber::scrub;
use super::table::Table;

/// What vouches for the bytes of a body: RFC 9530, sections 2 and 3; RFC 3230, section 4.3.2; RFC 1864.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Replaces the values of `table` in fields, and says how many fields had one.
pub(super) fn scrub_values(table: &Table, fields: &mut HeaderMap) -> u64 {
    let mut count = 0;
    for value in fields.values_mut() {
        let Cow::Owned(bytes) = scrub(table, value.as_bytes()) else {
            continue;
        };
        // Placeholders are visible characters, so there is nothing that could fail.
        let mut scrubbed = HeaderValue::from_bytes(&bytes)
            .unwrap_or_else(|_| HeaderValue::from_static(fnox_core::secret::REDACTED));
        scrubbed.set_sensitive(value.is_sensitive());
        *value = scrubbed;
        count += 1;
    }
    count
}

/// Takes out digests, which another body will not have.
pub(super) fn remove_digests(fields: &mut HeaderMap) {
    for digest in &DIGESTS {
        fields.remove(digest);
    }
}

/// Makes `fields` right for a body whose values are replaced. `has_content` unless there is no body, whose length
/// then is that of another answer and only about right (RFC 9110, section 8.6).
pub(crate) fn of_scrubbed(fields: &mut HeaderMap, has_content: bool) {
    remove_digests(fields);
    if has_content {
        fields.remove(CONTENT_LENGTH);
    }
}

/// Makes `fields` right for a body whose codings are undone.
///
/// An entity tag that is strong belongs to one coding alone (RFC 9110, section 8.8.3.3), so it becomes weak; offsets of
/// ranges would be those of the encoded body.
pub(super) fn of_decoded(fields: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES] {
        fields.remove(name);
    }
    if let Some(tag) = fields.get_mut(ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}

/// The codings of a body in the order in which they were applied, as they are called.
pub(crate) fn coding_names(fields: &HeaderMap) -> Vec<String> {
    fields
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        .collect()
}

/// Leaves of what a request accepts the codings that can be undone without delay: gzip, deflate and br, and none.
///
/// For requests on their way to an upstream. Zstandard is left out because its answers leave only when much of
/// them is there; what no one can undo is left out because its answers would be blocked. A request without the
/// field stays as it is: servers take that for *none*.
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
