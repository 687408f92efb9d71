//! Credentials in cookies (RFC 6265, section 4.2).

use fnox_core::SecretString;
use http::header::COOKIE;
use zeroize::Zeroizing;

use super::{ambiguous, header, moved, swap_once, unfit};
use crate::placeholder::Place;
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// Puts `value` into the cookie, in the place of `placeholder` or instead of what is there.
pub(super) fn inject(
    request: &mut CanonicalRequest,
    rule: &Rule,
    name: &str,
    placeholder: Option<&str>,
    value: &SecretString,
) -> Result<Place, Refusal> {
    header::is_there_at_most_once(request, rule, &COOKIE)?;
    let value = value.expose_secret();
    if !value.bytes().all(is_cookie_octet) {
        return Err(unfit(rule, "has characters that cannot stand in a cookie"));
    }
    let old = text(request).ok_or_else(|| ambiguous(rule, "`cookie` is not of visible ASCII"))?;
    let count = pairs(&old).filter(|(own, _)| *own == name).count();
    if count > 1 {
        return Err(ambiguous(
            rule,
            &format!("the request has more than one cookie `{name}`"),
        ));
    }
    let mut cookies = Zeroizing::new(String::with_capacity(
        old.len() + name.len() + value.len() + 3,
    ));
    for pair in old
        .split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        if !cookies.is_empty() {
            cookies.push_str("; ");
        }
        match (pair.split_once('='), placeholder) {
            (Some((own, old)), Some(placeholder)) if own == name => {
                let swapped = Zeroizing::new(swap_once(rule, old, placeholder, value)?);
                push_pair(&mut cookies, name, &swapped);
            }
            (Some((own, _)), None) if own == name => push_pair(&mut cookies, name, value),
            _ => cookies.push_str(pair),
        }
    }
    match (count, placeholder) {
        (0, Some(_)) => return Err(moved(rule)),
        (0, None) => {
            if !cookies.is_empty() {
                cookies.push_str("; ");
            }
            push_pair(&mut cookies, name, value);
        }
        _ => {}
    }
    header::put(request, rule, &COOKIE, &cookies)?;
    Ok(Place::Header(COOKIE))
}

/// Whether the request has one cookie of this name.
pub(super) fn is_there_once(request: &CanonicalRequest, name: &str) -> bool {
    text(request).is_some_and(|text| pairs(&text).filter(|(own, _)| *own == name).count() == 1)
}

fn text(request: &CanonicalRequest) -> Option<Zeroizing<String>> {
    match request.headers().get(COOKIE) {
        None => Some(Zeroizing::default()),
        Some(value) => value
            .to_str()
            .ok()
            .map(|text| Zeroizing::new(text.to_owned())),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
}

fn push_pair(cookies: &mut String, name: &str, value: &str) {
    cookies.push_str(name);
    cookies.push('=');
    cookies.push_str(value);
}

/// Visible ASCII without quotes, commas, semicolons and backslashes.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}
