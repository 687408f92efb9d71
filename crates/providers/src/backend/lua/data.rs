//! JSON and Lua's values.
//!
//! A table with the keys 1 to n is a list, any other one (an empty one too) an object. `null` is `fnox.json.null`.

use mlua::{Lua, Table, Value};
use zeroize::{Zeroize as _, Zeroizing};

/// How deep a document may nest.
const DEPTH: usize = 64;

/// A value as JSON.
pub(super) fn written(value: &Value) -> mlua::Result<Zeroizing<Vec<u8>>> {
    let document = Wiping(document(value, 0)?);
    serde_json::to_vec(&document.0)
        .map(Zeroizing::new)
        .map_err(|_| mlua::Error::runtime("the value cannot be written as JSON"))
}

/// JSON as a value. What is wrong is told without the text.
pub(super) fn read(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    let document = serde_json::from_slice(text).map(Wiping).map_err(|error| {
        mlua::Error::runtime(format!(
            "the text is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    value(lua, &document.0)
}

/// A document whose texts are overwritten when it is dropped: they may be secret.
struct Wiping(serde_json::Value);

impl Drop for Wiping {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(document: &mut serde_json::Value) {
    match document {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(list) => list.iter_mut().for_each(wipe),
        serde_json::Value::Object(object) => object.values_mut().for_each(wipe),
        _ => {}
    }
}

fn document(value: &Value, depth: usize) -> mlua::Result<serde_json::Value> {
    if depth > DEPTH {
        return Err(mlua::Error::runtime("the table nests too deep for JSON"));
    }
    let no_text = || mlua::Error::runtime("a text is not UTF-8, so it cannot be in JSON");
    Ok(match value {
        Value::Boolean(flag) => (*flag).into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) => serde_json::Number::from_f64(*number)
            .map(serde_json::Value::Number)
            .ok_or_else(|| mlua::Error::runtime("JSON has no such number"))?,
        Value::String(text) => {
            let text = text.to_str().map_err(|_| no_text())?;
            serde_json::Value::String(text.to_owned())
        }
        Value::Table(table) => of_table(table, depth)?,
        Value::Nil => serde_json::Value::Null,
        other if other.is_null() => serde_json::Value::Null,
        other => {
            return Err(mlua::Error::runtime(format!(
                "JSON has no {}",
                other.type_name()
            )));
        }
    })
}

fn of_table(table: &Table, depth: usize) -> mlua::Result<serde_json::Value> {
    let length = table.raw_len();
    if length > 0 {
        let mut list = Vec::new();
        for element in table.sequence_values::<Value>() {
            list.push(document(&element?, depth + 1)?);
        }
        let pairs = table.pairs::<Value, Value>().count();
        if pairs != list.len() {
            return Err(mlua::Error::runtime(
                "the table is neither a list nor an object of JSON",
            ));
        }
        return Ok(serde_json::Value::Array(list));
    }
    let mut object = serde_json::Map::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = key.as_string().and_then(|key| key.to_str().ok());
        let key = key.ok_or_else(|| mlua::Error::runtime("a key of an object is no text"))?;
        object.insert(key.to_owned(), document(&value, depth + 1)?);
    }
    Ok(serde_json::Value::Object(object))
}

fn value(lua: &Lua, document: &serde_json::Value) -> mlua::Result<Value> {
    Ok(match document {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(flag) => Value::Boolean(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::String(lua.create_string(text)?),
        serde_json::Value::Array(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            for element in list {
                table.raw_push(value(lua, element)?)?;
            }
            Value::Table(table)
        }
        serde_json::Value::Object(object) => {
            let table = lua.create_table_with_capacity(0, object.len())?;
            for (key, element) in object {
                table.raw_set(key.as_str(), value(lua, element)?)?;
            }
            Value::Table(table)
        }
    })
}
