//! A registry in Docker's configuration, and the program that Docker calls for it (docs.docker.com, "docker login",
//! credential helpers: `credHelpers` wins over `credsStore` and stored logins for its registry).

use fnox_core::Host;
use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::file::Edit;
use super::{refused, shell_quoted};
use crate::error::CliError;

const MARK: &str = "# Written by `fnox credential install docker`.";

/// The key of a registry. Docker Hub's is a URL, for historical reasons.
pub(super) fn key(host: &Host) -> String {
    match host.to_string().as_str() {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

/// Docker runs `docker-credential-NAME OPERATION`.
pub(super) fn script(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
    format!("#!/bin/sh\n{MARK}\nexec {} \"$@\"\n", words.join(" "))
}

pub(super) fn edited_script(text: &str, script: &str) -> Result<Edit, CliError> {
    if !text.is_empty() && !text.contains(MARK) {
        return Err(refused("the program", "it exists and is not one of fnox"));
    }
    Ok(Edit::of(script.to_owned()))
}

/// The configuration with a helper for one registry. Everything else stays as it is written.
pub(super) fn edited(text: &str, registry: &str, helper: &str) -> Result<Edit, CliError> {
    let wrong = |_| refused("Docker's configuration", "it is no JSON object");
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut document: IndexMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(wrong)?;
    let mut helpers: IndexMap<String, String> = match document.get("credHelpers") {
        Some(helpers) => serde_json::from_str(helpers.get()).map_err(wrong)?,
        None => IndexMap::new(),
    };
    let shown_before = shown(&helpers);
    match helpers.insert(registry.to_owned(), helper.to_owned()) {
        Some(known) if known == helper => return Ok(Edit::of(text.to_owned())),
        Some(known) if !known.starts_with("fnox-") => {
            return Err(refused(
                "Docker's configuration",
                format!(
                    "{registry} has the credential helper `{}` already",
                    known.escape_debug()
                ),
            ));
        }
        _ => {}
    }
    let after = pretty(&helpers);
    let raw = RawValue::from_string(after.replace('\n', "\n\t")).map_err(wrong)?;
    document.insert("credHelpers".to_owned(), raw);
    // As Docker itself writes it (`json.MarshalIndent` with tabs).
    let members: Result<Vec<String>, CliError> = document
        .iter()
        .map(|(key, value)| {
            let key = serde_json::to_string(key).map_err(wrong)?;
            Ok(format!("\t{key}: {}", value.get()))
        })
        .collect();
    Ok(Edit {
        text: format!("{{\n{}\n}}\n", members?.join(",\n")),
        // Not the whole file: it may hold logins.
        shown: Some((shown_before, shown(&helpers))),
    })
}

fn shown(helpers: &IndexMap<String, String>) -> String {
    format!("\"credHelpers\": {}\n", pretty(helpers))
}

fn pretty(helpers: &IndexMap<String, String>) -> String {
    let members: Vec<String> = helpers
        .iter()
        .map(|(registry, helper)| {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            format!("\t{}: {}", quoted(registry), quoted(helper))
        })
        .collect();
    if members.is_empty() {
        return "{}".to_owned();
    }
    format!("{{\n{}\n}}", members.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_stays_as_it_is_written() {
        let text = "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"c2VjcmV0\"\n\t\t}\n\t},\n\t\"big\": 12345678901234567890123\n}\n";
        let edit = edited(text, "ghcr.io", "fnox-gh").unwrap();
        let wanted = text.replace(
            "123\n}",
            "123,\n\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"fnox-gh\"\n\t}\n}",
        );
        assert_eq!(edit.text, wanted);
        let (before, after) = edit.shown.unwrap();
        assert_eq!(before, "\"credHelpers\": {}\n");
        assert!(after.contains("ghcr.io") && !after.contains("c2VjcmV0"));
        let again = edited(&wanted, "ghcr.io", "fnox-gh").unwrap();
        assert_eq!(again.text, wanted);
        let other = edited(&wanted, "ghcr.io", "fnox-other").unwrap().text;
        assert_eq!(other, wanted.replace("fnox-gh", "fnox-other"));
    }

    #[test]
    fn what_is_not_ours_stays() {
        for text in [
            "[]",
            "{",
            "{\"credHelpers\":[]}",
            "{\"credHelpers\":{\"ghcr.io\":\"pass\"}}",
        ] {
            assert!(edited(text, "ghcr.io", "fnox-gh").is_err(), "{text}");
        }
        assert!(edited_script("#!/bin/sh\n", "x").is_err());
        let own = script(&["/a b/fnox".to_owned(), "it's".to_owned()]);
        assert!(own.contains(r"exec '/a b/fnox' 'it'\''s' "), "{own}");
        assert!(edited_script(&own, "x").is_ok());
    }

    #[test]
    fn docker_hub_has_a_key_of_its_own() {
        let key = |host: &str| key(&Host::parse(host).unwrap());
        assert_eq!(key("docker.io"), "https://index.docker.io/v1/");
        assert_eq!(key("ghcr.io"), "ghcr.io");
    }
}
