//! App Configuration: key-values.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Azure;
use crate::stand_in::issuer::{Reply, Request};

/// The service's name in tokens ("Microsoft Entra authentication", "Audience").
const RESOURCE: &str = "https://appconfig.azure.com";

/// The version of the API that the checks are after.
const VERSION: &str = "1.0";

/// Value and content type, by key and label.
pub(super) type KeyValues = BTreeMap<(String, Option<String>), (Value, Option<String>)>;

impl Azure {
    /// Stores a key-value.
    pub fn add_key_value(
        &mut self,
        key: &str,
        label: Option<&str>,
        value: &str,
        content_type: Option<&str>,
    ) {
        let place = (key.to_owned(), label.map(str::to_owned));
        let content_type = content_type.map(str::to_owned);
        self.key_values.insert(place, (json!(value), content_type));
    }

    /// Takes everybody's role on the store.
    pub fn close_configuration(&mut self) {
        self.is_configuration_closed = true;
    }

    /// "Get key-value"
    pub(super) fn configuration(&self, request: &Request) -> Reply {
        if let Err(reply) = self.authorised(request, RESOURCE) {
            return reply;
        }
        let (mut label, mut has_version) = (None, false);
        for (name, value) in request.query() {
            match name.as_str() {
                "api-version" if value == VERSION && !has_version => has_version = true,
                "label" if label.is_none() => label = Some(value),
                _ => return Reply::undocumented(format!("the parameter `{name}` = `{value}`")),
            }
        }
        let key = request.path.strip_prefix("/kv/").unwrap_or_default();
        let key = percent_encoding::percent_decode_str(key).decode_utf8();
        let (Ok(key), true) = (key, has_version && request.method == "GET") else {
            return Reply::undocumented("no such method of App Configuration");
        };
        if self.is_configuration_closed {
            return problem(403, "Forbidden", "Operation not allowed.");
        }
        let place = (key.into_owned(), label);
        let Some((value, content_type)) = self.key_values.get(&place) else {
            return Reply::empty(404);
        };
        let answer = json!({
            "etag": "4f6dd610dd5e4deebc7fbaef685fb903",
            "key": place.0,
            "label": place.1,
            "content_type": content_type,
            "value": value,
            "last_modified": "2017-12-05T02:41:26+00:00",
            "locked": false,
            "tags": {},
        });
        Reply {
            headers: vec![(
                "content-type",
                "application/vnd.microsoft.appconfig.kv+json; charset=utf-8".to_owned(),
            )],
            ..Reply::json(200, &answer)
        }
    }
}

/// RFC 7807.
fn problem(status: u16, title: &str, detail: &str) -> Reply {
    Reply {
        headers: vec![("content-type", "application/problem+json".to_owned())],
        ..Reply::json(
            status,
            &json!({
                "type": "https://azconfig.io/errors/x",
                "title": title,
                "detail": detail,
                "status": status,
            }),
        )
    }
}
