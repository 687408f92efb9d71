//! Credentials in bodies of JSON and of forms.

use fnox_core::SecretString;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use zeroize::Zeroizing;

use super::{Injection, Planned, is_one_line, moved, query, unfit};
use crate::refusal::{Reason, Refusal};
use crate::request::{CanonicalRequest, Query};
use crate::rule::Rule;

/// The body with `value` in the place of the placeholder, and nothing else changed; `None` if the placeholder is
/// not in it.
///
/// The whole body must be there: its caller keeps it small. The length that the request states is the caller's
/// to change ([`CanonicalRequest::set_body_length`]).
///
/// # Errors
/// [`Reason::Placeholder`] if the placeholder is there more than once, in another place, or in a body that cannot
/// be read; [`Reason::Credential`] if the value cannot stand there.
pub fn inject_into_body(
    body: &[u8],
    planned: &Planned<'_>,
    value: &SecretString,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let rule = planned.rule();
    let Some(placeholder) = planned.placeholder() else {
        return Ok(None);
    };
    let placeholder = placeholder.text();
    let text = std::str::from_utf8(body).map_err(|_| unreadable(rule))?;
    match &rule.injection {
        Injection::Json { pointer } => json(text, rule, pointer, placeholder, value),
        Injection::Form { name } => form(text, rule, name, placeholder, value),
        Injection::Member { names } => member(text, rule, names, placeholder, value),
        _ => Ok(None),
    }
}

/// Whether the body of `request` is of the kind that the rule's injection reads.
pub(super) fn is_of_kind(request: &CanonicalRequest, injection: &Injection) -> bool {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    let kind = kind.unwrap_or_default();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let is_form = kind == "application/x-www-form-urlencoded";
    match injection {
        Injection::Json { .. } => is_json,
        Injection::Form { .. } => is_form,
        Injection::Member { .. } => is_json || is_form,
        _ => false,
    }
}

/// Refuses a body that cannot be looked into.
pub(super) fn is_readable(request: &CanonicalRequest, rule: &Rule) -> Result<(), Refusal> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(unreadable(rule).with_remedy("Send the body without `Content-Encoding`."));
    }
    Ok(())
}

fn json(
    text: &str,
    rule: &Rule,
    pointer: &str,
    placeholder: &str,
    value: &SecretString,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let document: serde_json::Value = serde_json::from_str(text).map_err(|_| unreadable(rule))?;
    let count = occurrences(&document, placeholder);
    if count == 0 && !text.contains(placeholder) {
        return Ok(None);
    }
    let is_there = document
        .pointer(pointer)
        .and_then(serde_json::Value::as_str)
        .is_some_and(|field| field.contains(placeholder));
    if count != 1 || !is_there {
        return Err(moved(rule));
    }
    is_one_line(rule, value)?;
    let quoted = serde_json::to_string(value.expose_secret()).map(Zeroizing::new);
    let quoted = quoted.map_err(|_| unfit(rule, "cannot stand in JSON"))?;
    let escaped = &quoted[1..quoted.len() - 1];
    // The text is changed, not written anew: numbers and spaces stay as they are. A second copy that the parsed
    // document does not have, under a key that is there twice, is found here.
    let swapped = super::swap_once(rule, text, placeholder, escaped)?;
    Ok(Some(Zeroizing::new(swapped.into_bytes())))
}

/// How often `text` is in names and texts of a document.
fn occurrences(document: &serde_json::Value, text: &str) -> usize {
    match document {
        serde_json::Value::String(string) => string.matches(text).count(),
        serde_json::Value::Array(items) => items.iter().map(|it| occurrences(it, text)).sum(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| name.matches(text).count() + occurrences(field, text))
            .sum(),
        _ => 0,
    }
}

fn form(
    text: &str,
    rule: &Rule,
    name: &str,
    placeholder: &str,
    value: &SecretString,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let mut fields = Query::parse(Some(text)).map_err(|_| unreadable(rule))?;
    let count: usize = fields
        .parameters()
        .flat_map(|field| [field.decoded_name(), field.decoded_value()])
        .map(|text| String::from_utf8_lossy(&text).matches(placeholder).count())
        .sum();
    if count == 0 && !text.contains(placeholder) {
        return Ok(None);
    }
    if count != 1 {
        return Err(moved(rule));
    }
    is_one_line(rule, value)?;
    query::inject_into(&mut fields, rule, name, Some(placeholder), value)?;
    Ok(Some(Zeroizing::new(fields.to_string().into_bytes())))
}

/// In the first of these places that has the placeholder.
fn member(
    text: &str,
    rule: &Rule,
    names: &[String],
    placeholder: &str,
    value: &SecretString,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let name_with = |holds: &dyn Fn(&str) -> bool| {
        let name = names.iter().find(|name| holds(name));
        name.or(names.first()).map_or("", String::as_str)
    };
    // A form that began like this would have no field.
    if text.trim_start().starts_with('{') {
        let document: serde_json::Value =
            serde_json::from_str(text).map_err(|_| unreadable(rule))?;
        let name = name_with(&|name| {
            let member = document.get(name).and_then(serde_json::Value::as_str);
            member.is_some_and(|member| member.contains(placeholder))
        });
        // RFC 6901, section 3.
        let name = name.replace('~', "~0").replace('/', "~1");
        return json(text, rule, &format!("/{name}"), placeholder, value);
    }
    let fields = Query::parse(Some(text)).map_err(|_| unreadable(rule))?;
    let name = name_with(&|name| {
        fields.parameters().any(|field| {
            let value = field.decoded_value();
            field.is_named(name) && String::from_utf8_lossy(&value).contains(placeholder)
        })
    });
    form(text, rule, name, placeholder, value)
}

fn unreadable(rule: &Rule) -> Refusal {
    Refusal::new(
        Reason::Placeholder,
        format!(
            "the body cannot be read, and {} may hold a placeholder",
            rule.injection.describe()
        ),
    )
    .by_rule(&rule.name)
}
