//! `docs/reference/vault-protocol.schema.json`: JSON Schemas of everything that the agents' vault sends and takes.
//!
//! Parameters and results come from the types themselves. Hello and envelope have hand-written schemas, because
//! their types hold secrets and borrow from frames.

use fnox_vault_wire::error::Code;
use fnox_vault_wire::methods::{Callers, LeaseEvent, Method};
use fnox_vault_wire::{frame, hello};
use serde_json::{Map, Value, json};

/// The page.
pub(super) fn schema() -> String {
    let mut definitions = Map::new();
    let mut methods = Map::new();
    for method in Method::ALL {
        let (params, result) = method.schemas();
        let entry = json!({
            "description": method.doc(),
            "callers": callers(method.callers()),
            "params": hoisted(params.to_value(), &mut definitions),
            "result": hoisted(result.to_value(), &mut definitions),
        });
        methods.insert(method.name().to_owned(), entry);
    }
    let event = hoisted(
        schemars::schema_for!(LeaseEvent).to_value(),
        &mut definitions,
    );
    definitions.sort_keys();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The protocol of the agents' vault, version 1",
        "description": "Explained in vault-protocol.md. `params` and `result` of a method, and the schemas under \
            `messages`, refer to `$defs` of this document.",
        "protocols": hello::PROTOCOLS,
        "version": hello::VERSION,
        "max_frame_bytes": frame::MAX_FRAME,
        "error_codes": codes,
        "messages": messages(&event),
        "methods": methods,
        "$defs": definitions,
    });
    super::pretty(&document)
}

/// The schema without its own definitions, which go to those of the document. Same name, same type.
fn hoisted(mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    if let Some(own) = schema.as_object_mut() {
        own.shift_remove("$schema");
        if let Some(Value::Object(inner)) = own.shift_remove("$defs") {
            definitions.extend(inner);
        }
    }
    schema
}

fn callers(callers: Callers) -> Value {
    match callers {
        Callers::Admin => json!(["admin"]),
        Callers::Trusted => json!(["admin", "orchestrator"]),
        Callers::Gateway => json!(["gateway"]),
        Callers::Everybody => json!(["admin", "orchestrator", "agent", "gateway"]),
    }
}

/// Hello and envelope.
fn messages(event: &Value) -> Value {
    let text = || json!({ "type": "string" });
    let id = || json!({ "type": "string", "format": "uuid" });
    json!({
        "client_hello": {
            "type": "object",
            "required": ["protocol", "version"],
            "properties": {
                "protocol": { "enum": hello::PROTOCOLS },
                "version": { "const": hello::VERSION },
                "token": text(),
            },
        },
        "server_hello": {
            "type": "object",
            "required": ["protocol", "version", "ok"],
            "properties": {
                "protocol": { "enum": hello::PROTOCOLS },
                "version": { "const": hello::VERSION },
                "ok": { "type": "boolean" },
                "error": text(),
                "code": text(),
            },
        },
        "request": {
            "type": "object",
            "required": ["id", "method", "params"],
            "properties": { "id": id(), "method": text(), "params": { "type": "object" } },
        },
        "response": {
            "type": "object",
            "required": ["id", "ok"],
            "properties": {
                "id": id(),
                "ok": { "type": "boolean" },
                "result": { "type": "object" },
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": { "code": text(), "message": text() },
                },
            },
        },
        "event": {
            "type": "object",
            "required": ["event"],
            "properties": { "event": event },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const PAGE: &str = "docs/reference/vault-protocol.md";

    #[test]
    fn the_protocols_page_has_every_method_and_every_code() {
        let page = Tree::of_this_repository().read(PAGE).unwrap().unwrap();
        for method in Method::ALL {
            let heading = format!("\n#### `{}`", method.name());
            assert!(page.contains(&heading), "{} has no section", method.name());
        }
        for code in Code::ALL {
            let row = format!("\n| `{}` |", code.as_str());
            assert!(page.contains(&row), "{} has no row", code.as_str());
        }
    }

    #[test]
    fn types_of_the_same_name_are_the_same() {
        let mut seen: Map<String, Value> = Map::new();
        for method in Method::ALL {
            let (params, result) = method.schemas();
            for schema in [params, result] {
                let mut own = Map::new();
                hoisted(schema.to_value(), &mut own);
                for (name, definition) in own {
                    let before = seen
                        .entry(name.clone())
                        .or_insert_with(|| definition.clone());
                    assert_eq!(*before, definition, "{name}");
                }
            }
        }
        assert!(seen.contains_key("SecretMetadata"));
    }

    #[test]
    fn every_reference_has_its_definition() {
        let document: Value = serde_json::from_str(&schema()).unwrap();
        let mut references = 0;
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(reference)) = map.get("$ref") {
                        references += 1;
                        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    }
                    open.extend(map.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        assert!(references > 10);
    }
}
