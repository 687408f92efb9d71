//! The JSON Schema of `fnox.toml`, made from [`crate::spec`].
//!
//! Draft 2020-12. Editors use it for completion; the parser does not use it, both come from the same data.

use serde_json::{Map, Value, json};

use crate::mints;
use crate::spec::{self, Field, Kind, Section};

/// The whole schema.
#[must_use]
pub fn json_schema() -> Value {
    let mut root = object(spec::TOP_LEVEL.doc, spec::TOP_LEVEL.fields);
    let extra = [
        (
            "$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", json!("fnox.toml")),
        (
            "description",
            json!("Secrets, where they live, and the short-lived credentials made from them."),
        ),
    ];
    for (key, value) in extra {
        root[key] = value;
    }
    for (key, reference) in ENTRIES {
        root["properties"][key] = table_of(reference);
    }
    root["properties"]["profiles"] = table_of("profile");
    root["$defs"] = json!({
        "secret": object(spec::SECRET.doc, spec::SECRET.fields),
        "provider": one_of(spec::PROVIDERS.iter().map(|s| (s.name, s.fields)), &spec::PROVIDER_COMMON.fields.iter()),
        "lease": one_of(spec::LEASES.iter().map(|s| (s.name, s.fields)), &spec::LEASE_COMMON.fields.iter()),
        "target": one_of(spec::TARGETS.iter().map(|s| (s.name, s.fields)), &spec::TARGET_COMMON.fields.iter()),
        "file": object(spec::FILES.doc, spec::FILES.fields),
        "person": object(spec::PERSON.doc, spec::PERSON.fields),
        "profile": profile(),
        "secretReference": {
            "type": "object",
            "properties": { "secret": { "type": "string", "description": "The secret whose value it is." } },
            "required": ["secret"],
            "additionalProperties": false,
        },
    });
    root
}

/// The schema of another file whose whole top level is one section.
#[must_use]
pub fn of_section(title: &str, section: &'static Section) -> Value {
    let mut root = section_object(section);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!(title);
    root
}

/// The schema of a file with `[mint.NAME]` under a key of its top level, which is one section otherwise.
#[must_use]
pub fn with_mints(title: &str, section: &'static Section, key: &str) -> Value {
    let mut root = of_section(title, section);
    let description = root["properties"][key]["description"].take();
    root["properties"][key] = table_of("mint");
    root["properties"][key]["description"] = description;
    root["$defs"] = json!({
        "mint": one_of(spec::LEASES.iter().map(|s| (s.name, s.fields)), &mints::fields()),
    });
    root
}

/// Tables of named entries, and the definition of an entry.
const ENTRIES: [(&str, &str); 6] = [
    ("providers", "provider"),
    ("secrets", "secret"),
    ("leases", "lease"),
    ("targets", "target"),
    ("files", "file"),
    ("people", "person"),
];

fn profile() -> Value {
    let mut profile = object(spec::PROFILE.doc, spec::PROFILE.fields);
    let of_profiles = |key: &str| spec::PROFILE.fields.iter().any(|field| field.name == key);
    for (key, reference) in ENTRIES.into_iter().filter(|(key, _)| of_profiles(key)) {
        profile["properties"][key] = table_of(reference);
    }
    profile["patternProperties"] = json!({ "^[A-Z_][A-Z0-9_]*$": { "$ref": "#/$defs/secret" } });
    profile
}

fn table_of(definition: &str) -> Value {
    json!({ "type": "object", "additionalProperties": { "$ref": format!("#/$defs/{definition}") } })
}

fn one_of<'a, I, C>(types: I, common: &C) -> Value
where
    I: Iterator<Item = (&'a str, &'static [Field])>,
    C: Iterator<Item = &'static Field> + Clone,
{
    let variants: Vec<Value> = types
        .map(|(name, fields)| {
            let mut variant = object("", common.clone().chain(fields));
            variant["properties"]["type"] = json!({ "const": name });
            variant
        })
        .collect();
    json!({ "oneOf": variants })
}

fn object<'a>(doc: &str, fields: impl IntoIterator<Item = &'a Field> + Clone) -> Value {
    let properties: Map<String, Value> = fields
        .clone()
        .into_iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let required: Vec<&str> = fields
        .into_iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut out =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !doc.is_empty() {
        out["description"] = json!(doc);
    }
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out
}

fn property(field: &Field) -> Value {
    let mut out = match field.kind {
        Kind::Text | Kind::Path(_) | Kind::Place => json!({ "type": "string" }),
        Kind::Reference | Kind::ReferencePath(_) => {
            json!({ "oneOf": [{ "type": "string" }, { "$ref": "#/$defs/secretReference" }] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Lifetime => lifetime(),
        Kind::FlagOrLifetime => json!({ "oneOf": [{ "type": "boolean" }, lifetime()] }),
        Kind::TextList => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextOrList => json!({
            "oneOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        }),
        Kind::Counts => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } })
        }
        Kind::TextMap => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Options => json!({
            "type": "object",
            "additionalProperties": {
                "oneOf": [
                    { "type": ["string", "boolean", "integer"] },
                    { "$ref": "#/$defs/secretReference" },
                ],
            },
        }),
        Kind::Json => json!({ "type": "object" }),
        Kind::Choice(words) => {
            // Words are read with either hyphen.
            let others = words.iter().map(|word| word.replace('-', "_"));
            let others = others.filter(|word| !words.contains(&word.as_str()));
            let words: Vec<String> = words
                .iter()
                .map(ToString::to_string)
                .chain(others)
                .collect();
            json!({ "enum": words })
        }
        Kind::EnvMode => json!({ "enum": [true, false, "exec"] }),
        Kind::Table(section) => section_object(section),
        Kind::Tables(section) => json!({ "type": "array", "items": section_object(section) }),
        Kind::Opaque => json!({}),
    };
    out["description"] = json!(field.doc);
    out
}

fn lifetime() -> Value {
    json!({ "type": "string", "pattern": "^([0-9]+[smhd])*[0-9]*$", "examples": ["15m"] })
}

fn section_object(section: &'static Section) -> Value {
    object(section.doc, section.fields)
}
