//! Values of TOML that are handed on as JSON.

use serde_json::{Map, Number, Value};
use toml_edit::{Item, TableLike};

/// The table as a JSON object.
///
/// # Errors
/// What JSON has no word for (RFC 8259, section 6), and the key at which it stands.
pub(crate) fn object(table: &dyn TableLike) -> Result<Map<String, Value>, (String, &'static str)> {
    let members = table.iter().map(|(key, item)| {
        let member = of_item(item).map_err(|problem| (key.to_owned(), problem))?;
        Ok((key.to_owned(), member))
    });
    members.collect()
}

fn of_item(item: &Item) -> Result<Value, &'static str> {
    match item {
        Item::Value(value) => of_value(value),
        Item::Table(table) => nested(table),
        Item::ArrayOfTables(tables) => {
            let tables: Result<_, _> = tables.iter().map(|table| nested(table)).collect();
            tables.map(Value::Array)
        }
        Item::None => Ok(Value::Null),
    }
}

fn of_value(value: &toml_edit::Value) -> Result<Value, &'static str> {
    match value {
        toml_edit::Value::String(text) => Ok(text.value().clone().into()),
        toml_edit::Value::Integer(number) => Ok((*number.value()).into()),
        toml_edit::Value::Boolean(flag) => Ok((*flag.value()).into()),
        toml_edit::Value::Float(number) => Number::from_f64(*number.value())
            .map(Value::Number)
            .ok_or("a number that JSON does not have"),
        toml_edit::Value::Datetime(_) => Err("a date: write it as a text, or as a number"),
        toml_edit::Value::Array(list) => {
            let list: Result<_, _> = list.iter().map(of_value).collect();
            list.map(Value::Array)
        }
        toml_edit::Value::InlineTable(table) => nested(table),
    }
}

fn nested(table: &dyn TableLike) -> Result<Value, &'static str> {
    object(table)
        .map(Value::Object)
        .map_err(|(_, problem)| problem)
}
