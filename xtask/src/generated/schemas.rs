//! JSON Schemas: of `fnox.toml`, and of the documents that commands print.

use fnox_cli::output::documents;

use super::pretty;

/// `docs/reference/fnox.schema.json`
pub(super) fn configuration() -> String {
    pretty(&fnox_config::schema::json_schema())
}

/// Every output document's schema as file name and text.
pub(super) fn outputs() -> Vec<(String, String)> {
    documents::schemas()
        .into_iter()
        .map(|(name, schema)| {
            (
                format!("docs/reference/schemas/{name}.json"),
                pretty(schema.as_value()),
            )
        })
        .collect()
}
