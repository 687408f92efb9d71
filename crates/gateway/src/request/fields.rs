//! The header fields of a request: what is refused, what belongs to one hop alone, what is left.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, MAX_FORWARDS,
    TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::framing::{self, BodyLength};
use crate::refusal::{Reason, Refusal};

/// The most fields that a request may have.
pub const MAX_FIELDS: usize = 128;
/// The most bytes that the names and values of a request's fields may have together.
pub const MAX_FIELD_BYTES: usize = 64 * 1024;

/// What is left of the fields.
pub(super) struct Fields {
    pub(super) headers: HeaderMap,
    pub(super) body: BodyLength,
    pub(super) is_websocket: bool,
}

/// By these, some servers find a request to be for another method, path or host than it says.
pub(super) const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-host",
];

/// What a request may have once (RFC 9110, section 5.3), as far as anything here is decided by it.
const SINGLE: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, EXPECT];

/// What `Connection` may not take away from a request: it is for the server (RFC 9110, section 7.6.1).
const END_TO_END: [HeaderName; 6] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    TRANSFER_ENCODING,
];

/// Checks the fields and takes away what is between the client and the gateway alone.
pub(super) fn canonical(
    mut headers: HeaderMap,
    version: Version,
    method: &Method,
) -> Result<Fields, Refusal> {
    within_limits(&headers)?;
    has_no_second_reading(&headers)?;
    let body = framing::length(&headers, version)?;
    let options = connection_options(&headers)?;
    let is_websocket = version == Version::HTTP_11
        && *method == Method::GET
        && options.contains(&UPGRADE)
        && is_exactly(&headers, &UPGRADE, "websocket");
    let takes_trailers = is_exactly(&headers, &TE, "trailers");
    strip(&mut headers, &options);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    framing::set(&mut headers, body);
    join_cookies(&mut headers, version)?;
    count_down(&mut headers, method)?;
    for name in [AUTHORIZATION, COOKIE] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
    Ok(Fields {
        headers,
        body,
        is_websocket,
    })
}

pub(super) fn within_limits(headers: &HeaderMap) -> Result<(), Refusal> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > MAX_FIELDS || bytes > MAX_FIELD_BYTES {
        return Err(Refusal::new(
            Reason::TooLarge,
            format!(
                "the request has more than {MAX_FIELDS} fields or {MAX_FIELD_BYTES} bytes of them"
            ),
        ));
    }
    Ok(())
}

fn has_no_second_reading(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in OVERRIDES {
        if headers.contains_key(name) {
            return Err(ambiguous(format!(
                "`{name}` asks the server to read the request as another one"
            ))
            .with_remedy("Send the request that is meant."));
        }
    }
    for name in SINGLE {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(ambiguous(format!("the request has more than one `{name}`")));
        }
    }
    // Gateway interfaces such as CGI (RFC 3875, section 4.1.18) make one variable of both.
    for name in headers.keys().filter(|name| name.as_str().contains('_')) {
        let dashed = name.as_str().replace('_', "-");
        let is_special = OVERRIDES.contains(&dashed.as_str())
            || SINGLE
                .iter()
                .chain(&END_TO_END)
                .any(|it| *it == dashed.as_str());
        if is_special || headers.contains_key(&dashed) {
            return Err(ambiguous(format!(
                "a field's name with `_` is read as `{dashed}` by some servers"
            )));
        }
    }
    Ok(())
}

/// What `Connection` names.
fn connection_options(headers: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut options = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.is_empty() {
                continue;
            }
            let name = HeaderName::from_bytes(option)
                .map_err(|_| ambiguous("`Connection` names what is no field".to_owned()))?;
            if END_TO_END.contains(&name) {
                return Err(ambiguous(format!(
                    "`Connection` would take `{name}` away, which is for the server"
                )));
            }
            options.push(name);
        }
    }
    Ok(options)
}

/// Takes away what is for one hop (RFC 9110, section 7.6.1), and what is for proxies.
fn strip(headers: &mut HeaderMap, options: &[HeaderName]) {
    for name in options {
        headers.remove(name);
    }
    for name in [CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    // Upgrades to cleartext HTTP/2 would take the connection out of the gateway's sight (RFC 9113, section 3.1).
    headers.remove("http2-settings");
    let for_proxies: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("proxy-"))
        .cloned()
        .collect();
    for name in for_proxies {
        headers.remove(name);
    }
}

/// HTTP/2 may split cookies over fields (RFC 9113, section 8.2.3); before, there is one field (RFC 6265,
/// section 5.4).
fn join_cookies(headers: &mut HeaderMap, version: Version) -> Result<(), Refusal> {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    if version != Version::HTTP_2 {
        return Err(ambiguous(
            "the request has more than one `cookie`".to_owned(),
        ));
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
        .map_err(|_| ambiguous("`cookie` is no field's value".to_owned()))?;
    headers.insert(COOKIE, joined);
    Ok(())
}

/// `Max-Forwards` of OPTIONS (RFC 9110, section 7.6.2).
fn count_down(headers: &mut HeaderMap, method: &Method) -> Result<(), Refusal> {
    if *method != Method::OPTIONS || !headers.contains_key(MAX_FORWARDS) {
        return Ok(());
    }
    let mut values = headers.get_all(MAX_FORWARDS).iter();
    let hops = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(framing::number),
        _ => None,
    };
    match hops {
        None => Err(ambiguous("`max-forwards` is not one number".to_owned())),
        Some(0) => Err(Refusal::new(
            Reason::NotAllowed,
            "the request may not be forwarded: its `max-forwards` is 0",
        )),
        Some(hops) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(hops - 1));
            Ok(())
        }
    }
}

fn is_exactly(headers: &HeaderMap, name: &HeaderName, text: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    let is_text = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(text.as_bytes());
    values.next().is_some_and(is_text) && values.next().is_none()
}

fn ambiguous(problem: String) -> Refusal {
    Refusal::new(Reason::Ambiguous, problem)
}
