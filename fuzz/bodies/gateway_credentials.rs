//! Placeholders on their way out, and credentials that take their places or come back.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use fnox_core::{AgentId, Host, SecretString, VaultName};
use fnox_gateway::injection::{Injection, check_none_left, inject_into_body, plan};
use fnox_gateway::placeholder::{Place, Placeholders};
use fnox_gateway::policy::Policy;
use fnox_gateway::reflection::{Scrubber, Table, scrub};
use fnox_gateway::request::{Bound, CanonicalRequest, Query, Scheme, Via};
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::PathAndQuery;

use super::gateway_requests::request;
use super::is_readable;

/// What agents hold; nothing in it is special in a request, in JSON or in a form.
const PLACEHOLDERS: [&str; 2] = ["aaaabaaab", "Fnox-Agent.token_0123456789"];

fn placeholders() -> Option<(Placeholders, AgentId, Vec<CredentialRef>)> {
    let agent = AgentId::parse("agent").ok()?;
    let mut all = Placeholders::default();
    let mut credentials = Vec::new();
    for (index, text) in PLACEHOLDERS.iter().enumerate() {
        let name = VaultName::parse(&format!("secret-{index}")).ok()?;
        credentials.push(CredentialRef::Secret(name));
        all.issue_fixed(&agent, &credentials[index], text, None)
            .ok()?;
    }
    Some((all, agent, credentials))
}

/// A placeholder in a request is found, however it is spelled. The first line says where it stands, with what before
/// and behind it, and the second, a byte for each of its letters, how: encoded, encoded again, in another case. A
/// request follows.
pub fn gateway_placeholder(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (Some(place), Some(spelling), Some(rest)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let (Some((all, ..)), Some((mut parts, bound))) = (placeholders(), request(rest)) else {
        return;
    };
    let (before, after) = place.split_at(place.len().min(1));
    let spelled = spell(PLACEHOLDERS[1], spelling, before != b"b");
    // A colon is no hexadecimal digit, so nothing around it is read together with the placeholder.
    let Ok(around) = std::str::from_utf8(after) else {
        return;
    };
    // What is behind a number sign in an address is not sent (RFC 9110, section 4.2.5).
    if matches!(before, b"p" | b"q" | b"n") && around.contains('#') {
        return;
    }
    // And what is behind a question mark is no path (RFC 3986, section 3.4).
    if before == b"p" && around.contains('?') {
        return;
    }
    let text = format!("{around}:{spelled}:{around}");
    let uri = match before {
        b"p" => format!("{}/{text}", parts.uri.path().trim_end_matches('/')),
        b"q" => format!("{}?{around}&x={text}", parts.uri.path()),
        b"n" => format!("{}?{text}=x", parts.uri.path()),
        _ => parts.uri.path().to_owned(),
    };
    let Ok(target) = PathAndQuery::try_from(uri) else {
        return;
    };
    let mut pieces = parts.uri.clone().into_parts();
    pieces.path_and_query = Some(target);
    let Ok(uri) = http::Uri::from_parts(pieces) else {
        return;
    };
    parts.uri = uri;
    let field = match before {
        b"b" if spelling.first().is_some_and(|byte| byte & 1 == 1) => {
            format!("bAsIc  {}", STANDARD_NO_PAD.encode(&text))
        }
        b"b" => format!("Basic {}", STANDARD.encode(&text)),
        _ => format!("Bearer {text}"),
    };
    let Ok(field) = HeaderValue::from_str(&field) else {
        return;
    };
    match before {
        b"p" | b"q" | b"n" => {}
        b"b" => drop(parts.headers.insert(AUTHORIZATION, field)),
        _ => drop(parts.headers.insert("x-key", field)),
    }
    let Ok(request) = CanonicalRequest::parse(parts, &bound) else {
        return;
    };
    // Something else that the request says may have taken the field away.
    if !matches!(before, b"p" | b"q" | b"n" | b"b") && !request.headers().contains_key("x-key") {
        return;
    }
    let found = all.find(&request);
    let is_there = |place: &Place| match before {
        b"p" => matches!(place, Place::Segment(_)),
        // Behind an ampersand it is in a name.
        b"q" if around.contains('&') => matches!(place, Place::Parameter(_) | Place::Elsewhere),
        b"q" => matches!(place, Place::Parameter(_)),
        b"b" => *place == Place::Basic,
        // Behind an equals sign it is in a value.
        b"n" if around.contains('=') => matches!(place, Place::Parameter(_) | Place::Elsewhere),
        b"n" => *place == Place::Elsewhere,
        _ => matches!(place, Place::Header(_) | Place::Elsewhere),
    };
    let planted = found
        .iter()
        .find(|it| it.placeholder.text() == PLACEHOLDERS[1] && is_there(&it.place));
    assert!(planted.is_some(), "{text} is not found");
    assert!(check_none_left(&request, &all).is_err());
}

/// The placeholder, each letter of it as its byte says.
fn spell(placeholder: &str, spelling: &[u8], may_encode: bool) -> String {
    let mut spelled = String::new();
    for (index, letter) in placeholder.bytes().enumerate() {
        let how = spelling.get(index).copied().unwrap_or_default();
        let is_other_case = how & 1 == 1;
        let letter = if is_other_case {
            letter
                ^ if letter.is_ascii_alphabetic() {
                    0x20
                } else {
                    0
                }
        } else {
            letter
        };
        let mut text = char::from(letter).to_string();
        if may_encode && how & 2 == 2 {
            text = if how & 4 == 4 {
                format!("%{letter:02x}")
            } else {
                format!("%{letter:02X}")
            };
            for _ in 0..(how >> 3) & 3 {
                text = text.replace('%', "%25");
            }
        }
        spelled.push_str(&text);
    }
    spelled
}

/// A stream in pieces: the lengths of the pieces are in the first line, one a byte. `<` and `>` stand for
/// placeholders, which end a request's body and are what the values in an answer turn into.
pub fn gateway_stream(data: &[u8]) {
    let (lengths, text) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&[][..], data),
    };
    let Some((all, ..)) = placeholders() else {
        return;
    };
    let body = written(text, PLACEHOLDERS);
    let lower = body.to_ascii_lowercase();
    let is_in = |text: &str| is_within(&lower, text.to_ascii_lowercase().as_bytes());
    let Some(mut watch) = all.watch() else {
        panic!("there are placeholders");
    };
    let verdict = pieces(&body, lengths).try_for_each(|piece| watch.look(piece));
    assert_eq!(verdict.is_err(), PLACEHOLDERS.into_iter().any(is_in));

    let values = ["aabaaabaa", "p\u{e4}ss/\"word+1?"];
    // No letter of a value, so that what replaces values makes none together with what is around it.
    let table = values
        .iter()
        .zip(["FIXED-02", "FIXED-34"])
        .fold(Table::builder(), |builder, (value, placeholder)| {
            builder.replace(&SecretString::from(*value), placeholder)
        });
    let table = table.build();
    let body = written(text, values);
    let mut scrubber = Scrubber::new(&table);
    let mut out = Vec::new();
    for piece in pieces(&body, lengths) {
        out.extend_from_slice(&scrubber.push(&Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&scrubber.finish());
    assert_eq!(out, *scrub(&table, &body), "it depends on the pieces");
    for value in values {
        assert!(!is_within(&out, value.as_bytes()), "a value comes back");
    }
}

fn written(text: &[u8], names: [&str; 2]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            b'<' => names[0].as_bytes().to_vec(),
            b'>' => names[1].as_bytes().to_vec(),
            other => vec![*other],
        })
        .collect()
}

fn is_within(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn pieces<'a>(text: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = text;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = lengths.next().map_or(rest.len(), |it| usize::from(*it));
        let (piece, others) = rest.split_at(length.clamp(1, rest.len()));
        rest = others;
        Some(piece)
    })
}

/// A body that a credential goes into: the first line is a JSON pointer, or the name of a form's field; the second the
/// credential. `<` in the body stands for the placeholder. Nothing else of it is changed.
pub fn gateway_injection(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (Some(place), Some(value), Some(body)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let (Ok(place), Ok(value)) = (std::str::from_utf8(place), std::str::from_utf8(value)) else {
        return;
    };
    // Messages name the place.
    if place.contains(value) {
        return;
    }
    // Every `<` but the first is left alone: twice is refused.
    let mut body = body.to_vec();
    if let Some(at) = body.iter().position(|byte| *byte == b'<') {
        body.splice(at..=at, PLACEHOLDERS[0].bytes());
    }
    let is_json = place.is_empty() || place.starts_with('/');
    let injection = if is_json {
        Injection::Json {
            pointer: place.to_owned(),
        }
    } else {
        Injection::Form {
            name: place.to_owned(),
        }
    };
    let Some(outcome) = filled(injection, is_json, &body, value) else {
        return;
    };
    match outcome {
        Err(problem) => is_readable(&problem),
        Ok(None) => assert!(
            !is_within(&body, PLACEHOLDERS[0].as_bytes()),
            "left as it is"
        ),
        Ok(Some(filled)) if is_json => is_filled_json(&body, &filled, place, value),
        Ok(Some(filled)) => is_filled_form(&body, &filled, place, value),
    }
}

/// What the gateway makes of the body; `None` if there is nothing to try.
fn filled(
    injection: Injection,
    is_json: bool,
    body: &[u8],
    value: &str,
) -> Option<Result<Option<Vec<u8>>, String>> {
    let (all, agent, credentials) = placeholders()?;
    let hosts = Hosts::parse("api.example.com").ok()?;
    let mut rule = Rule::new("rule", hosts, credentials[0].clone());
    rule.injection = injection;
    let policy = Policy {
        rules: vec![rule],
        ..Policy::default()
    };
    let host = Host::parse("api.example.com").ok()?;
    let kind = if is_json {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    let request = http::Request::post("/")
        .header("host", "api.example.com")
        .header(CONTENT_TYPE, kind)
        .header(CONTENT_LENGTH, body.len())
        .body(())
        .ok()?;
    let bound = Bound::new(Scheme::Https, host, Via::Connect);
    let request = CanonicalRequest::parse(request.into_parts().0, &bound).ok()?;
    let permit = policy.decide(&request).ok()?;
    let planned = plan(&request, &permit, &all, &agent).ok()?;
    let filled = inject_into_body(body, planned.first()?, &SecretString::from(value));
    Some(
        filled
            .map(|it| it.map(|filled| filled.to_vec()))
            .map_err(|refusal| {
                let text = refusal.to_string();
                assert!(
                    value.len() < 16 || !text.contains(value),
                    "it shows the value"
                );
                text
            }),
    )
}

fn is_filled_json(body: &[u8], filled: &[u8], pointer: &str, value: &str) {
    let read = |text| serde_json::from_slice::<serde_json::Value>(text);
    let (Ok(mut expected), Ok(filled)) = (read(body), read(filled)) else {
        panic!("the body is no JSON");
    };
    match expected.pointer_mut(pointer) {
        Some(serde_json::Value::String(text)) => {
            assert_eq!(text.matches(PLACEHOLDERS[0]).count(), 1);
            *text = text.replace(PLACEHOLDERS[0], value);
        }
        _ => panic!("a credential went into another place than {pointer}"),
    }
    assert!(filled == expected, "more than the placeholder has changed");
}

fn is_filled_form(body: &[u8], filled: &[u8], name: &str, value: &str) {
    let (Ok(body), Ok(filled)) = (std::str::from_utf8(body), std::str::from_utf8(filled)) else {
        panic!("the body is no text");
    };
    let (Ok(before), Ok(after)) = (Query::parse(Some(body)), Query::parse(Some(filled))) else {
        panic!("the body is no form");
    };
    assert_eq!(before.parameters().count(), after.parameters().count());
    let mut count = 0;
    for (old, new) in before.parameters().zip(after.parameters()) {
        assert_eq!(old.name(), new.name());
        if old == new {
            continue;
        }
        assert!(old.may_be_named(name), "into another field than {name}");
        let old = String::from_utf8_lossy(&old.decoded_value()).into_owned();
        let new = String::from_utf8_lossy(&new.decoded_value()).into_owned();
        assert_eq!(new, old.replace(PLACEHOLDERS[0], value));
        count += 1;
    }
    assert!(
        count == 1 || value == PLACEHOLDERS[0],
        "{count} fields have changed"
    );
}
