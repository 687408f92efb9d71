//! Credentials in `authorization: Basic` (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::{header, moved, swap_once, unfit};
use crate::placeholder::{Place, basic};
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// The user name if neither the rule nor the client has one. Servers that look at the password alone want one
/// that is not empty.
const USERNAME: &str = "fnox";

/// Puts `value` in the place of the placeholder, which some clients send as the user name.
pub(super) fn swap(
    request: &mut CanonicalRequest,
    rule: &Rule,
    username: Option<&str>,
    placeholder: &str,
    value: &SecretString,
) -> Result<Place, Refusal> {
    header::is_there_at_most_once(request, rule, &AUTHORIZATION)?;
    let old = client_credentials(request).ok_or_else(|| moved(rule))?;
    let swapped = Zeroizing::new(swap_once(rule, &old, placeholder, value.expose_secret())?);
    match username {
        Some(username) => put(request, rule, username, value.expose_secret()),
        None => put_credentials(request, rule, &swapped),
    }
}

/// Puts `value` there as the password, instead of what the client sent.
pub(super) fn set(
    request: &mut CanonicalRequest,
    rule: &Rule,
    username: Option<&str>,
    value: &SecretString,
) -> Result<Place, Refusal> {
    header::is_there_at_most_once(request, rule, &AUTHORIZATION)?;
    let old = client_credentials(request).unwrap_or_default();
    let clients = old.split_once(':').map(|(user, _)| user);
    let username = username
        .or(clients.filter(|user| !user.is_empty()))
        .unwrap_or(USERNAME);
    put(request, rule, username, value.expose_secret())
}

fn put(
    request: &mut CanonicalRequest,
    rule: &Rule,
    username: &str,
    password: &str,
) -> Result<Place, Refusal> {
    let credentials = Zeroizing::new([username, ":", password].concat());
    put_credentials(request, rule, &credentials)
}

fn put_credentials(
    request: &mut CanonicalRequest,
    rule: &Rule,
    credentials: &str,
) -> Result<Place, Refusal> {
    if credentials.chars().any(char::is_control) {
        return Err(unfit(rule, "has a control character"));
    }
    let encoded = Zeroizing::new(STANDARD.encode(credentials));
    let text = Zeroizing::new(["Basic ", encoded.as_str()].concat());
    header::put(request, rule, &AUTHORIZATION, &text)?;
    Ok(Place::Basic)
}

fn client_credentials(request: &CanonicalRequest) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?;
    String::from_utf8(basic(value)?).ok()
}
