//! Credentials in query parameters.

use fnox_core::SecretString;
use zeroize::Zeroizing;

use super::{ambiguous, as_sent, moved, swap_once};
use crate::placeholder::Place;
use crate::refusal::Refusal;
use crate::request::{CanonicalRequest, Query, percent};
use crate::rule::Rule;

/// Puts `value` into the parameter, in the place of `placeholder` or instead of what is there.
pub(super) fn inject(
    request: &mut CanonicalRequest,
    rule: &Rule,
    name: &str,
    placeholder: Option<&str>,
    value: &SecretString,
) -> Result<Place, Refusal> {
    inject_into(request.query_mut(), rule, name, placeholder, value).map(Place::Parameter)
}

/// The same with any list of parameters. Says which it was.
pub(super) fn inject_into(
    query: &mut Query,
    rule: &Rule,
    name: &str,
    placeholder: Option<&str>,
    value: &SecretString,
) -> Result<usize, Refusal> {
    let named: Vec<usize> = query
        .parameters()
        .enumerate()
        .filter(|(_, parameter)| parameter.may_be_named(name))
        .map(|(index, _)| index)
        .collect();
    let index = match (named[..].first(), placeholder) {
        _ if named.len() > 1 => {
            let problem = format!("the request has more than one parameter `{name}`");
            return Err(ambiguous(rule, &problem));
        }
        (Some(index), _) => *index,
        (None, Some(_)) => return Err(moved(rule)),
        (None, None) => {
            query.push(name, value.expose_secret());
            return Ok(query.parameters().count() - 1);
        }
    };
    let parameter = query
        .parameters_mut()
        .nth(index)
        .ok_or_else(|| moved(rule))?;
    let value = Zeroizing::new(percent::encode(value.expose_secret()));
    let value = match placeholder {
        None => value,
        Some(placeholder) => {
            let old = parameter.value().unwrap_or_default();
            let placeholder = as_sent(old, placeholder).ok_or_else(|| moved(rule))?;
            Zeroizing::new(swap_once(rule, old, &placeholder, &value)?)
        }
    };
    parameter.replace_value(&value)?;
    Ok(index)
}
