//! The little CBOR that commands need (RFC 8949; CTAP 2.1, section 8, "Message Encoding").
//!
//! Maps go out with their keys in the canonical order, in which they are written here.

use ciborium::Value;

use super::Failure;

/// How deep an answer may be nested ("maximum nesting depth", four), and one for its own map.
const DEPTH: usize = 5;

/// A map with numbers as keys.
pub(super) fn map<const N: usize>(entries: [(i64, Value); N]) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (Value::from(key), value))
            .collect(),
    )
}

/// A map with texts as keys.
pub(super) fn texts<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (Value::from(key), value))
            .collect(),
    )
}

/// A command with its parameters, and those that are there only sometimes at the end.
pub(super) fn command(
    number: u8,
    parameters: Value,
    more: Vec<(i64, Value)>,
) -> Result<Vec<u8>, Failure> {
    let mut message = vec![number];
    let Value::Map(mut entries) = parameters else {
        return Err(Failure::Damaged);
    };
    entries.extend(
        more.into_iter()
            .map(|(key, value)| (Value::from(key), value)),
    );
    // A command without parameters has no map.
    if !entries.is_empty() {
        ciborium::into_writer(&Value::Map(entries), &mut message).map_err(|_| Failure::Damaged)?;
    }
    Ok(message)
}

/// The first value in some bytes, which are moved behind it.
pub(super) fn take(bytes: &mut &[u8]) -> Result<Value, Failure> {
    ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH).map_err(|_| Failure::Damaged)
}

/// The one value that the bytes are; an empty map if there are none.
pub(super) fn whole(mut bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.is_empty() {
        return Ok(Value::Map(Vec::new()));
    }
    let value = take(&mut bytes)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(Failure::Damaged)
    }
}

/// What a map has under a number.
pub(super) fn at(map: &Value, key: i64) -> Option<&Value> {
    find(map, |found| {
        found
            .as_integer()
            .is_some_and(|found| i128::from(found) == i128::from(key))
    })
}

/// What a map has under a text.
pub(super) fn under<'a>(map: &'a Value, key: &str) -> Option<&'a Value> {
    find(map, |found| found.as_text() == Some(key))
}

fn find<F>(map: &Value, wanted: F) -> Option<&Value>
where
    F: Fn(&Value) -> bool,
{
    let entries = map.as_map()?;
    entries
        .iter()
        .find_map(|(key, value)| wanted(key).then_some(value))
}

/// The bytes that a map has under a number.
pub(super) fn bytes_at(map: &Value, key: i64) -> Option<&[u8]> {
    at(map, key)?.as_bytes().map(Vec::as_slice)
}
