//! Credentials in header fields.

use fnox_core::SecretString;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::{HeaderFormat, ambiguous, moved, swap_once, unfit};
use crate::placeholder::Place;
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::Rule;

/// The field that a credential goes into, and what is around it there.
pub(super) type Field<'a> = (&'a HeaderName, Option<&'a HeaderFormat>);

/// Puts `value` into the field, in the place of `placeholder` or instead of what is there.
pub(super) fn inject(
    request: &mut CanonicalRequest,
    rule: &Rule,
    (name, format): Field<'_>,
    placeholder: Option<&str>,
    value: &SecretString,
) -> Result<Place, Refusal> {
    is_there_at_most_once(request, rule, name)?;
    let value = value.expose_secret();
    let text = match (placeholder, format) {
        (_, Some(format)) => format.fill(value),
        (Some(placeholder), None) => {
            let old = request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .ok_or_else(|| moved(rule))?;
            Zeroizing::new(swap_once(rule, old, placeholder, value)?)
        }
        (None, None) if *name == AUTHORIZATION => Zeroizing::new(["Bearer ", value].concat()),
        (None, None) => Zeroizing::new(value.to_owned()),
    };
    put(request, rule, name, &text)?;
    Ok(Place::Header(name.clone()))
}

/// Puts a field there that is never shown, indexed or logged (RFC 7541, section 7.1.3).
pub(super) fn put(
    request: &mut CanonicalRequest,
    rule: &Rule,
    name: &HeaderName,
    text: &str,
) -> Result<(), Refusal> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| unfit(rule, "has characters that cannot stand in a field"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(name.clone(), value);
    Ok(())
}

/// Refuses a client's second copy, also one that only CGI takes for the same (RFC 3875, section 4.1.18).
pub(super) fn is_there_at_most_once(
    request: &CanonicalRequest,
    rule: &Rule,
    name: &HeaderName,
) -> Result<(), Refusal> {
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let copies = request
        .headers()
        .keys()
        .filter(|other| dashed(other) == dashed(name))
        .map(|other| request.headers().get_all(other).iter().count())
        .sum::<usize>();
    let is_same_name = request.headers().contains_key(name);
    if copies > 1 || (copies == 1 && !is_same_name) {
        return Err(ambiguous(
            rule,
            &format!("the request has more than one `{name}`, or one of a similar name"),
        ));
    }
    Ok(())
}
